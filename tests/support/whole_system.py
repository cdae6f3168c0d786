"""A running stack as clients and operators meet it, and how a test waits for its shadows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from pathlib import Path

    import httpx2

_SEQUENCES = {"id", "seq", "tx_id"}
_INSTANTS = {
    "at", "created_at", "updated_at", "started_at", "completed_at", "recorded_at",
    "last_started_at", "last_completed_at",
}  # fmt: skip
_SYNC_IDS = {"sync_id", "last_sync_id"}


@dataclass(frozen=True, slots=True)
class System:
    """The addresses of a stack, and a client."""

    env: dict[str, str]
    http: httpx2.Client
    feed: Path

    def _admin(self, method: str, path: str, body: object = None) -> httpx2.Response:
        return self.http.request(
            method,
            f"{self.env['GATEWAY_ADMIN_URL']}/api/v1{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.env['GATEWAY_TOKEN']}"},
        )

    def order(self, action: str, **body: object) -> dict[str, Any]:
        """Give an order to the rollout; the answer is its new state."""
        return self.post(f"/rollout/{action}", **body)

    def post(self, where: str, /, **body: object) -> dict[str, Any]:
        """Change something by the admin API; it must be obeyed."""
        answer = self._admin("POST", where, {"reason": "a test", **body})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def read(self, path: str) -> Any:
        """Read the admin API."""
        answer = self._admin("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def sync(self, body: dict[str, Any], **headers: str) -> httpx2.Response:
        """Ask for a sync as a client would."""
        return self.http.post(
            f"{self.env['GATEWAY_URL']}/api/property-listings/sync", json=body, headers=headers
        )

    def differences(self) -> list[dict[str, Any]]:
        """Every difference that is kept, newest first."""
        found: list[dict[str, Any]] = []
        before = ""
        while True:
            page = self.read(f"/comparisons/differences?limit=200{before}")
            found += page["items"]
            if page["next"] is None:
                return found
            before = f"&before={page['next']}"

    def gate(self, name: str) -> dict[str, Any]:
        """One gate as it stands; there are none before the first look."""
        gates = self.read("/rollout")["gates"]
        return next((each for each in gates if each["name"] == name), {"verdict": None})

    def begin(self) -> None:
        """Start a rollout and wait until workers mirror, of which they hear a moment after us."""
        self.go_back()
        self.order("start")
        until(lambda: self.read("/rollout")["mirror"]["on"])
        until(lambda: self.read("/comparisons")["listings"] == 0)
        until(self._shadowed)

    def go_back(self) -> None:
        """End the rollout that is on, if one is."""
        if self.read("/rollout")["status"] in {"running", "paused"}:
            self.order("rollback")

    def count_anew(self) -> None:
        """Close all differences, and wait until what comes is counted."""
        self.post("/comparisons/fixes", path="**")
        time.sleep(2.2)

    def _shadowed(self) -> bool:
        """Send one sync, and see whether it was mirrored."""
        body = {"mode": "push", "listings": [{"propertyNumber": "warm-1", "title": "t"}]}
        assert self.sync(body, **{"Sync-Workspace": "warm-up"}).status_code == 200
        time.sleep(0.5)
        return bool(self.read("/comparisons")["listings"])

    def quiet(self) -> dict[str, Any]:
        """Wait until no shadow is under way any more: nothing was counted over two reports."""
        before: tuple[Any, ...] = ()
        while True:
            found = self.read("/comparisons")
            due, controlled = found["coverage"]["due"], found["control"]["listings"]
            now = (due, controlled, found["listings"], found["answers_opened"])
            if now == before:
                return found
            before = now
            time.sleep(1.3)

    def contents(self, workspace: str) -> dict[str, list[Any]]:
        """Whole tables of a workspace; ids, sequences and instants by what they are equal to.

        A sync's id stands as its place among the syncs, an instant as whether it is there, so two
        workspaces that saw the same syncs have the same contents to the byte.
        """
        with psycopg.connect(self.env["DATABASE_URL"]) as connection:
            cursor = connection.execute(
                "select sync_id::text from sync_history where workspace_id = %s"
                " order by started_at",
                (workspace,),
            )
            syncs = {sync_id: f"sync {place}" for place, (sync_id,) in enumerate(cursor)}
            return {
                table: [
                    _comparable(row[0], workspace, syncs)
                    for row in connection.execute(
                        f"select to_jsonb(t) from {table} as t where workspace_id = %s"
                        f" order by {order}",
                        (workspace,),
                    )
                ]
                for table, order in (
                    ("listings", "property_number"),
                    ("listing_journal", "seq"),
                    ("sync_history", "started_at"),
                    ("sync_state", "system"),
                )
            }


def _comparable(value: Any, workspace: str, syncs: dict[str, str]) -> Any:
    if not isinstance(value, dict):
        return value
    plain = {}
    for name, inner in value.items():
        if name in _SEQUENCES or (name in _INSTANTS and inner is not None):
            plain[name] = "there"
        elif name in _SYNC_IDS:
            plain[name] = syncs.get(inner, inner)
        elif name == "workspace_id":
            assert inner == workspace
        else:
            plain[name] = _comparable(inner, workspace, syncs)
    return plain


def until(condition: Any, *, within_s: float = 60) -> Any:
    """Wait until something is so."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"never became so within {within_s} s"
        time.sleep(0.1)
    return value

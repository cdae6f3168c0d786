"""Phase 1 on real servers: mirrored syncs leave no trace, agree, and every drift is found."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.support.scale import scale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import System

SYNCS = scale(full=2_000, quick=30)
TABLES = {
    "listings": "property_number, title, price_yen, floors, extra, written_by",
    "listing_journal": "property_number, op, writer, before -> 'price_yen', after -> 'price_yen'",
    "sync_history": "system, mode, status, total, success, failed, skipped",
    "sync_state": "system",
}
DRIFT = """
CREATE FUNCTION public.test_drift() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('request.headers', true)::json ->> 'sync-system' = 'new' THEN
    {drift}
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER aa_test_drift BEFORE INSERT OR UPDATE ON public.listings
FOR EACH ROW EXECUTE FUNCTION public.test_drift();
"""
NO_DRIFT = "DROP FUNCTION IF EXISTS public.test_drift() CASCADE"


def read(system: System, path: str) -> Any:
    """Read the admin API."""
    answer = system.http.get(
        f"{system.env['GATEWAY_ADMIN_URL']}/api/v1{path}",
        headers={"Authorization": f"Bearer {system.env['GATEWAY_TOKEN']}"},
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def until(condition: Any, *, within_s: float = 60) -> Any:
    """Wait until something is so."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"never became so within {within_s} s"
        time.sleep(0.1)
    return value


def batch(number: int, *, change: int = 0) -> dict[str, Any]:
    """Push three listings; each sync touches some that others did, too."""
    return {
        "mode": "push",
        "listings": [
            {"propertyNumber": f"P{(number + k) % 20:03}", "title": f"t{k}", "floors": 3,
             "priceYen": 1_000_123 + 1_000 * ((number + k) % 5) + change}
            for k in range(3)
        ],
    }  # fmt: skip


def contents(system: System, workspace: str) -> dict[str, list[Any]]:
    """What the tables hold of a workspace, without ids and instants."""
    with psycopg.connect(system.env["DATABASE_URL"]) as connection:
        return {
            table: connection.execute(
                f"select {columns} from {table} where workspace_id = %s order by 1, 2, 3"
                if table != "sync_state"
                else f"select {columns} from {table} where workspace_id = %s order by 1",
                (workspace,),
            ).fetchall()
            for table, columns in TABLES.items()
        }


def shadowed(system: System) -> bool:
    """Send one sync of three listings, and see whether it was mirrored."""
    push(system, "warm-up", 1)
    time.sleep(0.5)
    return bool(read(system, "/comparisons")["listings"])


def quiet(system: System) -> dict[str, Any]:
    """Wait until no shadow is under way any more: nothing was counted over two reports."""
    before: dict[str, Any] = {}
    while (found := read(system, "/comparisons"))["listings"] != before.get("listings"):
        before = found
        time.sleep(1.5)
    return found


@pytest.fixture(scope="module")
def mirrored(system: System) -> Iterator[System]:
    """A rollout in phase 1, mirroring with proof."""
    begin(system)
    yield system
    system.order("rollback")


@pytest.fixture
def database(system: System) -> Iterator[psycopg.Connection[Any]]:
    """The database, to let new drift in it for one test."""
    with psycopg.connect(system.env["DATABASE_URL"], autocommit=True) as connection:
        yield connection
        connection.execute(NO_DRIFT)


def begin(system: System) -> None:
    """Start a rollout and wait until workers mirror, of which they hear a moment after us."""
    if read(system, "/rollout")["status"] == "running":
        system.order("rollback")
    system.order("start")
    until(lambda: read(system, "/rollout")["mirror"]["on"])
    until(lambda: read(system, "/comparisons")["listings"] == 0)
    until(lambda: shadowed(system))


def push(system: System, workspace: str, syncs: int, *, change: int = 0) -> None:
    """Send so many syncs through the gateway, each after the other."""
    for number in range(syncs):
        body = batch(number, change=change)
        answer = system.sync(body, **{"Sync-Workspace": workspace})
        assert answer.headers["Sync-System"] == "old"
        assert answer.json()["status"] == "completed"


def compared(system: System, listings: int) -> dict[str, Any]:
    """Wait until so many listings were compared."""
    return until(
        lambda: (found := read(system, "/comparisons"))["listings"] >= listings and found,
        within_s=30 + listings,
    )


def test_mirrored_syncs_leave_what_old_alone_leaves(mirrored: System) -> None:
    """Rows, journal and history are those of old alone; all listings agree, and it is said how."""
    before = read(mirrored, "/comparisons")["listings"]
    push(mirrored, "mirrored", SYNCS)
    found = compared(mirrored, before + 3 * SYNCS)
    assert found["match_rate"] == 1.0
    assert found["differences"] == []
    assert found["means"] in {"rollback", "raise"}
    assert "100 % of" in found["sentence"]
    with_mirror = contents(mirrored, "mirrored")
    mirrored.order("rollback")
    push(mirrored, "alone", SYNCS)
    begin(mirrored)
    assert with_mirror == contents(mirrored, "alone")
    assert all(row[-1] == "old" for row in with_mirror["listings"])


DRIFTS = {
    "real": (
        """new.price_yen := new.price_yen / 1000 * 1000; new.floors := NULL;
           new.extra := '{"odd": 1}'; IF TG_OP = 'UPDATE' THEN new.title := old.title; END IF;""",
        {
            ("priceYen", "value", "real"), ("floors", "missing", "real"),
            ("extra", "extra", "real"), ("title", "value", "real"),
        },
    ),
    "format": ("new.title := rpad(new.title, 4);", {("title", "format", "format_only")}),
}  # fmt: skip


@pytest.mark.parametrize("drift", list(DRIFTS))
def test_a_seeded_drift_is_found_by_field_and_cause(
    mirrored: System, database: psycopg.Connection[Any], drift: str
) -> None:
    """What new alone does to a row stands in the comparison, with both values and the sync."""
    statements, expected = DRIFTS[drift]
    workspace = f"drift-{drift}"
    push(mirrored, workspace, 3)
    before = quiet(mirrored)
    database.execute(DRIFT.format(drift=statements))
    for number in range(3):
        body = batch(number, change=500)
        for listing in body["listings"]:
            listing["title"] += "x"  # every one of them changes
        mirrored.sync(body, **{"Sync-Workspace": workspace})
    opened = before["answers_opened"] + 3
    until(lambda: read(mirrored, "/comparisons")["answers_opened"] >= opened)
    after = quiet(mirrored)
    new = {
        (each["path"], each["kind"], each["cause"]): each
        for each in after["differences"]
        if all(each["count"] != one["count"] for one in before["differences"] if same(each, one))
    }
    assert set(new) == expected
    for difference in new.values():
        assert difference["counts"] is (drift == "real")
        example = difference["examples"][0]
        assert example["old"] != example["new"]
        written = database.execute(
            "select count(*) from listing_journal where sync_id = %s and workspace_id = %s",
            (example["sync_id"], workspace),
        ).fetchone()
        assert written == (3,)
    if drift == "format":
        assert after["matched"] - before["matched"] == after["listings"] - before["listings"]


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two summaries speak of one thing."""
    return all(one[name] == other[name] for name in ("path", "kind", "cause"))

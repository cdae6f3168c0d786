"""What the demo does to the running system: exactly what anybody could do with curl."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx2

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_DEADLINE_S: Final = 60


class DemoFailed(Exception):  # noqa: N818 - the story ended badly
    """Something that must hold did not; the message says what."""


@dataclass(slots=True)
class Tally:
    """What the answers to some syncs said."""

    syncs: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    written_by: dict[str, str] = field(default_factory=dict)


class DemoClient:
    """A client of the gateway and of its admin API."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._api = f"{env['GATEWAY_URL']}/api/property-listings"
        self._admin = f"{env['GATEWAY_ADMIN_URL']}/api/v1"
        self._token = env["GATEWAY_TOKEN"]
        self._http = httpx2.Client(timeout=_DEADLINE_S, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def set_weight(self, percent: float) -> None:
        """Send that share of the traffic to new, from now on."""
        answer = self._http.post(
            f"{self._admin}/rollout/weight",
            headers={"Authorization": f"Bearer {self._token}"},
            json={"percent": percent, "reason": "make demo"},
        )
        if not answer.is_success or answer.json()["weight_percent"] != percent:
            raise DemoFailed(f"the weight was not set to {percent} %: {answer.text}")

    def who_answers(self, calls: int) -> Counter[str]:
        """Count which system answers that many status calls."""
        return Counter(
            self._checked(self._http.get(f"{self._api}/sync/status"))["system"]
            for _ in range(calls)
        )

    def push(
        self,
        listings: Sequence[Mapping[str, Any]],
        *,
        syncs: int,
        digests: Mapping[str, str],
        tally: Tally,
    ) -> Iterator[int]:
        """Push the listings in that many syncs; yields how many each carried."""
        for number in range(syncs):
            share = listings[number::syncs]
            body = {"mode": "push", "listings": list(share)}
            answer = self._checked(self._http.post(f"{self._api}/sync", json=body))
            if answer["status"] != "completed" or answer["stats"]["success"] != len(share):
                raise DemoFailed(f"a sync was not completed: {answer['status']}, {answer['stats']}")
            system = answer["system"]
            tally.syncs[system] += 1
            for record in answer["records"]:
                tally.actions[record["action"]] += 1
                if record["action"] in {"created", "updated"}:
                    tally.written_by[record["propertyNumber"]] = system
                if record["digest"] != digests[record["propertyNumber"]]:
                    raise DemoFailed(
                        f"{system} made another row of {record['propertyNumber']} than the feed "
                        f"says: {record['digest']}, not {digests[record['propertyNumber']]}"
                    )
            yield len(share)

    @staticmethod
    def _checked(answer: httpx2.Response) -> Any:
        if not answer.is_success:
            raise DemoFailed(f"{answer.request.url} answered {answer.status_code}: {answer.text}")
        return answer.json()

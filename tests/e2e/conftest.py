"""The whole system on real servers, once for this folder."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from ops.devstack.stack import Options, Stack
from tests.support.shared import ROOT, shared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class System:
    """A running stack as clients and operators meet it."""

    env: dict[str, str]
    feed: Path
    http: httpx2.Client

    def order(self, action: str, **body: object) -> dict[str, Any]:
        """Give an order to the rollout; the answer is its new state."""
        answer = self.http.post(
            f"{self.env['GATEWAY_ADMIN_URL']}/api/v1/rollout/{action}",
            json={"reason": "a test", **body},
            headers={"Authorization": f"Bearer {self.env['GATEWAY_TOKEN']}"},
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def sync(self, body: dict[str, Any], **headers: str) -> httpx2.Response:
        """Ask for a sync as a client would."""
        return self.http.post(
            f"{self.env['GATEWAY_URL']}/api/property-listings/sync", json=body, headers=headers
        )


@pytest.fixture(scope="package")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """PostgreSQL, PostgREST, both services and the gateway, fed by the land-price feed."""
    folder = tmp_path_factory.mktemp("system")
    feed = folder / "feed.csv"
    shutil.copyfile(shared("data/osaka_land_price_2024.csv"), feed)
    mapping = str(ROOT / "tests/support/osaka_source.toml")
    stack = Stack(
        Options(folder=folder, preferred_ports=False, feed=feed, extra={"SYNC_SOURCE": mapping}),
        lambda _part: None,
    )
    stack.start()
    try:
        with httpx2.Client(timeout=60) as http:
            yield System({**stack.env}, feed, http)
    finally:
        stack.stop()

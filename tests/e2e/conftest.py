"""The whole system on real servers, once for this folder."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import httpx2
import pytest

from ops.devstack.stack import Options, Stack
from tests.support.shared import ROOT, shared
from tests.support.whole_system import System

if TYPE_CHECKING:
    from collections.abc import Iterator


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
            yield System({**stack.env}, http, feed)
    finally:
        stack.stop()

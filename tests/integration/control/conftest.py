"""A gateway and two scriptable services, all in processes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.gateway_process import GatewayProcess
from tests.support.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def services() -> Iterator[tuple[Upstream, Upstream]]:
    """The two services, started once; each test sets their script."""
    pair = Upstream("old"), Upstream("new")
    yield pair
    for service in pair:
        service.kill()


@pytest.fixture
def old(services: tuple[Upstream, Upstream]) -> Upstream:
    """The old service, behaving well."""
    services[0].script()
    return services[0]


@pytest.fixture
def new(services: tuple[Upstream, Upstream]) -> Upstream:
    """The new service, behaving well."""
    services[1].script()
    return services[1]


@pytest.fixture
def stopped_gateway(tmp_path: Path, old: Upstream, new: Upstream) -> Iterator[GatewayProcess]:
    """A gateway that is not started yet; ended with the test."""
    gateway = GatewayProcess(tmp_path / "state", old.url, new.url)
    yield gateway
    if gateway.process is not None:
        assert gateway.stop() == 0, gateway.log.read_text()[-3000:]


@pytest.fixture
def gateway(stopped_gateway: GatewayProcess) -> GatewayProcess:
    """A gateway that serves."""
    return stopped_gateway.start()

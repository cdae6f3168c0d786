"""A gateway and two scriptable services, all in processes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.gateway_process import GatewayProcess, until
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
def fresh_gateway(tmp_path: Path, old: Upstream, new: Upstream) -> Iterator[GatewayProcess]:
    """A gateway of the test's own, not started yet; ended with the test."""
    gateway = GatewayProcess(tmp_path / "state", old.url, new.url)
    yield gateway
    if gateway.process is not None:
        assert gateway.stop() == 0, gateway.log.read_text()[-3000:]


@pytest.fixture(scope="session")
def session_gateway(
    tmp_path_factory: pytest.TempPathFactory, services: tuple[Upstream, Upstream]
) -> Iterator[GatewayProcess]:
    """One gateway for the session: starting costs seconds, resetting does not."""
    gateway = GatewayProcess(
        tmp_path_factory.mktemp("gateway") / "state",
        services[0].url,
        services[1].url,
        # A breaker that one test opened must let the next test through.
        {"GATEWAY_BREAKER_TIMEOUT": "50"},
    )
    yield gateway
    if gateway.process is not None:
        assert gateway.stop() == 0, gateway.log.read_text()[-3000:]


@pytest.fixture
def gateway(session_gateway: GatewayProcess, old: Upstream, new: Upstream) -> GatewayProcess:
    """The session's gateway, serving, at weight 0, with nothing held against anybody."""
    gateway = session_gateway
    if gateway.process is None:
        gateway.start()
    until(lambda: all(system["healthy"] for system in gateway.rollout["systems"]))
    way_out = {"emergency_stopped": "release", "rolled_back": "resume"}
    if order := way_out.get(gateway.rollout["status"]):
        gateway.order(order)
    gateway.order("weight", percent=0)
    return gateway

"""A gateway with one token of each scope, and one without any; both real, both on real ports."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.gateway_process import TOKEN, GatewayProcess
from tests.support.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKENS = ",".join(
    (
        f"tester:admin:{TOKEN}",
        "ops:operator:an-operator-token",
        "eye:viewer:a-viewer-token",
        "gone:admin:an-expired-token;until=2020-01-01",
    )
)


def free_port() -> int:
    """Give a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def services() -> Iterator[tuple[Upstream, Upstream]]:
    """Two services that behave well."""
    pair = Upstream("old"), Upstream("new")
    yield pair
    for service in pair:
        service.kill()


def _run(tmp_path_factory, services, environment) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("gateway")
    gateway = GatewayProcess(folder / "state", services[0].url, services[1].url, environment)
    yield gateway.start()
    assert gateway.stop() == 0, gateway.log.read_text()[-3000:]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, services) -> Iterator[GatewayProcess]:
    """A gateway with tokens; tests share it, so each puts it where it needs it."""
    yield from _run(tmp_path_factory, services, {"GATEWAY_ADMIN_TOKENS": TOKENS})


@pytest.fixture(scope="module")
def open_gateway(tmp_path_factory, services) -> Iterator[GatewayProcess]:
    """A gateway without tokens."""
    yield from _run(tmp_path_factory, services, {"GATEWAY_ADMIN_TOKENS": ""})


@pytest.fixture
def idle(gateway: GatewayProcess) -> GatewayProcess:
    """The shared gateway, out of any stop or rollback, paused or running at weight 0."""
    status = gateway.rollout["status"]
    if status == "emergency_stopped":
        gateway.order("release")
    elif status == "rolled_back":
        gateway.order("resume")
    if gateway.rollout["status"] != "idle":
        gateway.order("weight", percent=0)
    return gateway

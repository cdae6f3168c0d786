"""A data port that is full: who comes too late is told so, and people still get in."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.gateway_process import GatewayProcess, call, until
from tests.support.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT = 40
BEYOND = 200


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    """A whole gateway in which one address may hold forty connections."""
    old, new = Upstream("old"), Upstream("new")
    started = GatewayProcess(
        tmp_path / "state", old.url, new.url, {"GATEWAY_CONNECTIONS_PER_ADDRESS": str(LIMIT)}
    ).start()
    yield started
    started.stop()
    old.kill()
    new.kill()


def test_people_get_in_when_the_data_port_is_full(gateway: GatewayProcess) -> None:
    """At the limit + 200: each of them reads 503 and is hung up on; the admin port answers."""
    host, port = gateway.data_url.removeprefix("http://").split(":")
    held = [socket.create_connection((host, int(port)), 10) for _ in range(LIMIT)]
    for client in held:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: g\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    late = [socket.create_connection((host, int(port)), 10) for _ in range(BEYOND)]
    for client in late:
        said = b""
        while piece := client.recv(4096):
            said += piece
        assert said.startswith(b"HTTP/1.1 503 ")
        assert b"Too many connections." in said
    assert call(gateway.admin_url + "/healthz").status == 200
    assert gateway.rollout["status"] == "idle"
    gateway.order("start")
    for client in held + late:
        client.close()
    assert until(lambda: gateway.status().status == 200)

"""Whatever is wrong at the start is said at once, with what to do, and nothing serves."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.gateway_process import GatewayProcess


def refused(gateway: GatewayProcess) -> tuple[int, str]:
    """Start it expecting a refusal: the exit code and what it said."""
    process = gateway.launch()
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.read() == "", "nothing is announced before all is well"
        return process.wait(30), gateway.log.read_text()


@pytest.mark.parametrize("setting", ["GATEWAY_PORT", "GATEWAY_ADMIN_PORT"])
def test_a_taken_port_is_named(fresh_gateway: GatewayProcess, setting: str) -> None:
    """Exit code 2, the port, and the setting that would change it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        fresh_gateway.environment[setting] = str(port)
        code, said = refused(fresh_gateway)
    assert code == 2
    assert f"Cannot listen on 127.0.0.1 port {port}: the port is taken." in said
    assert setting in said
    assert "worker_ready" not in said


def test_a_foreign_file_is_left_alone(fresh_gateway: GatewayProcess) -> None:
    """Something that is no state file stops the start and is not touched."""
    fresh_gateway.state_dir.mkdir()
    file = fresh_gateway.state_dir / "state.sqlite3"
    file.write_bytes(b"these are my notes" * 100)
    code, said = refused(fresh_gateway)
    assert code == 2
    assert "cannot be read" in said
    assert file.read_bytes() == b"these are my notes" * 100

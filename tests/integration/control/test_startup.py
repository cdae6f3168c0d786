"""Whatever is wrong at the start is said at once, with what to do, and nothing serves."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.gateway_process import until

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


def test_a_bad_policy_on_reload_changes_nothing(fresh_gateway: GatewayProcess) -> None:
    """SIGHUP with a broken file names its faults; the old policy and the workers stay."""
    policy = fresh_gateway.state_dir.with_name("policy.toml")
    shipped = Path("config/rollout.toml").read_text()
    policy.write_text(shipped)
    fresh_gateway.environment["GATEWAY_POLICY"] = str(policy)
    fresh_gateway.module = ("gateway", "serve")
    gateway = fresh_gateway.start()
    before, workers = gateway.rollout["policy"], gateway.worker_pids()
    policy.write_text(shipped + "\n[nonsense]\nthreshold = 2\n")
    os.kill(gateway.pid, signal.SIGHUP)
    until(lambda: "reload_refused" in gateway.log.read_text())
    assert "nonsense" in gateway.log.read_text()
    assert gateway.rollout["policy"] == before
    assert gateway.worker_pids() == workers
    policy.write_text(shipped.replace(before, "Another name"))
    os.kill(gateway.pid, signal.SIGHUP)
    until(lambda: gateway.rollout["policy"] == "Another name")


def test_all_faults_of_settings_and_policy_are_told_at_once(fresh_gateway: GatewayProcess) -> None:
    """Two wrong settings and a missing policy file: three names, exit code 2, nothing started."""
    fresh_gateway.module = ("gateway", "serve")
    fresh_gateway.environment |= {
        "GATEWAY_WORKERS": "none", "SYNC_NEW_URL": "new", "GATEWAY_POLICY": "/nowhere.toml",
    }  # fmt: skip
    code, said = refused(fresh_gateway)
    assert code == 2
    for name in ("GATEWAY_WORKERS", "SYNC_NEW_URL", "/nowhere.toml"):
        assert name in said
    assert "Traceback" not in said

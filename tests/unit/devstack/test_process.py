"""Child processes and ports: what goes wrong is said with the child's own words."""

from __future__ import annotations

import signal
import socket
import sys
import threading

import pytest

from ops.devstack.ports import accepts, free_port
from ops.devstack.process import Command, Process, StartError


def _command(tmp_path, script: str, **options) -> Command:
    return Command(
        name="child", argv=[sys.executable, "-c", script], log=tmp_path / "log", **options
    )


def test_a_child_that_ends_at_once_is_quoted(tmp_path):
    """The error carries the exit code and the end of the child's log."""
    process = Process(_command(tmp_path, "print('the disk is full'); raise SystemExit(3)"))
    with pytest.raises(StartError, match=r"(?s)exit code 3.*the disk is full"):
        process.wait_until(lambda: False)


def test_a_child_that_never_gets_ready_is_stopped(tmp_path):
    """Waiting has an end, and what did not get ready does not stay behind."""
    process = Process(_command(tmp_path, "import time; print('hm', flush=True); time.sleep(60)"))
    with pytest.raises(StartError, match="not ready after 0 s"):
        process.wait_until(lambda: False, timeout_s=0.1)
    assert process.exit_code == -signal.SIGTERM


def test_a_child_deaf_to_its_signal_is_killed_with_its_own_children(tmp_path):
    """Stopping ends after its time, whatever the child thinks of it."""
    script = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print('deaf', flush=True); time.sleep(60)"
    )
    process = Process(_command(tmp_path, script, stop_timeout_s=0.2))
    process.wait_until(lambda: "deaf" in process.log_tail())
    process.stop()
    assert process.exit_code == -signal.SIGKILL


def test_children_are_started_by_the_main_thread_only(tmp_path):
    """A child dies with the thread that forked it, so another thread may not fork one."""
    caught: list[BaseException] = []

    def start() -> None:
        try:
            Process(_command(tmp_path, "pass"))
        except RuntimeError as exc:
            caught.append(exc)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])


def test_a_taken_port_is_not_handed_out():
    """The preferred port is given where it is free, another one where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert accepts(taken)
        assert free_port(taken) != taken
    wanted = free_port()
    assert not accepts(wanted)
    assert free_port(wanted) != wanted, "handed out before"

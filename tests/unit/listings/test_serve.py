"""A service as a real process: ready line, taken port, orderly end, death with its parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from urllib.request import urlopen

import psutil
import pytest

from tests.support.shared import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = """
import sys
from listings.model import System
from listings.service import run
from tests.support.memory_store import MemoryStore
sys.exit(run(System.OLD, lambda settings: MemoryStore()))
"""


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """Settings of a service on a free port."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": "postgresql:///unused",
        "SYNC_OLD_PORT": "0",
        "LOG_FILE_PATH": str(tmp_path / "log" / "service.log"),
        **more,
    }


def start(tmp_path: Path, **more: str) -> subprocess.Popen[str]:
    """Start the service in an empty folder."""
    return subprocess.Popen(
        [sys.executable, "-c", SERVICE],
        cwd=tmp_path,
        env=environment(tmp_path, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ready_serve_and_end_well(tmp_path: Path) -> None:
    """One line when ready, answers, exit code 0 on SIGTERM, the log in its file."""
    process = start(tmp_path)
    try:
        assert process.stdout
        word, name, url, _pid = process.stdout.readline().split()
        assert (word, name) == ("ready", "sync_old")
        with urlopen(f"{url}/health", timeout=5) as answer:
            assert b'"system":"old"' in answer.read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stdout.read() == ""
    finally:
        process.kill()
        process.communicate()
    assert '"event"' in (tmp_path / "log" / "service.log").read_text()


def test_a_taken_port_is_a_sentence(tmp_path: Path) -> None:
    """Exit code 1, the address, and the variable to change; no traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start(tmp_path, SYNC_OLD_PORT=str(taken.getsockname()[1]))
        _out, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "SYNC_OLD_PORT" in err
    assert "Traceback" not in err


def test_wrong_settings_and_mapping_are_told(tmp_path: Path) -> None:
    """Exit code 2, every name."""
    process = start(tmp_path, SYNC_BATCH_SIZE="x", DB_POOL_MIN="-1")
    _out, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "SYNC_BATCH_SIZE" in err
    assert "DB_POOL_MIN" in err
    (tmp_path / "source.toml").write_text("[fields]\nprise = 'x'\n")
    process = start(tmp_path, SYNC_SOURCE="source.toml")
    _out, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "fields.prise" in err
    assert "key.columns" in err


@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    """A parent killed with SIGKILL does not leave its service behind."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, SERVICE],
        cwd=tmp_path,
        env=environment(tmp_path, SYNC_DIE_WITH_PARENT="1"),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout
    pid = int(parent.stdout.readline().split("pid=")[1])
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 20
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the service outlived its parent"
        time.sleep(0.02)


PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1]])
time.sleep(60)
"""

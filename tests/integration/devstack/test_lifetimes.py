"""Servers of the dev stack end with their parent, run as anybody, and leave nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[3]
SERVERS = """
import json, os, sys, time
from pathlib import Path
from ops.devstack import postgres, postgrest, valkey
os.environ.pop("DATABASE_URL", None)
os.environ.pop("REDIS_URL", None)
logs = Path(sys.argv[1])
database = postgres.start(log=logs / "postgresql.log")
cache = valkey.start(log=logs / "valkey.log")
rest = postgrest.start(postgrest.STANDIN, database_url=database.url, secret="x" * 32,
                       log=logs / "rest.log", config={"db-anon-role": "postgres"})
print(json.dumps([database.url, cache.url, rest.url]), flush=True)
if sys.argv[2] == "stay":
    time.sleep(600)
for server in (rest, cache, database):
    server.stop()
"""


def _start(tmp_path: Path, then: str, *, prefix: tuple[str, ...] = (), **env: str):
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", SERVERS, str(tmp_path), then],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        text=True,
    )


def _ports(line: str) -> list[int]:
    return [int(url.rsplit(":", 1)[1].split("/")[0]) for url in json.loads(line)]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _eventually(holds, *, deadline_s: float = 30) -> bool:
    end = time.monotonic() + deadline_s
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(holds())


def _python_for_anybody(become: tuple[str, ...]) -> str:
    """Ours, unless it lies in a home that others cannot enter: then the system's of our version."""
    system = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, system):
        probe = [*become, "sh", "-c", '"$0" -c "import os"', python]
        if subprocess.run(probe, cwd="/", capture_output=True, check=False).returncode == 0:
            return python
    pytest.skip("no Python that an ordinary user may run")


def test_a_killed_parent_takes_every_server_along_and_the_next_cleans_up(tmp_path, request):
    """After kill -9 of their starter no server is left, and the next start removes its data."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o711)
    request.addfinalizer(lambda: shutil.rmtree(folder, ignore_errors=True))
    parent = _start(tmp_path, "stay", TMPDIR=str(folder))
    ports = _ports(parent.stdout.readline())
    children = psutil.Process(parent.pid).children(recursive=True)
    assert len(children) > 3, "PostgreSQL has children of its own"
    assert all(_listens(port) for port in ports)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert _eventually(lambda: not any(child.is_running() for child in children)), children
    assert not any(_listens(port) for port in ports)

    assert len(list(folder.iterdir())) == 2  # PostgreSQL's and Valkey's
    with _start(tmp_path, "stop", TMPDIR=str(folder)) as second:
        assert second.wait(100) == 0
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root runs servers as somebody else")
def test_root_with_a_private_temporary_folder_uses_a_public_one(tmp_path):
    """Servers run as another account: where it could not enter, nothing is put."""
    tmp_path.chmod(0o700)
    with _start(tmp_path, "stop", TMPDIR=str(tmp_path)) as process:
        assert process.wait(100) == 0
    assert not list(tmp_path.glob("syncgate-*"))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
def test_an_ordinary_user_with_a_clean_home_can_run_them(tmp_path):
    """The same servers start and stop for a user who owns nothing but an empty home."""
    home = Path("/tmp") / f"syncgate-test-home-{os.getpid()}"
    home.mkdir(mode=0o700)
    os.chown(home, 65534, 65534)
    become = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")
    try:
        run = subprocess.run(
            [*become, _python_for_anybody(become), "-c", SERVERS, str(home), "stop"],
            cwd="/",
            env={
                "HOME": str(home),
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")]),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        assert len(json.loads(run.stdout)) == 3
    finally:
        shutil.rmtree(home)

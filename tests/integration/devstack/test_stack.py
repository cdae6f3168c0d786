"""`make up` and `make demo` as a person meets them: from outside, as processes."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import psutil
import pytest

ROOT = Path(__file__).parents[3]
KEYS = [
    "GATEWAY_URL",
    "GATEWAY_ADMIN_URL",
    "GATEWAY_TOKEN",
    "SYNC_OLD_URL",
    "SYNC_NEW_URL",
    "DATABASE_URL",
    "REDIS_URL",
    "SUPABASE_REST_URL",
    "ALERT_SINK_URL",
]


def _environment(folder: Path) -> dict[str, str]:
    mine = {**os.environ, "SYNCGATE_DEVSTACK_FOLDER": str(folder)}
    for name in ("DATABASE_URL", "REDIS_URL"):  # the stack must bring its own
        mine.pop(name, None)
    return mine


_numbers = itertools.count(1)


class Up:
    """A `make up` of our own folder."""

    def __init__(self, folder: Path, *, under_make: bool = False) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "ops.devstack", "up"]
        if under_make:  # as make does: a parent that waits, and says that it is make
            command = ["sh", "-c", f"MAKELEVEL=1 {shlex.join(command)}; true"]
        self.output = folder.parent / f"{next(_numbers)}.out"
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=_environment(folder),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def said(self, text: str) -> bool:
        """Whether it has printed that by now."""
        return text in self.output.read_text("utf-8")

    def ready(self) -> dict[str, str]:
        """Wait until it is up; its env file."""
        assert _eventually(lambda: self.said("Ctrl-C stops") or self.process.poll() is not None)
        assert self.process.poll() is None, self.output.read_text("utf-8")
        lines = (self.folder / "env").read_text("utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def children(self) -> list[psutil.Process]:
        """Every process below it."""
        return psutil.Process(self.process.pid).children(recursive=True)


def _eventually(holds, *, deadline_s: float = 100) -> bool:
    end = time.monotonic() + deadline_s
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(holds())


@pytest.fixture
def folder(tmp_path):
    """A folder for one stack, and nothing left running from it afterwards."""
    yield tmp_path / "stack"
    for process in psutil.process_iter(["environ"]):
        if (
            (process.info["environ"] or {})
            .get("SYNCGATE_DEVSTACK_FOLDER", "")
            .startswith(str(tmp_path))
        ):
            process.kill()


def _every_channel_is_wired(env: dict[str, str], bearer: dict[str, str]) -> None:
    """A rollback reaches Slack, mail, SMS and webhook, as critical, in both languages."""
    for order in ("start", "rollback"):
        url = f"{env['GATEWAY_ADMIN_URL']}/api/v1/rollout/{order}"
        assert httpx2.post(url, json={"reason": "a trial"}, headers=bearer).status_code == 200

    def told() -> list[dict[str, str]]:
        found = httpx2.get(f"{env['ALERT_SINK_URL']}/deliveries").json()
        return [one for one in found if one["level"] == "critical"]

    wanted = {"slack", "email", "sms", "webhook"}
    deadline = time.monotonic() + 20
    while {one["channel"] for one in told()} < wanted:
        assert time.monotonic() < deadline, told()
        time.sleep(0.05)
    (slack,) = [o["text"] for o in told() if o["channel"] == "slack" and "Weight" in o["text"]]
    assert "Weight to new: 0 %" in slack
    assert any("切り戻し完了" in one["text"] for one in told())
    url = f"{env['GATEWAY_ADMIN_URL']}/api/v1/rollout/resume"
    httpx2.post(url, json={"reason": "the trial is over"}, headers=bearer)


def test_up_is_found_told_twice_survives_a_death_and_leaves_nothing(folder):
    """Addresses, a second start, a dead part, kill -9, a new start, and the end of its `make`."""
    first = Up(folder)
    env = first.ready()
    assert list(env) == KEYS
    assert stat.S_IMODE((folder / "env").stat().st_mode) == 0o600
    status = httpx2.get(f"{env['GATEWAY_URL']}/api/property-listings/sync/status").json()
    assert status["system"] == "old"
    bearer = {"Authorization": f"Bearer {env['GATEWAY_TOKEN']}"}
    rollout = httpx2.get(f"{env['GATEWAY_ADMIN_URL']}/api/v1/rollout", headers=bearer).json()
    assert (rollout["status"], rollout["weight_percent"]) == ("idle", 0)
    assert httpx2.get(f"{env['ALERT_SINK_URL']}/deliveries").json() == []
    _every_channel_is_wired(env, bearer)

    second = Up(folder)
    assert second.process.wait(60) == 1
    assert second.said(f"already up in this folder (process {first.process.pid})")
    assert second.said("syncgate status")

    new = next(child for child in first.children() if "sync_new" in child.cmdline())
    new.kill()
    assert _eventually(lambda: first.said("sync_new ended"))
    assert httpx2.get(f"{env['GATEWAY_URL']}/health").is_success

    children = first.children()
    first.process.kill()
    first.process.wait()
    assert _eventually(lambda: not any(child.is_running() for child in children)), children

    again = Up(folder, under_make=True)
    again.ready()
    children = again.children()
    again.process.kill()
    again.process.wait()
    assert _eventually(lambda: not any(child.is_running() for child in children)), children
    assert again.said("Stopped. Logs stay in")
    assert not (folder / "env").exists()
    assert sorted(path.name for path in (folder / "logs").glob("*.log")) == [
        "alert_sink.log",
        "gateway.log",
        "migrate.log",
        "postgresql.log",
        "postgrest.log",
        "sync_new.log",
        "sync_old.log",
        "valkey.log",
    ]


def test_the_demo_tells_its_story_and_proves_it(folder):
    """A small feed goes through the whole system by both ways, and every proof holds."""
    run = subprocess.run(
        [sys.executable, "-m", "ops.devstack", "demo", "120"],
        cwd=ROOT,
        env=_environment(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stderr == ""
    assert "\x1b[" not in run.stdout  # no terminal, no colours
    assert [int(new) for new in re.findall(r"old \d+, new (\d+) ✓ exact", run.stdout)] == [
        10,
        50,
        100,
    ]
    for claim in ("120 = 120", "120 of 120 equal (100%)", "120 entries for 120 rows"):
        assert claim in run.stdout

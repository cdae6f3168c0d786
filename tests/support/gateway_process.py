"""
A whole gateway in processes of its own (parent and workers), held by a test.

    python -m tests.support.gateway_process [PLAN]     # settings from the environment
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil

from tests.support.plans import PLANS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOKEN = "a-token-for-tests"
STATUS = "/api/property-listings/sync/status"
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def system(self) -> str | None:
        """Which system served it."""
        return self.headers.get("Sync-System")


def call(url: str, body: object = None, **headers: str) -> Answer:
    """Send one request; an error status is an answer like any other."""
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(url, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return Answer(answer.status, dict(answer.headers), answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, dict(error.headers), error.read())


def until(condition: Callable[[], Any], *, within_s: float = PATIENCE_S) -> Any:
    """Wait until the condition is truthy and give its value; fail when it never is."""
    deadline = time.monotonic() + within_s
    pause_s = 0.01
    while True:
        if value := condition():
            return value
        assert time.monotonic() < deadline, f"never became true within {within_s} s"
        time.sleep(pause_s)
        # Who asks all the time takes the processor from those that are waited for.
        pause_s = min(1.5 * pause_s, 0.1)


@dataclass
class GatewayProcess:
    """Started with `start`; `environment` overrides settings by their names."""

    state_dir: Path
    old_url: str
    new_url: str
    environment: dict[str, str] = field(default_factory=dict)
    module: tuple[str, ...] = ("tests.support.gateway_process",)
    process: subprocess.Popen[str] | None = None
    data_url: str = ""
    admin_url: str = ""
    banner: str = ""

    @property
    def log(self) -> Path:
        """What the gateway wrote to standard error."""
        return self.state_dir.with_suffix(".log")

    def launch(self) -> subprocess.Popen[str]:
        """Start the process without waiting for it to be ready."""
        settings = {
            "GATEWAY_HOST": "127.0.0.1",
            "GATEWAY_PORT": "0",
            "GATEWAY_ADMIN_PORT": "0",
            "GATEWAY_STATE_DIR": str(self.state_dir),
            "GATEWAY_ADMIN_TOKENS": f"tester:admin:{TOKEN}",
            "SYNC_OLD_URL": self.old_url,
            "SYNC_NEW_URL": self.new_url,
            "GATEWAY_RATE_LIMIT_PER_SECOND": "0",
            "GATEWAY_PROBE_INTERVAL": "250",
            "GATEWAY_PROBE_TIMEOUT": "500",
            **self.environment,
        }
        with self.log.open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *self.module],
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **settings},
                text=True,
            )

    def start(self) -> GatewayProcess:
        """Start it and wait for its ready block."""
        self.process = self.launch()
        assert self.process.stdout is not None
        lines = []
        while not (line := self.process.stdout.readline()).startswith("  workers"):
            assert line, f"it ended instead: {self.log.read_text()[-2000:]}"
            lines.append(line)
        self.banner = "".join(lines)
        told = dict(line.split(maxsplit=1) for line in lines[1:])
        self.data_url, self.admin_url = told["data"].strip(), told["admin"].strip()
        return self

    @property
    def pid(self) -> int:
        """The parent's process id."""
        assert self.process is not None
        return self.process.pid

    def worker_pids(self) -> list[int]:
        """The processes of the data plane."""
        return [child.pid for child in psutil.Process(self.pid).children()]

    def status(self, **headers: str) -> Answer:
        """Ask for the sync status through the data port."""
        return call(self.data_url + STATUS, **headers)

    def sync(self, **headers: str) -> Answer:
        """Ask for a sync through the data port."""
        return call(self.data_url + "/api/property-listings/sync", {"mode": "full"}, **headers)

    def admin(self, path: str, body: object = None) -> Answer:
        """Call the admin API."""
        return call(f"{self.admin_url}/api/v1{path}", body, Authorization=f"Bearer {TOKEN}")

    def order(self, name: str, **body: object) -> Answer:
        """Give an order that must be obeyed."""
        answer = self.admin(f"/rollout/{name}", {"reason": "test", **body})
        assert answer.status == 200, answer.body
        return answer

    @property
    def rollout(self) -> Any:
        """The rollout as the API shows it."""
        return self.admin("/rollout").json

    def event_kinds(self) -> list[str]:
        """The kinds of the last events, newest first."""
        return [event["kind"] for event in self.rollout["events"]]

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        """Kill -9 of the parent alone."""
        assert self.process is not None
        self.process.kill()
        self.ended()

    def ended(self) -> int:
        """Wait for the end; the exit code."""
        assert self.process is not None
        assert self.process.stdout is not None
        try:
            return self.process.wait(PATIENCE_S)
        finally:
            self.process.stdout.close()
            self.process = None


if __name__ == "__main__":
    from gateway.bootstrap import serve
    from gateway.settings import load_settings

    chosen = sys.argv[1] if len(sys.argv) > 1 else "quick"
    sys.exit(serve(load_settings(env_file=None), PLANS[chosen]()))

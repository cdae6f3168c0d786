"""Whatever is killed, whenever: the state is whole, nothing is promoted, traffic goes on."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import threading
import time
import urllib.error
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.support.gateway_process import GatewayProcess, until
from tests.support.scale import scale
from tests.support.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORDERS = (
    ("weight", {"percent": 10}),
    ("pause", {}),
    ("resume", {}),
    ("rollback", {}),
    ("resume", {}),
    ("weight", {"percent": 50}),
    ("emergency-stop", {}),
    ("release", {}),
)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    """A gateway before two healthy services."""
    old, new = Upstream("old"), Upstream("new")
    gateway = GatewayProcess(tmp_path / "state", old.url, new.url)
    yield gateway
    if gateway.process is not None:
        gateway.stop()
    old.kill()
    new.kill()


def test_kill_9_in_the_middle_of_orders(gateway: GatewayProcess) -> None:
    """After every kill and start: an acknowledged order stands, the phase is the one ordered."""
    draw = random.Random(11)
    gateway.start()
    gateway.order("start")
    for _ in range(scale(full=40, quick=2)):
        acknowledged = {"version": gateway.rollout["version"]}
        killer = threading.Timer(draw.uniform(0.0, 0.15), gateway.process.kill)
        killer.start()
        killed = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)
        with contextlib.suppress(*killed):
            for number in range(10_000):
                name, body = ORDERS[number % len(ORDERS)]
                answer = gateway.admin(f"/rollout/{name}", {"reason": "chaos", **body})
                if answer.status == 200:
                    acknowledged = answer.json
        gateway.ended()
        gateway.start()
        shown = gateway.rollout
        steps = shown["version"] - acknowledged["version"]
        assert steps in {0, 1}, "at most the one order whose answer was lost"
        if steps == 0 and "weight_percent" in acknowledged:
            for name in ("status", "phase", "weight_percent"):
                assert shown[name] == acknowledged[name]
        assert shown["phase_number"] == 1, "nothing was promoted meanwhile"
        if shown["status"] in {"rolled_back", "emergency_stopped"}:
            assert shown["weight_percent"] == 0
        assert gateway.admin("/audit/verification").json["intact"] is True


def test_workers_may_die_under_traffic(gateway: GatewayProcess) -> None:
    """Of two workers one is killed again and again: clients meet resets, never a wrong answer."""
    gateway.environment["GATEWAY_WORKERS"] = "2"
    gateway.start()
    gateway.order("weight", percent=50)
    answers: Counter[object] = Counter()
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                answer = gateway.status()
                answers[answer.status] += 1
            except (urllib.error.URLError, ConnectionError):
                answers["reset"] += 1

    clients = [threading.Thread(target=ask) for _ in range(3)]
    for client in clients:
        client.start()
    for _ in range(scale(full=30, quick=2)):
        until(lambda: len(gateway.worker_pids()) == 2)
        os.kill(gateway.worker_pids()[0], signal.SIGKILL)
        time.sleep(0.3)
    until(lambda: len(gateway.worker_pids()) == 2)
    done.set()
    for client in clients:
        client.join()
    assert set(answers) <= {200, "reset"}
    assert answers[200] > 100 * answers["reset"] / 10
    shown = gateway.rollout
    assert (shown["weight_percent"], shown["status"]) == (50, "idle"), "new is not to blame"

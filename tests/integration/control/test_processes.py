"""Parent and workers live, die and are replaced without losing state or requests."""

from __future__ import annotations

import os
import signal
import threading
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING

import psutil

from tests.support.gateway_process import call, until
from tests.support.tls import make_certificate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.gateway_process import GatewayProcess
    from tests.support.upstream import Upstream

CLIENTS = [f"client-{number}" for number in range(60)]


def sides(gateway: GatewayProcess) -> dict[str, str | None]:
    """Which system each client is sent to."""
    return {client: gateway.status(**{"X-Client-Id": client}).system for client in CLIENTS}


def test_a_restart_keeps_the_state_and_reshuffles_nobody(fresh_gateway: GatewayProcess) -> None:
    """Weight, status, version, audit and every client's side outlive SIGTERM and start."""
    gateway = fresh_gateway.start()
    gateway.order("start")
    gateway.order("weight", percent=50)
    before, shown = sides(gateway), gateway.rollout
    assert Counter(before.values()).keys() == {"old", "new"}
    assert gateway.stop() == 0
    gateway.start()
    again = gateway.rollout
    for name in ("status", "phase", "weight_percent", "version"):
        assert again[name] == shown[name]
    assert sides(gateway) == before
    assert "weight   50 % to new" in gateway.banner
    assert [row["action"] for row in gateway.admin("/audit").json["items"]] == ["weight", "start"]
    assert gateway.admin("/audit/verification").json["intact"] is True


def test_kill_9_of_the_parent_takes_its_workers_and_leaves_the_state(
    gateway: GatewayProcess, old: Upstream
) -> None:
    """No orphan serves by an old routing; the next start finds what was acknowledged."""
    gateway.order("weight", percent=25)
    key = {"Idempotency-Key": "once-and-for-all", "X-Client-Id": "client-0"}
    first, synced = gateway.sync(**key), old.count("POST /api/property-listings/sync")
    workers = gateway.worker_pids()
    assert workers
    gateway.kill()
    until(lambda: not any(psutil.pid_exists(pid) for pid in workers))
    gateway.start()
    assert gateway.rollout["weight_percent"] == 25
    again = gateway.sync(**key)
    assert (again.status, again.body, again.system) == (200, first.body, first.system)
    assert old.count("POST /api/property-listings/sync") == synced


def test_a_killed_worker_is_replaced_and_routes_as_before(gateway: GatewayProcess) -> None:
    """The new worker knows the weight before its first request; no count runs backwards."""
    gateway.order("weight", percent=100)
    [worker] = gateway.worker_pids()
    os.kill(worker, signal.SIGKILL)
    until(lambda: gateway.worker_pids() not in ([], [worker]))
    assert {gateway.status().system for _ in range(20)} == {"new"}
    until(lambda: "worker.died" in gateway.event_kinds())
    counted = _requests(gateway, "new")
    for _ in range(5):
        gateway.status()
    until(lambda: _requests(gateway, "new") >= counted + 5)


def _requests(gateway: GatewayProcess, system: str) -> float:
    text = call(f"{gateway.admin_url}/metrics").body.decode()
    prefix = f'syncgate_requests_total{{system="{system}",outcome="ok"}} '
    values = [line.removeprefix(prefix) for line in text.splitlines() if line.startswith(prefix)]
    return float(values[0]) if values else 0


def test_a_rolling_restart_loses_no_request(gateway: GatewayProcess) -> None:
    """SIGHUP replaces the worker while clients keep asking; every request is answered."""
    [before] = gateway.worker_pids()
    answers: Counter[int] = Counter()
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            answers[gateway.status().status] += 1

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    os.kill(gateway.pid, signal.SIGHUP)
    until(lambda: before not in gateway.worker_pids() and len(gateway.worker_pids()) == 1)
    done.set()
    for client in clients:
        client.join()
    assert set(answers) == {200}
    assert answers[200] > 20
    audited = [row["action"] for row in gateway.admin("/audit").json["items"]]
    assert audited[:2] == ["workers.roll", "policy.reload"]


def test_what_was_accepted_is_answered_before_the_end(gateway: GatewayProcess, old: object) -> None:
    """SIGTERM in the middle of a request: readiness goes first, the client gets its answer."""
    old.script(delay_ms=1_500)  # long enough to be seen not ready on a busy machine
    answers: list[int] = []
    before = old.count("POST /api/property-listings/sync")
    slow = threading.Thread(target=lambda: answers.append(gateway.sync().status))
    slow.start()
    until(lambda: old.count("POST /api/property-listings/sync") > before)
    os.kill(gateway.pid, signal.SIGTERM)
    until(lambda: call(f"{gateway.data_url}/readyz").status == 503)
    assert gateway.ended() == 0
    slow.join()
    assert answers == [200]


def test_a_second_gateway_on_the_same_state_is_refused(gateway: GatewayProcess) -> None:
    """Two writers would overwrite one another: the second says who has it and what to do."""
    second = gateway.launch()
    assert second.stdout is not None
    with second.stdout:
        assert second.wait(30) == 2
    said = gateway.log.read_text()
    assert f"in use by a running gateway (process {gateway.pid})" in said
    assert "GATEWAY_STATE_DIR" in said
    assert gateway.status().status == 200


def test_an_end_in_the_middle_of_a_replacement_is_an_end(gateway: GatewayProcess) -> None:
    """SIGTERM right after SIGHUP: no worker is left behind and nothing waits for ever."""
    workers = gateway.worker_pids()
    os.kill(gateway.pid, signal.SIGHUP)
    until(lambda: len(gateway.worker_pids()) > 1)
    workers += gateway.worker_pids()
    assert gateway.stop() == 0
    assert not any(psutil.pid_exists(pid) for pid in workers)


def test_a_gateway_with_a_certificate_says_where_it_is(
    fresh_gateway: GatewayProcess, tmp_path: Path
) -> None:
    """The data port's address is one that a client can take as it stands."""
    made = make_certificate(tmp_path)
    fresh_gateway.environment |= {
        "GATEWAY_TLS_CERTIFICATE": str(made.certificate), "GATEWAY_TLS_KEY": str(made.key),
    }  # fmt: skip
    gateway = fresh_gateway.start()
    assert gateway.data_url.startswith("https://127.0.0.1:")
    assert gateway.admin_url.startswith("http://127.0.0.1:")
    asked = gateway.data_url.replace("127.0.0.1", "localhost") + "/health"
    with urllib.request.urlopen(asked, timeout=10, context=made.trust) as answer:
        assert answer.status == 200

"""Three gateways of two workers each on one real Valkey: they agree, and say who does not."""

from __future__ import annotations

import math
import os
import signal
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.support.fleet_process import FleetProcesses, Load
from tests.support.gateway_process import GatewayProcess, until
from tests.support.redis_servers import RedisFactory
from tests.support.scale import scale
from tests.support.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG_S = scale(quick=120, full=3_600)
Z_999 = 3.2905
"""Two-sided 99.9 percent of the normal distribution."""


@pytest.fixture(scope="module")
def services() -> Iterator[tuple[Upstream, Upstream]]:
    """Two scriptable services."""
    pair = Upstream("old"), Upstream("new")
    for service in pair:
        service.script()
    yield pair
    for service in pair:
        service.kill()


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, services: tuple[Upstream, Upstream]
) -> Iterator[FleetProcesses]:
    """The fleet, started once."""
    factory = RedisFactory()
    fleet = FleetProcesses.make(
        tmp_path_factory.mktemp("fleet"), factory("valkey"), services, GATEWAY_WORKERS="2"
    )
    try:
        yield fleet.start()
    finally:
        fleet.stop()
        factory.stop()


@pytest.fixture
def fleet(running: FleetProcesses) -> FleetProcesses:
    """The fleet at weight 0."""
    running.calm()
    return running


@pytest.mark.timeout(LONG_S)
def test_weight_changes_converge(fleet: FleetProcesses, capsys: pytest.CaptureFixture[str]) -> None:
    """A weight set through any replica is routed by in every worker of all within a second."""
    spans = sorted(
        fleet.change("abc"[number % 3], (number % 100) + 1)
        for number in range(scale(quick=20, full=1_000))
    )
    p99 = spans[math.ceil(len(spans) * 0.99) - 1]
    with capsys.disabled():
        print(  # noqa: T201 - a figure for whoever reads along
            f"\n{len(spans)} weight changes over 3 replicas x 2 workers: median "
            f"{statistics.median(spans) * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms"
        )
    assert p99 <= 5.0  # a guard; the figure is printed
    assert len(fleet.weights()) == 1


@pytest.mark.timeout(LONG_S)
def test_the_split_holds_over_the_fleet(
    fleet: FleetProcesses, capsys: pytest.CaptureFixture[str]
) -> None:
    """Many clients, any replica: the share of new lies within the binomial 99.9 percent band."""
    fleet.change("b", 25)
    count = scale(quick=900, full=30_000)
    gateways = list(fleet)

    def ask(number: int) -> tuple[int, str | None]:
        return number, gateways[number % 3].status(**{"X-Client-Id": f"client-{number}"}).system

    with ThreadPoolExecutor(6) as pool:
        seen = dict(pool.map(ask, range(count)))
    new = sum(system == "new" for system in seen.values())
    band = Z_999 * math.sqrt(count * 0.25 * 0.75)
    with capsys.disabled():
        print(f"\n25 %: {new} of {count} to new, {count * 0.25:.0f} +- {band:.0f} allowed")  # noqa: T201 - as above
    assert abs(new - count * 0.25) <= band
    for number in range(30):
        again = gateways[(number + 1) % 3].status(**{"X-Client-Id": f"client-{number}"}).system
        assert again == seen[number], "a client is not moved by asking another replica"


@pytest.mark.timeout(LONG_S)
def test_a_stop_is_confirmed_by_name(
    fleet: FleetProcesses, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stops through every replica: who confirms is named, and new gets nothing more.

    On a busy machine a replica may need longer than the second that is waited for its word.
    """
    waited, by_all = [], 0
    for number in range(scale(quick=6, full=1_000)):
        through = fleet["abc"[number % 3]]
        fleet.change("abc"[number % 3], 50)
        said = through.order("emergency-stop").json["confirmations"]
        assert sorted(said["confirmed"] + said["missing"]) == ["a", "b", "c"]
        by_all += not said["missing"]
        waited.append(said["waited_s"])
        until(lambda: {gateway.status().system for gateway in fleet} == {"old"})
        until(lambda: {gateway.rollout["status"] for gateway in fleet} == {"emergency_stopped"})
        through.order("release")
        until(lambda: "emergency_stopped" not in {g.rollout["status"] for g in fleet})
    with capsys.disabled():
        print(  # noqa: T201 - as above
            f"\n{len(waited)} emergency stops, {by_all} confirmed by all at once: "
            f"longest {max(waited) * 1000:.0f} ms"
        )
    assert by_all > 0


def test_who_does_not_answer_a_stop_is_named(fleet: FleetProcesses) -> None:
    """The deciding one stands still: named after a second, put on record, it obeys later."""
    fleet.change("a", 50)
    [name] = fleet.deciding()
    frozen, others = fleet[name], [one for each, one in fleet.replicas.items() if each != name]
    os.kill(frozen.pid, signal.SIGSTOP)
    try:
        said = others[0].order("emergency-stop").json["confirmations"]
        assert name in said["missing"]
        until(lambda: _state_of(others[0], name) == "silent")
        until(lambda: "replica.silent" in _kinds(others))
    finally:
        os.kill(frozen.pid, signal.SIGCONT)
    until(lambda: frozen.rollout["status"] == "emergency_stopped")
    assert frozen.status().system == "old"
    until(lambda: _state_of(others[0], name) == "reporting")
    until(lambda: "replica.back" in _kinds(others))


def _kinds(gateways: list[GatewayProcess]) -> set[str]:
    return {event["kind"] for gateway in gateways for event in gateway.rollout["events"]}


def _state_of(gateway: GatewayProcess, name: str) -> str:
    shown = gateway.rollout["fleet"]["replicas"]
    return next(one["state"] for one in shown if one["name"] == name)


def test_the_fleet_goes_back_once_and_tells_once(
    fleet: FleetProcesses, services: tuple[Upstream, Upstream]
) -> None:
    """New fails at all three at the same time: one rollback on record, one alert of it."""
    _, new = services
    fleet.change("a", 50)
    before, told = _rollbacks(fleet), _alerts_of_rollbacks(fleet)
    with Load(fleet):
        new.script(status=500)
        until(lambda: {gateway.rollout["status"] for gateway in fleet} == {"rolled_back"})
        until(lambda: _alerts_of_rollbacks(fleet) > told)
        time.sleep(2)  # twice as long as anybody needs to look and to tell again
        new.script()
    assert (_rollbacks(fleet), _alerts_of_rollbacks(fleet)) == (before + 1, told + 1)


def _rollbacks(fleet: FleetProcesses) -> int:
    entries = fleet["a"].admin("/audit?limit=20").json["items"]
    return sum(entry["action"] == "rollback" for entry in entries)


def _alerts_of_rollbacks(fleet: FleetProcesses) -> int:
    """How often the log of any replica was told."""
    lines = (line for gateway in fleet for line in gateway.log.read_text().splitlines())
    return sum('"event":"alert"' in line and '"title":"Rolled back' in line for line in lines)


def test_the_deciding_one_dies_and_another_decides(fleet: FleetProcesses) -> None:
    """Killed with all it knew: the weight stays, somebody else decides, and it may come back."""
    fleet.change("a", 10)
    [name] = fleet.deciding()
    fleet[name].kill()
    others = [gateway for each, gateway in fleet.replicas.items() if each != name]
    until(
        lambda: any(
            one["here"] and one["decides"]
            for gateway in others
            for one in gateway.rollout["fleet"]["replicas"]
        )
    )
    assert {gateway.rollout["weight_percent"] for gateway in others} == {10}
    fleet[name].start()
    assert fleet[name].rollout["weight_percent"] == 10
    until(fleet.complete)

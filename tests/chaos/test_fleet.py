"""What a fleet does without Redis, and with a controller that stood still: it keeps its word."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.fleet_process import FleetProcesses, Load
from tests.support.gateway_process import GatewayProcess, until
from tests.support.redis_servers import RedisFactory
from tests.support.scale import scale
from tests.support.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG_S = scale(quick=120, full=3_600)


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
    """Two replicas, started once."""
    factory = RedisFactory()
    fleet = FleetProcesses.make(
        tmp_path_factory.mktemp("fleet"), factory("valkey"), services, names="ab"
    )
    try:
        yield fleet.start()
    finally:
        fleet.stop()
        factory.stop()


@pytest.fixture
def fleet(running: FleetProcesses, services: tuple[Upstream, Upstream]) -> FleetProcesses:
    """The fleet at weight 0, both services well."""
    for service in services:
        service.script()
    running.calm()
    return running


@pytest.mark.timeout(LONG_S)
def test_a_controller_that_stood_still_writes_nothing(fleet: FleetProcesses) -> None:
    """Stopped past its lease while others change the weight, it wakes up and follows them."""
    for number in range(scale(quick=1, full=5)):
        fleet.change("a", 10 + number)
        [name] = fleet.deciding()
        [other] = set(fleet.replicas) - {name}
        os.kill(fleet[name].pid, signal.SIGSTOP)
        try:
            until(lambda other=other: _decides(fleet, other))
            fleet[other].order("weight", percent=60 + number)
            version = fleet[other].rollout["version"]
        finally:
            os.kill(fleet[name].pid, signal.SIGCONT)
        until(lambda version=version: fleet.in_force(version))
        until(fleet.complete)
        assert fleet.weights() == {60 + number}
        assert {gateway.rollout["version"] for gateway in fleet} == {version}
        assert fleet[name].admin("/audit/verification").json["intact"]


def _decides(fleet: FleetProcesses, name: str) -> bool:
    shown = fleet[name].rollout["fleet"]["replicas"]
    return any(one["here"] and one["decides"] for one in shown)


def test_traffic_goes_back_without_redis(
    fleet: FleetProcesses, services: tuple[Upstream, Upstream]
) -> None:
    """Redis is away and new fails: each replica goes back by itself, and they agree later."""
    _, new = services
    fleet.change("a", 50)
    with fleet.redis.held(), Load(fleet):
        until(lambda: not fleet["a"].rollout["fleet"]["connected"])
        new.script(status=500)
        until(lambda: fleet.weights() == {0})
        assert {gateway.rollout["status"] for gateway in fleet} == {"rolled_back"}
        new.script()
    until(fleet.complete)
    until(lambda: all(gateway.rollout["store_writable"] for gateway in fleet))
    assert {gateway.rollout["status"] for gateway in fleet} == {"rolled_back"}
    versions = [gateway.rollout["version"] for gateway in fleet]
    assert len(set(versions)) == 1
    verified = fleet["a"].admin("/audit/verification").json
    assert verified["intact"], verified["faults"]


def test_a_stop_is_obeyed_without_redis(fleet: FleetProcesses) -> None:
    """Given where Redis cannot be reached, it holds there at once, and everywhere afterwards."""
    fleet.change("a", 50)
    with fleet.redis.held():
        until(lambda: not fleet["b"].rollout["fleet"]["connected"])
        said = fleet["b"].order("emergency-stop").json["confirmations"]
        assert (said["confirmed"], said["missing"]) == (["b"], ["a"])
        assert fleet["b"].status().system == "old"
    until(lambda: fleet["a"].rollout["status"] == "emergency_stopped")


def test_a_replica_starts_without_redis_from_its_own_copy(fleet: FleetProcesses) -> None:
    """Restarted while Redis is away it serves the weight it knew, says so, and joins again."""
    fleet.change("a", 40)
    time.sleep(0.5)
    again = fleet["b"]
    with fleet.redis.held():
        assert again.stop() == 0
        again.start()
        assert "own copy" in again.banner or again.rollout["fleet"]["trouble"]
        assert again.rollout["weight_percent"] == 40
    until(fleet.complete)
    assert fleet.weights() == {40}


def test_a_replica_with_nothing_to_start_from_names_the_setting(
    fleet: FleetProcesses, tmp_path: Path
) -> None:
    """Wrong password, database, nobody there, another program's keys: one clear message each."""
    host = fleet.redis.url.removeprefix("redis://").removesuffix("/0")
    with fleet.redis.direct() as direct:
        direct.rpush("{theirs}:state", "a list of another program")
    wrong = {
        f"redis://gateway:s3cret-w0rd@{host}/0": "password",
        f"redis://{host}/4711": "database",
        "redis://127.0.0.1:1/0": "cannot be reached",
        f"redis://{host}/0?prefix=theirs": "is not the gateway's",
    }
    template, strangers = fleet["a"], {}
    for number, (url, said) in enumerate(wrong.items()):
        state, old, new = tmp_path / f"state-{number}", template.old_url, template.new_url
        stranger = GatewayProcess(state, old, new, {"REDIS_URL": url})
        strangers[said] = stranger, stranger.launch()
    for said, (stranger, process) in strangers.items():
        assert process.wait(30) == 2
        assert process.stdout is not None
        process.stdout.close()
        text = stranger.log.read_text()
        assert "REDIS_URL" in text
        assert said in text
        assert "s3cret-w0rd" not in text
    with fleet.redis.direct() as direct:
        assert direct.lrange("{theirs}:state", 0, -1) == [b"a list of another program"]
        assert direct.keys("{theirs}*") == [b"{theirs}:state"]

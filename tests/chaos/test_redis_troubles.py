"""
Redis gets into every trouble under a fleet that is asked for more than it may give.

In each round the phase's gate is opened while the trouble lasts, so that a promotion would be due;
one crowd of clients keeps to what it may ask for, another asks old for far more than that.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.support.fleet_process import FleetProcesses
from tests.support.gateway_process import until
from tests.support.scale import scale
from tests.support.shaky_redis import TROUBLES, ShakyRedis
from tests.support.sticky_load import StickyLoad, Watcher, most_over, sides
from tests.support.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG_S = scale(quick=120, full=3_600)
ROUNDS = scale(quick=1, full=100)
RATE = 100
"""Requests a second that each system may get of the whole fleet; so much at once, too."""
REFILL = RATE
WEIGHT = 60.0
WARM = 10
"""Answers after which every worker has its share: the first ones after a rest may come too soon."""
NOTICED_S = 1.2
"""A gateway hears of the others once a second, and of a slow Redis with that."""
AFTERWARDS_S = 0.5
AWAY_S = {
    "killed": (2.3, 3.3),
    "standing still": (0.3, 1.3),
    "slow": (1.0,),
    "empty after a restart": (0.0, 3.3),
    "failed over": (0.0, 2.3),
}
"""In turns, beside the time it takes to open the gate (two seconds where nobody answers): at once,
past the end of the lease (2 s), past the time after which nobody is heard (3 s)."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Two replicas in a phase that ends by itself, and all that is around them."""

    fleet: FleetProcesses
    redis: ShakyRedis
    services: tuple[Upstream, Upstream]
    served: dict[str, list[str]]
    """Clients by the system that serves them at the weight of every round."""

    def gate(self, *, is_open: bool) -> None:
        """Tell every replica a figure by which it may promote, or may not."""
        figure = {"metric": "database_load_ratio", "value": 0.0 if is_open else 1.0}
        for gateway in self.fleet:
            assert gateway.admin("/measurements", figure).status < 300

    def most_beyond(self, since_s: float) -> float:
        """Give how many requests more than the rate either system got in any span since then."""
        return max(
            most_over((at_s for at_s in service.arrivals() if at_s >= since_s), RATE)
            for service in self.services
        )


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Started once."""
    with ExitStack() as stack:
        services = Upstream("old"), Upstream("new")
        for service in services:
            stack.callback(service.kill)
        redis = ShakyRedis()
        stack.callback(redis.stop)
        folder = tmp_path_factory.mktemp("fleet")
        limit = {"GATEWAY_UPSTREAM_LIMIT_PER_SECOND": str(RATE)}
        fleet = FleetProcesses.make(folder, redis, services, names="ab", plan="eager", **limit)
        stack.callback(fleet.stop)
        fleet.start()
        made = Scene(fleet, redis, services, {"old": [], "new": []})
        made.gate(is_open=False)
        fleet["a"].order("start")
        fleet.change("a", WEIGHT)
        made.served.update(sides(fleet["a"], [f"client-{number}" for number in range(40)]))
        yield made


def spoil(scene: Scene, trouble: str, away_s: float) -> None:
    """One round; see the module."""
    fleet, gateways = scene.fleet, list(scene.fleet)
    fleet.change("a", 50)
    scene.redis.leave_behind()
    fleet.change("b", WEIGHT)  # what a standby that takes over does not know
    before = fleet["a"].rollout
    modest = StickyLoad(gateways, scene.served["new"], "new", pause_s=0.03)
    greedy = StickyLoad(gateways, scene.served["old"], "old", pause_s=0.003, limited_is_fine=True)
    with modest, greedy, Watcher(gateways) as watcher:
        until(lambda: greedy.statuses[429] and modest.statuses[200] > WARM)
        modest.bad.clear()
        with TROUBLES[trouble](scene.redis):
            time.sleep(NOTICED_S if trouble == "slow" else 0)
            scene.gate(is_open=True)
            time.sleep(away_s)
            scene.gate(is_open=False)
        until(fleet.complete)
        time.sleep(AFTERWARDS_S)
    assert not modest.bad
    assert not greedy.bad
    assert greedy.statuses[200] > 0, "it is kept short, not kept out"
    assert watcher.seen == {(before["status"], before["phase"], WEIGHT)}
    assert {gateway.rollout["version"] for gateway in fleet} == {before["version"]}


@pytest.mark.timeout(LONG_S)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_no_client_no_weight_and_no_budget_notices(
    scene: Scene, trouble: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No failed request, no other weight, no promotion, no budget exceeded by over one refill."""
    away, most = AWAY_S[trouble], 0.0
    for number in range(ROUNDS):
        begun_s = time.monotonic()
        spoil(scene, trouble, away[number % len(away)])
        most = max(most, scene.most_beyond(begun_s))
        assert most <= RATE + REFILL
    with capsys.disabled():
        print(  # noqa: T201 - a figure for whoever reads along
            f"\nRedis {trouble}, {ROUNDS} times: at most {most:.0f} requests beyond the rate in "
            f"any span of a round, of {RATE + REFILL} allowed"
        )


def test_with_a_redis_that_is_well_the_promotion_is_due(scene: Scene) -> None:
    """What held it in every trouble was the trouble: the same gate, open now, lets it pass."""
    fleet = scene.fleet
    assert {gateway.rollout["status"] for gateway in fleet} == {"running"}
    scene.gate(is_open=True)
    until(lambda: {gateway.rollout["status"] for gateway in fleet} == {"completed"})

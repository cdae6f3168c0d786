"""Who decides, and that nobody decides who should not: leases, fencing, two at once."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from gateway.control.fleet.fleet import Role
from gateway.core import rollout
from gateway.core.model import Outcome, Variant
from gateway.core.rollout import Status
from gateway.core.window import VariantSecond
from gateway.errors import RefusedError, StateError
from gateway.link import Report
from gateway.ports import SYSTEM_ACTOR, CommandKind, StoredState
from tests.support.fleet_room import FleetRoom, Replica
from tests.support.plans import quick_plan
from tests.support.scale import scale


@pytest.fixture
async def room() -> FleetRoom:
    """Three replicas that know one another, at 10 percent."""
    room = FleetRoom()
    await room.join("a", "b", "c")
    await room.replicas[1].order(CommandKind.WEIGHT, weight_bp=1_000)
    await room.seconds(2)
    return room


async def test_one_decides_and_all_route_alike(room: FleetRoom) -> None:
    """An order given to any replica is in force everywhere within a second."""
    assert [replica.weight_bp for replica in room.replicas] == [1_000] * 3
    assert len(room.deciding) == 1
    await room.replicas[2].order(CommandKind.WEIGHT, weight_bp=2_500)
    for replica in room.replicas:
        await replica.exchange()
    assert [replica.weight_bp for replica in room.replicas] == [2_500] * 3
    assert len({replica.state for replica in room.replicas}) == 1


async def test_failures_that_others_saw_are_evidence(room: FleetRoom) -> None:
    """Errors spread over three replicas add up, and traffic goes back once, with one word."""
    for replica in room.replicas:
        await replica.sees(Variant.CANARY, Outcome.ERROR, 2)
        await replica.sees(Variant.BASELINE, Outcome.OK, 40)
    assert {replica.state.status for replica in room.replicas} == {Status.IDLE}
    await room.seconds(3)
    assert {replica.state.status for replica in room.replicas} == {Status.ROLLED_BACK}
    assert [replica.weight_bp for replica in room.replicas] == [0] * 3
    rollbacks = [entry for entry in room.server.audit if entry.action == "rollback"]
    assert len(rollbacks) == 1
    notices = [
        action
        for replica in room.replicas
        for action in replica.done
        if isinstance(action, rollout.Notify) and action.key == "rolled_back"
    ]
    assert len(notices) == 1


async def test_two_controllers_at_once_roll_back_once(room: FleetRoom) -> None:
    """Both believe to hold the lease and act on the same evidence: one is stored, one is told."""
    first = room.deciding[0]
    second = next(replica for replica in room.replicas if replica is not first)
    second.lease.fencing_token = first.lease.fencing_token
    second.lease.until_us = first.lease.until_us
    assert first.fleet.role is second.fleet.role is Role.DECIDES
    for replica in (first, second):
        await replica.sees(Variant.CANARY, Outcome.ERROR, 6)
        await replica.sees(Variant.BASELINE, Outcome.OK, 40)
    await room.seconds(2)
    assert {replica.state.status for replica in room.replicas} == {Status.ROLLED_BACK}
    assert sum(entry.action == "rollback" for entry in room.server.audit) == 1
    told = [
        action
        for replica in room.replicas
        for action in replica.done
        if isinstance(action, rollout.Notify) and action.key == "rolled_back"
    ]
    assert len(told) == 1


async def test_a_controller_that_slept_through_its_lease_writes_nothing() -> None:
    """Whenever it falls asleep and however long it sleeps: no step of an older lease is stored."""
    dice = random.Random(7)
    room = FleetRoom(quick_plan(bake_s=100_000))
    await room.join("a", "b")
    await room.replicas[0].order(CommandKind.WEIGHT, weight_bp=1_000)
    slept = 0
    for _ in range(scale(quick=30, full=1_000)):
        await room.seconds(1)
        [holder] = room.deciding
        other = next(replica for replica in room.replicas if replica is not holder)
        inputs = holder.controller._gather()
        # It has decided, and stops before it stores.
        engine, token = holder.controller._turns.engine, holder.fleet.token
        turn = engine.order(rollout.SetWeight("policy", "stale", rollout.State().write_bp), inputs)
        holder.frozen = True
        await room.seconds(dice.randint(4, 9))
        assert not holder.lease.held
        assert other.lease.held
        if dice.random() < 0.5:
            await other.order(CommandKind.WEIGHT, weight_bp=dice.randint(1, 5_000))
        stored = room.server.version
        with pytest.raises(StateError):
            await holder.controller._turns.take(
                turn, inputs, event=None, by=SYSTEM_ACTOR, token=token
            )
        assert room.server.version == stored
        assert holder.fleet.role is not Role.DECIDES
        holder.frozen = False
        slept += 1
        await room.seconds(2)
        assert len({replica.state.write_bp for replica in room.replicas}) == 1
    assert slept
    tokens = [token for token, _ in room.server.commits if token]
    assert tokens == sorted(tokens)


async def test_an_order_that_was_overtaken_is_tried_once_more(room: FleetRoom) -> None:
    """A replica that has not heard of the newest state looks at it and obeys on top of it."""
    a, b, _ = room.replicas
    await a.order(CommandKind.WEIGHT, weight_bp=2_000)
    assert b.state.write_bp == 1_000
    assert (await b.order(CommandKind.WEIGHT, weight_bp=3_000)).write_bp == 3_000
    assert [entry.after["write_weight_bp"] for entry in room.server.audit] == [1_000, 2_000, 3_000]
    assert room.server.audit[-1].before["write_weight_bp"] == 2_000


async def test_news_that_overtakes_a_reading_is_not_undone_by_it(room: FleetRoom) -> None:
    """It was on its way while somebody stored: the stop is taken up at once all the same."""
    a, b, _ = room.replicas
    before = room.server.version
    await a.order(CommandKind.EMERGENCY_STOP)
    b.together.heard_of(room.server.version)
    b.together.heard_of(before)
    await b.agree()
    assert b.state.status is Status.EMERGENCY_STOPPED


async def test_news_that_comes_while_the_state_is_read_is_read_next(room: FleetRoom) -> None:
    """The state that was on its way is taken up, and then the one after it."""
    a, b, _ = room.replicas
    await a.order(CommandKind.WEIGHT, weight_bp=2_000)
    load = b.store.load

    async def load_and_be_overtaken() -> StoredState | None:
        found = await load()
        b.store.load = load  # type: ignore[method-assign]
        await a.order(CommandKind.WEIGHT, weight_bp=3_000)
        b.together.heard_of(room.server.version)
        return found

    b.store.load = load_and_be_overtaken  # type: ignore[method-assign]
    b.together.heard_of(room.server.version)
    await b.agree()
    assert b.weight_bp == 2_000
    await b.agree()
    assert b.weight_bp == 3_000


async def test_an_order_that_no_longer_fits_is_refused(room: FleetRoom) -> None:
    """Who wants more weight while another has stopped everything is told so; nothing moves."""
    a, b, _ = room.replicas
    await a.order(CommandKind.EMERGENCY_STOP)
    with pytest.raises(RefusedError):
        await b.order(CommandKind.WEIGHT, weight_bp=9_000)
    assert b.state.status is Status.EMERGENCY_STOPPED
    assert b.weight_bp == 0


async def test_a_silent_replica_is_named_and_holds_the_promotion() -> None:
    """Its numbers are unknown, not zero: the gate says so by name until it reports or is gone."""
    room = FleetRoom(quick_plan(bake_s=6))
    await room.join("a", "b", "c")
    await room.replicas[0].order(CommandKind.START)
    room.replicas[2].frozen = True
    await room.seconds(12)
    assert {replica.state.why.key for replica in room.replicas[:2]} == {"started"}
    [gate] = [
        gate for gate in room.deciding[0].controller.view().gates if gate.name == "replica_unknown"
    ]
    assert "c" in gate.reason
    assert sum(event.kind == "replica.silent" for event in room.server.events) == 1
    room.replicas[2].frozen = False
    await room.seconds(10)
    assert {replica.state.why.key for replica in room.replicas} == {"waiting"}


async def test_one_open_breaker_pages_and_moves_nothing(room: FleetRoom) -> None:
    """One replica gave up on new; the other two have not: that says more of the replica."""
    a = room.replicas[0]
    for _ in range(5):
        room.clock.advance(1)
        await a.reports(breaker="open")
        for replica in room.replicas[1:]:
            await replica.reports()
        for replica in room.replicas:
            await replica.second()
    assert {replica.state.status for replica in room.replicas} == {Status.IDLE}
    assert "one_breaker" in {one.key for one in room.deciding[0].state.troubles}


def _versions(replicas: list[Replica]) -> list[Any]:
    return [replica.state.version for replica in replicas]


async def test_clocks_an_hour_apart_decide_nothing() -> None:
    """Seconds and outcomes are filed by their age, so a replica whose clock is wrong is heard."""
    room = FleetRoom()
    await room.join("a")
    await room.join("b", ahead_us=3_600_000_000)
    await room.replicas[0].order(CommandKind.WEIGHT, weight_bp=1_000)
    await room.seconds(4)
    a, b = room.replicas
    assert _versions(room.replicas)[0] == _versions(room.replicas)[1]
    readings = {r.variant: r for r in a.controller._gather().readings if r.window_s == 60}
    now_us = a.clock.now_us()
    for reading in readings.values():
        assert now_us - reading.at_us < 6_000_000
    for _ in range(6):
        await b.sees(Variant.CANARY, Outcome.ERROR, 1)
        await b.sees(Variant.BASELINE, Outcome.OK, 20)
    await room.seconds(3)
    assert a.state.status is b.state.status is Status.ROLLED_BACK


async def test_each_replica_routes_by_the_policy_that_it_read_again(room: FleetRoom) -> None:
    """The state's version stays, the routing is another: no exchange with the others undoes it."""
    before = room.replicas[0].state.version
    room.plan = replace(room.plan, stores_apart=True)
    for replica in room.replicas:
        await replica.controller.reload_policy(by=SYSTEM_ACTOR, reason="old has its own store")
    await room.seconds(3)
    for replica in room.replicas:
        routing = replica.workers.published[-1]
        assert (routing.version, routing.write_back) == (before, True)


async def test_what_another_replica_mirrored_is_judged_and_no_request_of_a_client() -> None:
    """Five copies beside one request of new at b: a's gates see six more, its reports one."""
    room = FleetRoom()
    a, b = await room.join("a", "b")
    await room.seconds(4, traffic=False)
    second = b.clock.now_us() // 1_000_000 - 1
    one, five = VariantSecond(ok=1), VariantSecond(ok=5, latency=((40, 5),), syncs=5, listings=50)
    told = Report(1, second, 1, {"new": one}, {"new": "closed"}, {}, copies={"new": five})
    before = a.controller._snapshots.span(Variant.CANARY, second - 60, second + 9)
    await b.controller.heard(told)
    await room.seconds(3, traffic=False)
    asked = a.controller._snapshots.span(Variant.CANARY, second - 60, second + 9)
    judged = a.controller._snapshots._timeline.snapshot(Variant.CANARY, second - 60, second + 9)
    assert (asked.requests - before.requests, asked.syncs, asked.listings) == (1, 0, 0)
    assert asked.latency_ms(0.5) is None
    assert (judged.requests - before.requests, judged.syncs) == (6, 5)


async def test_older_news_of_another_replica_is_told_after_newer_of_our_own(
    room: FleetRoom,
) -> None:
    """What b put on record before a did is read by a later, and missed by nobody who follows a."""
    a, b, _ = room.replicas
    await b.controller.tell("of_b", "b saw something.")
    await a.controller.tell("of_a", "a saw something, too.")
    await b.order(CommandKind.WEIGHT, weight_bp=2_000)
    await a.exchange()
    kinds = [
        event.kind for event in a.controller._followers.recent() if event.kind.startswith("of_")
    ]
    assert sorted(kinds) == ["of_a", "of_b"]

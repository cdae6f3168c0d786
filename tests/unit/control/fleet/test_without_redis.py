"""The shared store is away, empty, older or strange: what stays, what works, what is joined."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from typing import Any

import pytest

from gateway.control import records
from gateway.control.fleet.agreement import joined, safety
from gateway.control.fleet.fleet import Role
from gateway.control.fleet.spare import read_copy
from gateway.core import rollout
from gateway.core.model import Outcome, Variant, Weight
from gateway.core.rollout import Status
from gateway.errors import StateError, StoreUnavailableError
from gateway.ports import CommandKind, Committed, Transition
from tests.support.fleet_room import FleetRoom
from tests.support.plans import quick_plan


@pytest.fixture
async def room() -> FleetRoom:
    """Three replicas at 10 percent."""
    room = FleetRoom(quick_plan(bake_s=3))
    await room.join("a", "b", "c")
    await room.replicas[1].order(CommandKind.START)
    await room.seconds(1)
    await room.replicas[1].order(CommandKind.WEIGHT, weight_bp=1_000)
    await room.seconds(2)
    return room


async def test_the_last_weight_stays_and_nothing_is_promoted(room: FleetRoom) -> None:
    """Half a minute without Redis: the same weight everywhere, no step up, by nobody."""
    room.server.away = True
    await room.seconds(30)
    assert [replica.weight_bp for replica in room.replicas] == [1_000] * 3
    assert {replica.fleet.role for replica in room.replicas} == {Role.ALONE}
    assert not room.deciding
    with pytest.raises(StoreUnavailableError):
        await room.replicas[0].order(CommandKind.WEIGHT, weight_bp=2_000)
    view = room.replicas[0].controller.view()
    assert view.fleet is not None
    assert not view.fleet.connected
    assert any("b" in gate.reason for gate in view.gates if gate.name == "replica_unknown")
    room.server.away = False
    await room.seconds(5)
    assert {replica.state.write_bp for replica in room.replicas} == {1_000}
    assert len(room.deciding) == 1


async def test_a_local_rollback_wins_over_the_older_remote_state(room: FleetRoom) -> None:
    """One replica saw errors while Redis was away; when it is back, all of them have gone back."""
    room.server.away = True
    await room.seconds(4)
    b = room.replicas[1]
    await b.sees(Variant.CANARY, Outcome.ERROR, 6)
    await b.sees(Variant.BASELINE, Outcome.OK, 40)
    await room.seconds(3)
    assert b.weight_bp == 0
    assert [room.replicas[0].weight_bp, room.replicas[2].weight_bp] == [1_000] * 2
    room.server.away = False
    await room.seconds(3)
    assert [replica.weight_bp for replica in room.replicas] == [0] * 3
    assert {replica.state.status for replica in room.replicas} == {Status.ROLLED_BACK}
    assert sum(entry.action == "rollback" for entry in room.server.audit) == 1


async def test_a_stop_is_obeyed_without_redis_and_told_later(room: FleetRoom) -> None:
    """An emergency stop works at once where it is given, and everywhere when Redis is back."""
    room.server.away = True
    await room.seconds(1)
    await room.replicas[0].order(CommandKind.EMERGENCY_STOP)
    assert room.replicas[0].weight_bp == 0
    room.server.away = False
    await room.seconds(2)
    assert {replica.state.status for replica in room.replicas} == {Status.EMERGENCY_STOPPED}
    assert len({replica.state.version for replica in room.replicas}) == 1


@pytest.mark.parametrize("first", [0, 1])
async def test_two_that_acted_alone_agree_on_the_safer(room: FleetRoom, first: int) -> None:
    """One rolled back, one stopped, a third lowered the weight: stopped, whoever is heard first."""
    room.server.away = True
    await room.seconds(4)
    a, b, c = room.replicas
    await a.order(CommandKind.EMERGENCY_STOP)
    await b.order(CommandKind.ROLLBACK)
    await c.order(CommandKind.WEIGHT, weight_bp=500)
    room.server.away = False
    room.replicas = [[a, b, c], [c, b, a]][first]
    await room.seconds(4)
    assert {replica.state.status for replica in room.replicas} == {Status.EMERGENCY_STOPPED}
    assert [replica.weight_bp for replica in room.replicas] == [0] * 3
    assert len({replica.state.version for replica in room.replicas}) == 1
    actions = {entry.action for entry in room.server.audit}
    assert len(actions & {"emergency-stop", "emergency_stop", "stop", "rollback", "weight"}) == 3


async def test_what_others_did_meanwhile_is_joined_with_what_was_done_here(
    room: FleetRoom,
) -> None:
    """Cut off, it rolled back; the others went on to more weight: rolled back it is."""
    a, b, _ = room.replicas
    a.cut = True
    await room.seconds(5)
    await b.order(CommandKind.WEIGHT, weight_bp=4_000)
    await b.order(CommandKind.WEIGHT, weight_bp=5_000)
    await a.order(CommandKind.ROLLBACK)
    assert a.weight_bp == 0
    a.cut = False
    await room.seconds(3)
    assert [replica.weight_bp for replica in room.replicas] == [0] * 3
    assert {replica.state.status for replica in room.replicas} == {Status.ROLLED_BACK}


async def test_what_is_long_past_undoes_nothing(room: FleetRoom) -> None:
    """Who rolled back alone, an hour before the others were moved on by hand, follows them."""
    a, b, _ = room.replicas
    a.cut = True
    await room.seconds(5)
    await a.order(CommandKind.ROLLBACK)
    room.clock.advance(3_600)
    await room.seconds(3)
    await b.order(CommandKind.WEIGHT, weight_bp=5_000)
    a.cut = False
    await room.seconds(3)
    assert [replica.weight_bp for replica in room.replicas] == [5_000] * 3
    assert "rollback" in {entry.action for entry in room.server.audit}, (
        "it is on record all the same"
    )


@pytest.mark.parametrize("how", ["empty", "older"])
async def test_a_server_that_lost_writes_is_given_the_newest_state(
    room: FleetRoom, how: str
) -> None:
    """It comes back empty or older: no weight moves, and the state is there again."""
    older = room.server.remember()
    await room.replicas[2].order(CommandKind.WEIGHT, weight_bp=3_000)
    await room.seconds(2)
    version = room.server.version
    if how == "empty":
        room.server.forget()
    else:
        older()
    published = [len(replica.workers.published) for replica in room.replicas]
    await room.seconds(4)
    assert room.server.version >= version
    assert {replica.state.write_bp for replica in room.replicas} == {3_000}
    told = [
        routing.write_weight_bp
        for replica, before in zip(room.replicas, published, strict=True)
        for routing in replica.workers.published[before:]
    ]
    assert set(told) <= {3_000}
    assert len(room.deciding) == 1
    tokens = [token for token, _ in room.server.commits if token]
    assert tokens == sorted(tokens)


async def test_a_foreign_value_replaces_nothing(room: FleetRoom) -> None:
    """Somebody writes their own things under our key: the weight stays, and it is said."""
    room.server.document = {"rollout": {"format": 99}}
    room.server.version += 7
    await room.seconds(3)
    assert [replica.weight_bp for replica in room.replicas] == [1_000] * 3
    shown = room.replicas[0].controller.view().fleet
    assert shown is not None
    assert {one.state for one in shown.replicas} == {"holding"}
    assert "format" in shown.trouble
    assert not room.deciding


async def test_a_stop_is_obeyed_whatever_stands_in_the_store(room: FleetRoom) -> None:
    """Nobody understands the shared state: weight up is refused, a stop holds where it is given."""
    room.server.document = {"rollout": {"format": 99}}
    room.server.version += 7
    await room.seconds(2)
    a = room.replicas[0]
    with pytest.raises(StateError):
        await a.order(CommandKind.WEIGHT, weight_bp=5_000)
    assert a.weight_bp == 1_000
    await a.order(CommandKind.EMERGENCY_STOP)
    assert a.weight_bp == 0
    assert a.state.status is Status.EMERGENCY_STOPPED
    copy = await read_copy(a.disk)
    assert copy is not None
    assert copy.acted
    assert room.server.document == {"rollout": {"format": 99}}


async def test_a_restart_without_redis_goes_on_from_the_own_disk(room: FleetRoom) -> None:
    """What one replica did on its own is on its disk, and is still told after a restart."""
    a, *_ = room.replicas
    await room.seconds(1)
    room.server.away = True
    await a.order(CommandKind.ROLLBACK)
    copy = await read_copy(a.disk)
    assert copy is not None
    assert copy.acted
    room.replicas.remove(a)
    [again] = await room.join("a", copy=copy)
    again.journal.begin_with(_waiting(copy.stored.document))
    assert again.state.status is Status.ROLLED_BACK
    assert again.weight_bp == 0
    room.server.away = False
    await room.seconds(3)
    assert {replica.state.status for replica in room.replicas} == {Status.ROLLED_BACK}


async def test_the_copy_follows_the_fleet(room: FleetRoom) -> None:
    """Every replica has the newest state on its own disk soon, with the version it is of."""
    await room.replicas[0].order(CommandKind.WEIGHT, weight_bp=700)
    await room.seconds(2)
    for each in room.replicas:
        await each.copy.settle()
        copy = await read_copy(each.disk)
        assert copy is not None
        assert not copy.acted
        assert copy.stored.version == room.server.version
        assert records.stored_state(copy.stored, room.plan).write_bp == 700


def _waiting(document: Any) -> Any:
    from gateway.ports import Transition

    return Transition(0, document=document)


def test_joining_is_the_same_from_both_sides() -> None:
    """Whoever is heard first: the same course comes out, above both versions, and it is stable."""
    base = rollout.State(phase=0, status=Status.RUNNING, salt="s")
    states = [
        replace(base, version=4, write_bp=Weight(5_000), read_bp=Weight(5_000)),
        replace(base, version=6, write_bp=Weight(1_000), read_bp=Weight(5_000)),
        replace(base, version=5, status=Status.ROLLED_BACK),
        replace(base, version=4, status=Status.EMERGENCY_STOPPED),
        replace(base, version=9, status=Status.PAUSED, write_bp=Weight(1_000)),
    ]
    for one, other in itertools.product(states, states):
        here, there = joined(one, other), joined(other, one)
        assert safety(here) == safety(there) == max(safety(one), safety(other))
        assert min(here.version, there.version) >= max(one.version, other.version)
        assert joined(here, there).write_bp == here.write_bp
        assert joined(here, here) is here


async def test_what_was_stored_late_is_told_once(room: FleetRoom) -> None:
    """Read from the shared store while our own commit was still waited for: one event, not two."""
    [a, *_] = room.replicas
    answers = asyncio.Event()
    commit = a.store.commit

    async def slowly(transition: Transition) -> Committed:
        committed = await commit(transition)
        await answers.wait()
        return committed

    a.store.commit = slowly  # type: ignore[method-assign]
    await a.order(CommandKind.ROLLBACK)
    await room.seconds(3)
    answers.set()
    await asyncio.sleep(0.01)
    await room.seconds(3)
    assert a.journal.writable
    told = [(event.seq, event.kind) for event in a.controller.view().events]
    assert len(told) == len(set(told))
    assert "rollout.rollback" in {kind for _, kind in told}

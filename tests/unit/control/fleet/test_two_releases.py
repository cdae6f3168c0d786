"""An upgrade is under way: replicas of two releases on one store, as far as they understand."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.model import Outcome, Variant
from gateway.core.rollout import Status
from gateway.ports import CommandKind
from tests.support.fleet_room import FleetRoom, Replica
from tests.support.plans import quick_plan


def writes(replica: Replica, **changes: Any) -> None:
    """Let what it posts be as another release would write it."""
    post = replica.board.post

    async def post_otherwise(document: Any) -> Any:
        newer_kind = [[10**9, "mood", {"fine": True}]]
        items = [*document["items"], *newer_kind]
        return await post({**document, "software": "2", "items": items, **changes})

    replica.board.post = post_otherwise  # type: ignore[method-assign]


async def new_fails_at(replica: Replica) -> None:
    """Clients of new get errors there, those of old do not."""
    for _ in range(6):
        await replica.sees(Variant.CANARY, Outcome.ERROR, 1)
        await replica.sees(Variant.BASELINE, Outcome.OK, 20)


@pytest.fixture
async def room() -> FleetRoom:
    """Two replicas in a phase that a person promotes, the second of a newer release."""
    room = FleetRoom(quick_plan(bake_s=2))
    await room.join("a", "b")
    await room.replicas[0].order(CommandKind.START)
    return room


async def test_a_newer_release_counts_with_all_that_is_understood(room: FleetRoom) -> None:
    """Unknown fields and items are passed over: its numbers, its errors, its word are heard."""
    a, b = room.replicas
    writes(b, feeling="well")
    await room.seconds(5)
    assert a.state.why.key == b.state.why.key == "waiting"
    await b.order(CommandKind.WEIGHT, weight_bp=1_000)
    await room.seconds(1)
    assert a.weight_bp == 1_000
    shown = a.controller.view().fleet
    assert shown is not None
    assert [one.software for one in shown.replicas] == ["1", "2"]
    await new_fails_at(b)
    await room.seconds(3)
    assert a.state.status is b.state.status is Status.ROLLED_BACK
    assert sum(entry.action == "rollback" for entry in room.server.audit) == 1


async def test_a_release_that_is_not_understood_holds_the_promotion_only(room: FleetRoom) -> None:
    """It is named; orders reach it, and what the other sees still takes traffic back."""
    a, b = room.replicas
    writes(b, format=2)
    await room.seconds(8)
    assert {replica.state.why.key for replica in room.replicas} == {"started"}
    [held] = [gate for gate in a.controller.view().gates if gate.name == "replica_unknown"]
    assert "b" in held.reason
    await a.order(CommandKind.WEIGHT, weight_bp=1_000)
    await room.seconds(1)
    assert b.weight_bp == 1_000
    await new_fails_at(a)
    await room.seconds(3)
    assert a.state.status is b.state.status is Status.ROLLED_BACK

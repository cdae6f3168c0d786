"""Who falls silent is put on record once, whoever decided; an outage of the store is nobody's."""

from __future__ import annotations

import pytest

from gateway.ports import CommandKind
from tests.support.fleet_room import FleetRoom, Replica


@pytest.fixture
async def room() -> FleetRoom:
    """Three replicas that know one another, and have listened for a while."""
    room = FleetRoom()
    await room.join("a", "b", "c")
    await room.replicas[0].order(CommandKind.WEIGHT, weight_bp=1_000)
    await room.seconds(3)
    return room


def recorded(room: FleetRoom) -> list[tuple[str, str]]:
    """What stands there of silence, in order."""
    return [
        (event.kind, event.data["replica"])
        for event in room.server.events
        if event.kind in {"replica.silent", "replica.back"}
    ]


async def _frozen(room: FleetRoom, *replicas: Replica, seconds: int) -> None:
    for replica in replicas:
        replica.frozen = True
    await room.seconds(seconds)
    for replica in replicas:
        replica.frozen = False
    await room.seconds(5)


async def test_a_follower_is_recorded_by_the_one_that_decides(room: FleetRoom) -> None:
    """Once when it falls silent, once when it is back."""
    [holder] = room.deciding
    other = next(replica for replica in room.replicas if replica is not holder)
    await _frozen(room, other, seconds=10)
    assert recorded(room) == [("replica.silent", other.name), ("replica.back", other.name)]


async def test_the_one_that_decided_is_recorded_by_the_next(room: FleetRoom) -> None:
    """Nobody decided when it fell silent; whoever takes the lease makes up for it."""
    [holder] = room.deciding
    await _frozen(room, holder, seconds=10)
    [after] = room.deciding
    assert after is not holder
    assert recorded(room) == [("replica.silent", holder.name), ("replica.back", holder.name)]


async def test_a_change_of_hands_repeats_nothing(room: FleetRoom) -> None:
    """What the last one put on record the next one knows of, although it is still so."""
    [holder] = room.deciding
    silent = next(replica for replica in room.replicas if replica is not holder)
    silent.frozen = True
    await room.seconds(6)
    await _frozen(room, holder, seconds=10)
    assert recorded(room) == [
        ("replica.silent", silent.name),
        ("replica.silent", holder.name),
        ("replica.back", holder.name),
    ]


async def test_an_outage_of_the_store_is_nobodys_silence(room: FleetRoom) -> None:
    """Nobody could be heard, so nobody is said to have been silent."""
    room.server.away = True
    await room.seconds(20)
    room.server.away = False
    await room.seconds(10)
    assert len(room.deciding) == 1
    assert recorded(room) == []


async def test_who_was_started_again_is_not_back(room: FleetRoom) -> None:
    """It is another run of it: that is what is put on record."""
    [holder] = room.deciding
    silent = next(replica for replica in room.replicas if replica is not holder)
    silent.frozen = True
    await room.seconds(6)
    room.replicas.remove(silent)
    await room.join(silent.name)
    await room.seconds(3)
    assert recorded(room) == [("replica.silent", silent.name)]
    assert "replica.restarted" in {event.kind for event in room.server.events}

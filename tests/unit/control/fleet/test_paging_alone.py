"""While nobody can decide for the fleet, each replica tells people by itself, with patience."""

from __future__ import annotations

from gateway.bootstrap.fleet import AloneLease
from tests.support.fleet_room import FleetRoom


async def held_after(seconds: int, room: FleetRoom, lease: AloneLease) -> bool:
    """Let time pass; alerting looks once a second, and asks each time."""
    for _ in range(seconds):
        await room.seconds(1)
        held = lease.held
    return held


async def test_a_replica_pages_by_itself_only_when_the_store_is_away_for_long() -> None:
    """A blip is no news; a longer outage is, and what is under way is still delivered after it."""
    room = FleetRoom()
    [replica] = await room.join("a")
    lease = AloneLease(replica.fleet)
    room.server.away = True
    assert not await held_after(7, room, lease)
    assert await held_after(3, room, lease)
    room.server.away = False
    assert await held_after(5, room, lease)
    assert not await held_after(40, room, lease)


async def test_a_replica_that_stood_still_tells_nobody_what_was_told() -> None:
    """It heard nothing for a minute because it did not run: the others told people meanwhile."""
    room = FleetRoom()
    [replica, _] = await room.join("a", "b")
    lease = AloneLease(replica.fleet)
    assert not await held_after(2, room, lease)
    replica.frozen = True
    await room.seconds(60)
    replica.frozen = False
    assert not lease.held
    assert not await held_after(20, room, lease)
    room.server.away = True
    assert await held_after(10, room, lease), "an outage is still one"

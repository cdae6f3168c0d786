"""While nobody can decide for the fleet, each replica tells people by itself, with patience."""

from __future__ import annotations

from gateway.bootstrap.fleet import AloneLease
from tests.support.fleet_room import FleetRoom


async def test_a_replica_pages_by_itself_only_when_the_store_is_away_for_long() -> None:
    """A blip is no news; a longer outage is, and what is under way is still delivered after it."""
    room = FleetRoom()
    [replica] = await room.join("a")
    lease = AloneLease(replica.fleet)
    room.server.away = True
    await room.seconds(7)
    assert not lease.held
    await room.seconds(3)
    assert lease.held
    room.server.away = False
    await room.seconds(5)
    assert lease.held
    await room.seconds(40)
    assert not lease.held

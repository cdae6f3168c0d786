"""Telling followers, and telling of a fault of our own: bounded, patient, never in the way."""

from __future__ import annotations

import asyncio

from gateway.control.follow import Followers
from gateway.control.watching import endure
from gateway.ports import Event, Notice
from tests.support.recording import HandClock


async def test_a_slow_follower_misses_the_oldest() -> None:
    """Nobody who reads slowly can hold up the rest or fill the memory."""
    followers = Followers()
    async with followers.follow() as events:
        followers.tell(Event(number, 0, "kind", "text", {}) for number in range(1, 1001))
        assert (await anext(events)).seq == 801
    assert followers.recent()[-1].seq == 1000
    followers.tell([Event(1001, 0, "kind", "text", {})])


async def test_the_end_lets_every_follower_go() -> None:
    """Those who follow and those who come too late both finish instead of hanging."""
    followers = Followers()
    async with followers.follow() as events:
        followers.tell([Event(1, 0, "kind", "text", {})])
        followers.end()
        assert [event.seq async for event in events] == [1]
    async with followers.follow() as late:
        assert [event async for event in late] == []


async def test_a_fault_of_our_own_pages_once_and_goes_on() -> None:
    """A loop that crashes is started again; the traffic is not its hostage."""
    told: list[Notice] = []
    runs = 0
    enough = asyncio.Event()

    async def loop() -> None:
        nonlocal runs
        runs += 1
        if runs == 2:
            enough.set()
        raise ZeroDivisionError("our own fault")

    enduring = asyncio.create_task(endure(loop, tell=told.append, clock=HandClock()))
    await enough.wait()
    enduring.cancel()
    assert [one.level for one in told] == ["critical"]
    assert "our own fault" in told[0].text

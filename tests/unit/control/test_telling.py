"""Telling people and followers: bounded, patient, never in the way."""

from __future__ import annotations

import asyncio

from gateway.control.dispatcher import Dispatcher
from gateway.control.follow import Followers
from gateway.control.watching import endure
from gateway.errors import UnreachableError
from gateway.ports import Event, Notice
from tests.support.recording import HandClock


class Inbox:
    """A channel that fails as often as told."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.got: list[str] = []

    async def notify(self, notice: Notice) -> None:
        """Take it, or not yet."""
        if self.failures:
            self.failures -= 1
            raise UnreachableError("not now")
        self.got.append(notice.title)


def notice(title: str, level: str = "low") -> Notice:
    """A message of that title."""
    return Notice(level, title, "text", 0)


async def _sent(dispatcher: Dispatcher, count: int) -> None:
    sending = asyncio.create_task(dispatcher.run())
    while dispatcher.sent < count:
        await asyncio.sleep(0)
    sending.cancel()


async def test_every_channel_gets_every_notice_in_order() -> None:
    """A channel that fails twice is tried again; one that never works holds up nobody."""
    good, shaky, dead = Inbox(), Inbox(failures=2), Inbox(failures=10**9)
    dispatcher = Dispatcher([good, shaky, dead], pauses_s=(0, 0))
    dispatcher.tell(notice("one"))
    dispatcher.tell(notice("two"))
    await _sent(dispatcher, 2)
    assert good.got == shaky.got == ["one", "two"]
    assert dead.got == []


async def test_a_flood_of_small_news_does_not_push_out_the_big_one() -> None:
    """When the queue is full the lowest level goes first, and the loss is counted."""
    inbox = Inbox()
    dispatcher = Dispatcher([inbox], capacity=3)
    dispatcher.tell(notice("outage", "critical"))
    for number in range(10):
        dispatcher.tell(notice(f"news {number}"))
    await _sent(dispatcher, 3)
    assert inbox.got == ["outage", "news 8", "news 9"]
    assert dispatcher.dropped == 8


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

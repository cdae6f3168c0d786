"""Followers of events: each has a bounded queue of its own; who reads slowly misses the oldest."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from gateway.ports import Event

_RECENT: Final = 50
_QUEUED: Final = 200


class Followers:
    """Everybody who wants to know, and the last events for those who come later."""

    def __init__(self) -> None:
        self._recent: deque[Event] = deque(maxlen=_RECENT)
        self._queues: set[asyncio.Queue[Event | None]] = set()
        self._ended = False
        self.newest = 0
        """The highest number that was passed on."""

    def remember(self, events: Iterable[Event]) -> None:
        """Take up what happened before a restart."""
        self._recent.extend(events)
        self.newest = max((self.newest, *(event.seq for event in self._recent)))

    def recent(self) -> tuple[Event, ...]:
        """Give the last events, newest last."""
        return tuple(self._recent)

    def tell(self, events: Iterable[Event]) -> None:
        """Pass events on, each once; never waits."""
        told = {_identity(event) for event in self._recent}
        for event in events:
            if _identity(event) in told:
                continue  # stored late, and read from a store that is shared meanwhile
            self.newest = max(self.newest, event.seq)
            self._recent.append(event)
            self._pass_on(event)

    def end(self) -> None:
        """Let every follower finish: nothing will happen here any more."""
        self._ended = True
        self._pass_on(None)

    def _pass_on(self, event: Event | None) -> None:
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[Event]]:
        """Follow from now on until the block is left or the gateway ends."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(_QUEUED)
        if self._ended:
            queue.put_nowait(None)
        self._queues.add(queue)

        async def events() -> AsyncIterator[Event]:
            while (event := await queue.get()) is not None:
                yield event

        try:
            yield events()
        finally:
            self._queues.discard(queue)


def _identity(event: Event) -> tuple[int, int, str]:
    """Tell one event from another: a store that came back empty counts from the beginning."""
    return event.seq, event.at_us, event.kind

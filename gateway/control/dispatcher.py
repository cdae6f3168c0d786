"""
Messages to people: queued, bounded, sent one after the other, never waited for by a decision.

When the queue is full the oldest message of the lowest level goes first and the loss is counted: a
flood of small news must not push out the one that matters. A channel that fails is tried again a
few times; the log channel never fails.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

import structlog

from gateway.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.ports import Notice, Notifier

CAPACITY: Final = 256
_RANK: Final = {"critical": 3, "high": 2, "medium": 1, "low": 0}
_PAUSES_S: Final = (0.2, 1.0, 5.0)

_log = structlog.get_logger("dispatcher")


class Dispatcher:
    """Sends every notice to every channel, in the background."""

    def __init__(
        self,
        channels: Sequence[Notifier],
        *,
        capacity: int = CAPACITY,
        pauses_s: Sequence[float] = _PAUSES_S,
    ) -> None:
        self._channels = tuple(channels)
        self._capacity = capacity
        self._pauses_s = tuple(pauses_s)
        self._waiting: deque[Notice] = deque()
        self._wake = asyncio.Event()
        self.dropped = 0
        self.sent = 0

    def tell(self, notice: Notice) -> None:
        """Queue one notice; never waits, never fails."""
        self._waiting.append(notice)
        if len(self._waiting) > self._capacity:
            least = min(self._waiting, key=lambda item: _RANK.get(item.level, 0))
            self._waiting.remove(least)
            self.dropped += 1
            _log.error("notice_dropped", level=least.level, title=least.title)
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                notice = self._waiting.popleft()
                await asyncio.gather(*(self._deliver(c, notice) for c in self._channels))
                self.sent += 1

    async def _deliver(self, channel: Notifier, notice: Notice) -> None:
        reason = ""
        for pause_s in (0.0, *self._pauses_s):
            await asyncio.sleep(pause_s)
            try:
                await channel.notify(notice)
            except UnreachableError as error:
                reason = error.message
            else:
                return
        _log.error("notice_undelivered", title=notice.title, reason=reason)

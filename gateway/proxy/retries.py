"""
How much may be asked twice: a fifth of what was asked in the last minute, and a few in any case.

Without a bound, retries double the load of a system that is failing because of its load. The bound
looks back over a whole minute, so that a burst of connections that died together is forgiven, and
over the minute still no more than 1.2 attempts are made for each request.
"""

from __future__ import annotations

from collections import deque
from typing import Final

_SECOND_US: Final = 1_000_000
_SECONDS: Final = 60
_REQUESTS_PER_RETRY: Final = 5
FEWEST: Final = 5
"""Retries of a minute that need no requests before them."""


class Retries:
    """The retries of one worker; `requests` is counted by the request path."""

    __slots__ = ("_marks", "_second", "requests", "spent")

    def __init__(self) -> None:
        self.requests = 0
        self.spent = 0
        self._second = 0
        self._marks = deque([(0, 0)], maxlen=_SECONDS)

    def tick(self, now_us: int) -> None:
        """Note once a second where the counts stand; `now_us` is any steady clock."""
        second = now_us // _SECOND_US
        if second != self._second:
            # A long pause of the clock counts as one second: then less is forgiven, not more.
            self._second = second
            self._marks.append((self.requests, self.spent))

    def take(self) -> bool:
        """Spend one retry, if the last minute has one left."""
        requests, spent = self._marks[0]
        allowed = (self.requests - requests) // _REQUESTS_PER_RETRY
        if self.spent - spent >= max(FEWEST, allowed):
            return False
        self.spent += 1
        return True

"""
The call budget: GCRA, a leaky bucket whose only state is one number.

`tat` is the theoretical arrival time: when the budget is whole again. A call may be made at once
while `tat` is no further ahead than the burst allows; otherwise it waits until it is. A burst of
half a second's calls lets a small sync go through unhindered; the mean never exceeds the rate.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

_SECOND_US: Final = 1_000_000
# Usage is a mean over this long, so that one burst does not look like an exhausted budget.
USAGE_WINDOW_US: Final = 10 * _SECOND_US


@dataclass(frozen=True, slots=True)
class Gcra:
    """The rule: one call each `interval_us`, and `burst` of them may come together."""

    interval_us: int
    burst: int

    @staticmethod
    def per_second(rate: float) -> Gcra:
        """Allow `rate` calls per second, half of them at once."""
        return Gcra(interval_us=max(1, round(_SECOND_US / rate)), burst=max(1, int(rate / 2)))

    def reserve(self, tat_us: int, now_us: int) -> tuple[int, int]:
        """Take one call: the new `tat`, and how long to wait before making it."""
        start = max(tat_us, now_us)
        wait_us = start - (self.burst - 1) * self.interval_us - now_us
        return start + self.interval_us, max(0, wait_us)


class SharedTat(Protocol):
    """Where replicas keep their common `tat`."""

    @property
    def replicas(self) -> int:
        """How many drew on it when it was last reached; at least 1."""
        ...

    async def reserve(self, rule: Gcra) -> int | None:
        """Take one call of the common budget; the microseconds to wait, or None if unreachable."""
        ...

    async def close(self) -> None:
        """Give the connection back."""
        ...


class CallBudget:
    """The budget of calls, and how much of it this process uses. A rate of 0 sets no limit.

    With `shared`, all replicas draw on one budget; while it cannot be reached each keeps to its
    part of the rate, without a burst, so that together they keep to the whole.
    """

    def __init__(self, rate: float, *, shared: SharedTat | None = None) -> None:
        self.rate = rate
        self._rule = Gcra.per_second(rate) if rate else None
        self._shared = shared
        self._tat_us = 0
        self._alone = True
        self._calls: deque[int] = deque()

    async def reserve(self, now_us: int) -> int:
        """Take one call; returns how many microseconds to wait before making it."""
        wait_us = 0
        if self._rule is not None:
            common = await self._shared.reserve(self._rule) if self._shared else None
            if common is None:
                wait_us = self._by_oneself(self._rule, now_us)
            else:
                wait_us, self._alone = common, False
        self._calls.append(now_us + wait_us)
        self._forget(now_us)
        return wait_us

    def _by_oneself(self, rule: Gcra, now_us: int) -> int:
        """Take one call of this replica's part."""
        replicas = max(1, self._shared.replicas) if self._shared else 1
        part = Gcra(rule.interval_us * replicas, max(1, rule.burst // replicas))
        if not self._alone:
            # The burst was the common budget's, and may have been used a moment ago.
            self._alone = True
            self._tat_us = max(self._tat_us, now_us + part.burst * part.interval_us)
        self._tat_us, wait_us = part.reserve(self._tat_us, now_us)
        return wait_us

    async def close(self) -> None:
        """Give back what it holds."""
        if self._shared is not None:
            await self._shared.close()

    def used(self, now_us: int) -> float:
        """Count calls per second, as a mean over the last ten seconds."""
        self._forget(now_us)
        made = sum(1 for at_us in self._calls if at_us <= now_us)
        return made * _SECOND_US / USAGE_WINDOW_US

    def _forget(self, now_us: int) -> None:
        while self._calls and self._calls[0] <= now_us - USAGE_WINDOW_US:
            self._calls.popleft()

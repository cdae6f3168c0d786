"""
GCRA: one timestamp per key, one comparison per arrival.

The only state is the *theoretical arrival time* (TAT): when the next arrival would come if all were
evenly spaced. An arrival is allowed while the TAT runs at most `burst` intervals ahead of the
clock; it then moves the TAT one interval on. There is no window that could be straddled and no
counter that must be reset.

**Exact for every rate.** An interval is rarely a whole number of microseconds (3 per second), and
may be shorter than one (3 million per second). So instants are kept multiplied by `requests`: one
interval is then exactly `period_us`, whatever the rate, and no rounding ever adds up. Lua's numbers
are exact only below 2**53; there the same TAT travels as the pair ``divmod(tat, requests)``, whole
microseconds and remainder, added and compared digit by digit, which gives the same answers. `Quota`
refuses figures for which that would overflow.

**A clock that runs back** must not lock anybody out for the length of the jump: a TAT further ahead
than a full burst cannot come from this clock and is pulled back to exactly that.

A limit of 0 means off.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from gateway.core.model import SECOND_US

LUA_EXACT: Final = 2**53
RATE_GRAIN: Final = 10_000
"""Rates are exact to a ten-thousandth of a request per second."""

LOOKS_PER_ARRIVAL: Final = 3


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `burst` at once, then `requests` per `period_us`, evenly spaced; a 0 is off."""

    requests: int
    period_us: int
    burst: int
    on: bool = field(init=False)
    tolerance: int = field(init=False)
    """A whole burst, in the scaled time of this quota."""

    def __post_init__(self) -> None:
        if self.requests < 0 or self.burst < 0 or self.period_us <= 0:
            raise ValueError(
                f"a quota needs requests >= 0, burst >= 0 and a period > 0, not {self.requests} "
                f"requests, burst {self.burst}, {self.period_us} us"
            )
        tolerance = self.burst * self.period_us
        if tolerance + self.period_us >= LUA_EXACT or self.requests >= LUA_EXACT:
            raise ValueError(
                "requests, or burst times period, is beyond what Lua can count exactly"
            )
        object.__setattr__(self, "on", self.requests > 0 and self.burst > 0)
        object.__setattr__(self, "tolerance", tolerance)

    @classmethod
    def per_second(cls, rate: float, burst: int) -> Quota:
        """Take `rate` as it is written, fractions too (0.5: one every two seconds)."""
        exact = Fraction(rate).limit_denominator(RATE_GRAIN)
        return cls(exact.numerator, exact.denominator * SECOND_US, burst)


@dataclass(frozen=True, slots=True)
class Admission:
    """What one arrival is told."""

    allowed: bool
    retry_after_us: int = 0


ALLOWED: Final = Admission(allowed=True)


def admit(tat: int, now_us: int, quota: Quota) -> tuple[Admission, int]:
    """Decide one arrival; return the TAT to store (a rejection adds nothing). 0 is a fresh key."""
    if not quota.on:
        return ALLOWED, tat
    now = now_us * quota.requests
    latest = now + quota.tolerance
    if tat < now:
        tat = now
    elif tat > latest:
        tat = latest
    next_tat = tat + quota.period_us
    if next_tat > latest:
        return Admission(
            allowed=False, retry_after_us=-(-(next_tat - latest) // quota.requests)
        ), tat
    return ALLOWED, next_tat


class Table:
    """
    One quota, many keys (clients), bounded memory.

    A key whose TAT is past is as good as a key never seen, so it may be forgotten. Each new key
    looks at the `LOOKS_PER_ARRIVAL` oldest entries: past ones go, live ones move to the back (the
    CLOCK page-replacement algorithm), so the table shrinks by itself and an arrival costs O(1).
    When all of `capacity` is live the oldest goes all the same: forgetting a key gives it one burst
    anew, which whoever commands that many keys has anyway, while refusing strangers would lock out
    the innocent.
    """

    __slots__ = ("_capacity", "_quota", "_tats")

    def __init__(self, quota: Quota, *, capacity: int = 65_536) -> None:
        if capacity < 1:
            raise ValueError(f"a table needs room for at least one key, not {capacity}")
        self._quota = quota
        self._capacity = capacity
        # A plain dict scans past all its deleted entries to find the oldest one.
        self._tats: OrderedDict[str | bytes, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tats)

    def admit(self, key: str | bytes, now_us: int) -> Admission:
        """Decide one arrival of one client."""
        quota = self._quota
        if not quota.on:
            return ALLOWED
        tats = self._tats
        now = now_us * quota.requests
        tat = tats.get(key)
        if tat is None:
            self._make_room(now_us)
            tat = now
        elif tat < now:
            tat = now
        # What `admit` does with an allowed arrival, without the call: this runs for every request.
        next_tat = tat + quota.period_us
        if next_tat <= now + quota.tolerance:
            tats[key] = next_tat
            return ALLOWED
        admission, tats[key] = admit(tat, now_us, quota)
        return admission

    def _make_room(self, now_us: int) -> None:
        tats = self._tats
        now = now_us * self._quota.requests
        for _ in range(min(LOOKS_PER_ARRIVAL, len(tats))):
            key, tat = tats.popitem(last=False)
            if tat > now:
                tats[key] = tat
        if len(tats) >= self._capacity:
            tats.popitem(last=False)

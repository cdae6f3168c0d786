"""
Two clocks. Decisions are given steady time, people are shown wall time.

Steady time starts at the wall time of the start (or at the newest instant the stored state knows,
if the wall clock has been set back since) and then only follows the monotonic clock: however the
wall clock is set, no span, deadline or bake time jumps.

In a fleet it starts at the shared server's time and is led towards it from then on: a replica that
is behind catches up, one that is ahead goes a little slower, and time never runs back.
"""

from __future__ import annotations

import time
from typing import Final

_STEP_US: Final = 1_000_000
_LEAD_US: Final = 10_000
_MOST_US: Final = 500_000


class SystemClock:
    """The real clocks of this machine."""

    def __init__(self, *, begin_us: int | None = None, not_before_us: int = 0) -> None:
        begin = self.wall_us() if begin_us is None else begin_us
        self._offset_us = max(begin, not_before_us) - _monotonic_us()
        self._last_us = 0

    def now_us(self) -> int:
        """Return steady microseconds."""
        self._last_us = max(self._last_us, self._offset_us + _monotonic_us())
        return self._last_us

    def follow(self, theirs_us: int) -> None:
        """Move towards a clock that a whole fleet shares; called about once a second."""
        ahead_us = self._offset_us + _monotonic_us() - theirs_us
        if ahead_us < -_STEP_US:
            self._offset_us -= ahead_us
            return
        most = max(_LEAD_US, min(_MOST_US, ahead_us // 10))
        self._offset_us -= max(-_LEAD_US, min(most, ahead_us))

    def wall_us(self) -> int:
        """Return microseconds since the epoch, as the machine has it."""
        return time.time_ns() // 1_000


def _monotonic_us() -> int:
    return time.monotonic_ns() // 1_000

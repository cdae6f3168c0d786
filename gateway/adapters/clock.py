"""
Two clocks. Decisions are given steady time, people are shown wall time.

Steady time starts at the wall time of the start (or at the newest instant the stored state knows,
if the wall clock has been set back since) and then only follows the monotonic clock: however the
wall clock is set, no span, deadline or bake time jumps.
"""

from __future__ import annotations

import time


class SystemClock:
    """The real clocks of this machine."""

    def __init__(self, *, not_before_us: int = 0) -> None:
        self._offset_us = max(self.wall_us(), not_before_us) - _monotonic_us()

    def now_us(self) -> int:
        """Return steady microseconds."""
        return self._offset_us + _monotonic_us()

    def wall_us(self) -> int:
        """Return microseconds since the epoch, as the machine has it."""
        return time.time_ns() // 1_000


def _monotonic_us() -> int:
    return time.monotonic_ns() // 1_000

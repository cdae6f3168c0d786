"""
A circuit breaker: after some failures in a row nobody asks for a while, then one asks for all.

Closed -> open after `threshold` consecutive failures; open -> half open when `timeout_us` has
passed; half open admits exactly one probe, whose result closes or opens it again. A result carries
the generation it was admitted in, so that an answer from before the last change of state counts for
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

Generation: TypeAlias = int


class State(StrEnum):
    """Whether calls go out."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Refusal:
    """No call now; `retry_after_us` says when one may be tried."""

    retry_after_us: int


class Breaker:
    """The state machine; time is an argument."""

    def __init__(self, *, threshold: int, timeout_us: int) -> None:
        self._threshold = threshold
        self._timeout_us = timeout_us
        self._state = State.CLOSED
        self._generation = 0
        self._failures = 0
        self._opened_us = 0
        self._probing = False

    @property
    def state(self) -> State:
        """Give the state as of the last call."""
        return self._state

    def admit(self, now_us: int) -> Generation | Refusal:
        """Ask for one call; every admitted one must be settled by `record` or `abandon`."""
        if self._state is State.OPEN:
            left_us = self._opened_us + self._timeout_us - now_us
            if left_us > 0:
                return Refusal(left_us)
            self._move(State.HALF_OPEN)
        if self._state is State.HALF_OPEN:
            if self._probing:
                return Refusal(self._timeout_us)
            self._probing = True
        return self._generation

    def record(self, generation: Generation, *, ok: bool, now_us: int) -> None:
        """Settle a call with its result."""
        if generation != self._generation:
            return
        if ok:
            self._failures = 0
            if self._state is State.HALF_OPEN:
                self._move(State.CLOSED)
            return
        self._failures += 1
        if self._state is State.HALF_OPEN or self._failures >= self._threshold:
            self._opened_us = now_us
            self._move(State.OPEN)

    def abandon(self, generation: Generation) -> None:
        """Settle a call that told nothing (it was cancelled): another may probe."""
        if generation == self._generation:
            self._probing = False

    def _move(self, state: State) -> None:
        self._state = state
        self._generation += 1
        self._failures = 0
        self._probing = False

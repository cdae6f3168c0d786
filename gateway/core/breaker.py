"""
Circuit breaker (theory to grow): behaviour (what the operator set), health (what was seen) and state, apart.

Hot path of a healthy upstream, no call needed:

    permit = breaker.permit if breaker.state is BreakerState.CLOSED else ...admit(...)
    ...
    breaker = record(breaker, behaviour, permit, ok=True, now_us=now_us)     # the same object comes back
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class BreakerState(Enum):
    """The value is the name on the wire."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    ISOLATED = "isolated"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the operator set."""

    failures: int = 5
    """Consecutive failures that open it; 0 switches the breaker off."""
    open_us: int = 60_000_000
    probes: int = 1
    """How many requests may try at once while half open; all must succeed."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to send one request; give it back with `record`, whatever happened."""

    generation: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """Not now; `retry_after_us` is 0 when nobody knows (isolated)."""

    retry_after_us: int


@dataclass(frozen=True, slots=True)
class Breaker:
    """One upstream's breaker; `state`, and the health it is judged by."""

    state: BreakerState = BreakerState.CLOSED
    permit: Permit = Permit(0)
    failures: int = 0
    since_us: int = 0
    probes_out: int = 0
    probes_ok: int = 0

    @property
    def generation(self) -> int:
        """Counts the changes of state; a result of an older generation says nothing."""
        return self.permit.generation


CLOSED: Final = Breaker()


def admit(breaker: Breaker, behaviour: Behaviour, now_us: int) -> tuple[Permit | Rejected, Breaker]:
    """May a request go to this upstream now?"""
    raise NotImplementedError


def record(
    breaker: Breaker, behaviour: Behaviour, permit: Permit, *, ok: bool | None, now_us: int
) -> Breaker:
    """How it went; None says nothing about the upstream (the client went away) and only frees a probe's place."""
    raise NotImplementedError


def isolate(breaker: Breaker, now_us: int) -> Breaker:
    """Keep everybody out until `release`."""
    raise NotImplementedError


def release(breaker: Breaker, now_us: int) -> Breaker:
    """Close it, with a clean record."""
    raise NotImplementedError

"""
A circuit breaker: leave a system alone that does not answer, and notice when it does again.

Three things are kept apart. *Behaviour* is what the operator set. *Health* is what was seen:
failures in a row. *State* is what follows: closed lets everybody through, open nobody, half open
exactly `probes` requests, isolated nobody until a person says otherwise. A breaker that lets
everybody through while half open turns a recovering system into a failing one.

Admitting and recording are two short steps with nothing held between, so a result may come back
after the state has moved on. Each change of state starts a new *generation*; a permit carries the
generation it was given in, and the result of an older one says nothing about this one and is
discarded.

A probe that never comes back must not leave the breaker half open for ever: after `open_us` its
place is given away. A clock that runs back starts the wait again, so it never ends early, and never
lasts longer than one whole wait.

A value, replaced only when something changes: the success of a healthy upstream returns the same
object. The hot path of a closed breaker needs no call to be admitted:

    permit = breaker.permit if breaker.state is BreakerState.CLOSED else ... admit(...)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final


class BreakerState(Enum):
    """How much is let through; the value is the name on the wire.

    `ISOLATED` is for a person's word that outranks what was seen. Its name and its gauge are part
    of the design and stay; no order of the gateway gives it yet.
    """

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    ISOLATED = "isolated"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the operator set."""

    failures: int = 5
    """Failures in a row that open it; 0 switches it off."""
    open_us: int = 60_000_000
    probes: int = 1
    """Requests that may try while it is half open; all of them must succeed to close it."""

    def __post_init__(self) -> None:
        if self.failures < 0 or self.open_us <= 0 or self.probes < 1:
            raise ValueError(
                f"a breaker needs failures >= 0, an open time > 0 and at least one probe, not "
                f"{self.failures} failures, {self.open_us} us, {self.probes} probes"
            )


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to send one request; it goes back with `record`, whatever happened."""

    generation: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """Not now; `retry_after_us` is None when nobody knows (isolated)."""

    retry_after_us: int | None


@dataclass(frozen=True, slots=True)
class Breaker:
    """One upstream's breaker: its state since when, and the health it is judged by."""

    state: BreakerState = BreakerState.CLOSED
    permit: Permit = Permit(0)
    failures: int = 0
    since_us: int = 0
    probes_out: int = 0
    probes_ok: int = 0

    @property
    def generation(self) -> int:
        """Counts the changes of state."""
        return self.permit.generation


CLOSED: Final = Breaker()
_FOR_NOBODY_KNOWS: Final = Rejected(None)


def admit(breaker: Breaker, behaviour: Behaviour, now_us: int) -> tuple[Permit | Rejected, Breaker]:
    """Decide whether a request may go to this upstream now."""
    if breaker.state is BreakerState.CLOSED:
        return breaker.permit, breaker
    if breaker.state is BreakerState.ISOLATED:
        return _FOR_NOBODY_KNOWS, breaker
    if now_us < breaker.since_us:
        breaker = replace(breaker, since_us=now_us)
    if breaker.state is BreakerState.HALF_OPEN and breaker.probes_out < behaviour.probes:
        return breaker.permit, replace(breaker, probes_out=breaker.probes_out + 1)
    wait_us = breaker.since_us + behaviour.open_us - now_us
    if wait_us > 0:
        return Rejected(wait_us), breaker
    # Either the wait is over, or the probes of this half-open time were lost.
    probing = replace(_next(breaker, BreakerState.HALF_OPEN, now_us), probes_out=1)
    return probing.permit, probing


def record(
    breaker: Breaker, behaviour: Behaviour, permit: Permit, *, ok: bool | None, now_us: int
) -> Breaker:
    """Take in how it went; None says nothing about the upstream and only frees a probe's place."""
    if permit.generation != breaker.permit.generation:
        return breaker
    if breaker.state is BreakerState.CLOSED:
        if ok is False:
            return _failed(breaker, behaviour, now_us)
        return replace(breaker, failures=0) if ok and breaker.failures else breaker
    if breaker.state is BreakerState.HALF_OPEN:
        return _probed(breaker, behaviour, ok=ok, now_us=now_us)
    return breaker  # no permit is ever given out in this generation


def isolate(breaker: Breaker, now_us: int) -> Breaker:
    """Keep everybody out until `release`."""
    if breaker.state is BreakerState.ISOLATED:
        return breaker
    return _next(breaker, BreakerState.ISOLATED, now_us)


def release(breaker: Breaker, now_us: int) -> Breaker:
    """Close an isolated breaker, with a clean record; any other stays what it is."""
    if breaker.state is not BreakerState.ISOLATED:
        return breaker
    return _next(breaker, BreakerState.CLOSED, now_us)


def _next(breaker: Breaker, state: BreakerState, now_us: int) -> Breaker:
    return Breaker(state=state, permit=Permit(breaker.generation + 1), since_us=now_us)


def _failed(breaker: Breaker, behaviour: Behaviour, now_us: int) -> Breaker:
    if behaviour.failures == 0:
        return breaker
    if breaker.failures + 1 < behaviour.failures:
        return replace(breaker, failures=breaker.failures + 1)
    return _next(breaker, BreakerState.OPEN, now_us)


def _probed(breaker: Breaker, behaviour: Behaviour, *, ok: bool | None, now_us: int) -> Breaker:
    if ok is None:
        return replace(breaker, probes_out=max(0, breaker.probes_out - 1))
    if not ok:
        return _next(breaker, BreakerState.OPEN, now_us)
    if breaker.probes_ok + 1 < behaviour.probes:
        return replace(breaker, probes_ok=breaker.probes_ok + 1)
    return _next(breaker, BreakerState.CLOSED, now_us)

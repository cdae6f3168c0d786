"""
The real thing, whole: what the controller runs and what the simulator runs.

Outcomes and inputs go in; a new engine and actions come out. An engine is a frozen value: nothing is
half done when a process dies, and a simulation is the production code on another clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.core.model import Outcome, Variant  # noqa: TC001 - signatures are the interface

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.core.analysis import GateResult, Inputs, Judgement, Watch
    from gateway.core.rollout.events import Event, Refused, Step
    from gateway.core.rollout.plan import Plan
    from gateway.core.rollout.state import State


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the engine: the engine after it, what is to be done, and what was seen."""

    engine: Engine
    answer: Step | Refused
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Engine:
    """Plan, state and evidence together."""

    plan: Plan
    state: State
    watch: Watch

    @property
    def alarmed(self) -> bool:
        """Evidence is complete: `look` now instead of at the next tick."""
        return self.watch.alarmed

    def observe(self, runs: Iterable[tuple[Variant, Outcome, int]], at_us: int) -> Engine:
        """Learn of finished requests, in order: (variant, outcome, count)."""
        raise NotImplementedError

    def look(self, inputs: Inputs) -> Turn:
        """Judge, and let the rollout draw its conclusions."""
        raise NotImplementedError

    def order(self, event: Event, inputs: Inputs) -> Turn:
        """Carry out a person's order; what the gates say now is judged first and stands in the turn."""
        raise NotImplementedError

    def gates(self, judgement: Judgement, now_us: int) -> tuple[GateResult, ...]:
        """All that stands between this phase and the next: gates, bake time, freeze, decisions, standby."""
        raise NotImplementedError


def begin(plan: Plan, state: State | None = None) -> Engine:
    """An engine with fresh evidence; without a stored state, a fresh gateway."""
    raise NotImplementedError


def with_plan(engine: Engine, plan: Plan) -> Engine:
    """The same rollout under a reloaded policy: state kept, unchanged rules keep their evidence."""
    raise NotImplementedError

"""
Plan, state and evidence joined: what the controller runs and what the simulator runs.

Outcomes and inputs go in; a new engine and actions come out. An engine is a frozen value: nothing
is half done when a process dies, and a simulation is the production code on another clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.core.analysis import (
    Blame,
    Finding,
    Reaction,
    Severity,
    Watch,
    evaluate,
    fresh,
    judge_gate,
    levels,
    note,
    observe,
)
from gateway.core.analysis.watch import carried
from gateway.core.rollout.events import Judged, Promote, Refused, Step
from gateway.core.rollout.machine import advance
from gateway.core.rollout.readiness import REPLICA_UNKNOWN, questions, readiness
from gateway.core.rollout.state import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.core.analysis import GateResult, Inputs, Judgement, LevelResult
    from gateway.core.model import Outcome, Variant
    from gateway.core.rollout.events import Order
    from gateway.core.rollout.plan import Plan


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
        return self.state.guarded and self.watch.alarmed

    def observe(self, runs: Iterable[tuple[Variant, Outcome, int]], at_us: int) -> Engine:
        """Learn of finished requests, in order: (variant, outcome, count)."""
        watch = self.watch
        for variant, outcome, count in runs:
            watch = observe(watch, variant, outcome, count=count, at_us=at_us)
        return self if watch is self.watch else replace(self, watch=watch)

    def look(self, inputs: Inputs) -> Turn:
        """Judge, and let the rollout draw its conclusions."""
        judgement, watch = self._judge(inputs)
        step = advance(self.state, Judged(judgement), self.plan, inputs.now_us)
        return Turn(self._after(step, watch), step, judgement)

    def order(self, order: Order, inputs: Inputs) -> Turn:
        """Carry out a person's order on what the gates say at this moment."""
        judgement, watch = self._judge(inputs)
        if isinstance(order, Promote):
            order = replace(order, judgement=judgement)
        answer = advance(self.state, order, self.plan, inputs.now_us)
        return Turn(self._after(answer, watch), answer, judgement)

    def readiness(self, judgement: Judgement, now_us: int) -> tuple[GateResult, ...]:
        """List all that stands between this phase and the next."""
        return readiness(self.state, self.plan, judgement, now_us)

    def goals(self, inputs: Inputs) -> tuple[GateResult, ...]:
        """Measure the migration as a whole against its goals."""
        asked = questions(self.state, self.plan)
        return tuple(judge_gate(gate, inputs, asked) for gate in self.plan.goals)

    def levels(self, inputs: Inputs) -> tuple[LevelResult, ...]:
        """Set every limited metric against target, warning and critical."""
        return levels(self.plan.limits, inputs, questions(self.state, self.plan))

    def _judge(self, inputs: Inputs) -> tuple[Judgement, Watch]:
        """Evaluate; what part of a fleet sees is less than what the fleet sees."""
        judgement, watch = evaluate(questions(self.state, self.plan), inputs, self.watch)
        if inputs.unknown_replicas:
            findings = (*judgement.findings, _unknown(inputs.unknown_replicas))
            judgement = replace(judgement, findings=findings)
        if inputs.store_late_ms:
            findings = (*judgement.findings, _late(inputs.store_late_ms))
            judgement = replace(judgement, findings=findings)
        return judgement, watch

    def _after(self, answer: Step | Refused, watch: Watch) -> Engine:
        """Forget the evidence when a person let new begin afresh: what is settled blames nobody."""
        if isinstance(answer, Refused):
            return replace(self, watch=watch)
        if answer.state.guard_since_us > self.state.guard_since_us:
            watch = fresh(self.plan.rules(), lookback_s=self.plan.fairness.lookback_s)
        return Engine(self.plan, answer.state, watch)


def _unknown(replicas: tuple[str, ...]) -> Finding:
    """People are told, nothing is promoted, no traffic moves."""
    return Finding(
        key=REPLICA_UNKNOWN, severity=Severity.HIGH, blame=Blame.UNDECIDED,
        reaction=Reaction.PAGE, value=None, threshold=None, sample=len(replicas),
        note=note(REPLICA_UNKNOWN, replica=", ".join(replicas)),
    )  # fmt: skip


def _late(late_ms: int) -> Finding:
    """Nothing is promoted and no time counts as healthy; nobody need get up for it."""
    return Finding(
        key="store_late", severity=Severity.LOW, blame=Blame.UNDECIDED,
        reaction=Reaction.WAIT, value=None, threshold=None, sample=0,
        note=note("store_late", late_ms=late_ms),
    )  # fmt: skip


def begin(plan: Plan, state: State | None = None) -> Engine:
    """Give an engine with fresh evidence; without a stored state, that of a fresh gateway."""
    watch = fresh(plan.rules(), lookback_s=plan.fairness.lookback_s)
    return Engine(plan, state if state is not None else State(), watch)


def adopt(engine: Engine, state: State) -> Engine:
    """Go on from a state that was decided elsewhere; evidence stays unless new began afresh."""
    return engine._after(Step(state), engine.watch)  # noqa: SLF001 - beside its class


def with_plan(engine: Engine, plan: Plan) -> Engine:
    """Go on under a reloaded policy: state kept, unchanged rules keep their evidence.

    ValueError when the rollout stands in a phase that the new policy does not have at that place.
    """
    number = engine.state.phase
    if number is not None:
        here = engine.plan.phases[number].id
        if number >= len(plan.phases) or plan.phases[number].id != here:
            raise ValueError(f"the rollout is in phase {here!r}, phase {number + 1} must stay that")
    watch = carried(
        engine.watch.tracks, engine.watch.recent, plan.rules(), lookback_s=plan.fairness.lookback_s
    )
    return Engine(plan, engine.state, replace(watch, since=engine.watch.since))

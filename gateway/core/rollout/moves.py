"""The few moves that orders and judgements share; each gives a whole new state."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gateway.core.analysis import Severity, note
from gateway.core.model import WEIGHT_NONE, Micros
from gateway.core.rollout.events import Audit, Notify, Publish, Step, StopCanarySync
from gateway.core.rollout.readiness import route
from gateway.core.rollout.state import Status

if TYPE_CHECKING:
    from gateway.core.analysis import Note
    from gateway.core.rollout.events import Action
    from gateway.core.rollout.plan import Plan
    from gateway.core.rollout.state import State

POLICY = "policy"
"""The actor of everything that no person ordered."""


def changed(state: State, now_us: int, why: Note, **fields: Any) -> State:
    """Give the next version of a state."""
    return replace(
        state, version=state.version + 1, changed_at_us=Micros(now_us), why=why, **fields
    )


def step(
    before: State, after: State, plan: Plan, audit: tuple[str, str, str], *actions: Action
) -> Step:
    """Put the actions in order: traffic first, then everything else, the audit last."""
    actor, action, reason = audit
    written = Audit(actor, action, reason, before, after)
    return Step(after, (Publish(route(after, plan)), *actions, written))


def is_last(plan: Plan, phase: int) -> bool:
    """Whether entering this phase completes the rollout."""
    return phase == len(plan.phases) - 1


def enter(state: State, plan: Plan, phase: int, now_us: int, why: Note) -> State:
    """Begin a phase: its weights, its clock at zero."""
    entered = plan.phases[phase]
    return changed(
        state, now_us, why,
        status=Status.COMPLETED if is_last(plan, phase) else Status.RUNNING,
        phase=phase, write_bp=entered.write_bp, read_bp=entered.read_bp, override=False,
        phase_since_us=now_us, bake_us=0, waiting_since_us=None,
    )  # fmt: skip


def take_back(state: State, plan: Plan, status: Status, now_us: int, why: Note) -> State:
    """Weight 0, whatever it was; nothing that waited for an answer waits any longer."""
    phase = state.phase
    if phase is not None and is_last(plan, phase):
        phase -= 1
    return changed(
        state, now_us, why,
        status=status, phase=phase, write_bp=WEIGHT_NONE, read_bp=WEIGHT_NONE, override=True,
        bake_us=0, waiting_since_us=None, decisions=(),
    )  # fmt: skip


def roll_back(
    state: State, plan: Plan, now_us: int, why: Note, audit: tuple[str, str, str]
) -> Step:
    """Take all traffic back, stop new's sync, tell everybody."""
    after = take_back(state, plan, Status.ROLLED_BACK, now_us, why)
    # An emergency stop is no rollback: it is told, and looked up in the audit, by its own name.
    after = replace(after, rollbacks=state.rollbacks + 1)
    told = Notify("rolled_back", Severity.CRITICAL, why, incident="rolled_back")
    return step(state, after, plan, audit, StopCanarySync(why), told)


def go_on(state: State, plan: Plan, now_us: int, why: Note, audit: tuple[str, str, str]) -> Step:
    """Enter the next phase and tell everybody."""
    assert state.phase is not None
    upcoming = state.phase + 1
    if is_last(plan, upcoming):
        why = note("completed")
    after = enter(state, plan, upcoming, now_us, why)
    key = "completed" if after.status is Status.COMPLETED else "phase_moved"
    return step(state, after, plan, audit, Notify(key, Severity.LOW, why, incident=key))

"""
What people order. Each order is made in one step or refused with a sentence and a remedy.

Taking traffic back and stopping are never refused and never wait for a gate, a clock or a probe.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from gateway.core.analysis import Severity, Verdict, note
from gateway.core.model import SECOND_US, WEIGHT_ALL, WEIGHT_NONE, Access, Weight
from gateway.core.rollout.events import (
    EmergencyStop,
    Hold,
    Notify,
    Pause,
    Promote,
    Refused,
    Release,
    Resume,
    RollBack,
    SetWeight,
    Start,
    Step,
    StopCanarySync,
)
from gateway.core.rollout.moves import changed, enter, go_on, roll_back, step, take_back
from gateway.core.rollout.readiness import both, readiness
from gateway.core.rollout.state import Status
from gateway.core.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.core.analysis import GateResult, Note
    from gateway.core.rollout.events import Order
    from gateway.core.rollout.plan import Plan
    from gateway.core.rollout.state import Decision, State

NAMES: Final[Mapping[type, str]] = {
    Start: "start",
    Promote: "promote",
    Pause: "pause",
    Resume: "resume",
    SetWeight: "weight",
    RollBack: "rollback",
    EmergencyStop: "stop",
    Release: "release",
    Hold: "hold",
}


def obey(state: State, order: Order, plan: Plan, now_us: int) -> Step | Refused:
    """Carry out one order."""
    if not order.reason.strip():
        return Refused("reason_missing", note("refused_reason"), note("remedy_reason"))
    return _OBEY[type(order)](state, order, plan, now_us)


def _misfit(state: State, order: Order) -> Refused:
    """Refuse an order that does not fit the status, and say what would serve its purpose."""
    name = NAMES[type(order)]
    english, japanese = VOCABULARY[state.status.value]
    why = note("refused_status", order=name, status=english.lower(), status_ja=japanese)
    return Refused("status", why, note(_remedy(state, name)))


def _remedy(state: State, name: str) -> str:
    """Name advice that is not refused in turn; most often nothing needs to be done."""
    remedy = _REMEDIES.get((state.status, name), "remedy_nothing")
    if remedy == "remedy_resume" and any(
        decision.severity is Severity.HIGH for decision in state.open_decisions
    ):
        return "remedy_hold"
    if remedy == "remedy_leave" and state.phase is None and name == "promote":
        return "remedy_start"
    return remedy


_REMEDIES: Final[Mapping[tuple[Status, str], str]] = {
    (Status.IDLE, "promote"): "remedy_start",
    (Status.RUNNING, "start"): "remedy_watch",
    (Status.PAUSED, "start"): "remedy_resume",
    (Status.PAUSED, "promote"): "remedy_resume",
    (Status.ROLLED_BACK, "promote"): "remedy_leave",
    (Status.ROLLED_BACK, "weight"): "remedy_leave",
    (Status.ROLLED_BACK, "release"): "remedy_leave",
    (Status.EMERGENCY_STOPPED, "start"): "remedy_release",
    (Status.EMERGENCY_STOPPED, "promote"): "remedy_release",
    (Status.EMERGENCY_STOPPED, "resume"): "remedy_release",
    (Status.EMERGENCY_STOPPED, "weight"): "remedy_release",
    (Status.COMPLETED, "weight"): "remedy_roll_back",
}


def _audit(order: Order) -> tuple[str, str, str]:
    return order.actor, NAMES[type(order)], order.reason


def _start(state: State, order: Start, plan: Plan, now_us: int) -> Step | Refused:
    if state.status not in {Status.IDLE, Status.ROLLED_BACK}:
        return _misfit(state, order)
    first = plan.phases[0]
    why = note("started", phase=first.id, weight_bp=first.write_bp)
    clean = replace(
        state, salt=order.salt, started_at_us=now_us, guard_since_us=now_us, decisions=(),
        rollbacks=0,
    )  # fmt: skip
    after = enter(clean, plan, 0, now_us, why)
    told = Notify("started", Severity.LOW, why, incident="started")
    return step(state, after, plan, _audit(order), told)


def _promote(state: State, order: Promote, plan: Plan, now_us: int) -> Step | Refused:
    if state.status is not Status.RUNNING or state.phase is None:
        return _misfit(state, order)
    phase = plan.phases[state.phase]
    failing: tuple[GateResult, ...] = ()
    if order.judgement is None:
        why = note("no_judgement")
    else:
        gates = readiness(state, plan, order.judgement, now_us)
        failing = tuple(gate for gate in gates if gate.verdict is not Verdict.PASS)
        why = note("refused_gates", phase=phase.id, names=", ".join(g.name for g in failing))
    passed = order.judgement is not None and not failing
    if not passed and not order.force:
        return Refused("gates", why, note("remedy_wait_or_force"), failing)
    upcoming = plan.phases[state.phase + 1].id
    baked_s = state.bake_us // SECOND_US
    if passed:
        said = note("promoted", phase=upcoming, before=phase.id, baked_s=baked_s)
    else:
        said = note(
            "promoted_by_force",
            phase=upcoming, before=phase.id, failing=len(failing), actor=order.actor,
        )  # fmt: skip
    return go_on(state, plan, now_us, said, _audit(order))


def _pause(state: State, order: Pause, plan: Plan, now_us: int) -> Step | Refused:
    if state.status is not Status.RUNNING:
        return _misfit(state, order)
    why = note("paused", actor=order.actor, weight_bp=state.write_bp)
    after = changed(state, now_us, why, status=Status.PAUSED, waiting_since_us=None)
    return step(state, after, plan, _audit(order))


def _resume(state: State, order: Resume, plan: Plan, now_us: int) -> Step | Refused:
    if state.status is Status.ROLLED_BACK:
        return _leave_rollback(state, order, plan, now_us)
    if state.status is not Status.PAUSED or state.phase is None:
        return _misfit(state, order)
    for decision in state.open_decisions:
        if decision.severity is Severity.HIGH:
            why = note("refused_decision_open", decision=decision.id, **both(decision.note))
            return Refused("decision_open", why, note("remedy_hold"))
    answered = tuple(_answered(each, order) for each in state.decisions)
    why = _running_again(state, plan)
    after = changed(state, now_us, why, status=Status.RUNNING, decisions=answered)
    return step(state, after, plan, _audit(order))


def _leave_rollback(state: State, order: Resume, plan: Plan, now_us: int) -> Step:
    fields: dict[str, Any] = {"guard_since_us": now_us}
    if state.phase is None:
        why = note("left_rollback", actor=order.actor)
        fields |= {"status": Status.IDLE, "override": False}
    else:
        why = _running_again(state, plan)
        fields |= {"status": Status.RUNNING, "phase_since_us": now_us}
        fields["override"] = not _is_phase_weight(state, plan)
    return step(state, changed(state, now_us, why, **fields), plan, _audit(order))


def _running_again(state: State, plan: Plan) -> Note:
    assert state.phase is not None
    phase = plan.phases[state.phase]
    key = "resumed_at_zero" if phase.write_bp and not state.carries else "resumed"
    return note(key, phase=phase.id, weight_bp=state.write_bp)


def _is_phase_weight(state: State, plan: Plan) -> bool:
    phase = plan.phases[state.phase] if state.phase is not None else None
    if phase is None:
        return not state.carries
    return state.write_bp == phase.write_bp and state.read_bp == phase.read_bp


def _set_weight(state: State, order: SetWeight, plan: Plan, now_us: int) -> Step | Refused:
    if not WEIGHT_NONE <= order.weight_bp <= WEIGHT_ALL:
        return Refused("weight", note("refused_weight"), note("remedy_weight"))
    if state.status not in {Status.IDLE, Status.RUNNING, Status.PAUSED}:
        return _misfit(state, order)
    write_bp = state.write_bp if order.access is Access.READ else order.weight_bp
    read_bp = state.read_bp if order.access is Access.WRITE else order.weight_bp
    access = "all" if order.access is None else order.access.value
    why = note("weight_set", actor=order.actor, weight_bp=order.weight_bp, access=access)
    after = _weighed(changed(state, now_us, why), plan, write_bp, read_bp, order.salt)
    return step(state, after, plan, _audit(order))


def _weighed(state: State, plan: Plan, write_bp: Weight, read_bp: Weight, salt: str) -> State:
    after = replace(state, write_bp=write_bp, read_bp=read_bp, salt=state.salt or salt)
    return replace(after, override=not _is_phase_weight(after, plan), waiting_since_us=None)


def _roll_back(state: State, order: RollBack, plan: Plan, now_us: int) -> Step | Refused:
    if state.status in {Status.ROLLED_BACK, Status.EMERGENCY_STOPPED}:
        return Step(state)
    return roll_back(
        state, plan, now_us, note("rolled_back_by_person", actor=order.actor), _audit(order)
    )


def _stop(state: State, order: EmergencyStop, plan: Plan, now_us: int) -> Step | Refused:
    if state.status is Status.EMERGENCY_STOPPED:
        return Step(state)
    why = note("stopped", actor=order.actor)
    after = take_back(state, plan, Status.EMERGENCY_STOPPED, now_us, why)
    told = Notify("stopped", Severity.CRITICAL, why, incident="stopped")
    return step(state, after, plan, _audit(order), StopCanarySync(why), told)


def _release(state: State, order: Release, plan: Plan, now_us: int) -> Step | Refused:
    if state.status is not Status.EMERGENCY_STOPPED:
        return _misfit(state, order)
    status = Status.IDLE if state.phase is None else Status.PAUSED
    after = changed(
        state, now_us, note("released", actor=order.actor), status=status, guard_since_us=now_us
    )
    after = replace(after, override=not _is_phase_weight(after, plan))
    return step(state, after, plan, _audit(order))


def _hold(state: State, order: Hold, plan: Plan, now_us: int) -> Step | Refused:
    wanted = [d for d in state.open_decisions if order.decision in {None, d.id}]
    if not wanted:
        return Refused("no_decision", note("refused_no_decision"), note("remedy_nothing"))
    answered = tuple(_answered(each, order) if each in wanted else each for each in state.decisions)
    first = wanted[0]
    why = note("decision_held", actor=order.actor, decision=first.id, **both(first.note))
    after = changed(state, now_us, why, decisions=answered)
    return step(state, after, plan, _audit(order))


def _answered(decision: Decision, order: Hold | Resume) -> Decision:
    if not decision.open:
        return decision
    return replace(decision, held_by=order.actor, held_reason=order.reason)


_OBEY: Final[Mapping[type, Callable[..., Step | Refused]]] = {
    Start: _start,
    Promote: _promote,
    Pause: _pause,
    Resume: _resume,
    SetWeight: _set_weight,
    RollBack: _roll_back,
    EmergencyStop: _stop,
    Release: _release,
    Hold: _hold,
}

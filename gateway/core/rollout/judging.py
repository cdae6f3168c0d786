"""
What the rollout concludes from a look.

In this order: tell people what began and what ended; take traffic back if a finding says so and old
can carry it; open decisions; let deadlines pass; count healthy time; promote, or say that a person
may. A clock that runs backwards moves no deadline and bakes nothing; what is found counts at any
time, because the guard must not sleep through a wrong clock.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gateway.core.analysis import Blame, Reaction, Severity, Verdict, note
from gateway.core.model import SECOND_US
from gateway.core.rollout.events import Notify, Publish, Step
from gateway.core.rollout.moves import POLICY, changed, go_on, roll_back, step
from gateway.core.rollout.readiness import at_phase_weight, both, readiness
from gateway.core.rollout.state import Decision, Status, Trouble

if TYPE_CHECKING:
    from gateway.core.analysis import Finding, Judgement
    from gateway.core.rollout.events import Action
    from gateway.core.rollout.plan import Plan
    from gateway.core.rollout.state import State

NO_WAY_BACK: Final = frozenset({"old_down", "standby_down"})
"""While one of these is known, traffic is not taken back by itself."""
SHARED: Final = "shared_fault"
"""While this is known, people know of old's part in it, too."""


def draw(state: State, judgement: Judgement, plan: Plan, now_us: int) -> Step:
    """Draw the conclusions of one look."""
    state, elapsed_us = _on_time(state, plan, now_us)
    findings = tuple(f for f in judgement.findings if state.guarded or f.blame is not Blame.CANARY)
    way_back = not any(finding.key in NO_WAY_BACK for finding in findings)
    state, told = _troubles(state, findings, plan, now_us, way_back=way_back)
    worst = next((f for f in findings if f.reaction is Reaction.ROLL_BACK), None)
    if worst is not None and way_back:
        why = note("rolled_back", **both(worst.note))
        return _and(
            roll_back(state, plan, now_us, why, (POLICY, "*rollback", why.sentence.en)), told
        )
    for finding in findings:
        if finding.reaction is Reaction.DECIDE and not _covered(state, finding):
            state, asked = _open_decision(state, finding, plan, now_us)
            told = (*told, *asked)
    overdue = _overdue(state, plan, now_us, way_back=way_back)
    if overdue.actions:
        return _and(overdue, told)
    return _and(_bake(overdue.state, judgement, plan, now_us, elapsed_us), told)


def _and(made: Step, told: tuple[Action, ...]) -> Step:
    """Join what people are told with what is done; only the newest routing goes out, and first."""
    actions = (*told, *made.actions)
    routing = [action for action in actions if isinstance(action, Publish)]
    rest = [action for action in actions if not isinstance(action, Publish)]
    return Step(made.state, (*routing[-1:], *rest))


def _on_time(state: State, plan: Plan, now_us: int) -> tuple[State, int]:
    """Give the time since the last look that counts; a clock that fell back moves no deadline."""
    last_us = state.judged_at_us if state.judged_at_us is not None else now_us
    if now_us < last_us:
        back_us = last_us - now_us
        decisions = tuple(
            replace(d, opened_at_us=d.opened_at_us - back_us, deadline_us=d.deadline_us - back_us)
            for d in state.decisions
        )
        troubles = tuple(
            replace(t, since_us=t.since_us - back_us, last_us=t.last_us - back_us)
            for t in state.troubles
        )
        state = replace(
            state, decisions=decisions, troubles=troubles,
            guard_since_us=max(0, min(state.guard_since_us, now_us)),
        )  # fmt: skip
    elapsed_us = now_us - last_us
    counts = 0 <= elapsed_us <= plan.fairness.judgement_gap_s * SECOND_US
    return replace(state, judged_at_us=now_us), elapsed_us if counts else 0


def _troubles(
    state: State, findings: tuple[Finding, ...], plan: Plan, now_us: int, *, way_back: bool
) -> tuple[State, tuple[Action, ...]]:
    """One page when trouble begins or grows worse, one word when it was quiet for long enough."""
    if not findings and not state.troubles:
        return state, ()
    known = {trouble.key: trouble for trouble in state.troubles}
    shared = SHARED in known or any(finding.blame is Blame.SHARED for finding in findings)
    told: list[Action] = []
    for finding in findings:
        if finding.reaction is Reaction.WAIT:
            continue
        before = known.get(finding.key)
        page = _pages(state, finding, way_back=way_back) and not (
            shared and (finding.blame is Blame.BASELINE or finding.key == "whose_fault")
        )
        worse = before is None or finding.severity.rank > before.severity.rank
        if page and (worse or (before is not None and not before.paged)):
            told.append(Notify(finding.key, finding.severity, finding.note, incident=finding.key))
        known[finding.key] = Trouble(
            key=finding.key,
            severity=finding.severity if before is None or worse else before.severity,
            since_us=now_us if before is None else before.since_us,
            last_us=now_us,
            note=finding.note if before is None or worse else before.note,
            paged=page or (before is not None and before.paged),
        )
    return _quiet(replace(state, troubles=tuple(known.values())), plan, now_us, told)


def _pages(state: State, finding: Finding, *, way_back: bool) -> bool:
    """Whether it needs words of its own: a rollback or decision speaks for itself."""
    if finding.reaction is Reaction.DECIDE:
        return False
    if finding.reaction is Reaction.ROLL_BACK:
        return not way_back
    return not (state.status is Status.COMPLETED and finding.key in NO_WAY_BACK)


def _quiet(
    state: State, plan: Plan, now_us: int, told: list[Action]
) -> tuple[State, tuple[Action, ...]]:
    quiet_us = plan.fairness.quiet_s * SECOND_US
    over = {t.key: t for t in state.troubles if now_us - t.last_us >= quiet_us}
    for trouble in over.values():
        if trouble.paged:
            why = note("quiet_again", **both(trouble.note))
            told.append(Notify(trouble.key, trouble.severity, why, trouble.key, resolved=True))
    decisions = tuple(d for d in state.decisions if d.open or d.key not in over)
    left = tuple(trouble for trouble in state.troubles if trouble.key not in over)
    return replace(state, troubles=left, decisions=decisions), tuple(told)


def _covered(state: State, finding: Finding) -> bool:
    """Somebody is asked already, or has answered for this very trouble or for a worse one of it."""
    metric = finding.note.figure("metric")
    return any(
        decision.key == finding.key
        or (
            decision.severity.rank >= finding.severity.rank
            and (decision.open or decision.note.figure("metric") == metric)
        )
        for decision in state.decisions
    )


def _open_decision(
    state: State, finding: Finding, plan: Plan, now_us: int
) -> tuple[State, tuple[Action, ...]]:
    high = finding.severity is Severity.HIGH
    deadline_s = plan.deadlines.high_s if high else plan.deadlines.medium_s
    decision = Decision(
        id=state.next_decision, key=finding.key, severity=finding.severity, opened_at_us=now_us,
        deadline_us=now_us + deadline_s * SECOND_US, note=finding.note,
    )  # fmt: skip
    asks = "goes_back_unless_held" if high else "paused_for_decision"
    why = note(asks, deadline_s=deadline_s, **both(finding.note))
    paused = state.status is Status.RUNNING
    after = changed(
        state, now_us, why,
        decisions=(*state.decisions, decision), next_decision=state.next_decision + 1,
        status=Status.PAUSED if paused else state.status, waiting_since_us=None,
    )  # fmt: skip
    made = step(
        state, after, plan, (POLICY, "*decision", why.sentence.en),
        Notify("decision_opened", finding.severity, why, incident=f"decision:{finding.key}"),
    )  # fmt: skip
    return after, made.actions


def _overdue(state: State, plan: Plan, now_us: int, *, way_back: bool) -> Step:
    """Act on the first decision whose time is over."""
    overdue = next((d for d in state.open_decisions if now_us >= d.deadline_us), None)
    if overdue is None:
        return Step(state)
    if overdue.severity is Severity.HIGH and way_back:
        why = note("rolled_back_by_deadline", decision=overdue.id, **both(overdue.note))
        return roll_back(state, plan, now_us, why, (POLICY, "*rollback", why.sentence.en))
    level = overdue.escalations + 1
    why = note("escalated", decision=overdue.id, level=level, **both(overdue.note))
    if overdue.severity is Severity.HIGH:
        why = note("held_back", decision=overdue.id)
    again_us = now_us + plan.deadlines.escalate_every_s * SECOND_US
    reminded = replace(overdue, escalations=level, deadline_us=again_us)
    decisions = tuple(reminded if d is overdue else d for d in state.decisions)
    after = changed(state, now_us, state.why, decisions=decisions)
    told = Notify(
        "decision_escalated", overdue.severity, why,
        incident=f"decision:{overdue.key}", escalation=level,
    )  # fmt: skip
    return step(state, after, plan, (POLICY, "*escalate", why.sentence.en), told)


def _bake(state: State, judgement: Judgement, plan: Plan, now_us: int, elapsed_us: int) -> Step:
    """Count healthy time; promote when all is done, or say that a person may."""
    number = state.phase
    if state.status is not Status.RUNNING or number is None:
        return Step(state)
    if judgement.healthy and at_phase_weight(state, plan):
        state = replace(state, bake_us=state.bake_us + elapsed_us)
    gates = readiness(state, plan, judgement, now_us)
    if any(gate.verdict is not Verdict.PASS for gate in gates):
        return Step(replace(state, waiting_since_us=None))
    phase, following = plan.phases[number], plan.phases[number + 1]
    if phase.auto_promote:
        baked_s, upcoming = state.bake_us // SECOND_US, following.id
        why = note("promoted", phase=upcoming, before=phase.id, baked_s=baked_s)
        return go_on(state, plan, now_us, why, (POLICY, "*promote", why.sentence.en))
    if state.waiting_since_us is not None:
        return Step(state)
    why = note("waiting", phase=phase.id)
    after = changed(state, now_us, why, waiting_since_us=now_us)
    told = Notify("promotion_wanted", Severity.LOW, why, incident="promotion_wanted")
    return step(state, after, plan, (POLICY, "*waiting", why.sentence.en), told)

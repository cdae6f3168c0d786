"""What holds right now: conditions in force, questions, routing, what is still missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.core.analysis import Finding, GateResult, Questions, Reaction, Verdict, note
from gateway.core.model import SECOND_US, WEIGHT_ALL
from gateway.core.rollout.events import Route
from gateway.core.rollout.state import STANDING, Status

if TYPE_CHECKING:
    from gateway.core.analysis import Judgement, Note
    from gateway.core.rollout.plan import Phase, Plan
    from gateway.core.rollout.state import State

REPLICA_UNKNOWN: Final = "replica_unknown"
"""The finding that part of the fleet is not heard of: what it sees could not be measured."""


def phase_in_force(state: State, plan: Plan) -> Phase:
    """Give the phase whose rollback conditions hold at the present weight.

    An operator's weight brings the conditions of the first phase that gives new at least as much.
    """
    last = len(plan.phases) - 1
    if state.phase is not None and state.phase < last and not state.override:
        return plan.phases[state.phase]
    return next(
        (p for p in plan.phases if p.write_bp >= state.write_bp and p.read_bp >= state.read_bp),
        plan.phases[last],
    )


def questions(state: State, plan: Plan) -> Questions:
    """Collect what the analysis is to answer in this state."""
    fairness = plan.fairness
    in_phase = state.phase is not None and state.status in {Status.RUNNING, Status.PAUSED}
    standby = state.write_bp == WEIGHT_ALL and state.read_bp == WEIGHT_ALL
    return Questions(
        gates=plan.phases[state.phase or 0].gates if in_phase else (),
        triggers=(*plan.triggers, *phase_in_force(state, plan).triggers),
        guard_since_us=state.guard_since_us,
        standby=standby and state.status is not Status.COMPLETED,
        blame_alpha=fairness.blame_alpha,
        settle_us=round(fairness.settle_s * SECOND_US),
        lookback_s=fairness.lookback_s,
        probe_failures=fairness.probe_failures,
        probe_max_age_us=fairness.probe_max_age_s * SECOND_US,
        reading_max_age_us=fairness.reading_max_age_s * SECOND_US,
        unknown_grace_us=fairness.unknown_grace_s * SECOND_US,
    )


def route(state: State, plan: Plan) -> Route:
    """Say how requests are to be routed in this state."""
    phase = plan.phases[state.phase] if state.phase is not None else None
    mirroring = phase is not None and state.status in {Status.RUNNING, Status.PAUSED}
    mirror = phase.mirror if phase is not None and mirroring else None
    return Route(
        version=state.version,
        salt=state.salt,
        write_bp=state.write_bp,
        read_bp=state.read_bp,
        phase=phase.id if phase is not None else "",
        status=state.status.value,
        stopped=state.status is Status.EMERGENCY_STOPPED,
        mirror_to=mirror.to if mirror is not None else None,
        mirror_rate=mirror.rate if mirror is not None else 0.0,
        mirror_dry=mirror.dry_run if mirror is not None else True,
        write_back=plan.stores_apart and state.status is not Status.COMPLETED,
    )


def at_phase_weight(state: State, plan: Plan) -> bool:
    """Whether new gets at least what the phase gives it: less proves less."""
    assert state.phase is not None
    phase = plan.phases[state.phase]
    return state.write_bp >= phase.write_bp and state.read_bp >= phase.read_bp


def readiness(
    state: State, plan: Plan, judgement: Judgement, now_us: int
) -> tuple[GateResult, ...]:
    """List all that stands between this phase and the next; only PASS everywhere promotes.

    The phase's gates come first, then the bake time, then what speaks against it right now.
    """
    if state.phase is None or state.status in STANDING or state.status is Status.COMPLETED:
        return ()
    gates = [*judgement.gates, bake_gate(state, plan)]
    measured = {gate.note for gate in judgement.gates}
    gates += [
        _finding_gate(finding)
        for finding in judgement.findings
        if finding.holds and finding.note not in measured
    ]
    gates += [
        _closed(f"decision_{each.id}", note("decision_open", decision=each.id, **both(each.note)))
        for each in state.open_decisions
    ]
    freeze = plan.frozen(now_us)
    if freeze is not None:
        gates.append(_closed("freeze", note("frozen", freeze=freeze.name)))
    return tuple(gates)


def bake_gate(state: State, plan: Plan) -> GateResult:
    """Say how much of the healthy time that the phase asks for has passed."""
    assert state.phase is not None
    phase = plan.phases[state.phase]
    baked_s = state.bake_us // SECOND_US
    done = baked_s >= phase.bake_s
    if done:
        why = note("baked", bake_s=phase.bake_s)
    elif at_phase_weight(state, plan):
        why = note("baking", baked_s=baked_s, bake_s=phase.bake_s)
    else:
        why = note("below_phase_weight", weight_bp=state.write_bp, phase_bp=phase.write_bp)
    return GateResult(
        name="bake_time", verdict=Verdict.PASS if done else Verdict.INCONCLUSIVE,
        value=float(baked_s), threshold=float(phase.bake_s), sample=baked_s,
        window_s=phase.bake_s, note=why,
    )  # fmt: skip


def _finding_gate(finding: Finding) -> GateResult:
    verdict = Verdict.INCONCLUSIVE if finding.reaction is Reaction.WAIT else Verdict.FAIL
    if finding.key == REPLICA_UNKNOWN:
        verdict = Verdict.ERROR
    return GateResult(
        name=finding.key, verdict=verdict, value=finding.value, threshold=finding.threshold,
        sample=finding.sample, window_s=0, note=finding.note,
    )  # fmt: skip


def _closed(name: str, why: Note) -> GateResult:
    return GateResult(
        name=name, verdict=Verdict.FAIL, value=None, threshold=None, sample=0, window_s=0, note=why
    )


def both(this: Note) -> dict[str, str]:
    """Give a note's sentence as figures of another note."""
    said = this.sentence
    return {"why": said.en, "why_ja": said.ja}

"""
The rollout as people read it: the control plane's view turned into the shapes of the API.

Pure: the same view gives the same answer. The reason is the state's own sentence, so that the API,
the command line and the log say the same words.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from gateway.admin import mirrored, models
from gateway.core import evidence
from gateway.core.analysis import Blame, GateResult, Metric, Reaction, Severity
from gateway.core.model import Variant
from gateway.core.rollout import STANDING, Status, phase_in_force, route

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway import ports
    from gateway.core.analysis import Finding, Gate
    from gateway.core.rollout import Decision

_S: Final = 1_000_000
_EVENTS_SHOWN: Final = 12
_RESOURCES: Final = (
    "cpu_ratio",
    "memory_ratio",
    "disk_ratio",
    "network_ratio",
    "database_load_ratio",
    "api_usage_ratio",
)


def instant(at_us: int) -> datetime:
    """Microseconds since the epoch as an instant in UTC, whatever the clock said."""
    try:
        return datetime.fromtimestamp(at_us / _S, tz=UTC)
    except (OverflowError, OSError, ValueError):
        return datetime.fromtimestamp(0, tz=UTC)


def rollout(view: ports.ControlView) -> models.Rollout:
    """Show the whole rollout."""
    state, plan = view.state, view.plan
    index = state.phase
    phase = None if index is None else plan.phases[index]
    following = 0 if index is None else index + 1
    upcoming = plan.phases[following] if following < len(plan.phases) else None
    bake_s = phase.bake_s if phase else 0
    why = state.why.sentence
    routing = route(state, plan)
    judgement = view.judgement
    return models.Rollout(
        phase=phase.id if phase else None,
        phase_number=None if index is None else index + 1,
        phases=len(plan.phases),
        phase_title=models.Sentence(
            en=phase.title if phase else "Not started", ja=phase.title_ja if phase else "未開始"
        ),
        weight_percent=state.write_bp / 100,
        read_weight_percent=state.read_bp / 100,
        write_weight_percent=state.write_bp / 100,
        override=state.override,
        status=models.Status(state.status.value),
        version=state.version,
        why=models.Sentence(en=why.en, ja=why.ja),
        next_command=next_command(view),
        gates=gates_of(view.gates, phase.gates if phase else ()),
        next_phase=upcoming.id if upcoming else None,
        bake_s=float(bake_s) if bake_s else None,
        bake_left_s=max(0.0, bake_s - state.bake_us / _S) if bake_s else None,
        findings=[finding_of(finding) for finding in (judgement.findings if judgement else ())],
        evidence=evidence_bars(view),
        systems=[system_of(system) for system in view.systems],
        decisions=decisions_of(state.decisions, view.at_us),
        events=[event_of(event) for event in reversed(view.events[-_EVENTS_SHOWN:])],
        mirror=mirrored.mirror_of(view, routing),
        resources=resources_of(view),
        policy=plan.name,
        since=instant(state.phase_since_us) if state.phase_since_us is not None else None,
        at=instant(view.at_us),
        store_writable=view.store_writable,
        fleet=fleet_of(view.fleet),
        confirmations=None
        if view.confirmations is None
        else models.Confirmations(
            version=view.confirmations.version,
            confirmed=list(view.confirmations.confirmed),
            missing=list(view.confirmations.missing),
            waited_s=view.confirmations.waited_s,
        ),
    )


def fleet_of(fleet: ports.FleetView | None) -> models.Fleet | None:
    """Show the replicas by name."""
    if fleet is None:
        return None
    return models.Fleet(
        replicas=[
            models.Replica(
                name=one.name,
                here=one.here,
                decides=one.decides,
                state=one.state,
                software=one.software,
                version=one.routing_version,
                behind=one.behind,
                weight_percent=one.weight_percent,
                requests_per_s=one.requests_per_s,
                traffic_share=one.traffic_share,
                age_s=one.age_s,
                workers=one.workers,
                note=one.note,
            )
            for one in fleet.replicas
        ],
        store=fleet.store,
        connected=fleet.connected,
        trouble=fleet.trouble,
    )


def next_command(view: ports.ControlView) -> str | None:
    """Name the one command worth running now; None: nothing but waiting."""
    state = view.state
    waiting = state.open_decisions
    match state.status:
        case Status.IDLE:
            command = "start"
        case Status.EMERGENCY_STOPPED:
            return _once_well("release", view)
        case Status.ROLLED_BACK:
            return _once_well("resume", view)
        case Status.COMPLETED:
            return None
        case _ if waiting:
            first = min(waiting, key=lambda decision: decision.deadline_us)
            command = "rollback" if first.severity.rank >= _HIGH_RANK else f"hold {first.id}"
        case Status.PAUSED:
            return _once_well("resume", view)
        case _ if state.waiting_since_us is not None:
            command = "promote"
        case _:
            return None
    return _with_reason(command)


def _with_reason(command: str) -> str:
    return f'syncgate {command} --reason "..."'


def _once_well(command: str, view: ports.ControlView) -> str:
    """Lead on only to a new system that is well; else the guard would take it back at once."""
    new = next((each for each in view.systems if each.variant is Variant.CANARY), None)
    well = new is not None and new.healthy is True
    if view.state.status in STANDING:
        findings = view.judgement.findings if view.judgement else ()
        well = well and not any(_outlasts_a_fresh_start(finding) for finding in findings)
    return _with_reason(command) if well else "syncgate alerts"


def _outlasts_a_fresh_start(finding: Finding) -> bool:
    """Whether it would be found again: the evidence of requests is settled by leading on."""
    name = finding.note.figure("metric")
    if finding.blame is not Blame.CANARY or finding.reaction not in _ACTED_UPON or name is None:
        return False
    metric = Metric(str(name))
    return not (metric.from_window or metric.only_when_it_happens or metric is Metric.SYSTEM_DOWN)


_ACTED_UPON: Final = frozenset({Reaction.ROLL_BACK, Reaction.DECIDE})
_HIGH_RANK: Final = 2


def gates_of(gates: Iterable[object], asked: Iterable[Gate] = ()) -> list[models.Gate]:
    """Show gates in the policy's order, with what was asked where that is known."""
    terms = {gate.name: gate for gate in asked}
    shown = [gate for gate in gates if isinstance(gate, GateResult)]
    return [
        models.Gate(
            name=gate.name,
            metric=terms[gate.name].metric.value if gate.name in terms else None,
            comparison=terms[gate.name].comparison.value if gate.name in terms else None,
            basis=terms[gate.name].basis.value if gate.name in terms else None,
            verdict=models.Verdict(gate.verdict.value),
            value=gate.value,
            threshold=gate.threshold,
            sample=gate.sample,
            window_s=gate.window_s,
            reason=gate.reason,
            reason_ja=gate.reason_ja,
        )
        for gate in shown
    ]


def finding_of(finding: Finding) -> models.Finding:
    """Show one thing that was found."""
    sentence = finding.sentence
    return models.Finding(
        key=finding.key,
        severity=finding.severity.value,
        blame=finding.blame.value,
        value=finding.value,
        threshold=finding.threshold,
        sample=finding.sample,
        reason=sentence.en,
        reason_ja=sentence.ja,
    )


def system_of(system: ports.SystemView) -> models.SystemFigures:
    """Show one system's figures."""
    return models.SystemFigures(
        system=models.System(system.variant.value),
        window_s=system.window_s,
        requests=system.requests,
        requests_per_s=system.requests_per_s,
        error_ratio=system.error_ratio,
        rejected_ratio=system.rejected_ratio,
        p50_ms=system.p50_ms,
        p95_ms=system.p95_ms,
        p99_ms=system.p99_ms,
        sync_seconds_per_1000=system.sync_seconds_per_1000,
        breaker=system.breaker,
        healthy=system.healthy,
        health_reason=system.health_reason,
    )


def decisions_of(decisions: Sequence[Decision], now_us: int) -> list[models.Decision]:
    """Show what waits for people, the nearest deadline first, held ones last."""
    ordered = sorted(decisions, key=lambda decision: (not decision.open, decision.deadline_us))
    return [
        models.Decision(
            id=decision.id,
            key=decision.key,
            severity=decision.severity.value,
            state="open" if decision.open else "held",
            opened_at=instant(decision.opened_at_us),
            deadline_at=instant(decision.deadline_us),
            time_left_s=max(0.0, (decision.deadline_us - now_us) / _S),
            reason=decision.note.sentence.en,
            reason_ja=decision.note.sentence.ja,
            held_by=decision.held_by,
            held_reason=decision.held_reason,
        )
        for decision in ordered
    ]


def event_of(event: ports.Event) -> models.Event:
    """Show one event."""
    return models.Event(
        id=event.seq,
        at=instant(event.at_us),
        kind=event.kind,
        text=event.text,
        data=dict(event.data),
    )


def resources_of(view: ports.ControlView) -> dict[str, float]:
    """Show the newest figure of each resource, the worse of two systems where both report."""
    newest: dict[str, float] = {}
    for measurement in view.inputs.measurements if view.inputs else ():
        name = measurement.metric.value
        if name in _RESOURCES:
            newest[name] = max(measurement.value, newest.get(name, 0.0))
    return newest


def evidence_bars(view: ports.ControlView) -> list[models.EvidenceBar]:
    """Show how near each error-rate rule in force is to firing, the most severe first."""
    if view.watch is None:
        return []
    phase = phase_in_force(view.state, view.plan)
    triggers = (*view.plan.triggers, *phase.triggers)
    in_force = {trigger.name: trigger for trigger in triggers if trigger.by_evidence}
    bars: list[models.EvidenceBar] = []
    for track in view.watch.tracks:
        trigger = in_force.get(track.rule.name)
        if trigger is None:
            continue
        estimate = evidence.estimate(track.canary)
        bars.append(
            models.EvidenceBar(
                rule=trigger.name,
                severity=trigger.severity.value,
                threshold_ratio=track.rule.threshold_ratio,
                level=min(1.0, max(0.0, track.level)),
                rate=estimate.ratio if estimate else None,
                low=estimate.interval.low if estimate else None,
                high=estimate.interval.high if estimate else None,
                sample=estimate.sample if estimate else 0,
            )
        )
    bars.sort(key=lambda bar: -Severity(bar.severity).rank)
    return bars

"""
What each trigger found, and what else people must be told.

A trigger on an error ratio trips when its evidence is complete; any other trips when its figure has
been on the wrong side for as long as the policy says. What could not be measured for longer than a
grace is a finding of its own: it holds the weight and tells people, it never moves traffic.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gateway.core import evidence
from gateway.core.analysis.answers import Blame, Finding, GateResult, Reaction, Verdict
from gateway.core.analysis.asked import Metric, Severity, Trigger
from gateway.core.analysis.blame import (
    blame_of_down,
    blame_of_rate,
    fresh_probe,
    is_down,
    most_breakers_open,
    old_alone_fails,
)
from gateway.core.analysis.figures import figure
from gateway.core.analysis.sentences import Note, note
from gateway.core.model import SECOND_US, Variant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.core.analysis.asked import Questions
    from gateway.core.analysis.known import BreakerReading, Inputs
    from gateway.core.analysis.watch import Watch

UNMEASURED: Final = "unmeasured:"


def find(
    questions: Questions, inputs: Inputs, watch: Watch, results: tuple[GateResult, ...]
) -> tuple[tuple[Finding, ...], tuple[tuple[str, int], ...]]:
    """All findings, worst first and each incident once; and since when each condition has held."""
    before = dict(watch.since)
    since: dict[str, int] = {}
    inputs = replace(inputs, breakers=_believed_breakers(inputs, before, since))
    found: list[Finding] = []
    for trigger in questions.triggers:
        if trigger.by_evidence:
            found += _by_evidence(trigger, watch, inputs, questions)
        elif trigger.metric is Metric.SYSTEM_DOWN:
            found += _system_down(trigger, watch, inputs, questions)
        else:
            found += _by_figure(trigger, inputs, questions, before, since)
    found += _unmeasured_gates(questions, inputs, results, before, since)
    found += _old_in_trouble(questions, inputs, watch, before, since)
    found += _one_breaker(inputs)
    return _worst_first(found), tuple(sorted(since.items()))


def _believed_breakers(
    inputs: Inputs, before: Mapping[str, int], since: dict[str, int]
) -> tuple[BreakerReading, ...]:
    """Leave out breakers that were open all along: they tell of a trouble that was settled.

    A breaker that opened before a rollback stays open while new gets no traffic, and must not take
    back the first request that would close it.
    """
    believed = []
    for breaker in inputs.breakers:
        key = f"closed:{breaker.variant.value}:{breaker.replica}"
        if not breaker.open:
            since[key] = before.get(key, inputs.now_us)
        elif key in before:
            since[key] = before[key]
        else:
            continue
        believed.append(breaker)
    return tuple(believed)


def _by_evidence(
    trigger: Trigger, watch: Watch, inputs: Inputs, questions: Questions
) -> Iterator[Finding]:
    track = watch.track(trigger.name)
    if track.fired_at_us is None:
        return
    blame = blame_of_rate(track, watch, inputs, questions)
    rate = evidence.estimate(track.canary)
    value = rate.ratio if rate else None
    sample = track.canary.sample
    if blame is Blame.SHARED:
        yield _shared(value, trigger.threshold, sample)
        return
    why = note(
        f"rate_{blame.name.lower()}",
        metric=trigger.metric.value, value=value, threshold=trigger.threshold,
        errors=track.canary.errors, sample=sample,
        old_errors=track.versus.errors, old_sample=track.versus.sample,
    )  # fmt: skip
    yield Finding(
        key="old_worse" if blame is Blame.BASELINE else trigger.name,
        severity=trigger.severity, blame=blame, reaction=_reaction(trigger.severity, blame),
        value=value, threshold=trigger.threshold, sample=sample, note=why,
    )  # fmt: skip


def _shared(value: float | None, threshold: float, sample: int) -> Finding:
    """Both fail: one incident, whatever rule noticed it first."""
    why = note("shared", sample=sample)
    return Finding(
        key="shared_fault", severity=Severity.CRITICAL, blame=Blame.SHARED, reaction=Reaction.PAGE,
        value=value, threshold=threshold, sample=sample, note=why,
    )  # fmt: skip


def _reaction(severity: Severity, blame: Blame) -> Reaction:
    if blame is Blame.UNDECIDED:
        return Reaction.WAIT
    if blame is not Blame.CANARY:
        return Reaction.PAGE
    return Reaction.ROLL_BACK if severity is Severity.CRITICAL else Reaction.DECIDE


def _system_down(
    trigger: Trigger, watch: Watch, inputs: Inputs, questions: Questions
) -> Iterator[Finding]:
    if not is_down(Variant.CANARY, inputs, questions):
        return
    probe = fresh_probe(Variant.CANARY, inputs, questions)
    failures = probe.failures if probe is not None and not probe.ok else 0
    blame = blame_of_down(watch, inputs, questions)
    if blame is Blame.SHARED:
        yield _shared(1.0, trigger.threshold, failures)
        return
    source = "breaker" if most_breakers_open(Variant.CANARY, inputs) else "word"
    source = "probe" if failures >= questions.probe_failures else source
    reaction = _reaction(trigger.severity, blame)
    if blame is Blame.UNDECIDED:
        key, reaction, why = "probe_disagrees", Reaction.PAGE, note("probe_disagrees")
    else:
        key, why = trigger.name, note(f"down_by_{source}", failures=failures)
    yield Finding(
        key=key, severity=trigger.severity, blame=blame, reaction=reaction,
        value=1.0, threshold=trigger.threshold, sample=failures, note=why,
    )  # fmt: skip


def _by_figure(
    trigger: Trigger,
    inputs: Inputs,
    questions: Questions,
    before: Mapping[str, int],
    since: dict[str, int],
) -> Iterator[Finding]:
    found = figure(trigger, inputs, questions)
    if found.trouble is Verdict.ERROR and found.note is not None:
        key = UNMEASURED + trigger.metric.value
        held_us = _held(key, inputs.now_us, before, since)
        if held_us >= questions.unknown_grace_us:
            # A source that never was is a gap in the set-up; one that died may hide trouble.
            died = found.note.key != "no_measurement"
            yield _unmeasured(trigger.metric, found.note, died=died)
        return
    if found.trouble is not None or found.value is None:
        return
    if not trigger.comparison.holds(found.value, trigger.threshold):
        return
    held_us = _held(trigger.name, inputs.now_us, before, since)
    if held_us < trigger.for_s * SECOND_US:
        return
    why = note(
        f"trigger_{trigger.basis.value}",
        metric=trigger.metric.value, value=found.value, comparison=trigger.comparison.value,
        threshold=trigger.threshold, for_s=held_us // SECOND_US, sample=found.sample,
        old=found.old,
    )  # fmt: skip
    yield Finding(
        key=trigger.name, severity=trigger.severity, blame=Blame.CANARY,
        reaction=_reaction(trigger.severity, Blame.CANARY),
        value=found.value, threshold=trigger.threshold, sample=found.sample, note=why,
    )  # fmt: skip


def _held(key: str, now_us: int, before: Mapping[str, int], since: dict[str, int]) -> int:
    """How long a condition has held without a break, this look included."""
    since[key] = min(before.get(key, now_us), now_us)
    return now_us - since[key]


def _unmeasured_gates(
    questions: Questions,
    inputs: Inputs,
    results: tuple[GateResult, ...],
    before: Mapping[str, int],
    since: dict[str, int],
) -> Iterator[Finding]:
    for gate, result in zip(questions.gates, results, strict=True):
        if result.verdict is not Verdict.ERROR:
            continue
        held_us = _held(UNMEASURED + gate.metric.value, inputs.now_us, before, since)
        if held_us >= questions.unknown_grace_us:
            yield _unmeasured(gate.metric, result.note, died=True)


def _unmeasured(metric: Metric, why: Note, *, died: bool) -> Finding:
    return Finding(
        key=UNMEASURED + metric.value, severity=Severity.HIGH if died else Severity.LOW,
        blame=Blame.UNDECIDED, reaction=Reaction.PAGE,
        value=None, threshold=None, sample=0, note=why, holds=died,
    )  # fmt: skip


def _old_in_trouble(
    questions: Questions,
    inputs: Inputs,
    watch: Watch,
    before: Mapping[str, int],
    since: dict[str, int],
) -> Iterator[Finding]:
    """Old fails while new does not, or cannot take traffic back: nothing moves, people are told."""
    if is_down(Variant.BASELINE, inputs, questions):
        yield _old("standby_down" if questions.standby else "old_down", None, None, 0)
        return
    if questions.standby and fresh_probe(Variant.BASELINE, inputs, questions) is None:
        yield _old("standby_unknown", None, None, 0)
    failing = next((track for track in watch.tracks if track.baseline_fired), None)
    if failing is None:
        return
    held_us = _held("old_failing", inputs.now_us, before, since)
    if old_alone_fails(watch, inputs, questions, held_us=held_us):
        rate = evidence.estimate(failing.baseline)
        value = rate.ratio if rate else None
        threshold = failing.rule.threshold_ratio
        yield _old("old_failing", value, threshold, failing.baseline.sample)


def _old(key: str, value: float | None, threshold: float | None, sample: int) -> Finding:
    why = note(
        key, metric=Metric.ERROR_RATIO.value, value=value, threshold=threshold, sample=sample
    )
    return Finding(
        key=key, severity=Severity.HIGH, blame=Blame.BASELINE, reaction=Reaction.PAGE,
        value=value, threshold=threshold, sample=sample, note=why, holds=key != "old_failing",
    )  # fmt: skip


def _one_breaker(inputs: Inputs) -> Iterator[Finding]:
    """One replica that gave up on new, against the rest of the fleet, says more of the replica."""
    fleet = [breaker for breaker in inputs.breakers if breaker.variant is Variant.CANARY]
    opened = [breaker for breaker in fleet if breaker.open]
    if opened and not most_breakers_open(Variant.CANARY, inputs):
        why = note("one_breaker", open=len(opened), fleet=len(fleet), replica=opened[0].replica)
        yield Finding(
            key="one_breaker", severity=Severity.HIGH, blame=Blame.UNDECIDED,
            reaction=Reaction.PAGE, value=float(len(opened)), threshold=None, sample=len(fleet),
            note=why,
        )  # fmt: skip


_REACTION_ORDER = (Reaction.ROLL_BACK, Reaction.DECIDE, Reaction.PAGE, Reaction.WAIT)


def _worst_first(found: list[Finding]) -> tuple[Finding, ...]:
    """Each incident once, by what it asks for and how bad it is; policy order breaks ties."""
    found = sorted(found, key=lambda f: (_REACTION_ORDER.index(f.reaction), -f.severity.rank))
    once: dict[str, Finding] = {}
    for finding in found:
        once.setdefault(finding.key, finding)
    return tuple(once.values())

"""
What each trigger found, and what else people must be told.

A trigger on an error ratio trips when its evidence is complete; any other trips when its figure has
been on the wrong side for as long as the policy says. What could not be measured for longer than a
grace is a finding of its own: it holds the weight and tells people, it never moves traffic.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from gateway.core import evidence
from gateway.core.analysis.answers import Blame, Finding, GateResult, Reaction, Verdict
from gateway.core.analysis.asked import Metric, Severity, Trigger
from gateway.core.analysis.blame import (
    blame_of_down,
    blame_of_rate,
    contradicted,
    fresh_probe,
    is_down,
    most_breakers_open,
    old_alone_fails,
    waited_us,
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
SHARED: Final = "shared:"


@dataclass(frozen=True, slots=True)
class _Memory:
    """What the last look left behind, and what this one will."""

    now_us: int
    before: Mapping[str, int]
    since: dict[str, int] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)

    def held(self, key: str) -> int:
        """How long a condition has held without a break, this look included."""
        self.since[key] = min(self.before.get(key, self.now_us), self.now_us)
        return self.now_us - self.since[key]


@dataclass(frozen=True, slots=True)
class Found:
    """What one look found, and what the watch must keep of it."""

    findings: tuple[Finding, ...]
    """Worst first, and each incident once."""
    since: tuple[tuple[str, int], ...]
    """Since when each condition has held."""
    settled: frozenset[str]
    """Rules whose evidence was of a trouble that both shared and that is over for old."""


def find(
    questions: Questions, inputs: Inputs, watch: Watch, results: tuple[GateResult, ...]
) -> Found:
    """Ask every trigger, and look at what else people must know."""
    memory = _Memory(inputs.now_us, dict(watch.since))
    inputs = replace(inputs, breakers=_believed_breakers(inputs, memory))
    found: list[Finding] = []
    for trigger in questions.triggers:
        if trigger.by_evidence:
            found += _by_evidence(trigger, watch, inputs, questions, memory)
        elif trigger.metric is Metric.SYSTEM_DOWN:
            found += _system_down(trigger, watch, inputs, questions, memory)
        else:
            found += _by_figure(trigger, inputs, questions, memory)
    found += _unmeasured_gates(questions, results, memory)
    found += _old_in_trouble(questions, inputs, watch, memory)
    found += _one_breaker(inputs)
    if any(finding.blame is Blame.SHARED for finding in found):
        _disbelieve_new_breakers(inputs, memory)
    return Found(
        _worst_first(found), tuple(sorted(memory.since.items())), frozenset(memory.settled)
    )


def _believed_breakers(inputs: Inputs, memory: _Memory) -> tuple[BreakerReading, ...]:
    """Leave out breakers that were open all along: they tell of a trouble that was settled.

    A breaker that opened before a rollback stays open while new gets no traffic, and must not take
    back the first request that would close it.
    """
    believed = []
    for breaker in inputs.breakers:
        key = _closed(breaker)
        if not breaker.open:
            memory.since[key] = memory.before.get(key, inputs.now_us)
        elif key in memory.before:
            memory.since[key] = memory.before[key]
        else:
            continue
        believed.append(breaker)
    return tuple(believed)


def _closed(breaker: BreakerReading) -> str:
    return f"closed:{breaker.variant.value}:{breaker.replica}"


def _disbelieve_new_breakers(inputs: Inputs, memory: _Memory) -> None:
    """Forget what opened while both failed: it tells of that, and stays open for longer."""
    for breaker in inputs.breakers:
        if breaker.open and breaker.variant is Variant.CANARY:
            memory.since.pop(_closed(breaker), None)


def _by_evidence(
    trigger: Trigger,
    watch: Watch,
    inputs: Inputs,
    questions: Questions,
    memory: _Memory,
) -> Iterator[Finding]:
    track = watch.track(trigger.name)
    if track.fired_at_us is None:
        return
    blame = blame_of_rate(track, watch, inputs, questions)
    if blame is Blame.SHARED or SHARED + trigger.name in memory.before:
        if blame is Blame.CANARY:
            # Failures of a shared trouble convict nobody when old is well again; those that new
            # goes on with alone will, and it takes no more of them than ever.
            memory.settled.add(trigger.name)
            return
        memory.held(SHARED + trigger.name)
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
    key, reaction = trigger.name, _reaction(trigger.severity, blame)
    if blame is Blame.BASELINE:
        key = "old_worse"
    elif blame is Blame.UNDECIDED and waited_us(track, inputs) >= questions.unknown_grace_us:
        key, reaction = "whose_fault", Reaction.PAGE
    yield Finding(
        key=key, severity=trigger.severity, blame=blame, reaction=reaction,
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
    trigger: Trigger,
    watch: Watch,
    inputs: Inputs,
    questions: Questions,
    memory: _Memory,
) -> Iterator[Finding]:
    if not is_down(Variant.CANARY, inputs, questions):
        return
    probe = fresh_probe(Variant.CANARY, inputs, questions)
    failures = probe.failures if probe is not None and not probe.ok else 0
    blame = blame_of_down(watch, inputs, questions)
    shared = SHARED + trigger.name
    if blame is Blame.SHARED:
        memory.since[shared] = inputs.now_us
        yield _shared(1.0, trigger.threshold, failures)
        return
    if (
        blame is Blame.CANARY
        and shared in memory.before
        and memory.held(shared) < questions.probe_max_age_us
    ):
        blame = Blame.UNDECIDED  # new is asked at another moment than old; its turn comes, too
    source = "breaker" if most_breakers_open(Variant.CANARY, inputs) else "word"
    source = "probe" if failures >= questions.probe_failures else source
    reaction = _reaction(trigger.severity, blame)
    if blame is Blame.UNDECIDED and contradicted(watch, inputs, questions):
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
    memory: _Memory,
) -> Iterator[Finding]:
    found = figure(trigger, inputs, questions)
    if found.trouble is Verdict.ERROR and found.note is not None:
        key = UNMEASURED + trigger.metric.value
        held_us = memory.held(key)
        if held_us >= questions.unknown_grace_us:
            # A source that never was is a gap in the set-up; one that died may hide trouble.
            died = found.note.key != "no_measurement"
            yield _unmeasured(trigger.metric, found.note, died=died)
        return
    if found.trouble is not None or found.value is None:
        return
    if not trigger.comparison.holds(found.value, trigger.threshold):
        return
    held_us = memory.held(trigger.name)
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


def _unmeasured_gates(
    questions: Questions,
    results: tuple[GateResult, ...],
    memory: _Memory,
) -> Iterator[Finding]:
    for gate, result in zip(questions.gates, results, strict=True):
        if result.verdict is not Verdict.ERROR:
            continue
        held_us = memory.held(UNMEASURED + gate.metric.value)
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
    memory: _Memory,
) -> Iterator[Finding]:
    """Old fails while new does not, or cannot take traffic back: nothing moves, people are told."""
    if is_down(Variant.BASELINE, inputs, questions):
        key = "standby_down" if questions.standby else "old_down"
        held_us = memory.held(key)
        yield _down_alone(_old(key, None, None, 0), watch, inputs, questions, held_us=held_us)
        return
    if questions.standby and fresh_probe(Variant.BASELINE, inputs, questions) is None:
        yield _old("standby_unknown", None, None, 0)
    failing = next((track for track in watch.tracks if track.baseline_fired), None)
    if failing is None:
        return
    held_us = memory.held("old_failing")
    if old_alone_fails(watch, inputs, questions, held_us=held_us):
        rate = evidence.estimate(failing.baseline)
        value = rate.ratio if rate else None
        threshold = failing.rule.threshold_ratio
        yield _old("old_failing", value, threshold, failing.baseline.sample)


def _down_alone(
    down: Finding, watch: Watch, inputs: Inputs, questions: Questions, *, held_us: int
) -> Finding:
    """Tell people at once when new is known to be well; else see first whether both are down."""
    failing = any(track.canary.score for track in watch.tracks)
    patience_us = questions.unknown_grace_us if failing else questions.probe_max_age_us
    used = watch.over_lookback(Variant.CANARY, inputs.now_us).sample > 0
    well = not failing and watch.answered_after(Variant.CANARY, inputs.now_us - held_us)
    waits = used and not well and held_us < patience_us
    return replace(down, reaction=Reaction.WAIT) if waits and not questions.standby else down


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

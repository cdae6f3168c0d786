"""
Whose fault it is, as far as the evidence of both systems goes.

Evidence of errors takes traffic from the canary only if the canary is significantly worse than the
baseline over the same seconds, or nobody uses the baseline. When both are bad nobody is blamed: the
weight holds and people are told. Traffic never moves towards the side that evidence says is worse.

The same seconds are those since the canary's trouble began, and only they count. What the baseline
answered before says nothing about a fault that both may share: a minute of good answers from before
it would outvote the few that came since. So while the baseline has answered too little to tell the
two apart, its next answers are waited for; a busy baseline gives them within a few failures of the
canary; when the baseline stays nearly idle, people are told that nobody can say whose fault it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.core import evidence, proportion
from gateway.core.analysis.answers import Blame
from gateway.core.analysis.asked import Metric
from gateway.core.analysis.figures import newest
from gateway.core.analysis.watch import Counts
from gateway.core.model import SECOND_US, Variant

if TYPE_CHECKING:
    from gateway.core.analysis.asked import Questions
    from gateway.core.analysis.known import Inputs, Probe
    from gateway.core.analysis.watch import Track, Watch

FEW_ERRORS: Final = 3
"""Fewer than this are no rate."""
STUMBLES_FROM: Final = 0.5
"""Old's evidence from this share on is no stray error: as much as new's needs to stand."""
CLEAN_SAMPLE: Final = 20
"""So many answers without an error in the last minute contradict a probe that says 'down'."""

REPORTED_WITHIN_US: Final = 2 * SECOND_US
"""Good answers reach the watch with the worker's report of their second, not as they happen."""


def blame_of_rate(track: Track, watch: Watch, inputs: Inputs, questions: Questions) -> Blame:
    """Whose fault the complete evidence of one rule is."""
    canary = track.canary
    fault = _compare(canary.errors, canary.sample, track.versus, questions)
    if fault is proportion.Fault.BASELINE_WORSE:
        return Blame.BASELINE
    if track.baseline_fired or is_down(Variant.BASELINE, inputs, questions):
        return Blame.SHARED
    if _bad_just_now(track, watch, inputs):
        return Blame.SHARED
    if fault is proportion.Fault.CANARY_WORSE:
        return _unless_old_stumbles(track, inputs, questions)
    if fault is proportion.Fault.ALIKE and _is_bad(track.versus, track):
        return Blame.SHARED
    return _while_old_says_little(track, watch, inputs, questions)


def _unless_old_stumbles(track: Track, inputs: Inputs, questions: Questions) -> Blame:
    """Whether new alone is bad, when the count of the same seconds says that it is worse.

    A fault that both share strikes both at nearly one moment: what old answered well just before
    hides what it fails since. Old's own evidence knows the order: while it is not clear, new must
    be worse than old has been since that began, too.
    """
    old = track.baseline
    if old.score == 0:
        return Blame.CANARY
    if waited_us(track, inputs) < questions.settle_us:
        return Blame.UNDECIDED
    if evidence.level(old, track.rule) >= STUMBLES_FROM:
        return Blame.SHARED
    since = Counts(ok=old.sample - old.errors, errors=old.errors)
    fault = _compare(track.canary.errors, track.canary.sample, since, questions)
    return Blame.CANARY if fault is proportion.Fault.CANARY_WORSE else Blame.UNDECIDED


def waited_us(track: Track, inputs: Inputs) -> int:
    """How long the evidence has been complete."""
    return inputs.now_us - track.fired_at_us if track.fired_at_us is not None else 0


def _bad_just_now(track: Track, watch: Watch, inputs: Inputs) -> bool:
    """Whether old was above the threshold too in the last quarter of the lookback.

    The seconds since the evidence began are chosen by new's failures, so by themselves they make
    new look worse than it is; these are not.
    """
    lately = watch.over_lookback(Variant.BASELINE, inputs.now_us, share=4)
    return lately.errors >= FEW_ERRORS and _is_bad(lately, track)


def _is_bad(old: Counts, track: Track) -> bool:
    """Whether old was above the threshold as well; not to be told from new is not enough."""
    return old.errors > track.rule.threshold_ratio * old.sample


def _while_old_says_little(
    track: Track, watch: Watch, inputs: Inputs, questions: Questions
) -> Blame:
    """Wait for old's answers, unless nobody uses it."""
    lately = watch.over_lookback(Variant.BASELINE, inputs.now_us)
    if lately.sample or track.versus.errors:
        return Blame.UNDECIDED
    patient = questions.standby or waited_us(track, inputs) >= questions.settle_us
    return Blame.CANARY if patient else Blame.UNDECIDED


def _compare(errors: int, sample: int, versus: Counts, questions: Questions) -> proportion.Fault:
    return proportion.whose_fault(
        errors, sample, versus.errors, versus.sample, alpha=questions.blame_alpha
    )


def blame_of_down(watch: Watch, inputs: Inputs, questions: Questions) -> Blame:
    """Whose fault it is that probe, breaker or somebody outside calls the canary down."""
    if is_down(Variant.BASELINE, inputs, questions):
        return Blame.SHARED
    old = fresh_probe(Variant.BASELINE, inputs, questions)
    if old is not None and not old.ok:
        return Blame.UNDECIDED  # old is about to be called down as well, or to answer again
    if not _called_down(Variant.CANARY, inputs, questions):
        return _blame_of_breakers(watch, inputs, questions)
    canary = watch.over_lookback(Variant.CANARY, inputs.now_us)
    baseline = watch.over_lookback(Variant.BASELINE, inputs.now_us)
    fault = _compare(canary.errors, canary.sample, baseline, questions)
    if fault is proportion.Fault.BASELINE_WORSE:
        return Blame.BASELINE
    if baseline.errors and fault is proportion.Fault.ALIKE:
        return Blame.SHARED
    return Blame.UNDECIDED if contradicted(watch, inputs, questions) else Blame.CANARY


def _blame_of_breakers(watch: Watch, inputs: Inputs, questions: Questions) -> Blame:
    """Judge what opened them: failures of requests, so by the rates of the same seconds."""
    failing = [track for track in watch.tracks if track.canary.score]
    if not failing:
        return Blame.CANARY  # whatever opened them, no request of these seconds speaks for new
    return blame_of_rate(max(failing, key=lambda track: track.level), watch, inputs, questions)


def contradicted(watch: Watch, inputs: Inputs, questions: Questions) -> bool:
    """Whether the canary's clean record contradicts who calls it down."""
    if not _called_down(Variant.CANARY, inputs, questions):
        return False
    canary = watch.over_lookback(Variant.CANARY, inputs.now_us)
    clean = canary.errors == 0 and canary.sample >= CLEAN_SAMPLE
    return clean and _still_answers(watch, inputs, questions)


def _still_answers(watch: Watch, inputs: Inputs, questions: Questions) -> bool:
    """Whether the canary's clean record goes on while its probe fails.

    A system that hangs leaves no errors behind when its clients give up first: a record that
    ended where the probe began to fail contradicts nothing.
    """
    probe = fresh_probe(Variant.CANARY, inputs, questions)
    if probe is None or probe.failing_since_us is None:
        return True
    return watch.answered_after(Variant.CANARY, probe.failing_since_us + REPORTED_WITHIN_US)


def old_alone_fails(watch: Watch, inputs: Inputs, questions: Questions, *, held_us: int) -> bool:
    """Whether old's bad rate is old's alone; what is about to show on both is waited for."""
    canary = watch.over_lookback(Variant.CANARY, inputs.now_us)
    if canary.sample == 0:
        return held_us >= questions.settle_us
    baseline = watch.over_lookback(Variant.BASELINE, inputs.now_us)
    fault = _compare(canary.errors, canary.sample, baseline, questions)
    return fault is proportion.Fault.BASELINE_WORSE


def is_down(variant: Variant, inputs: Inputs, questions: Questions) -> bool:
    """Probe, breakers or a fresh word from outside say that this system is down."""
    return _called_down(variant, inputs, questions) or most_breakers_open(variant, inputs)


def _called_down(variant: Variant, inputs: Inputs, questions: Questions) -> bool:
    """Probe, or a fresh word from outside."""
    probe = fresh_probe(variant, inputs, questions)
    if probe is not None and not probe.ok and probe.failures >= questions.probe_failures:
        return True
    told = newest(Metric.SYSTEM_DOWN, inputs, variant)
    return told is not None and told.value >= 1 and told.at_us >= questions.guard_since_us


def fresh_probe(variant: Variant, inputs: Inputs, questions: Questions) -> Probe | None:
    """Give the last probe of a system, unless it is too old to mean anything."""
    return next(
        (
            probe
            for probe in inputs.probes
            if probe.variant is variant
            and -SECOND_US * 60 <= inputs.now_us - probe.at_us <= questions.probe_max_age_us
        ),
        None,
    )


def most_breakers_open(variant: Variant, inputs: Inputs) -> bool:
    """More than half of the fleet's breakers gave up on this system."""
    states = [breaker.open for breaker in inputs.breakers if breaker.variant is variant]
    return 2 * sum(states) > len(states) > 0

"""
One number, and how far it can be trusted.

A figure is either known (a value with its sample) or it is not, and then it says why: too little
was seen (INCONCLUSIVE) or it could not be measured (ERROR: missing, stale, from the future, not a
number). Nothing here turns silence into zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from gateway.core import proportion
from gateway.core.analysis.answers import Verdict
from gateway.core.analysis.asked import Basis, Metric, Relation, Trigger
from gateway.core.analysis.sentences import Note, note
from gateway.core.model import SECOND_US, Variant

if TYPE_CHECKING:
    from gateway.core.analysis.asked import Gate, Questions
    from gateway.core.analysis.known import Inputs, Measurement, Reading

FUTURE_US: Final = 60 * SECOND_US
"""How far another clock may run ahead of ours before its figures are not believed."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A value and its sample; or, with `trouble`, why there is none."""

    value: float | None
    sample: int
    trouble: Verdict | None = None
    note: Note | None = None
    old: float | None = None
    """What it was compared with, when it was."""


def figure(asked: Gate | Trigger, inputs: Inputs, questions: Questions) -> Figure:
    """Find what a gate or trigger speaks of."""
    metric = asked.metric
    if metric in {Metric.USER_REPORTS, Metric.SERIOUS_USER_REPORTS}:
        return _reports(asked, inputs, questions)
    if metric.from_window:
        return _from_window(asked, inputs, questions)
    return _measured(asked, inputs, questions)


def _reports(asked: Gate | Trigger, inputs: Inputs, questions: Questions) -> Figure:
    since_us = max(questions.guard_since_us, inputs.now_us - asked.window_s * SECOND_US)
    serious_only = asked.metric is Metric.SERIOUS_USER_REPORTS
    count = sum(
        since_us <= report.at_us and (report.serious or not serious_only)
        for report in inputs.reports
    )
    return Figure(float(count), count)


def _from_window(asked: Gate | Trigger, inputs: Inputs, questions: Questions) -> Figure:
    new = _reading(asked, inputs, questions, Variant.CANARY)
    if new.trouble or asked.basis is Basis.VALUE:
        return new
    old = _reading(asked, inputs, questions, Variant.BASELINE)
    if old.trouble:
        return old
    return compared(asked, new, old)


def compared(asked: Gate | Trigger, new: Figure, old: Figure) -> Figure:
    """Set new beside old as the basis says; the sample is the smaller of the two."""
    assert new.value is not None
    assert old.value is not None
    sample = min(new.sample, old.sample)
    if asked.basis is Basis.EXCESS_OVER_OLD:
        return Figure(new.value - old.value, sample, old=old.value)
    if old.value == 0:
        nothing = note("old_is_zero", metric=asked.metric.value)
        return Figure(None, sample, Verdict.INCONCLUSIVE, nothing)
    return Figure(new.value / old.value, sample, old=old.value)


def _reading(
    asked: Gate | Trigger, inputs: Inputs, questions: Questions, variant: Variant
) -> Figure:
    metric, system = asked.metric.value, variant.value
    found = next(
        (r for r in inputs.readings if r.variant is variant and r.window_s == asked.window_s), None
    )
    if found is None:
        return _unmeasured(note("no_reading", metric=metric, system=system))
    age = _age(found.at_us, inputs.now_us, questions.reading_max_age_us, metric, system)
    if age is not None:
        return _unmeasured(age)
    value, sample = taken(asked.metric, found)
    if sample < asked.min_sample or sample == 0:
        short = note(
            "sample_short",
            metric=metric, system=system, sample=sample, wanted=max(1, asked.min_sample),
            window_s=asked.window_s,
        )  # fmt: skip
        return Figure(value, sample, Verdict.INCONCLUSIVE, short)
    if value is None or not math.isfinite(value):
        return _unmeasured(note("not_a_number", metric=metric, system=system), sample)
    return _cautious(asked, Figure(value, sample))


def taken(metric: Metric, reading: Reading) -> tuple[float | None, int]:
    """Take a figure of the traffic from a reading: its value, if there is any, and its sample."""
    judged = reading.ok + reading.errors
    answered = judged + reading.rejected
    if metric is Metric.ERROR_RATIO:
        return (reading.errors / judged if judged else None), judged
    if metric is Metric.SUCCESS_RATIO:
        return (reading.ok / judged if judged else None), judged
    if metric is Metric.REJECTED_RATIO:
        return (reading.rejected / answered if answered else None), answered
    if metric is Metric.LATENCY_P95_MS:
        return reading.latency_p95_ms, reading.ok
    return reading.sync_s_per_1000, reading.syncs


def _measured(asked: Gate | Trigger, inputs: Inputs, questions: Questions) -> Figure:
    found = newest(asked.metric, inputs, Variant.CANARY)
    new = _believed(asked, found, inputs, questions)
    if new.trouble or asked.basis is Basis.VALUE:
        return new
    old = _believed(asked, newest(asked.metric, inputs, Variant.BASELINE), inputs, questions)
    return old if old.trouble else compared(asked, new, old)


def newest(metric: Metric, inputs: Inputs, system: Variant) -> Measurement | None:
    """Find the newest measurement of that system; for new, else that of the machine as a whole."""
    sides = (system, None) if system is Variant.CANARY else (system,)
    for side in sides:
        found = [m for m in inputs.measurements if m.metric is metric and m.system is side]
        if found:
            return max(found, key=lambda m: m.at_us)
    return None


def _believed(
    asked: Gate | Trigger, found: Measurement | None, inputs: Inputs, questions: Questions
) -> Figure:
    metric = asked.metric
    if metric.from_mirror and inputs.mirror_off is not None:
        return _unmeasured(note("mirror_off", metric=metric.value, why=inputs.mirror_off))
    happens = metric.only_when_it_happens and isinstance(asked, Trigger)
    if found is None or (happens and found.at_us < questions.guard_since_us):
        return _silent(metric, happens=happens)
    if not math.isfinite(found.value):
        return _unmeasured(note("not_a_number", metric=metric.value, system=found.source))
    max_age_us = asked.max_age_s * SECOND_US
    age = _age(found.at_us, inputs.now_us, max_age_us, metric.value, found.source)
    if age is not None and not happens:
        return _unmeasured(age)
    if found.sample < asked.min_sample:
        short = note(
            "sample_short",
            metric=metric.value, system=found.source, sample=found.sample,
            wanted=asked.min_sample,
        )  # fmt: skip
        return Figure(found.value, found.sample, Verdict.INCONCLUSIVE, short)
    return _cautious(asked, Figure(found.value, found.sample))


def _silent(metric: Metric, *, happens: bool) -> Figure:
    """Say what silence means: nothing happened, nothing compared yet, or a dead source."""
    if happens:
        return Figure(0.0, 0)
    if metric.from_mirror:
        return Figure(None, 0, Verdict.INCONCLUSIVE, note("nothing_compared", metric=metric.value))
    return _unmeasured(note("no_measurement", metric=metric.value))


def _cautious(asked: Gate | Trigger, found: Figure) -> Figure:
    """Replace a ratio by the cautious end of its interval, where that is asked."""
    confidence = getattr(asked, "confidence", None)
    if confidence is None:
        return found
    assert found.value is not None
    hits = min(found.sample, max(0, round(found.value * found.sample)))
    lower = asked.comparison in {Relation.ABOVE, Relation.AT_LEAST}
    return Figure(_bound(hits, found.sample, confidence, lower=lower), found.sample)


@lru_cache(maxsize=256)
def _bound(hits: int, sample: int, confidence: float, *, lower: bool) -> float:
    """Find one end of the interval; the same counts are asked about every second."""
    end = proportion.lower_bound if lower else proportion.upper_bound
    return end(hits, sample, confidence=confidence)


def _age(at_us: int, now_us: int, max_age_us: int, metric: str, system: str) -> Note | None:
    if now_us - at_us > max_age_us:
        age_s = (now_us - at_us) // SECOND_US
        return note(
            "stale", metric=metric, system=system, age_s=age_s, limit_s=max_age_us // SECOND_US
        )
    if at_us - now_us > FUTURE_US:
        return note("from_the_future", metric=metric, system=system)
    return None


def _unmeasured(why: Note, sample: int = 0) -> Figure:
    return Figure(None, sample, Verdict.ERROR, why)

"""What each gate says, and where each metric stands against its limits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gateway.core.analysis.answers import GateResult, Level, LevelResult, Verdict
from gateway.core.analysis.asked import Basis, Gate, Metric, Relation
from gateway.core.analysis.figures import figure, newest
from gateway.core.analysis.sentences import note
from gateway.core.model import Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.analysis.asked import Limit, Questions
    from gateway.core.analysis.known import Inputs


def judge_gate(gate: Gate, inputs: Inputs, questions: Questions) -> GateResult:
    """PASS only when the figure is known, fresh, large enough and on the right side."""
    found = figure(gate, inputs, questions)
    if found.trouble is not None:
        assert found.note is not None
        verdict, why = found.trouble, found.note
    else:
        assert found.value is not None
        passes = gate.comparison.holds(found.value, gate.threshold)
        verdict = Verdict.PASS if passes else Verdict.FAIL
        why = note(
            f"gate_{verdict.value}_{_said(gate)}",
            metric=gate.metric.value, value=found.value, comparison=gate.comparison.value,
            threshold=gate.threshold, sample=found.sample, window_s=gate.window_s, old=found.old,
            **_confidence(gate),
        )  # fmt: skip
    return GateResult(
        name=gate.name, verdict=verdict, value=found.value, threshold=gate.threshold,
        sample=found.sample, window_s=gate.window_s, note=why,
    )  # fmt: skip


def _confidence(gate: Gate) -> dict[str, float]:
    """Give how sure one end of an interval is, where that is what is judged."""
    if gate.confidence is None or gate.basis is not Basis.VALUE:
        return {}
    return {"confidence": gate.confidence}


def _said(gate: Gate) -> str:
    """Choose how a figure is told: one end of an interval is not told as the rate itself."""
    if not _confidence(gate):
        return gate.basis.value
    return "least" if gate.comparison in {Relation.ABOVE, Relation.AT_LEAST} else "most"


def levels(
    limits: Sequence[Limit], inputs: Inputs, questions: Questions
) -> tuple[LevelResult, ...]:
    """Where each metric of the new system stands against target, warning and critical."""
    return tuple(_level(limit, inputs, questions) for limit in limits)


def _level(limit: Limit, inputs: Inputs, questions: Questions) -> LevelResult:
    value = _limited_value(limit, inputs, questions)
    if value is None:
        return LevelResult(limit.metric, Variant.CANARY, Level.UNKNOWN, None, None)
    for level, bound in ((Level.CRITICAL, limit.critical), (Level.WARNING, limit.warning)):
        if bound is not None and limit.comparison.holds(value, bound):
            return LevelResult(limit.metric, Variant.CANARY, level, value, bound)
    if limit.target is not None and limit.comparison.holds(value, limit.target):
        return LevelResult(limit.metric, Variant.CANARY, Level.OFF_TARGET, value, limit.target)
    return LevelResult(limit.metric, Variant.CANARY, Level.OK, value, None)


def _limited_value(limit: Limit, inputs: Inputs, questions: Questions) -> float | None:
    if limit.metric is Metric.LISTINGS_SYNCED:
        found = newest(limit.metric, inputs, Variant.CANARY)
        if found is None or not found.previous or not math.isfinite(found.value):
            return None
        return abs(found.value - found.previous) / found.previous
    asked = Gate(
        name=limit.metric.value, metric=limit.metric, comparison=limit.comparison, threshold=0.0,
        window_s=limit.window_s, min_sample=limit.min_sample, max_age_s=3 * limit.every_s,
    )  # fmt: skip
    found_figure = figure(asked, inputs, questions)
    return None if found_figure.trouble else found_figure.value

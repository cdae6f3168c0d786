"""One look: all gates, all findings, and what the watch must remember for the next look."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.core.analysis.answers import Judgement
from gateway.core.analysis.findings import find
from gateway.core.analysis.gates import judge_gate

if TYPE_CHECKING:
    from gateway.core.analysis.asked import Questions
    from gateway.core.analysis.known import Inputs
    from gateway.core.analysis.watch import Watch


def evaluate(questions: Questions, inputs: Inputs, watch: Watch) -> tuple[Judgement, Watch]:
    """Answer every question; the watch only learns since when each condition has held."""
    gates = tuple(judge_gate(gate, inputs, questions) for gate in questions.gates)
    findings, since = find(questions, inputs, watch, gates)
    judgement = Judgement(at_us=inputs.now_us, gates=gates, findings=findings)
    if since != watch.since or watch.fired != watch.judged:
        watch = replace(watch, since=since, judged=watch.fired)
    return judgement, watch

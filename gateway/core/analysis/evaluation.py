"""One look: all gates, all findings, and what the watch must remember for the next look."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.core.analysis.answers import Judgement
from gateway.core.analysis.findings import find
from gateway.core.analysis.gates import judge_gate
from gateway.core.analysis.watch import settled

if TYPE_CHECKING:
    from gateway.core.analysis.asked import Questions
    from gateway.core.analysis.known import Inputs
    from gateway.core.analysis.watch import Watch


def evaluate(questions: Questions, inputs: Inputs, watch: Watch) -> tuple[Judgement, Watch]:
    """Answer every question; the watch learns since when each condition has held."""
    gates = tuple(judge_gate(gate, inputs, questions) for gate in questions.gates)
    found = find(questions, inputs, watch, gates)
    judgement = Judgement(at_us=inputs.now_us, gates=gates, findings=found.findings)
    if found.settled:
        # A rule that is not in force now noticed the same trouble; it must not speak of it later.
        asked = {trigger.name for trigger in questions.triggers}
        idle = {track.rule.name for track in watch.tracks} - asked
        watch = settled(watch, found.settled | idle)
    if found.since != watch.since or watch.fired != watch.judged:
        watch = replace(watch, since=found.since, judged=watch.fired)
    return judgement, watch

"""
The analysis: policy + readings + measurements + evidence -> a judgement with reasons.

`asked`, `known` and `answers` are the words. `watch` remembers evidence between looks, `figures`
finds one number and says how far it can be trusted, `gates` and `findings` ask the policy's
questions, `blame` tells whose fault it is, `sentences` says it. `evaluate` is the one entrance.
"""

from gateway.core.analysis.answers import (
    Blame,
    Finding,
    GateResult,
    Judgement,
    Level,
    LevelResult,
    Reaction,
    Verdict,
)
from gateway.core.analysis.asked import (
    Basis,
    Gate,
    Limit,
    Metric,
    Questions,
    Relation,
    Severity,
    Trigger,
)
from gateway.core.analysis.evaluation import evaluate
from gateway.core.analysis.gates import judge_gate, levels
from gateway.core.analysis.known import (
    BreakerReading,
    Inputs,
    Measurement,
    Probe,
    Reading,
    UserReport,
    inputs_from_json,
    inputs_to_json,
)
from gateway.core.analysis.sentences import Note, Sentence, note
from gateway.core.analysis.watch import Counts, Track, Watch, fresh, observe

__all__ = [
    "Basis",
    "Blame",
    "BreakerReading",
    "Counts",
    "Finding",
    "Gate",
    "GateResult",
    "Inputs",
    "Judgement",
    "Level",
    "LevelResult",
    "Limit",
    "Measurement",
    "Metric",
    "Note",
    "Probe",
    "Questions",
    "Reaction",
    "Reading",
    "Relation",
    "Sentence",
    "Severity",
    "Track",
    "Trigger",
    "UserReport",
    "Verdict",
    "Watch",
    "evaluate",
    "fresh",
    "inputs_from_json",
    "inputs_to_json",
    "judge_gate",
    "levels",
    "note",
    "observe",
]

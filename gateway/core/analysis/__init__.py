"""
The analysis: policy + readings + measurements + evidence -> a judgement with reasons.

`terms` are the words, `watch` remembers evidence between looks, `figures` finds one number and says
how far it can be trusted, `gates` and `findings` ask the policy's questions, `blame` tells whose
fault it is, `sentences` says it. `evaluate` is the one entrance.
"""

from gateway.core.analysis.evaluation import evaluate, levels
from gateway.core.analysis.sentences import Note, Sentence, note
from gateway.core.analysis.terms import (
    LEVELS_BY_BADNESS,
    Basis,
    Blame,
    BreakerReading,
    Comparison,
    Finding,
    Gate,
    GateResult,
    Inputs,
    Judgement,
    Level,
    LevelResult,
    Limit,
    Measurement,
    Metric,
    Probe,
    Questions,
    Reaction,
    Reading,
    Severity,
    Trigger,
    UserReport,
    Verdict,
)
from gateway.core.analysis.watch import Counts, Track, Watch, fresh, observe

__all__ = [
    "LEVELS_BY_BADNESS",
    "Basis",
    "Blame",
    "BreakerReading",
    "Comparison",
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
    "Sentence",
    "Severity",
    "Track",
    "Trigger",
    "UserReport",
    "Verdict",
    "Watch",
    "evaluate",
    "fresh",
    "levels",
    "note",
    "observe",
]

"""
Two systems' results side by side: what differs, why, how often, and how sure that is.

`compare` opens two JSON values, `match_records` two sync answers; `Rules` say what people have
decided about paths; `MatchRate`, `separate` and `place_in_sample` turn many comparisons into what a
gate and a person can use.
"""

from gateway.core.comparison.answers import AnswerPair, Differing, Opened, open_answers
from gateway.core.comparison.differences import (
    EQUAL,
    RepeatedKeys,
    compare,
    object_of,
    same,
)
from gateway.core.comparison.paths import matches, parsed, spelled
from gateway.core.comparison.rate import MatchRate, Weighed, disagreement, percent, separate
from gateway.core.comparison.records import RecordsMatch, match_records
from gateway.core.comparison.reservoir import place_in_sample
from gateway.core.comparison.rules import Effect, Rule, Rules
from gateway.core.comparison.words import Cause, Comparison, Difference, Kind, Scalar, Signature

__all__ = [
    "EQUAL",
    "AnswerPair",
    "Cause",
    "Comparison",
    "Difference",
    "Differing",
    "Effect",
    "Kind",
    "MatchRate",
    "Opened",
    "RecordsMatch",
    "RepeatedKeys",
    "Rule",
    "Rules",
    "Scalar",
    "Signature",
    "Weighed",
    "compare",
    "disagreement",
    "match_records",
    "matches",
    "object_of",
    "open_answers",
    "parsed",
    "percent",
    "place_in_sample",
    "same",
    "separate",
    "spelled",
]

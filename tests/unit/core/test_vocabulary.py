"""The words: one for each value that the API answers, in both languages."""

from __future__ import annotations

import re

import pytest

from gateway.core.analysis import Severity, Verdict
from gateway.core.comparison import Cause, Kind
from gateway.core.rollout import Status
from gateway.core.vocabulary import VOCABULARY, pace
from gateway.ports import compared


@pytest.mark.parametrize(
    ("values", "prefix"),
    [
        (Status, ""),
        (Severity, ""),
        (Verdict, ""),
        (Kind, "kind_"),
        (Cause, "cause_"),
        (compared.Verdict, "verdict_"),
    ],
)
def test_every_value_has_its_word(values, prefix):
    """A new one without a word would be shown by its key."""
    assert {f"{prefix}{each.value}" for each in values} <= VOCABULARY.keys()


@pytest.mark.parametrize("key", sorted(VOCABULARY))
def test_both_languages_take_the_same_figures(key):
    """And neither is missing."""
    english, japanese = (set(re.findall(r"\{(\w+)\}", text)) for text in VOCABULARY[key])
    assert english == japanese
    assert all(VOCABULARY[key])


@pytest.mark.parametrize(
    ("improvement_percent", "english"),
    [
        (25.0, "25 % faster than old"),
        (0.0, "0 % faster than old"),
        (-33.4, "33 % slower than old"),
        (-899.0, "899 % slower than old"),
        (-900.0, "takes 10 times as long as old"),
        (-41_432.0, "takes 415 times as long as old"),
    ],
)
def test_a_slowdown_beyond_tenfold_is_said_in_times(
    improvement_percent: float, english: str
) -> None:
    """Nobody reads a percentage of five digits."""
    key, values = pace(improvement_percent)
    assert VOCABULARY[key][0].format(**values) == english
    assert all(value in VOCABULARY[key][1].format(**values) for value in values.values())

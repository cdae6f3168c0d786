"""The words: one for each value that the API answers, in both languages."""

from __future__ import annotations

import re

import pytest

from gateway.core.analysis import Severity, Verdict
from gateway.core.comparison import Cause, Kind
from gateway.core.rollout import Status
from gateway.core.vocabulary import VOCABULARY
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

"""An alert as it is shown: what was so when it was raised, and what is so now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.admin.alerted import one_alert
from gateway.core.alerts import Book, Condition, Incident, Sign
from gateway.core.analysis import Severity
from gateway.ports.alerts import AlertsView
from tests.support.alerts import BEGAN_US, plan, rule, sentence

RULE = rule()
INCIDENT = Incident(
    number=3, uid="3-1", rule=RULE.name, system="new", title=sentence("Errors"),
    level=Severity.CRITICAL, why=sentence("It is 7 %"), raised_us=BEGAN_US, value=0.07,
    threshold=0.05, sample=900,
)  # fmt: skip


def _view(value: float | None) -> AlertsView:
    sign = Sign(RULE.name, "new", Condition.FIRING, sentence("Errors"), value=value)
    return AlertsView(BEGAN_US, Book(), (sign,), plan(RULE), (), stored=True, deciding=True)


@pytest.mark.parametrize(
    ("value", "english", "japanese"),
    [
        (0.07, "It is 7 %", "It is 7 %。"),
        (
            0.49,
            "It is 7 % That was when it reached its level; now it is 49 %.",
            "It is 7 %。これはその重大度に達した時点の値で、現在は 49 % です。",
        ),
        (
            None,
            "It is 7 % That was when it reached its level; now it is unknown.",
            "It is 7 %。これはその重大度に達した時点の値で、現在は 不明 です。",
        ),
    ],
)
def test_a_figure_of_then_stands_beside_the_one_of_now(value, english, japanese):
    """An old figure is not left in the present tense; one that still holds is."""
    text = one_alert(INCIDENT, _view(value)).text
    assert (text.en, text.ja) == (english, japanese)


def test_what_is_over_speaks_of_then():
    """There is no figure of now for it."""
    text = one_alert(replace(INCIDENT, ended_us=BEGAN_US + 1), _view(0.9)).text
    assert text.en == "It is 7 % That was when it reached its level."


def test_what_is_no_figure_stays_as_it_was_said():
    """A rollback, or a rule that the policy has no more, has nothing to compare with."""
    for incident in (replace(INCIDENT, value=None), replace(INCIDENT, rule="rollback")):
        assert one_alert(incident, _view(0.9)).text.en == "It is 7 %"

"""Rules say what they decide, refuse to decide nothing, and judge stored differences anew."""

from __future__ import annotations

import pytest

from gateway.core.comparison import Cause, Kind, Rule, Rules, compare
from gateway.core.comparison.paths import Wild
from gateway.core.comparison.rules import REMEMBERED_FIELDS

WHY = "agreed with the owner"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"path": "a", "reason": WHY}, "decides nothing"),
        ({"path": "a", "reason": " ", "ignore": True}, "needs a reason"),
        ({"path": "", "reason": WHY, "ignore": True}, "needs a path"),
        ({"path": "a[", "reason": WHY, "ignore": True}, "cannot read"),
        ({"path": "a", "reason": WHY, "key": "id", "ignore": True}, "not unordered"),
        ({"path": "a", "reason": WHY, "tolerance": -1.0}, "tolerance -1.0"),
        ({"path": "a", "reason": WHY, "tolerance_ratio": float("nan")}, "tolerance nan"),
    ],
)
def test_broken_rules_are_refused(wrong, message):
    """Each with what is wrong with it."""
    with pytest.raises(ValueError, match=message):
        Rule(**wrong)


def test_all_rules_of_a_path_hold():
    """Flags add up, the wider tolerance wins, and unordered is for the very list."""
    rules = Rules(
        [
            Rule("**.price", WHY, tolerance=5),
            Rule("a.price", WHY, tolerance=9, mask=True),
            Rule("a[*]", WHY, unordered=True),
            Rule("a[*]", WHY, unordered=True, key="id"),
        ]
    )
    effect = rules.at(("a", "price"))
    assert (effect.tolerance, effect.mask, effect.unordered, effect.ignore) == (
        9,
        True,
        False,
        False,
    )
    assert rules.at(("a", Wild.INDEX)).key == "id"
    assert not rules.at(("a", Wild.INDEX, "x")).unordered
    assert rules.at(("a", "price")) is effect


def test_memory_for_fields_is_bounded():
    """Answers with endlessly many fields do not fill it."""
    rules = Rules([Rule("a", WHY, ignore=True)])
    for n in range(REMEMBERED_FIELDS + 10):
        rules.at((f"field{n}",))
    assert len(rules._effects) <= REMEMBERED_FIELDS


def test_stored_differences_are_judged_by_new_rules():
    """A rule made today drops what was stored yesterday, just as it would have then."""
    left = {"a": {"b": 1}, "list": [1, 2], "price": 100, "gone": 1}
    right = {"a": {"b": 2}, "list": [2, 1], "price": 104}
    nested, order, price, gone = compare(left, right, Rules()).differences
    rules = Rules(
        [
            Rule("a", WHY, ignore=True),
            Rule("list", WHY, unordered=True),
            Rule("price", WHY, tolerance=5),
        ]
    )
    assert [rules.drops(d) for d in (nested, order, price, gone)] == [True, True, True, False]
    assert compare(left, right, rules).differences == (gone,)


def test_what_counts():
    """Format never counts; forgiven causes do not; everything else does."""
    [written, real] = compare({"a": "1,0", "b": 1}, {"a": "1,0 ", "b": 2}, Rules()).differences
    assert written.kind is Kind.FORMAT
    assert not Rules().counts(written)
    assert Rules().counts(real)
    assert not Rules(forgiven=[Cause.REAL]).counts(real)
    assert not Rules([Rule("b", WHY, ignore=True)]).counts(real)


def test_a_rule_says_what_was_decided():
    """The wording names every decision of the rule, and nothing else."""
    rule = Rule("list", WHY, unordered=True, key="id", tolerance=0.5)
    assert rule.wording == "list: unordered, key id, tolerance 0.5"
    assert Rule("a.b", WHY, ignore=True).wording == "a.b: ignore"

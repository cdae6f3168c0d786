"""Every kind of difference, the rules at work, and answers made to hurt."""

from __future__ import annotations

import json

import pytest

from gateway.core.comparison import (
    EQUAL,
    Cause,
    Kind,
    RepeatedKeys,
    Rule,
    Rules,
    compare,
    object_of,
    same,
)
from gateway.core.comparison.differences import (
    MASKED,
    MAX_DEPTH,
    MAX_DIFFERENCES,
    MAX_KEPT,
    MAX_SORTED,
    MAX_UNORDERED,
)

NO_RULES = Rules()
WHY = "for the test"


def found(left, right, *rules: Rule) -> list[tuple[str, Kind, Cause]]:
    """Path, kind and cause of each difference."""
    comparison = compare(left, right, Rules(rules))
    return [(found.path, found.kind, found.cause) for found in comparison.differences]


def nested(depth: int, leaf: object) -> object:
    """A value so many lists deep."""
    for _ in range(depth):
        leaf = [leaf]
    return leaf


@pytest.mark.parametrize(
    "value",
    [None, True, 1, 1.5, "a", [], {}, [1, [2]], {"a": {"b": [None]}}, 2**70, ["\ud800"]],
)
def test_equal_values_have_no_differences(value):
    """Whatever the value, and however its keys are ordered."""
    assert compare(value, json.loads(json.dumps(value)), NO_RULES) is EQUAL
    assert compare({"x": value, "y": 1}, {"y": 1, "x": value}, NO_RULES) is EQUAL


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, True),
        (1, 1.0),
        ({"a": [0]}, {"a": [False]}),
        ({"a": 1, "b": True}, {"b": 1, "a": True}),
        ({"a": 2**70, "b": 1}, {"a": 2**70, "b": True}),
        ([2**70, 1], [2**70, 1.0]),
        ({"a": float("nan")}, {"a": None}),
    ],
)
def test_equal_to_python_is_not_the_same(left, right):
    """One, one point nought and true are three different answers, wherever they stand."""
    assert not same(left, right)
    assert found(left, right)


def test_missing_and_extra():
    """What only one side has is named by the side; null against absent has its own cause."""
    assert found({"a": 1, "b": None}, {"c": None, "d": 2}) == [
        ("a", Kind.MISSING, Cause.REAL),
        ("b", Kind.MISSING, Cause.NULL_AGAINST_ABSENT),
        ("c", Kind.EXTRA, Cause.NULL_AGAINST_ABSENT),
        ("d", Kind.EXTRA, Cause.REAL),
    ]


def test_only_what_differs_is_named():
    """Equal neighbours, objects and lists among them, stay silent."""
    left = {"same": {"a": [1]}, "list": [1], "price": 5, "deep": {"x": {"y": "1,000"}}}
    right = {"same": {"a": [1]}, "list": [1], "price": 6, "deep": {"x": {"y": "1000"}}}
    assert found(left, right) == [
        ("price", Kind.VALUE, Cause.REAL),
        ("deep.x.y", Kind.FORMAT, Cause.FORMAT_ONLY),
    ]


def test_a_difference_keeps_both_values():
    """The baseline's is left, the canary's right, and it knows its field."""
    [difference] = compare([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 3}], NO_RULES).differences
    assert (difference.path, difference.field) == ("[1].a", "[*].a")
    assert (difference.left, difference.right) == (2, 3)
    assert difference.signature == ("[*].a", Kind.VALUE, Cause.REAL)


def test_another_order_is_one_difference():
    """The same elements in another order are one difference of order, not many of value."""
    assert found({"a": [1, {"x": 2}, 3]}, {"a": [3, 1, {"x": 2}]}) == [
        ("a", Kind.ORDER, Cause.ORDER)
    ]


def test_one_element_more_or_less_is_one_difference():
    """What surrounds an inserted or removed element still belongs together."""
    assert found([1, 2, 3, 4], [1, 2, 9, 3, 4]) == [("[2]", Kind.EXTRA, Cause.REAL)]
    assert found([1, 2, 3, 4], [1, 4]) == [
        ("[1]", Kind.MISSING, Cause.REAL),
        ("[2]", Kind.MISSING, Cause.REAL),
    ]
    assert found([1, 2], [1, 2, None]) == [("[2]", Kind.EXTRA, Cause.NULL_AGAINST_ABSENT)]


def test_elements_of_lists_of_one_length_are_paired():
    """Without the same elements, first is compared with first."""
    assert found([1, 2, 3, 4], [1, 5, 3, 6]) == [
        ("[1]", Kind.VALUE, Cause.REAL),
        ("[3]", Kind.VALUE, Cause.REAL),
    ]


def test_unordered_lists():
    """Order is forgiven by a rule; what has no equal is paired in turn, the rest left over."""
    rule = Rule("a", WHY, unordered=True)
    assert found({"a": [1, 2, 2, 3]}, {"a": [2, 3, 2, 1]}, rule) == []
    assert found({"a": [1, 2, 7]}, {"a": [8, 2, 1]}, rule) == [("a[2]", Kind.VALUE, Cause.REAL)]
    assert found({"a": [1, 7]}, {"a": [1]}, rule) == [("a[1]", Kind.MISSING, Cause.REAL)]
    assert found({"a": [1]}, {"a": [7, 1]}, rule) == [("a[0]", Kind.EXTRA, Cause.REAL)]


def test_unordered_lists_with_a_key():
    """Elements belong together by their key, and are compared field by field."""
    rule = Rule("a", WHY, unordered=True, key="id")
    left = {"a": [{"id": 1, "v": 1}, {"id": 2, "v": 2}, {"id": 3}, "odd"]}
    right = {"a": [{"id": 2, "v": 9}, {"id": 4}, {"id": 1, "v": 1}, "odd"]}
    assert found(left, right, rule) == [
        ("a[1].v", Kind.VALUE, Cause.REAL),
        ("a[2]", Kind.MISSING, Cause.REAL),
        ("a[1]", Kind.EXTRA, Cause.REAL),
    ]


def test_lists_too_long_to_be_sorted_are_compared_in_order():
    """Neither a changed order nor a rule makes a huge list expensive."""
    long = list(range(MAX_SORTED + 1))
    assert len(found(long, long[::-1])) == MAX_DIFFERENCES
    longer = list(range(MAX_UNORDERED + 1))
    turned = [*longer[1:], 0]
    assert len(found(longer, turned, Rule("**", WHY, unordered=True))) == MAX_DIFFERENCES


def test_ignored_paths_are_not_looked_at():
    """At the path, below it, on one side only, and for repeated keys."""
    rule = Rule("a", WHY, ignore=True)
    assert found({"a": 1}, {"a": {"b": 2}}, rule) == []
    assert found({"a": 1}, {}, rule) == []
    assert found(object_of([("a", 1), ("a", 2)]), {"a": 2}, rule) == []
    assert found({"a": 1, "b": 1}, {"a": 2, "b": 2}, rule) == [("b", Kind.VALUE, Cause.REAL)]


def test_tolerance():
    """Numbers may be apart by an amount or a share, at the path and below it; nothing else may."""
    amount = Rule("a", WHY, tolerance=5)
    share = Rule("a", WHY, tolerance_ratio=0.01)
    assert found({"a": [100]}, {"a": [105]}, amount) == []
    assert found({"a": 1000}, {"a": 1010}, share) == []
    assert found({"a": 100}, {"a": 106}, amount)
    assert found({"a": 1000}, {"a": 1011}, share)
    assert found({"a": 100}, {"a": "100"}, amount)
    assert found({"a": 10**400}, {"a": 0.5}, share)
    assert found({"a": float("nan")}, {"a": 1.0}, amount)


def test_masked_values_are_not_kept():
    """The difference stays, the person's data does not; an absent side stays absent."""
    comparison = compare(
        {"phone": "06-1", "name": "x"}, {"phone": "06-2"}, Rules([Rule("**", WHY, mask=True)])
    )
    assert [(d.left, d.right) for d in comparison.differences] == [(MASKED, MASKED), (MASKED, None)]


def test_nan_is_equal_to_itself():
    """Two answers that both say NaN agree; NaN against a number does not."""
    nan = float("nan")
    assert found({"a": nan, "b": 1}, {"a": float("nan"), "b": 1}) == []
    assert found([nan, [nan]], [float("nan"), [float("nan")]]) == []
    assert found({"a": nan}, {"a": 1.0}) == [("a", Kind.VALUE, Cause.REAL)]


def test_repeated_keys_are_a_difference_of_format():
    """The last one holds, as parsers do it, but that one side repeated itself is told."""
    twice = json.loads('{"a": 1, "b": 0, "a": 2}', object_pairs_hook=object_of)
    once = json.loads('{"a": 2, "b": 0}', object_pairs_hook=object_of)
    assert isinstance(twice, RepeatedKeys)
    assert type(once) is dict
    assert found(twice, once) == [("a", Kind.FORMAT, Cause.FORMAT_ONLY)]
    assert found(once, twice) == [("a", Kind.FORMAT, Cause.FORMAT_ONLY)]
    assert twice != once
    assert (
        found({"x": twice}, {"x": json.loads('{"a":1,"b":0,"a":2}', object_pairs_hook=object_of)})
        == []
    )
    assert found(twice, {"b": 0}) == [
        ("a", Kind.MISSING, Cause.REAL),
        ("a", Kind.FORMAT, Cause.FORMAT_ONLY),
    ]


@pytest.mark.parametrize("depth", [MAX_DEPTH + 5, 300, 10_000])
def test_depth_never_hurts(depth):
    """What lies too deep is a difference that nobody could read, never an exception or a match."""
    [difference] = compare(nested(depth, 1), nested(depth, 2), NO_RULES).differences
    assert difference.cause is Cause.UNREADABLE
    assert difference.path == "[0]" * (MAX_DEPTH + 1)


def test_equal_but_too_deep_to_be_asked_is_no_match():
    """Unknown never counts as good."""
    left, right = nested(100_000, 1), nested(100_000, 1)
    assert [cause for _, _, cause in found(left, right)] == [Cause.UNREADABLE]


def test_depth_in_lists_to_be_sorted():
    """An element that cannot be written down is equal to none."""
    deep = nested(100_000, 1)
    assert found([deep, 1], [2, deep], Rule("**", WHY, unordered=True))
    assert found([1, deep], [deep, 2])


def test_the_number_of_differences_is_bounded():
    """Huge answers that differ everywhere stop being looked at, and say so."""
    huge = {str(n): n for n in range(100_000)}
    other = {str(n): n + 1 for n in range(100_000)}
    comparison = compare(huge, other, NO_RULES)
    assert len(comparison.differences) == MAX_DIFFERENCES
    assert comparison.truncated
    for left, right in [(huge, {}), ({}, huge), ([1] * 9999, [2] * 9999), ([1] * 9999, [])]:
        assert compare(left, right, NO_RULES, most=3).truncated
        assert len(compare(left, right, NO_RULES, most=3).differences) == 3
    inside = compare([huge, 1], [other, 2], NO_RULES, most=3)
    assert inside.truncated
    exact = compare([1, 2, 3], [4, 5, 6], NO_RULES, most=3)
    assert not exact.truncated


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("a" * (MAX_KEPT + 7), "a" * MAX_KEPT + "…(+7)"),
        (True, True),
        ("\ud800値", "\\ud800値"),
        (["\ud800"], '["\\ud800"]'),
        (2**63, 2**63),
        (10**30, hex(10**30)),
        ({"a": ["値"]}, '{"a": ["値"]}'),
        (["x" * 400, "y" * 400], '["' + "x" * 400 + '", "' + "y" * 94 + "…"),
        ([{1, 2}], '["{1, 2}"]'),
        (nested(100_000, 1), "[" * MAX_KEPT + "…"),
    ],
)
def test_what_is_kept_of_a_value_is_bounded(value, kept):
    """Short scalars are kept whole, structures as the beginning of their JSON."""
    [difference] = compare([value], [None], NO_RULES).differences
    assert difference.left == kept
    assert difference.right is None


def test_keys_that_json_does_not_have_do_not_hurt():
    """A caller's mistake becomes a difference as well."""
    [difference] = compare([{(1, 2): 1}], [1], NO_RULES).differences
    assert difference.left == "{…"
    assert found([{(1, 2): 1}, 5], [5, {(1, 2): 1}])

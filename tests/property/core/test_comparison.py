"""The comparison against every JSON value, seeded drift, and a year of real change."""

from __future__ import annotations

import copy
import csv
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.comparison import (
    Cause,
    Kind,
    Rule,
    Rules,
    compare,
    match_records,
    parsed,
    spelled,
)
from gateway.core.comparison.causes import classify
from tests.support.scale import scale
from tests.support.shared import shared

EXAMPLES = scale(full=1_500, quick=80)
NO_RULES = Rules()

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["2026-01-02T03:04:05Z", "１", "1,000", "2026-01-02", "\ud800", 10**400])
)
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)

TURNED = {Kind.MISSING: Kind.EXTRA, Kind.EXTRA: Kind.MISSING}


@settings(max_examples=EXAMPLES, deadline=None)
@given(json_values)
def test_everything_agrees_with_its_copy(value):
    """NaN, huge numbers and odd texts included."""
    again = json.loads(json.dumps(value))  # unlike a copy, this shares no NaN
    assert compare(value, again, NO_RULES).differences == ()


@settings(max_examples=EXAMPLES, deadline=None)
@given(json_values, json_values)
def test_both_sides_see_the_same_differences(left, right):
    """Exchanging the sides exchanges missing and extra, and nothing else; nothing ever raises."""
    there = compare(left, right, NO_RULES).differences
    back = compare(right, left, NO_RULES).differences
    expected = sorted(
        (found.path, TURNED.get(found.kind, found.kind).value, found.cause.value) for found in there
    )
    assert sorted((found.path, found.kind.value, found.cause.value) for found in back) == expected
    assert all(spelled(parsed(found.field)) == found.field for found in there)


@settings(max_examples=EXAMPLES, deadline=None)
@given(json_values, json_values)
def test_a_stored_difference_is_dropped_by_the_rule_that_names_it(left, right):
    """Ignoring every field that differs leaves nothing, in the store and when comparing again."""
    found = compare(left, right, NO_RULES).differences
    rules = Rules([Rule(d.field, "seen", ignore=True) for d in found if d.field])
    kept = [d for d in found if not rules.drops(d)]
    assert kept == [d for d in found if not d.field]
    again = compare(left, right, rules).differences
    assert {d.field for d in again} <= {""}


BROAD_RULES = Rules(
    [
        Rule("**", "all at once", unordered=True, tolerance=1, tolerance_ratio=0.1, mask=True),
        Rule("*", "by number", unordered=True, key="a"),
    ]
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(json_values, json_values)
def test_whatever_is_found_can_be_stored(left, right):
    """Under any rules and without: text that encodes, numbers that fit, nothing that raises."""
    for rules in (NO_RULES, BROAD_RULES):
        for found in compare([left], [right], rules).differences:
            json.dumps(found[:2] + found[4:], ensure_ascii=False).encode()
            assert spelled(parsed(found.field)) == found.field


@settings(max_examples=EXAMPLES, deadline=None)
@given(scalars, scalars)
def test_causes_are_symmetric_and_never_raise(left, right):
    """Whatever two scalars, the finding is the same from both sides."""
    assert classify(left, right) == classify(right, left)


LISTING = {
    "propertyNumber": "AA1",
    "address": "大阪府大阪市北区1-2-3",
    "priceYen": 38_000_000,
    "areaM2": 62.54,
    "publishedAt": "2026-11-01T09:30:15.250+09:00",
    "id": "0b0e3c1a-5d3f-4a8e-9c1b-2f6d7e8a9b0c",
    "notes": None,
    "extra": {"front": "南", "roads": ["市道", "国道", "府道"]},
}

DRIFTS = {
    "forgets a field": (lambda new: new.pop("address"), "address", Kind.MISSING, Cause.REAL),
    "adds a field": (lambda new: new.update(x=1), "x", Kind.EXTRA, Cause.REAL),
    "drops a null": (
        lambda new: new.pop("notes"), "notes", Kind.MISSING, Cause.NULL_AGAINST_ABSENT,
    ),
    "writes null": (lambda new: new.update(priceYen=None), "priceYen", Kind.TYPE, Cause.REAL),
    "writes text": (
        lambda new: new.update(priceYen="38000000"), "priceYen", Kind.TYPE, Cause.FORMAT_ONLY,
    ),
    "is one yen off": (
        lambda new: new.update(priceYen=38_000_001), "priceYen", Kind.VALUE, Cause.REAL,
    ),
    "rounds": (lambda new: new.update(areaM2=62.5), "areaM2", Kind.VALUE, Cause.PRECISION),
    "cuts the milliseconds": (
        lambda new: new.update(publishedAt="2026-11-01T09:30:15+09:00"),
        "publishedAt", Kind.VALUE, Cause.PRECISION,
    ),
    "takes local time for UTC": (
        lambda new: new.update(publishedAt="2026-11-01T09:30:15.250Z"),
        "publishedAt", Kind.VALUE, Cause.TIME_ZONE,
    ),
    "writes UTC": (
        lambda new: new.update(publishedAt="2026-11-01T00:30:15.25Z"),
        "publishedAt", Kind.FORMAT, Cause.TIME_ZONE,
    ),
    "makes its own ids": (
        lambda new: new.update(id="1b0e3c1a-5d3f-4a8e-9c1b-2f6d7e8a9b0c"),
        "id", Kind.VALUE, Cause.GENERATED,
    ),
    "writes full width": (
        lambda new: new.update(address="大阪府大阪市北区１－２－３"),
        "address", Kind.FORMAT, Cause.FORMAT_ONLY,
    ),
    "turns a list": (
        lambda new: new["extra"]["roads"].reverse(), "extra.roads", Kind.ORDER, Cause.ORDER,
    ),
    "loses an element": (
        lambda new: new["extra"]["roads"].pop(1), "extra.roads[1]", Kind.MISSING, Cause.REAL,
    ),
    "empties a text": (lambda new: new.update(address=""), "address", Kind.VALUE, Cause.REAL),
}  # fmt: skip


@pytest.mark.parametrize("share", [0.001, 0.05])
@pytest.mark.parametrize("name", DRIFTS)
def test_seeded_drift_is_found_named_and_nothing_else_is(name, share):
    """One in a thousand, one in twenty: each drifted listing shows exactly its drift."""
    drift, path, kind, cause = DRIFTS[name]
    draw, listings = random.Random(7), scale(full=20_000, quick=2_000)
    drifted = set(draw.sample(range(listings), max(1, int(listings * share))))
    for number in range(listings):
        old = {**LISTING, "propertyNumber": f"AA{number}"}
        new = copy.deepcopy(old) if number in drifted else dict(reversed(old.items()))
        if number in drifted:
            drift(new)
        found = [(d.path, d.kind, d.cause) for d in compare(old, new, NO_RULES).differences]
        assert found == ([(path, kind, cause)] if number in drifted else [])


def rows(year: int) -> dict[str, dict[str, str]]:
    """The real land-price points of a year, by key, as text as they came."""
    with shared(f"data/osaka_land_price_{year}.csv").open(encoding="utf-8-sig", newline="") as file:
        read = list(csv.DictReader(file))
    return {"-".join(row[f"L01_00{part}"] for part in (1, 2, 3)): row for row in read}


def test_a_year_of_real_change():
    """Old writes True, new true, 1,534 prices moved: all is found, no format is called real."""
    old, new = rows(2024), rows(2025)
    both = old.keys() & new.keys()
    price_moved, format_only = set(), 0
    for key in both:
        differences = compare(old[key], new[key], NO_RULES, most=500).differences
        assert {d.path for d in differences} == {
            column
            for column in old[key].keys() | new[key].keys()
            if old[key].get(column) != new[key].get(column)
        }
        for found in differences:
            words = f"{found.left}".lower(), f"{found.right}".lower()
            if set(words) <= {"true", "false"}:
                assert (found.kind is Kind.FORMAT) == (words[0] == words[1])
                format_only += words[0] == words[1]
            if found.path == "L01_008":
                assert (found.kind, found.cause) == (Kind.VALUE, Cause.REAL)
                price_moved.add(key)
    assert (len(both), len(price_moved)) == (1678, 1534)
    assert format_only > 20_000


def test_real_keys_that_came_and_went():
    """37 points are gone, 9 are new, and the prices that moved are the digests that differ."""
    answers = [
        [{"propertyNumber": key, "digest": row["L01_008"]} for key, row in rows(year).items()]
        for year in (2024, 2025)
    ]
    found = match_records(*json.loads(json.dumps(answers)))
    assert (len(found.missing), len(found.extra), len(found.different)) == (37, 9, 1534)
    assert found.compared == 1678 + 37 + 9

"""Sync answers matched by digests, those of a broken system included."""

from __future__ import annotations

import pytest

from gateway.core.comparison import RecordsMatch, match_records


def record(number: object, digest: object = "d", action: str = "updated") -> dict[str, object]:
    """One record of an answer."""
    return {"propertyNumber": number, "action": action, "digest": digest}


def test_agreement_is_by_digest_alone():
    """In any order, whatever each system had to do."""
    baseline = [record("A"), record("B", "x", "created")]
    canary = [record("B", "x", "unchanged"), record("A")]
    found = match_records(baseline, canary)
    assert found == RecordsMatch(matched=2)
    assert found.compared == 2


def test_missing_extra_and_different_are_named():
    """Each by its property number, in order."""
    baseline = [record("D"), record("C", "1"), record("B"), record("A")]
    canary = [record("A"), record("C", "2"), record("Z"), record("Y")]
    found = match_records(baseline, canary)
    assert found == RecordsMatch(matched=1, missing=("B", "D"), extra=("Y", "Z"), different=("C",))
    assert found.compared == 6


def test_failures():
    """Failing alike agrees, failing alone does not, and no digest agrees with nothing."""
    failed, empty = record("A", None, "failed"), record("A", None)
    assert match_records([failed], [failed]).matched == 1
    assert match_records([failed], [record("A")]).different == ("A",)
    assert match_records([empty], [empty]).different == ("A",)
    assert match_records([record("A", "")], [record("A", "")]).different == ("A",)
    assert match_records([record("A", 5)], [record("A", 5)]).different == ("A",)


@pytest.mark.parametrize("broken", [None, {}, "records", 5])
def test_no_list_is_unreadable(broken):
    """An answer without records agrees with nothing."""
    assert match_records([record("A")], broken) == RecordsMatch(
        matched=0, missing=("A",), unreadable=1
    )


def test_what_is_no_record_is_counted():
    """Foreign elements, missing numbers and repetitions never count as agreement."""
    odd = ["text", {}, record(5), record("A"), record("A", "other")]
    found = match_records(odd, [record("A")])
    assert found == RecordsMatch(matched=1, unreadable=4)
    assert found.compared == 5

"""Two answers to one sync: whatever a shadow says becomes a difference of the right kind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.comparison import (
    AnswerPair,
    Cause,
    Difference,
    Kind,
    Opened,
    Rule,
    Rules,
    open_answers,
)

RULES = Rules([Rule("system", "by design", ignore=True), Rule("syncId", "new", ignore=True)])


def answer(*records: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A sync's answer with these records."""
    return {"syncId": "s", "system": "old", "records": list(records), "errors": [], **more}


def record(number: str, digest: str | None = "d", **more: Any) -> dict[str, Any]:
    """One listing's record."""
    return {"propertyNumber": number, "action": "updated", "digest": digest, **more}


BASE = answer(record("a"), record("b"), record("c"))


def opened(
    left: Any,
    right: Any,
    *,
    statuses: tuple[int, int] = (200, 200),
    records: tuple[int, int] = (3, 3),
) -> Opened:
    """Open two bodies, given as values, text or bytes."""
    raw = [
        body if isinstance(body, bytes)
        else body.encode() if isinstance(body, str)
        else json.dumps(body).encode()
        for body in (left, right)
    ]  # fmt: skip
    return open_answers(AnswerPair(statuses, records, (raw[0], raw[1])), RULES, most=100)


def found(result: Opened) -> set[tuple[str, Kind, Cause]]:
    """The signatures of all differences."""
    return {
        (each.field, each.kind, each.cause)
        for listing in result.differing
        for each in listing.comparison.differences
    }


@pytest.mark.parametrize(
    "body",
    [
        "not json",
        json.dumps(BASE)[:-20],
        "[1, 2]",
        '"text"',
        "",
        "[" * 10_000 + "]" * 10_000,
        '{"records":' * 10_000 + "1" + "}" * 10_000,
        b"\xff\xfe\x00broken",
        '{"records": ' + "9" * 5_000 + "}",
    ],
    ids=["text", "cut", "array", "string", "empty", "deep", "deep-objects", "bytes", "digits"],
)
def test_what_cannot_be_read_disagrees_in_all_listings(body: str | bytes) -> None:
    """No exception, no agreement: three listings of cause unreadable (or three missing)."""
    result = opened(BASE, body)
    assert (result.matched, result.differed >= 3) == (0, True)
    causes = {cause for _, _, cause in found(result)}
    assert Cause.UNREADABLE in causes or found(result) == {("records[*]", Kind.MISSING, Cause.REAL)}


def test_an_answer_too_large_to_be_handed_on_disagrees() -> None:
    """What nobody looked into is not known to agree."""
    result = open_answers(AnswerPair((200, 200), (7, 5), None), RULES, most=100)
    assert (result.matched, result.differed) == (0, 7)
    assert found(result) == {("answer", Kind.VALUE, Cause.UNREADABLE)}


def test_another_status_disagrees_in_all_listings() -> None:
    """The status is named with both values."""
    result = opened(BASE, {"detail": "no"}, statuses=(200, 503))
    assert (result.matched, result.differed) == (0, 3)
    assert result.differing[0].comparison.differences == (
        Difference("status", "status", Kind.VALUE, Cause.REAL, 200, 503),
    )


def test_missing_extra_and_repeated_records_are_told_apart() -> None:
    """Each is a difference of its own kind, whatever the order of the others."""
    shadow = answer(record("c"), record("x"), record("a"), record("a"))
    result = opened(BASE, shadow)
    assert (result.matched, result.differed) == (2, 3)
    assert found(result) == {
        ("records[*]", Kind.MISSING, Cause.REAL),
        ("records[*]", Kind.EXTRA, Cause.REAL),
        ("records[*]", Kind.VALUE, Cause.UNREADABLE),
    }
    assert {listing.number for listing in result.differing} == {"b", "x", None}


def test_rows_say_which_field_differs() -> None:
    """Both rows come with the record that differs; the others agree."""
    pair = {
        "row": {"title": "t", "priceYen": 1000},
        "shadowOfRow": {"title": "t", "priceYen": 1234},
    }
    result = opened(BASE, answer(record("a"), record("b", "other", **pair), record("c")))
    assert (result.matched, result.differed) == (2, 1)
    assert result.differing[0].number == "b"
    assert result.differing[0].comparison.differences == (
        Difference("priceYen", "priceYen", Kind.VALUE, Cause.REAL, 1234, 1000),
    )


@pytest.mark.parametrize(
    ("digest", "more", "kind"),
    [
        ("other", {}, Kind.VALUE),
        ("other", {"row": {"a": 1}, "shadowOfRow": {"a": 1}}, Kind.VALUE),
        ("other", {"row": "no row", "shadowOfRow": 7}, Kind.VALUE),
        (None, {"action": "failed"}, Kind.MISSING),
        (17, {}, Kind.MISSING),
    ],
    ids=["no-rows", "wrong-digest", "rows-that-are-none", "failed", "no-text"],
)
def test_digests_that_differ_without_explanation_count(
    digest: Any, more: dict[str, Any], kind: Kind
) -> None:
    """A digest that does not fit its row, or has none, is a difference of the digest."""
    result = opened(BASE, answer(record("a"), record("b", digest, **more), record("c")))
    assert (result.matched, result.differed) == (2, 1)
    assert found(result) == {("records[*].digest", kind, Cause.REAL)}


def test_records_that_agree_leave_the_rest_to_be_explained() -> None:
    """The digests differed: either the rest of the answers does, or a digest is wrong."""
    fault = {"propertyNumber": None, "code": "invalid", "error": "?"}
    assert found(opened(BASE, {**BASE, "errors": [fault]})) == {
        ("errors[*]", Kind.EXTRA, Cause.REAL)
    }
    assert found(opened(BASE, {**BASE, "system": "new"})) == {
        ("Sync-Digest", Kind.VALUE, Cause.REAL)
    }


def test_repeated_keys_and_nan_are_differences_and_no_errors() -> None:
    """JSON that other parsers would bend to fit is looked at as it is."""
    text = json.dumps(BASE)
    twice = text.replace('"errors": []', '"errors": [], "errors": []')
    assert ("errors", Kind.FORMAT, Cause.FORMAT_ONLY) in found(opened(text, twice))
    nan = text.replace('"errors": []', '"errors": [NaN]')
    assert found(opened(text, nan)) == {("errors[*]", Kind.EXTRA, Cause.REAL)}


def test_what_is_kept_of_one_answer_is_bounded() -> None:
    """Ten thousand listings that differ are all counted, five hundred are kept."""
    many = [record(f"n{i}") for i in range(10_000)]
    result = opened(answer(*many), answer(*({**each, "digest": "x"} for each in many)))
    assert (result.matched, result.differed, len(result.differing)) == (0, 10_000, 500)


class BrokenRules(Rules):
    """Rules with a fault of their own."""

    def at(self, field: Any) -> Any:
        """Fail, as a rule nobody foresaw might."""
        raise ValueError(field)


def test_a_broken_rule_is_a_difference_and_no_exception() -> None:
    """Whatever goes wrong in comparing, the answer is counted as one that could not be read."""
    rows = {"digest": "e", "row": {"x": 1}, "shadowOfRow": {"x": 2}}
    bodies = (json.dumps(answer(record("a"))), json.dumps(answer({**record("a"), **rows})))
    pair = AnswerPair((200, 200), (1, 1), (bodies[0].encode(), bodies[1].encode()))
    result = open_answers(pair, BrokenRules(), most=100)
    assert {(kind, cause) for _, kind, cause in found(result)} == {(Kind.VALUE, Cause.UNREADABLE)}


def test_records_without_a_number_are_nobodys() -> None:
    """A record that names no listing is unreadable; the others are still matched."""
    result = opened(answer(record("a")), answer({"digest": "d"}, 5, record("a", "e")))
    assert any(cause is Cause.UNREADABLE for _, _, cause in found(result))
    assert any(listing.number == "a" for listing in result.differing)

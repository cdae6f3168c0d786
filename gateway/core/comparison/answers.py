"""
Two answers to one sync, opened: which listings agree, and for each that does not, what differs.

The answers come from a system under test, so everything may be wrong with them: no JSON, cut off,
too deep, keys twice, records missing, repeated or in another order, digests that do not fit,
another status. Each becomes a difference of its own kind, never an exception and never agreement.

A record on which the digests disagree may bring both rows (``row``, ``shadowOfRow``); then the
difference is one of fields. Without them it is one of digests.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gateway.core.comparison.differences import RepeatedKeys, compare, object_of
from gateway.core.comparison.records import match_records
from gateway.core.comparison.words import Cause, Comparison, Difference, Kind, Scalar

if TYPE_CHECKING:
    from gateway.core.comparison.causes import KindAndCause
    from gateway.core.comparison.rules import Rules

MOST_LISTINGS: Final = 500
"""Listings of one answer that are kept with their differences; the others are only counted."""

ANSWER: Final = "answer"
STATUS: Final = "status"
RECORD: Final = "records[*]"
DIGEST: Final = "records[*].digest"
UNREADABLE: Final = (Kind.VALUE, Cause.UNREADABLE)


class AnswerPair(NamedTuple):
    """What the client got, and what the shadow said; `bodies` None: too large to hand on."""

    statuses: tuple[int, int]
    records: tuple[int, int]
    bodies: tuple[bytes, bytes] | None


class Differing(NamedTuple):
    """One listing on which two answers disagree; no number: the answer as a whole."""

    number: str | None
    comparison: Comparison


class Opened(NamedTuple):
    """One pair of answers, listing by listing; `differed` counts those beyond `differing`, too."""

    matched: int
    differed: int
    differing: tuple[Differing, ...]
    means: str | None = None


def open_answers(pair: AnswerPair, rules: Rules, *, most: int) -> Opened:
    """Compare two answers; `most` differences are kept per listing."""
    listings = max(1, *pair.records)
    if pair.statuses[0] != pair.statuses[1]:
        return _whole(listings, STATUS, (Kind.VALUE, Cause.REAL), *pair.statuses)
    if pair.bodies is None:
        return _whole(listings, ANSWER, UNREADABLE, "too large to be opened", None)
    read = [_read(body) for body in pair.bodies]
    left, right = read
    if not isinstance(left, dict) or not isinstance(right, dict):
        said = [None if isinstance(value, dict) else _beginning(value) for value in read]
        return _whole(listings, ANSWER, UNREADABLE, *said)
    try:
        return _open(left, right, rules, most)
    except (RecursionError, ValueError, TypeError, OverflowError) as error:
        return _whole(listings, ANSWER, UNREADABLE, None, type(error).__name__)


def _whole(listings: int, place: str, why: KindAndCause, *sides: Scalar) -> Opened:
    """All listings of an answer disagree, for one reason."""
    comparison = Comparison((Difference(place, place, *why, *sides),))
    return Opened(0, listings, (Differing(None, comparison),) * min(listings, MOST_LISTINGS))


def _read(body: bytes) -> Any:
    try:
        return json.loads(body, object_pairs_hook=object_of)
    except (ValueError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"


def _beginning(value: Any) -> str:
    text = value if isinstance(value, str) else f"JSON, but no object: {type(value).__name__}"
    return text[:200].encode(errors="backslashreplace").decode()


def _open(left: dict[str, Any], right: dict[str, Any], rules: Rules, most: int) -> Opened:
    match = match_records(left.get("records"), right.get("records"))
    ours, theirs = _by_number(left.get("records")), _by_number(right.get("records"))
    differing = [
        Differing(number, _alone(kind, number))
        for kind, numbers in ((Kind.MISSING, match.missing), (Kind.EXTRA, match.extra))
        for number in numbers[:MOST_LISTINGS]
    ]
    differing += [
        Differing(number, _rows(ours[number], theirs[number], rules, most))
        for number in match.different[:MOST_LISTINGS]
    ]
    if match.unreadable:
        unreadable = Comparison((Difference(RECORD, RECORD, *UNREADABLE, None, None),))
        differing += [Differing(None, unreadable)] * min(match.unreadable, MOST_LISTINGS)
    differed = match.compared - match.matched
    if not differed:
        rest = compare(_rest(left), _rest(right), rules, most=most)
        if not rest.differences:
            # Everything in them is the same, yet their digests were not.
            rest = Comparison((Difference("Sync-Digest", "Sync-Digest", Kind.VALUE, Cause.REAL,
                                          None, None),))  # fmt: skip
        differing, differed = [Differing(None, rest)], 1
    means = right.get("dryRunMeans")
    return Opened(
        match.matched,
        differed,
        tuple(differing[:MOST_LISTINGS]),
        means[:40] if isinstance(means, str) else None,
    )


def _rest(answer: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in answer.items() if key != "records"}
    if isinstance(answer, RepeatedKeys):
        return RepeatedKeys(list(rest.items()), answer.repeated)
    return rest


def _by_number(records: Any) -> dict[str, dict[str, Any]]:
    """Find the first record of each number, as `match_records` does."""
    found: dict[str, dict[str, Any]] = {}
    for record in records if isinstance(records, list) else ():
        number = record.get("propertyNumber") if isinstance(record, dict) else None
        if isinstance(number, str):
            found.setdefault(number, record)
    return found


def _alone(kind: Kind, number: str) -> Comparison:
    sides = (number, None) if kind is Kind.MISSING else (None, number)
    return Comparison((Difference(RECORD, RECORD, kind, Cause.REAL, *sides),))


def _rows(ours: dict[str, Any], theirs: dict[str, Any], rules: Rules, most: int) -> Comparison:
    """Compare the two rows, or the digests where there are no rows to compare."""
    left, right = theirs.get("shadowOfRow"), theirs.get("row")
    if isinstance(left, dict) and isinstance(right, dict):
        rows = compare(left, right, rules, most=most)
        if rows.differences:
            return rows
    return Comparison((_digests(ours.get("digest"), theirs.get("digest")),))


def _digests(left: Any, right: Any) -> Difference:
    sides = [value if isinstance(value, str) else None for value in (left, right)]
    shown = [side[:64].encode(errors="backslashreplace").decode() if side else None
             for side in sides]  # fmt: skip
    kind = Kind.MISSING if shown[1] is None else Kind.EXTRA if shown[0] is None else Kind.VALUE
    cause = Cause.UNREADABLE if shown == [None, None] else Cause.REAL
    return Difference(DIGEST, DIGEST, kind, cause, *shown)

"""
Two values that differ: in what way, and why, as far as the two alone tell.

The order of the questions is the order of harmlessness: is it the same thing written differently
(full-width digits, another offset for the same instant, 1 and 1.0)? Is it the same thing cut
shorter? Is it off by what a wrong time zone is off by? Did both systems make it up, like ids?
Whatever is left is real, and so is whatever is doubtful: a cause that excuses must be plain to see.
Only kind FORMAT is harmless by itself; every other cause is a word that helps people, and counts.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from math import inf, isfinite
from typing import Final
from unicodedata import normalize

from gateway.core.comparison.words import Cause, Kind

KindAndCause = tuple[Kind, Cause]

_SAME_INSTANT: Final = (Kind.FORMAT, Cause.TIME_ZONE)
_SAME: Final = (Kind.FORMAT, Cause.FORMAT_ONLY)
_REAL: Final = (Kind.VALUE, Cause.REAL)

FLOAT_NOISE_RATIO: Final = 1e-9
ROUNDING_RATIO: Final = 0.01
"""A rounded number is near the long one; 0.4 and 0 are no rounding of one another."""
EXACT_INTEGER: Final = 2**53
WIDEST_OFFSET: Final = timedelta(hours=14)
ONE_SECOND: Final = timedelta(seconds=1)
OFFSET_STEP: Final = timedelta(minutes=15)
STAMPED_TOGETHER: Final = timedelta(seconds=60)
"""Two systems that each write down "now" for one request are not further apart."""
DIGITS_LOOKED_AT: Final = 25
TEXT_LOOKED_AT: Final = 4096
"""Longer texts are not normalised: they would cost more than the answer is worth."""

_INSTANT: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d+))? ?(Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)
_DATE: Final = re.compile(r"(\d{4})[-/.年](\d\d?)[-/.月](\d\d?)日?", re.ASCII)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d*)(?:\.\d+)?", re.ASCII)
_UNIFIED: Final = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-") | {"\u301c": "~"}
)
_DASHES: Final = frozenset(map(chr, _UNIFIED))
"""Hyphens, dashes, the minus sign and the wave dash, which compatibility leaves apart."""
_BEGINNINGS: Final = frozenset("-0123456789abcdefABCDEFtT")
"""How dates, numbers, identifiers, true and false begin: most texts need not be asked."""
_TRUTHS: Final = frozenset({"true", "false"})
_MADE_UP: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-7][0-9A-HJKMNP-TV-Z]{25}",
    re.ASCII | re.IGNORECASE,
)
"""UUIDs and ULIDs. Bare hexadecimal may be a digest, and digests that differ are real."""


def classify(left: object, right: object) -> KindAndCause:
    """Give kind and cause of two unequal values, not both objects or both lists."""
    if isinstance(left, str) and isinstance(right, str):
        return _texts(left, right)
    if _is_number(left) and _is_number(right):
        return _numbers(left, right)  # type: ignore[arg-type]  # both are numbers, see above
    if type(left) is type(right):
        return _REAL
    return Kind.TYPE, _cause_across_types(left, right)


def _is_number(value: object) -> bool:
    return type(value) is int or type(value) is float


def _numbers(left: float, right: float) -> KindAndCause:
    if left == right:
        return _SAME
    both_exact = isinstance(left, int) and isinstance(right, int)
    largest = max(abs(left), abs(right))
    if both_exact and largest <= EXACT_INTEGER:
        return _REAL
    apart = _apart_ratio(left, right)
    if apart <= FLOAT_NOISE_RATIO:
        return Kind.VALUE, Cause.PRECISION
    if apart <= ROUNDING_RATIO and largest <= EXACT_INTEGER and _is_cut(repr(left), repr(right)):
        return Kind.VALUE, Cause.PRECISION
    return _REAL


def _apart_ratio(left: float, right: float) -> float:
    """Say how far apart two unequal numbers are, as a share of the larger; NaN is far from all."""
    try:
        finite = isfinite(left) and isfinite(right)
    except OverflowError:  # an integer beyond every float
        finite = False
    return abs(left - right) / max(abs(left), abs(right)) if finite else inf


def _is_cut(one: str, other: str) -> bool:
    """Tell whether one number is the other, rounded or cut to fewer decimals."""
    short, long = sorted((one, other), key=_decimals)
    places = _decimals(short)
    if places == _decimals(long) or "e" in one + other or len(long) > DIGITS_LOOKED_AT:
        return False
    step = Decimal(1).scaleb(-places)
    return Decimal(short) in {
        Decimal(long).quantize(step, rounding) for rounding in (ROUND_HALF_UP, ROUND_DOWN)
    }


def _decimals(number: str) -> int:
    return len(number.partition(".")[2].rstrip("0"))


def _texts(left: str, right: str) -> KindAndCause:
    if len(left) > TEXT_LOOKED_AT or len(right) > TEXT_LOOKED_AT:
        return _REAL
    left, right = _plain(left), _plain(right)
    if left != right:  # dashes are rare, and looking for them costs as much as all the rest
        left, right = _one_dash(left), _one_dash(right)
    if left == right:
        return _SAME
    if left[:1] in _BEGINNINGS and right[:1] in _BEGINNINGS:
        for read in (_as_truths, _as_instants, _as_days, _as_numbers, _as_made_up):
            why = read(left, right)
            if why is not None:
                return why
    return _REAL


def _plain(text: str) -> str:
    """Write a text the one way: compatible characters unified, spaces single, ends bare."""
    if not text.isascii():
        text = normalize("NFKC", text)
    return " ".join(text.split())


def _one_dash(text: str) -> str:
    if text.isascii() or _DASHES.isdisjoint(text):
        return text
    return text.translate(_UNIFIED)


def _as_truths(left: str, right: str) -> KindAndCause | None:
    words = left.lower(), right.lower()
    return _SAME if words[0] == words[1] and words[0] in _TRUTHS else None


def _as_days(left: str, right: str) -> KindAndCause | None:
    """Compare dates, midnights included; there is nothing to say when they differ."""
    day = _day(left)
    return _SAME if day is not None and day == _day(right) else None


def _day(text: str) -> tuple[int, ...] | None:
    instant = _INSTANT.fullmatch(text)
    if instant and not instant[2].strip("0:") and not (instant[3] or "").strip("0"):
        text = instant[1]
    date = _DATE.fullmatch(text)
    return tuple(map(int, date.groups())) if date else None


def _as_numbers(left: str, right: str) -> KindAndCause | None:
    one, other = _decimal(left), _decimal(right)
    if one is None or other is None:
        return None
    if one == other:
        return _SAME
    why = _numbers(_number(one), _number(other))
    return (Kind.VALUE, Cause.PRECISION) if why == _SAME else why


def _decimal(text: str) -> Decimal | None:
    """Read a number as it is written, every digit of it."""
    if len(text) > DIGITS_LOOKED_AT or not _NUMBER.fullmatch(text):
        return None
    return Decimal(text.replace(",", ""))


def _number(value: Decimal) -> float:
    return int(value) if value == value.to_integral_value() else float(value)


def _as_made_up(left: str, right: str) -> KindAndCause | None:
    if not (_MADE_UP.fullmatch(left) and _MADE_UP.fullmatch(right)):
        return None
    return _SAME if left.lower() == right.lower() else (Kind.VALUE, Cause.GENERATED)


def _as_instants(left: str, right: str) -> KindAndCause | None:
    one, other = _INSTANT.fullmatch(left), _INSTANT.fullmatch(right)
    here, there = _instant(one), _instant(other)
    if one is None or other is None or here is None or there is None:
        return None
    if (here.tzinfo is None) != (there.tzinfo is None):
        # The same clock face, once without a zone: the same instant or not, nobody can say.
        same_face = here.replace(tzinfo=None) == there.replace(tzinfo=None)
        return (Kind.VALUE, Cause.TIME_ZONE) if same_face else _REAL
    apart = abs(here - there)
    if not apart:
        return _SAME_INSTANT if here.utcoffset() != there.utcoffset() else _SAME
    if apart < ONE_SECOND and _is_cut(f"0.{one[3] or ''}", f"0.{other[3] or ''}"):
        return Kind.VALUE, Cause.PRECISION
    return Kind.VALUE, _cause_apart(apart)


def _cause_apart(apart: timedelta) -> Cause:
    if apart <= STAMPED_TOGETHER:
        return Cause.GENERATED
    if apart <= WIDEST_OFFSET and not apart % OFFSET_STEP:
        return Cause.TIME_ZONE
    return Cause.REAL


def _instant(found: re.Match[str] | None) -> datetime | None:
    if found is None:
        return None
    date, time, fraction, zone = found.groups()
    zone = (zone or "").replace("Z", "+00:00")
    time = time if len(time) == len("00:00:00") else f"{time}:00"
    try:
        return datetime.fromisoformat(f"{date}T{time}.{(fraction or '0')[:6]:0<6}{zone}")
    except ValueError:
        return None


def _cause_across_types(left: object, right: object) -> Cause:
    if left is None or right is None:
        other = right if left is None else left
        return Cause.NULL_AGAINST_ABSENT if other in ("", [], {}) else Cause.REAL
    if isinstance(left, str) or isinstance(right, str):
        text, other = (left, right) if isinstance(left, str) else (right, left)
        same = _says(_plain(str(text)[:TEXT_LOOKED_AT]), other)
    else:
        # true against 1; a list against an object is the same as nothing.
        same = isinstance(left, bool | int | float) and left == right
    return Cause.FORMAT_ONLY if same else Cause.REAL


def _says(text: str, value: object) -> bool:
    """Tell whether a text is the number or truth value, written as text."""
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, int):
        return _decimal(text) == value
    return isinstance(value, float) and _decimal(text) == Decimal(repr(value))

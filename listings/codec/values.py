"""
One value: from a text or a JSON value to a field's type, or to a place in `extra`.

Three outcomes and no fourth: the value is returned; `NotUnderstood` says that the text means
something but no value of this field (the caller keeps the raw text); `Refused` says what was
expected instead.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeVar, cast

from listings.codec import japanese
from listings.errors import Fault
from listings.model import Field, Fold, Kind, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from listings.model import Json, Value

MAX_DEPTH: Final = 32
MAX_NUMBER_DIGITS: Final = 300
_SHOWN: Final = 80
_T = TypeVar("_T")

_FOLD: Final[Mapping[Fold, Callable[[str], str]]] = {
    Fold.CODE: japanese.fold_code,
    Fold.NAME: japanese.fold_name,
    Fold.ADDRESS: japanese.fold_address,
    Fold.FREE: japanese.fold_free,
}
_READ: Final[Mapping[Unit | None, Callable[[str], Decimal | None]]] = {
    None: japanese.read_number,
    Unit.YEN: japanese.read_yen,
    Unit.YEN_PER_SQM: japanese.read_yen_per_sqm,
    Unit.SQM: japanese.read_sqm,
    Unit.METRE: japanese.read_metres,
    Unit.PERCENT: japanese.read_percent,
    Unit.FLOOR: japanese.read_floors,
}


class NotUnderstood(Exception):  # noqa: N818 - not an error: the raw text is kept
    """The text means something, but not a value of this field."""


class Refused(Exception):  # noqa: N818 - becomes a Fault where the place is known
    """The value cannot be stored: what was expected, and what was got."""

    def __init__(self, expected: str, got: object) -> None:
        super().__init__(expected)
        self.expected = expected
        self.got = got


def read_value(field: Field, value: object) -> Value:
    """Read what a feed or a JSON listing says about one field."""
    if value is None:
        return None
    if isinstance(value, str):
        check_text(value)
        return None if japanese.is_blank(value) else _TEXT_READERS[field.kind](field, value)
    if isinstance(value, bool):
        if field.kind is Kind.BOOLEAN:
            return value
        raise Refused(_expected(field), value)
    if isinstance(value, (int, float, Decimal)):
        return _of_json_number(field, value)
    raise Refused(_expected(field), value)


def _of_json_number(field: Field, value: float | Decimal) -> Value:
    if field.kind is Kind.BOOLEAN and value in (0, 1):
        return bool(value)
    if field.kind not in (Kind.INTEGER, Kind.DECIMAL):
        raise Refused(_expected(field), value)
    return _in_range(field, Decimal(repr(value)) if isinstance(value, float) else Decimal(value))


def _read_text(field: Field, text: str) -> str | None:
    folded = _FOLD[field.fold](text)
    if field.max_length is not None and len(folded) > field.max_length:
        raise Refused(_expected(field), f"{len(folded)} characters")
    return folded or None


def _read_number(field: Field, text: str) -> int | Decimal:
    if japanese.is_not_finite(japanese.fold_code(text)):
        raise Refused(_expected(field), text)
    number = _READ[field.unit](text)
    if number is None:
        raise NotUnderstood
    return _in_range(field, number)


def _in_range(field: Field, number: Decimal) -> int | Decimal:
    low, high = field.minimum, field.maximum
    if (
        not number.is_finite()
        or (low is not None and number < low)
        or (high is not None and number > high)
    ):
        raise Refused(_expected(field), number)
    if field.kind is Kind.INTEGER:
        if number != number.to_integral_value():
            raise Refused(_expected(field), number)
        return int(number)
    # PostgreSQL rounds a numeric half away from zero; so do we, or the digests would part.
    rounded = number.quantize(Decimal(1).scaleb(-(field.scale or 0)), ROUND_HALF_UP)
    return abs(rounded) if rounded.is_zero() else rounded


def _read_boolean(_field: Field, text: str) -> bool:
    return _or_not_understood(japanese.read_boolean(text))


def _read_date(_field: Field, text: str) -> date:
    return _or_not_understood(japanese.read_date(text))


def _read_timestamp(_field: Field, text: str) -> datetime:
    return _or_not_understood(japanese.read_timestamp(text))


def _or_not_understood(value: _T | None) -> _T:
    if value is None:
        raise NotUnderstood
    return value


_TEXT_READERS: Final[Mapping[Kind, Callable[[Field, str], Value]]] = {
    Kind.TEXT: _read_text,
    Kind.INTEGER: _read_number,
    Kind.DECIMAL: _read_number,
    Kind.BOOLEAN: _read_boolean,
    Kind.DATE: _read_date,
    Kind.TIMESTAMP: _read_timestamp,
}


def _expected(field: Field) -> str:
    if field.kind is Kind.TEXT:
        return f"text of at most {field.max_length} characters"
    if field.kind in (Kind.INTEGER, Kind.DECIMAL):
        whole = "a whole number" if field.kind is Kind.INTEGER else "a number"
        return f"{whole} from {field.minimum} to {field.maximum}"
    return {
        Kind.BOOLEAN: "true or false",
        Kind.DATE: "a date (2024-04-01)",
        Kind.TIMESTAMP: "a timestamp (2024-04-01T09:00:00+09:00)",
    }[field.kind]


def check_text(text: str) -> None:
    """Refuse text that PostgreSQL or UTF-8 cannot hold."""
    if "\x00" in text:
        raise Refused("text without NUL characters", text)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused("valid Unicode", "half of a surrogate pair") from None


@lru_cache(maxsize=8192)
def read_extra(text: str) -> str | bool | None:
    """Normalise a text outside the fields; feeds repeat themselves, hence the cache."""
    check_text(text)
    if japanese.is_blank(text):
        return None
    word = text.strip().lower()
    if word in ("true", "false"):
        return word == "true"
    return japanese.fold_free(text)


def check_json(value: Json, depth: int = 1) -> None:
    """Refuse what a jsonb column cannot hold or give back as it was."""
    if depth > MAX_DEPTH:
        raise Refused(f"JSON nested at most {MAX_DEPTH} deep", "deeper nesting")
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            check_text(key)
            check_json(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            check_json(item, depth + 1)
    elif value is not None and not isinstance(value, bool):
        _check_number(value)


def _check_number(value: float | Decimal) -> None:
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    size = number.as_tuple()
    small = number.is_finite() and (
        not number
        or (
            len(size.digits) <= MAX_NUMBER_DIGITS
            and abs(number.adjusted()) <= MAX_NUMBER_DIGITS
            and abs(int(size.exponent)) <= MAX_NUMBER_DIGITS * 2
        )
    )
    if not small or (not number and abs(int(size.exponent)) > MAX_NUMBER_DIGITS):
        raise Refused(f"a number of at most {MAX_NUMBER_DIGITS} digits", number)


def stored_value(field: Field, value: object) -> Value:
    """Type what the database gave for one field."""
    if value is None:
        return None
    if field.kind is Kind.DECIMAL:
        return Decimal(str(value))
    if field.kind is Kind.INTEGER:
        return int(cast("int", value))
    if field.kind is Kind.DATE and isinstance(value, str):
        return date.fromisoformat(value)
    if field.kind is Kind.TIMESTAMP:
        at = datetime.fromisoformat(value) if isinstance(value, str) else cast("datetime", value)
        return at.astimezone(UTC)
    return cast("Value", value)


class Described(str):
    """What stood there told in words, so that it is not put in quotes as if it had been sent."""

    __slots__ = ()


def fault(place: str, expected: str, got: object, *, row: int | None = None) -> Fault:
    """Say what is wrong at `place`, showing what stood there without letting it fill the screen."""
    if isinstance(got, Described):
        shown = str(got)
    elif got is None:
        shown = "nothing"
    elif isinstance(got, (dict, list)):
        shown = "an object" if isinstance(got, dict) else "an array"
    else:
        shown = repr(got) if isinstance(got, (str, bool)) else _number_shown(got)
    if len(shown) > _SHOWN:
        shown = shown[: _SHOWN - 1] + "…"
    return Fault(_writable(place), expected, _writable(shown), row)


def _writable(text: str) -> str:
    """Half of a surrogate pair cannot be written in any answer, not even to complain about it."""
    return text.encode(errors="replace").decode()


def _number_shown(got: object) -> str:
    if isinstance(got, int):
        return str(got) if abs(got) < 10**30 else f"an integer of {got.bit_length()} bits"
    return str(got)

"""
The canonical form of a row, its digest, and JSON with exact numbers.

Two systems agree on a row exactly when its digest agrees, so the canonical form depends on nothing
but the values: not on how PostgreSQL prints a numeric, not on the order or the number format in
which ``jsonb`` gives an object back, not on a session's time zone.

It is one JSON object in UTF-8, keys in code-point order, without spaces:

- ``propertyNumber``, and each own field that is not null, by its JSON name: text and booleans as
  they are, integers plain, decimals as a *string* without exponent or trailing zeros, dates ISO,
  timestamps in UTC as ``2024-04-01T03:00:00.12Z``, the fraction without trailing zeros, or none.
- ``extra``, unless empty: keys sorted at every depth, numbers plain, so ``1.50``, ``1.5`` and
  ``15e-1`` are the same bytes.

The digest is BLAKE2b with 16 bytes of output, in hex.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

import orjson

from listings.errors import Fault, InvalidInput
from listings.model import FIELD_BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from listings.model import Json, Value

_SORTED: Final = orjson.OPT_SORT_KEYS
_INT64: Final = 2**63 - 1
_DIGEST_BYTES: Final = 16
_PLAIN: Final = (str, bool, type(None))


def canonical(
    property_number: str, fields: Mapping[str, Value], extra: Mapping[str, Json]
) -> bytes:
    """Return the deterministic bytes of a row's own fields (see the module's text)."""
    row: dict[str, Any] = {"propertyNumber": property_number}
    for name, value in fields.items():
        if value is not None:
            row[FIELD_BY_NAME[name].json_name] = _own(value)
    if extra:
        row["extra"] = _sortable(extra)
    return orjson.dumps(row, option=_SORTED)


def digest(property_number: str, fields: Mapping[str, Value], extra: Mapping[str, Json]) -> str:
    """Return the BLAKE2b-128 of `canonical`, in hex."""
    data = canonical(property_number, fields, extra)
    return blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()


def answer_digest(records: Iterable[tuple[str, str | None]]) -> str:
    r"""
    Digest a whole sync answer from its (property number, digest) pairs.

    BLAKE2b-128 (hex) over, for each record in property-number order (code points), the bytes
    ``<property number>\t<digest>\n`` in UTF-8; a failed record has an empty digest. No records
    give the digest of nothing.
    """
    state = blake2b(digest_size=_DIGEST_BYTES)
    for number, row_digest in sorted(records, key=lambda pair: pair[0]):
        state.update(f"{number}\t{row_digest or ''}\n".encode())
    return state.hexdigest()


def plain_number(number: Decimal | float) -> str:
    """Write a finite number without exponent, trailing zeros or negative zero."""
    value = number if isinstance(number, Decimal) else Decimal(repr(number))
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def timestamp_text(at: datetime) -> str:
    """Write an aware timestamp in UTC, with only the fraction it needs."""
    utc = at.astimezone(UTC)
    text = utc.strftime("%H:%M:%S")
    if utc.microsecond:
        text += f".{utc.microsecond:06d}".rstrip("0")
    return f"{utc.date().isoformat()}T{text}Z"


def _own(value: Value) -> object:
    if isinstance(value, Decimal):
        return plain_number(value)
    if isinstance(value, datetime):
        return timestamp_text(value)
    if isinstance(value, date):
        return value.isoformat()
    return value


def _sortable(value: Json | Mapping[str, Json]) -> object:
    """Replace every number orjson would not write plainly; text, the usual case, passes."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Mapping):
        return {
            key: item if isinstance(item, str) else _sortable(item) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_sortable(item) for item in value]
    if isinstance(value, int) and -_INT64 <= value <= _INT64:
        return value
    return orjson.Fragment(str(value) if isinstance(value, int) else plain_number(value))


def encode_json(value: object) -> bytes:
    """
    Write JSON with exact numbers: Decimal and integers of any size as they are, never rounded.

    Timestamps are written in UTC as `timestamp_text` does; UUIDs and enums by their value.
    """
    try:
        return orjson.dumps(value, default=_default, option=_ENCODE)
    except TypeError:
        # orjson refuses integers above 64 bits before it asks `default`.
        return orjson.dumps(_wide(value), default=_default, option=_ENCODE)


_ENCODE: Final = orjson.OPT_PASSTHROUGH_DATETIME


def _default(value: object) -> object:
    if isinstance(value, Decimal):
        return orjson.Fragment(plain_number(value))
    if isinstance(value, datetime):
        return timestamp_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _wide(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _wide(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_wide(item) for item in value]
    if isinstance(value, int) and abs(value) > _INT64:
        return orjson.Fragment(str(value))
    return value


def decode_json(text: bytes | str) -> Json:
    """
    Read JSON strictly and exactly: numbers with a fraction or exponent become Decimal, never float.

    NaN and Infinity, a key given twice in one object (one of the two would be lost in silence), and
    nesting beyond what can be read are refused with InvalidInput. A byte-order mark is allowed.
    """
    try:
        plain = text if isinstance(text, str) else text.decode("utf-8-sig")
        return cast(
            "Json",
            json.loads(
                plain,
                parse_float=_exact,
                parse_constant=_no_constant,
                object_pairs_hook=_distinct,
            ),
        )
    except UnicodeDecodeError as exc:
        raise _refused("UTF-8 text", f"byte 0x{exc.object[exc.start]:02x} at {exc.start}") from exc
    except RecursionError as exc:
        raise _refused("JSON nested less deeply", "nesting too deep to read") from exc
    except json.JSONDecodeError as exc:
        raise _refused("JSON", _no_json(exc)) from exc
    except ValueError as exc:  # an integer of more digits than Python reads
        raise _refused("a number of fewer digits", "an integer of thousands of digits") from exc


def _no_json(exc: json.JSONDecodeError) -> str:
    """Say what stands where JSON ends to be JSON; the reader's own words are for programmers."""
    place = f"line {exc.lineno} column {exc.colno}"
    if not exc.doc.strip():
        return "nothing"
    if exc.msg.startswith("Unterminated"):
        return f"a text that begins at {place} and does not end"
    if not exc.doc[exc.pos :].strip():
        return f"an end at {place}, before it is complete"
    return f"{exc.doc[exc.pos]!r} at {place}"


def _exact(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation as exc:
        raise _refused("a number of a sensible size", text[:40]) from exc
    return number


def _no_constant(text: str) -> NoReturn:
    raise _refused("a finite number", text)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _refused("each key once in an object", f"{key[:80]!r} twice")
            seen.add(key)
    return found


def _refused(expected: str, got: str) -> InvalidInput:
    return InvalidInput(
        f"The JSON cannot be read: expected {expected}, got {got}.", Fault("body", expected, got)
    )

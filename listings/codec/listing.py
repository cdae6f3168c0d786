"""
The codec: from what a source said to a typed `Listing`, and back to JSON.

Three outcomes for every value, and no fourth:

- *understood*: the field holds the value in its type;
- *not understood* ("応相談", "3,800万円～", "1998年3月"): the field is null and the raw text is
  kept in `extra` under the field's JSON name, so nothing is lost and nothing is guessed;
- *refused*: the listing cannot be stored as said (no property number, a number out of range, text
  with NUL or too long, JSON of a wrong type). `InvalidInput` carries one `Fault` for each.

Null is nothing, ``_``, ``-``, ``ー``, ``null`` alone, or JSON null. A key this project does not
know goes to `extra`; there "True" and "true" are one value and null is left out, so that a feed's
change of format is not a change of the listing. `extra` is one value: a source that says anything
beyond the fields says all of it, and a write replaces what was stored there.

A property number is NFKC, trimmed, inner space collapsed to one, case kept.

Normalising is idempotent: what `to_json` gives is parsed to the same listing again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import TYPE_CHECKING, Any, Final, cast
from unicodedata import category

from listings.codec import japanese
from listings.codec.canonical import digest
from listings.codec.values import (
    NotUnderstood,
    Refused,
    check_json,
    check_text,
    fault,
    read_extra,
    read_value,
    stored_value,
)
from listings.errors import Fault, InvalidInput
from listings.model import FIELD_BY_JSON_NAME, FIELDS, PROPERTY_NUMBER_MAX, Field, Listing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from listings.model import Json, StoredListing, Value

# What a stored listing has beyond its own fields: a client may push back what it read.
READ_ONLY: Final = frozenset(
    {"id", "workspaceId", "writtenBy", "syncId", "createdAt", "updatedAt", "digest"}
)
_NOT_EXTRA: Final = READ_ONLY | {"propertyNumber", "extra"}
_KEY_SHOWN: Final = 80
# Control, format (zero-width), surrogate and unassigned characters make two numbers look like one.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Cn", "Co"})


@dataclass(frozen=True, slots=True)
class Row:
    """A listing's own fields as they stand after a write: every field, `extra` never None."""

    fields: Mapping[str, Value]
    extra: Mapping[str, Json]


@dataclass(slots=True)
class _Reading:
    """One listing being read: what is wrong with it, and what of it was kept as raw text."""

    row: int | None = None
    faults: list[Fault] = dataclass_field(default_factory=list)
    kept: dict[str, Json] = dataclass_field(default_factory=dict)

    def number(self, value: object, place: str) -> str:
        expected = f"a property number of 1 to {PROPERTY_NUMBER_MAX} characters"
        if not isinstance(value, str) or japanese.is_blank(value):
            self.refuse(place, expected, value)
            return ""
        number = japanese.fold_code(value)
        if len(number) > PROPERTY_NUMBER_MAX:
            self.refuse(place, expected, number)
        elif any(category(char) in _UNSEEN for char in japanese.trim(value)):
            self.refuse(place, f"{expected}, all of them visible", value)
        return number

    def field(self, field: Field, value: object, place: str) -> Value:
        try:
            return read_value(field, value)
        except NotUnderstood:
            self.kept[field.json_name] = read_extra(cast("str", value))
        except Refused as exc:
            self.refuse(place, exc.expected, exc.got)
        return None

    def beyond(self, said: Iterable[tuple[str, Json]], prefix: str) -> dict[str, Json]:
        extra: dict[str, Json] = {}
        for key, value in said:
            try:
                clean = _extra_value(key, value)
            except Refused as exc:
                self.refuse(f"{prefix}{key[:_KEY_SHOWN]}", exc.expected, exc.got)
            else:
                if clean is not None:
                    extra[key] = clean
        return extra

    def refuse(self, place: str, expected: str, got: object) -> None:
        self.faults.append(fault(place, expected, got, row=self.row))


def parse_listing(raw: Mapping[str, Json], where: str) -> Listing:
    """Read one pushed JSON listing; `where` is its path, e.g. ``listings[3]``."""
    reading = _Reading()
    number = reading.number(raw.get("propertyNumber"), f"{where}.propertyNumber")
    fields: dict[str, Value] = {}
    said: list[tuple[str, Json]] = []
    for key, value in raw.items():
        if (field := FIELD_BY_JSON_NAME.get(key)) is not None:
            fields[field.name] = reading.field(field, value, f"{where}.{key}")
        elif key not in _NOT_EXTRA:
            said.append((key, value))
    explicit = raw.get("extra")
    if explicit is not None and not isinstance(explicit, dict):
        reading.refuse(f"{where}.extra", "an object", explicit)
        explicit = None
    extra = reading.beyond((explicit or {}).items(), f"{where}.extra.")
    for key, value in reading.beyond(said, f"{where}.").items():
        if extra.setdefault(key, value) != value:
            reading.refuse(f"{where}.{key}", "no other value in extra", value)
    if reading.faults:
        raise InvalidInput(f"The listing at {where} is refused.", *reading.faults)
    extra.update(reading.kept)
    spoke_of_extra = "extra" in raw or said or reading.kept
    return Listing(number, fields, extra if spoke_of_extra else None)


def listing_from_row(
    number: str,
    cells: Iterable[tuple[Field, str, str]],
    rest: Iterable[tuple[str, str]],
    *,
    row: int,
    heading: str,
) -> Listing:
    """
    Read one feed row.

    `cells` are (field, heading, text), `rest` the unmapped (heading, text); `heading` names the
    key's columns in a fault. A row always speaks of `extra`: what left the feed leaves the listing.
    """
    reading = _Reading(row)
    own = reading.number(number, heading)
    fields: dict[str, Value] = {}
    heading_of: dict[str, str] = {}
    for field, name, text in cells:
        fields[field.name] = reading.field(field, text, name)
        heading_of[field.json_name] = name
    extra = reading.beyond(rest, "")
    if reading.faults:
        raise InvalidInput(f"Row {row} of the feed is refused.", *reading.faults)
    for key, value in reading.kept.items():
        # An unmapped column may bear the JSON name of a field that another column feeds.
        extra[key if key not in extra else f"{key} ({heading_of[key]})"] = value
    return Listing(own, fields, extra)


def normalise_property_number(value: object, where: str = "propertyNumber") -> str:
    """Return the number as it is stored; raises InvalidInput."""
    reading = _Reading()
    number = reading.number(value, where)
    if reading.faults:
        raise InvalidInput("The property number is refused.", *reading.faults)
    return number


def merge(stored: StoredListing | Row | None, listing: Listing) -> Row:
    """Return the row as it would stand after writing `listing` over `stored`."""
    before = stored.fields if stored is not None else {}
    kept = stored.extra if stored is not None else {}
    fields = {
        field.name: listing.fields[field.name]
        if field.name in listing.fields
        else before.get(field.name)
        for field in FIELDS
    }
    return Row(fields, kept if listing.extra is None else listing.extra)


def row_values(listing: Listing) -> dict[str, Value | Mapping[str, Json]]:
    """Return column and value of what the listing spoke of: fields present, `extra` if said."""
    values: dict[str, Value | Mapping[str, Json]] = {**listing.fields}
    if listing.extra is not None:
        values["extra"] = listing.extra
    return values


def stored_values(row: Mapping[str, object]) -> Row:
    """
    Type a database row: values as psycopg gives them, or PostgREST's JSON read by `decode_json`.

    A missing column is None; other columns (id, written_by, ...) are left to the store.
    """
    extra = row.get("extra")
    return Row(
        {field.name: stored_value(field, row.get(field.name)) for field in FIELDS},
        cast("Mapping[str, Json]", extra) if isinstance(extra, Mapping) else {},
    )


def to_json(stored: StoredListing) -> dict[str, Any]:
    """Return a stored listing under its camelCase names, for `encode_json`."""
    own = {field.json_name: stored.fields.get(field.name) for field in FIELDS}
    return {
        "id": stored.id,
        "workspaceId": stored.workspace_id,
        "propertyNumber": stored.property_number,
        **own,
        "extra": stored.extra,
        "writtenBy": stored.written_by,
        "syncId": stored.sync_id,
        "createdAt": stored.created_at,
        "updatedAt": stored.updated_at,
        "digest": digest(stored.property_number, stored.fields, stored.extra),
    }


def _extra_value(key: str, value: Json) -> Json:
    check_text(key)
    if isinstance(value, str):
        return read_extra(value)
    check_json(value)
    return value

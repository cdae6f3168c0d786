"""Interface, being filled in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from listings.model import Json, Listing, StoredListing, Value


@dataclass(frozen=True, slots=True)
class Row:
    """A listing's own fields as they stand after a write: every field present, `extra` never None."""

    fields: Mapping[str, Value]
    extra: Mapping[str, Json]


def parse_listing(raw: Mapping[str, Json], where: str) -> Listing:
    """A pushed JSON listing -> Listing; raises InvalidInput with every Fault."""
    raise NotImplementedError


def merge(stored: StoredListing | Row | None, listing: Listing) -> Row:
    """The row as it would stand after writing `listing` over `stored`."""
    raise NotImplementedError


def row_values(listing: Listing) -> dict[str, Value | Mapping[str, Json]]:
    """Column -> value of what the listing spoke of: fields present, plus `extra` if it said any."""
    raise NotImplementedError


def stored_values(row: Mapping[str, object]) -> Row:
    """
    A database row (psycopg values or PostgREST JSON: numbers, ISO strings) -> typed Row.

    Missing columns are None; other columns (id, written_by, ...) are ignored.
    """
    raise NotImplementedError


def canonical(
    property_number: str, fields: Mapping[str, Value], extra: Mapping[str, Json]
) -> bytes:
    """Deterministic bytes of the row's own fields."""
    raise NotImplementedError


def digest(property_number: str, fields: Mapping[str, Value], extra: Mapping[str, Json]) -> str:
    """BLAKE2b-128 (hex) of `canonical`."""
    raise NotImplementedError


def answer_digest(records: Iterable[tuple[str, str | None]]) -> str:
    """BLAKE2b-128 (hex) over (property number, digest) pairs in property-number order."""
    raise NotImplementedError


def to_json(stored: StoredListing) -> dict[str, Json]:
    """A stored listing as camelCase JSON (Decimals stay Decimal: write with `encode_json`)."""
    raise NotImplementedError


def decode_json(text: bytes | str) -> Json:
    """Strict JSON with exact numbers (Decimal, never float); raises InvalidInput. Use as jsonb loader."""
    raise NotImplementedError


def encode_json(value: object) -> bytes:
    """JSON bytes with Decimal/int of any size as exact numbers; date, datetime, UUID as strings. Use as jsonb dumper."""
    raise NotImplementedError

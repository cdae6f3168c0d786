"""
The column mapping: which heading of a feed is which field of a listing.

Headings are compared after folding (width, inner space), so ``価格`` and ``価格　`` are one. The
key may be made of several columns. A mapped column that the feed does not have is an error for the
whole feed (its field would look as if everybody had deleted it), unless the mapping calls it
optional; a column that is not mapped goes to `extra`, or is left out by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from listings.codec import listing_from_row
from listings.codec.japanese import fold_code, is_blank
from listings.errors import Fault, InvalidInput, SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from listings.model import Field, Listing
    from listings.source.table import Table, TableRow


@dataclass(frozen=True, slots=True)
class Column:
    """A mapped heading; a feed may lack it only if it is `optional`."""

    heading: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """How the columns of one kind of feed become a listing."""

    key: tuple[str, ...]
    columns: Mapping[Field, Column]
    separator: str = "-"
    keep_extra: bool = True
    ignore: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FeedListing:
    """A listing and the row it came from."""

    row: int
    listing: Listing


@dataclass(frozen=True, slots=True)
class FeedFailure:
    """A row that is no listing; the number is known unless the key itself is the fault."""

    row: int
    property_number: str | None
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class FeedContents:
    """Everything one reading of a feed gave, in the feed's order."""

    listings: tuple[FeedListing, ...]
    failures: tuple[FeedFailure, ...]


@dataclass(frozen=True, slots=True)
class _Bound:
    """A mapping tied to the positions of one table's columns."""

    key: tuple[int, ...]
    separator: str
    cells: tuple[tuple[Field, str, int], ...]
    rest: tuple[tuple[str, int], ...]
    width: int
    key_heading: str


def read_listings(table: Table, mapping: ColumnMapping, name: str) -> FeedContents:
    """Make listings of a table; a bad row fails alone, a missing column fails the feed."""
    bound = _bind(table.headings, mapping, name)
    listings: list[FeedListing] = []
    failures: list[FeedFailure] = []
    for row in table.rows:
        if all(is_blank(cell) for cell in row.cells):
            continue
        try:
            listings.append(FeedListing(row.row, _listing(row, bound)))
        except InvalidInput as exc:
            failures.append(FeedFailure(row.row, _number_if_known(row, bound), exc.faults))
    return FeedContents(tuple(listings), tuple(failures))


def _bind(headings: Sequence[str], mapping: ColumnMapping, name: str) -> _Bound:
    folded = [fold_code(heading) for heading in headings]
    wanted = [*mapping.key, *(column.heading for column in mapping.columns.values())]
    missing = [heading for heading in mapping.key if fold_code(heading) not in folded]
    missing += [
        column.heading
        for column in mapping.columns.values()
        if not column.optional and fold_code(column.heading) not in folded
    ]
    if missing:
        raise SourceUnavailable(
            f"The feed {name} has no column {_listed(missing)}; it has {_listed(folded)}. "
            "Correct the feed, or the mapping in SYNC_SOURCE."
        )
    twice = sorted({h for h in map(fold_code, wanted) if folded.count(h) > 1})
    if twice:
        raise SourceUnavailable(
            f"The feed {name} has the column {_listed(twice)} more than once; "
            "which of them is meant cannot be known."
        )
    used = {fold_code(heading) for heading in wanted}
    left_out = {fold_code(heading) for heading in mapping.ignore}
    return _Bound(
        key=tuple(folded.index(fold_code(heading)) for heading in mapping.key),
        separator=mapping.separator,
        cells=tuple(
            (field, column.heading, folded.index(fold_code(column.heading)))
            for field, column in mapping.columns.items()
            if fold_code(column.heading) in folded
        ),
        rest=tuple(_rest(folded, used | left_out)) if mapping.keep_extra else (),
        width=len(folded),
        key_heading=mapping.separator.join(mapping.key),
    )


def _rest(folded: Sequence[str], without: set[str]) -> list[tuple[str, int]]:
    """Name the unmapped columns; those without a heading or with a repeated one by position."""
    names: list[tuple[str, int]] = []
    for position, heading in enumerate(folded):
        if heading in without:
            continue
        unclear = not heading or folded.count(heading) > 1
        names.append((f"{heading or 'column'}_{position + 1}" if unclear else heading, position))
    return names


def _listing(row: TableRow, bound: _Bound) -> Listing:
    if len(row.cells) < bound.width or any(not is_blank(c) for c in row.cells[bound.width :]):
        # Cells have moved: which value belongs to which column is no longer known.
        raise InvalidInput(
            f"Row {row.row} of the feed is refused.",
            Fault("row", f"{bound.width} cells", f"{len(row.cells)} cells", row.row),
        )
    return listing_from_row(
        _number(row, bound),
        ((field, heading, row.cells[position]) for field, heading, position in bound.cells),
        ((heading, row.cells[position]) for heading, position in bound.rest),
        row=row.row,
        heading=bound.key_heading,
    )


def _number(row: TableRow, bound: _Bound) -> str:
    """Compose the key; a part that is blank makes the whole blank, which the codec refuses."""
    parts = [fold_code(row.cells[position]) for position in bound.key if position < len(row.cells)]
    if len(parts) < len(bound.key) or any(is_blank(part) for part in parts):
        return ""
    return bound.separator.join(parts)


def _number_if_known(row: TableRow, bound: _Bound) -> str | None:
    try:
        return listing_from_row(
            _number(row, bound), (), (), row=row.row, heading=bound.key_heading
        ).property_number
    except InvalidInput:
        return None


def _listed(headings: Sequence[str], limit: int = 40) -> str:
    shown = ", ".join(heading or "(none)" for heading in headings[:limit])
    return shown + (f" and {len(headings) - limit} more" if len(headings) > limit else "")

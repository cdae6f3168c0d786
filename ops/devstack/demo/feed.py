"""
The demo's feed, three times: as it was written, as it is pushed, as it must end up.

The first two are the mess itself. The third is computed here from the feed alone, without any
service, and is what the proof holds the database against.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from listings.codec import digest, merge
from listings.source.feed import Feed, load_feed
from ops.devstack.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from listings.model import Listing
    from listings.source.table import Table

# What makes a cell of that column worth showing: a hundred million, tsubo, an era, full width.
_MARKS: Final = {
    "price_yen": "億",
    "land_area_sqm": "坪",
    "built_on": "平成",
    "address": "１",  # noqa: RUF001 - full width is the point
    "has_gas": "有",
}


@dataclass(frozen=True, slots=True)
class DemoFeed:
    """`pushed` is JSON with the cells as they stand; `digests` what each row must become."""

    pushed: Sequence[Mapping[str, Any]]
    digests: Mapping[str, str]
    examples: Sequence[tuple[str, str, str]]


def read(path: Path) -> DemoFeed:
    """Read a feed file by the mapping of config/source.toml."""
    feed = load_feed(ROOT / "config" / "source.toml", environ={}, source_file=path)
    return asyncio.run(_read(feed))


async def _read(feed: Feed) -> DemoFeed:
    table = await feed.source.read()
    contents = await feed.read()
    if contents.failures:
        raise ValueError(f"the sample feed has rows that are no listings: {contents.failures[:3]}")
    found = [entry.listing for entry in contents.listings]
    rows = {listing.property_number: merge(None, listing) for listing in found}
    return DemoFeed(
        pushed=_pushed(table, feed),
        digests={number: digest(number, row.fields, row.extra) for number, row in rows.items()},
        examples=_examples(table, feed, found),
    )


def _pushed(table: Table, feed: Feed) -> list[dict[str, Any]]:
    """Name the cells as the API names them and change nothing else about them."""
    mapping = feed.mapping
    name_of = {column.heading: field.json_name for field, column in mapping.columns.items()}
    name_of[mapping.key[0]] = "propertyNumber"
    pushed: list[dict[str, Any]] = []
    for row in table.rows:
        cells = dict(zip(table.headings, row.cells, strict=True))
        listing: dict[str, Any] = {
            name_of[heading]: text for heading, text in cells.items() if heading in name_of
        }
        listing["extra"] = {
            heading: text for heading, text in cells.items() if heading not in name_of
        }
        pushed.append(listing)
    return pushed


def _examples(table: Table, feed: Feed, found: Sequence[Listing]) -> list[tuple[str, str, str]]:
    """Pick, for a few columns, a cell that is hard to read: (heading, written, read)."""
    heading_of = {field.name: column.heading for field, column in feed.mapping.columns.items()}
    examples: list[tuple[str, str, str]] = []
    for name, mark in _MARKS.items():
        position = list(table.headings).index(heading_of[name])
        for row, listing in zip(table.rows, found, strict=True):
            value = listing.fields.get(name)
            if mark in row.cells[position] and value is not None:
                shown = f"{value:,}" if isinstance(value, int) and value > 1 else str(value)
                examples.append((heading_of[name], row.cells[position], shown))
                break
    return examples

"""
The demo's feed, three times: as it was written, as it is pushed, as it must end up.

The first two are the mess itself. The third is computed here from the feed alone, without any
service, and is what the proof holds the database against.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from listings.codec import digest, merge
from listings.source.feed import Feed, load_feed
from ops.devstack.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from listings.model import Listing
    from listings.source.table import Table


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
    """Pick, for a few columns, the cell that was hardest to read: (heading, written, read)."""
    wanted = ("price_yen", "land_area_sqm", "built_on", "address", "has_gas")
    heading_of = {field.name: column.heading for field, column in feed.mapping.columns.items()}
    examples: list[tuple[str, str, str]] = []
    for name in wanted:
        position = list(table.headings).index(heading_of[name])
        pairs = [
            (row.cells[position], listing.fields.get(name))
            for row, listing in zip(table.rows, found, strict=True)
        ]
        read_ones = [(text, value) for text, value in pairs if value is not None]
        text, value = max(read_ones, key=lambda pair: _strangeness(pair[0]))
        shown = f"{value:,}" if name == "price_yen" else str(value)
        examples.append((heading_of[name], text, shown))
    return examples


def _strangeness(text: str) -> int:
    """Full-width characters, units and eras are what a program cannot take as it is."""
    return len({char for char in text if ord(char) > 0x2FFF}) - len(text) // 12  # noqa: PLR2004

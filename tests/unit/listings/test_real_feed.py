"""The land-price points of Osaka, two years: what a real feed does between two days."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from listings.codec import digest, merge
from listings.model import FIELD_BY_NAME, Listing
from listings.source.csv_file import read_csv
from listings.source.feed import load_feed
from listings.source.mapping import ColumnMapping, FeedContents, read_listings
from tests.support.service import TextFeed, service
from tests.support.shared import ROOT, shared

BOOLEANS = [f"L01_{number:03d}" for number in (*range(11, 24), 32, 33, 34, 59, 60)]


def mapping() -> ColumnMapping:
    """The mapping for this feed."""
    return load_feed(ROOT / "tests/support/osaka_source.toml", environ={}).mapping


def text(year: int) -> bytes:
    """One year's file."""
    return shared(f"data/osaka_land_price_{year}.csv").read_bytes()


def read(year: int, columns: ColumnMapping) -> FeedContents:
    """Read one year's file."""
    return read_listings(read_csv(text(year), str(year)), columns, str(year))


@cache
def mapped(year: int) -> dict[str, Listing]:
    """One year's listings by the mapping for this feed, read once."""
    return by_number(read(year, mapping()))


def by_number(contents: FeedContents) -> dict[str, Listing]:
    """The listings by number."""
    return {entry.listing.property_number: entry.listing for entry in contents.listings}


def test_every_row_is_read() -> None:
    """1,715 and 1,687 of as many; an address and a price as people would read them."""
    for year, count in ((2024, 1715), (2025, 1687)):
        assert len(mapped(year)) == count
    listing = mapped(2025)["27102-000-001"]
    assert listing.fields["address"] == "大阪府 大阪市都島区毛馬町5丁目23番"
    assert listing.fields["price_yen"] == 208_000
    assert listing.fields["has_water"] is True


def test_only_format_changed_in_the_booleans() -> None:
    """2024 writes True, 2025 true: as fields or in extra, that is no change of a listing."""
    only = replace(mapping(), columns={FIELD_BY_NAME["has_water"]: mapping_column("has_water")})
    before, after = by_number(read(2024, only)), by_number(read(2025, only))
    both = before.keys() & after.keys()
    assert len(both) == 1678
    changed = 0
    for number in both:
        old, new = before[number].extra or {}, after[number].extra or {}
        for heading in BOOLEANS:
            if heading in old or heading in new:
                assert isinstance(old[heading], bool)
                changed += old[heading] is not new[heading]
        assert before[number].fields == after[number].fields
    # Real changes remain: attributes of a point that did change between the years.
    assert 0 < changed < 300


def mapping_column(name: str) -> object:
    """The mapped heading of a field."""
    return mapping().columns[FIELD_BY_NAME[name]]


async def test_a_year_later_nothing_is_updated_by_format_alone() -> None:
    """9 created, 37 missing; each update has a value that differs as a value."""
    columns = replace(mapping(), keep_extra=False)
    feed = TextFeed(text(2024), columns)
    async with service(feed=feed) as it:
        first = (await it.sync(mode="full")).json()
        assert first["stats"]["success"] == 1715
        feed.text = text(2025)
        body = (await it.sync(mode="full")).json()
        assert body["stats"] == {"total": 1687, "success": 1687, "failed": 0, "skipped": 0}
        assert body["missing"]["count"] == 37
        actions = [record["action"] for record in body["records"]]
        assert actions.count("created") == 9
        before, after = mapped(2024), mapped(2025)
        differ = {n for n in before.keys() & after.keys() if before[n].fields != after[n].fields}
        updated = {r["propertyNumber"] for r in body["records"] if r["action"] == "updated"}
        assert updated == differ
        price = sum(
            before[n].fields["price_yen"] != after[n].fields["price_yen"]
            for n in before.keys() & after.keys()
        )
        assert price == 1534
        again = await it.sync(mode="full")
        assert {record["action"] for record in again.json()["records"]} == {"unchanged"}


def test_coordinates_with_noise_are_the_same_place() -> None:
    """2025 writes binary noise behind the seventh decimal; only places that moved differ."""
    before, after = mapped(2024), mapped(2025)
    moved = [
        number
        for number in before.keys() & after.keys()
        if before[number].fields["longitude"] != after[number].fields["longitude"]
    ]
    assert len(moved) == 65


def test_digests_do_not_depend_on_the_encoding() -> None:
    """The same feed saved by Excel in CP932 gives the same digests."""
    contents = read(2025, mapping())
    assert contents.failures == ()
    again = read_listings(read_csv(text(2025).decode().encode("cp932"), "sjis"), mapping(), "sjis")
    assert again == contents
    numbers = set()
    for entry in contents.listings:
        row = merge(None, entry.listing)
        numbers.add(digest(entry.listing.property_number, row.fields, row.extra))
    assert len(numbers) == 1687

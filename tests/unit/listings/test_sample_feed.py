"""The sample feed is messy, deterministic, and read without loss."""

from __future__ import annotations

import pytest

from listings.source.csv_file import read_csv
from listings.source.feed import load_feed
from listings.source.mapping import FeedContents, read_listings
from ops.devstack.sample_feed import expected_changes, generate, true_listings
from tests.support.scale import scale
from tests.support.service import TextFeed, service
from tests.support.shared import ROOT

COUNT = scale(full=2_000, quick=400)


def read(day: int, seed: int) -> FeedContents:
    """Read the generated feed of a day."""
    mapping = load_feed(ROOT / "config/source.toml", environ={}).mapping
    return read_listings(read_csv(generate(COUNT, seed=seed, day=day), "sample"), mapping, "sample")


def test_the_same_arguments_give_the_same_bytes() -> None:
    """Deterministic by seed and day, different by either."""
    assert generate(50, seed=1) == generate(50, seed=1)
    assert generate(50, seed=1) != generate(50, seed=2)
    assert generate(50, seed=1) != generate(50, seed=1, day=2)


@pytest.mark.parametrize("seed", [1, 20_261_121])
def test_every_value_is_read_as_it_was_meant(seed: int) -> None:
    """However it was written, the codec finds the true value."""
    contents = read(1, seed)
    assert contents.failures == ()
    truth = {listing.number: listing for listing in true_listings(COUNT, seed, 1)}
    assert len(contents.listings) == len(truth) == COUNT
    for entry in contents.listings:
        true, fields = truth[entry.listing.property_number], entry.listing.fields
        assert fields["price_yen"] == (None if true.price_man is None else true.price_man * 10_000)
        assert fields["rent_yen"] == true.rent_yen
        assert fields["management_fee_yen"] == true.fee_yen
        assert fields["land_area_sqm"] == true.land
        assert fields["building_area_sqm"] == true.building
        assert fields["built_on"] == true.built_on
        assert fields["listed_on"] == true.listed_on
        assert fields["floors"] == true.floors
        assert fields["station_distance_m"] == true.station_m
        assert (fields["has_gas"], fields["has_sewer"]) == (true.gas, true.sewer)
        extra = entry.listing.extra or {}
        assert extra["角地"] is true.corner
        assert extra.get("priceYen") == ("応相談" if true.to_be_agreed else None)


async def test_the_next_day_updates_only_what_changed() -> None:
    """Most rows are written differently; only the changed ones are updates."""
    async with service(feed=TextFeed(generate(COUNT))) as it:
        await it.sync(mode="full")
        it.feed.text = generate(COUNT, day=2)
        body = (await it.sync(mode="full")).json()
    expected = expected_changes(COUNT)
    by_action: dict[str, set[str]] = {"created": set(), "updated": set(), "unchanged": set()}
    for record in body["records"]:
        by_action[record["action"]].add(record["propertyNumber"])
    assert by_action["created"] == expected.created
    assert by_action["updated"] == expected.updated
    assert body["missing"]["count"] == len(expected.missing)

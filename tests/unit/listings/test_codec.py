"""What is understood, what is kept, what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from listings.codec import (
    decode_json,
    digest,
    encode_json,
    listing_from_row,
    merge,
    normalise_property_number,
    parse_listing,
    row_values,
    stored_values,
    to_json,
)
from listings.errors import InvalidInput
from listings.model import FIELD_BY_NAME, FIELDS, Listing, StoredListing


def parse(**raw: Any) -> Listing:
    """Parse a pushed listing with a number."""
    return parse_listing({"propertyNumber": "A-1", **raw}, "listings[0]")


def refused(**raw: Any) -> tuple[str, str, str]:
    """Parse a listing that must be refused for one reason; return that."""
    with pytest.raises(InvalidInput) as caught:
        parse(**raw)
    (fault,) = caught.value.faults
    return fault.field, fault.expected, fault.got


def stored(listing: Listing) -> StoredListing:
    """Make the row that a store would hold after writing the listing."""
    row = merge(None, listing)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return StoredListing(
        UUID(int=1), "default", listing.property_number, row.fields, row.extra, "old", None, at, at
    )


def test_absent_and_null_are_different() -> None:
    """A field not spoken of is absent, a blank one is present as null."""
    listing = parse(priceYen=None, title="　", city="大阪市")
    assert listing.fields == {"price_yen": None, "title": None, "city": "大阪市"}
    assert listing.extra is None


def test_text_is_read_like_a_feed() -> None:
    """JSON strings are normalised as feed cells are."""
    listing = parse(
        priceYen="３，８００万円", landAreaSqm="36坪", builtOn="平成10年3月5日", hasGas="有",
        floors="地上10階建", latitude="34.72500500001", sourceUpdatedAt="2024/4/1 9:00",
        buildingCoveragePercent="60%", stationDistanceM="1.2km",
    )  # fmt: skip
    assert listing.fields == {
        "price_yen": 38_000_000,
        "land_area_sqm": Decimal("119.01"),
        "built_on": date(1998, 3, 5),
        "has_gas": True,
        "floors": 10,
        "latitude": Decimal("34.7250050"),
        "source_updated_at": datetime(2024, 4, 1, tzinfo=UTC),
        "building_coverage_percent": Decimal(60),
        "station_distance_m": 1200,
    }


def test_what_is_not_understood_is_kept() -> None:
    """The field becomes null and the raw text stands in extra under the field's JSON name."""
    listing = parse(priceYen=" 応相談 ", builtOn="1998年3月", hasGas="不明")
    assert listing.fields == {"price_yen": None, "built_on": None, "has_gas": None}
    assert listing.extra == {"priceYen": "応相談", "builtOn": "1998年3月", "hasGas": "不明"}


def test_unknown_keys_are_kept() -> None:
    """Keys beyond the fields go to extra, nested ones whole; null and read-only keys do not."""
    listing = parse(
        agent={"name": "佐藤", "rate": Decimal("0.030")}, corner="True", note="-", id="x",
        writtenBy="new", digest="0",
    )  # fmt: skip
    assert listing.extra == {"agent": {"name": "佐藤", "rate": Decimal("0.030")}, "corner": True}


def test_extra_can_be_cleared() -> None:
    """Saying extra, even as null, speaks of it."""
    assert parse(extra=None).extra == {}
    assert parse(extra={}).extra == {}
    assert parse(extra={"a": 1}, b=2).extra == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"priceYen": True}, "a whole number from 0"),
        ({"priceYen": []}, "a whole number from 0"),
        ({"priceYen": {}}, "a whole number from 0"),
        ({"priceYen": -1}, "a whole number from 0"),
        ({"priceYen": "-1円"}, "a whole number from 0"),
        ({"priceYen": 10**16}, "a whole number from 0"),
        ({"priceYen": 10**5000}, "a whole number from 0"),
        ({"priceYen": Decimal("1.5")}, "a whole number"),
        ({"priceYen": "1.5円"}, "a whole number"),
        ({"priceYen": "NaN"}, "a whole number"),
        ({"landAreaSqm": "Infinity"}, "a number from 0"),
        ({"landAreaSqm": float("nan")}, "a number from 0"),
        ({"latitude": 91}, "a number from -90 to 90"),
        ({"title": 5}, "text of at most 500"),
        ({"title": ["x"]}, "text of at most 500"),
        ({"title": "長" * 501}, "text of at most 500"),
        ({"title": "a\x00b"}, "text without NUL"),
        ({"title": "\ud800"}, "valid Unicode"),
        ({"hasGas": 2}, "true or false"),
        ({"builtOn": 20240401}, "a date"),
        ({"extra": []}, "an object"),
        ({"other": "a\x00b"}, "text without NUL"),
        ({"other": {"deep": "a\x00b"}}, "text without NUL"),
        ({"a\x00": 1}, "text without NUL"),
        ({"other": [Decimal("1e400")]}, "a number of at most"),
        ({"other": Decimal("1e-400")}, "a number of at most"),
        ({"other": Decimal("0e-99999999")}, "a number of at most"),
        ({"extra": {"k": 1}, "k": 2}, "no other value in extra"),
    ],
)
def test_refused(raw: dict[str, Any], expected: str) -> None:
    """A value that cannot be stored names its field and what was expected."""
    field, wanted, _got = refused(**raw)
    assert field.startswith("listings[0].")
    assert wanted.startswith(expected)


def test_nesting_is_bounded() -> None:
    """Extra deeper than can be written again is refused."""
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    assert refused(other=deep)[1].startswith("JSON nested at most")


def test_every_fault_is_told_at_once() -> None:
    """Three wrong values are three faults."""
    with pytest.raises(InvalidInput) as caught:
        parse_listing({"propertyNumber": 5, "priceYen": -1, "title": []}, "listings[7]")
    assert [fault.field for fault in caught.value.faults] == [
        "listings[7].propertyNumber",
        "listings[7].priceYen",
        "listings[7].title",
    ]


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("ＡＡ１２３４５", "AA12345"),
        (" AA  12 ", "AA 12"),
        ("27102－000－001", "27102-000-001"),
        ("物件/1", "物件/1"),
        ("x" * 64, "x" * 64),
    ],
)
def test_property_number_is_normalised(said: str, number: str) -> None:
    """NFKC, trimmed, inner space as one; case and signs stay."""
    assert normalise_property_number(said) == number


@pytest.mark.parametrize(
    "said",
    [None, "", "　", "-", "_", 5, True, "x" * 65, "a\x00b", "a\nb", "a\u200bb", "\ud800", []],
)
def test_property_number_is_refused(said: object) -> None:
    """Nothing, too long, or characters that cannot be seen."""
    with pytest.raises(InvalidInput):
        normalise_property_number(said)


def row(cells: dict[str, str], rest: dict[str, str] | None = None) -> Listing:
    """Read a feed row whose headings are the fields' titles."""
    fields = [
        (FIELD_BY_NAME[name], FIELD_BY_NAME[name].title, text) for name, text in cells.items()
    ]
    return listing_from_row("A", fields, (rest or {}).items(), row=7, heading="物件番号")


def test_format_of_a_feed_is_no_content() -> None:
    """True and true, a dash and an empty cell are the same row."""
    first = row({"has_gas": "True"}, {"角地": "True", "備考2": "_", "階": "001", "数": "1.0"})
    second = row({"has_gas": "true"}, {"角地": "true", "備考2": "", "階": "001 ", "数": "1.0"})
    assert first == second
    assert first.extra == {"角地": True, "階": "001", "数": "1.0"}


def test_feed_faults_name_row_and_heading() -> None:
    """A feed's fault speaks the feed's words."""
    with pytest.raises(InvalidInput) as caught:
        row({"price_yen": "-5", "title": "あ" * 501})
    assert [(fault.field, fault.row) for fault in caught.value.faults] == [
        ("価格", 7),
        ("物件名", 7),
    ]


def test_kept_text_does_not_push_out_a_column() -> None:
    """An unmapped column named like the field's JSON name keeps its value beside the raw text."""
    listing = row({"price_yen": "応相談"}, {"priceYen": "5"})
    assert listing.extra == {"priceYen": "5", "priceYen (価格)": "応相談"}


def test_merge_keeps_what_was_not_said() -> None:
    """An absent field keeps its stored value, a null clears, extra is replaced only when said."""
    before = stored(parse(priceYen=1, title="x", extra={"a": 1}))
    after = merge(before, parse(title=None))
    assert (after.fields["price_yen"], after.fields["title"], after.extra) == (1, None, {"a": 1})
    assert merge(before, parse(extra={"b": 2})).extra == {"b": 2}
    assert set(after.fields) == {field.name for field in FIELDS}


def test_row_values_hold_only_what_was_said() -> None:
    """What a store may write: fields present, and extra if spoken of."""
    assert row_values(parse(priceYen=5)) == {"price_yen": 5}
    assert row_values(parse(extra={})) == {"extra": {}}


def test_database_rows_give_the_same_digest() -> None:
    """Typed values of psycopg and JSON of PostgREST are the same row as the listing itself."""
    listing = parse(
        priceYen=5, landAreaSqm="12.50", builtOn="2024-04-01", hasGas=True,
        sourceUpdatedAt="2024-04-01T12:00:00.5Z", extra={"rate": Decimal("1.50"), "n": [1e2, None]},
    )  # fmt: skip
    own = merge(None, listing)
    expected = digest("A-1", own.fields, own.extra)
    typed = stored_values({**own.fields, "extra": {"n": [100, None], "rate": 1.5}, "id": 5})
    assert digest("A-1", typed.fields, typed.extra) == expected
    text = (
        b'{"price_yen":5,"land_area_sqm":12.50,"built_on":"2024-04-01","has_gas":true,'
        b'"source_updated_at":"2024-04-01T21:00:00.5+09:00","extra":{"n":[100.0,null],"rate":15e-1}}'
    )
    loaded = decode_json(text)
    assert isinstance(loaded, dict)
    from_json = stored_values(loaded)
    assert digest("A-1", from_json.fields, from_json.extra) == expected


def test_what_is_read_can_be_pushed_back() -> None:
    """An answer's listing, sent as it came, says the same listing."""
    listing = parse(
        title="ハイツⅡ", priceYen="応相談", landAreaSqm="12.5", builtOn="R6.4.1", hasSewer="×",
        sourceUpdatedAt="2024/4/1 9:00:00.25", agent={"rate": Decimal("0.03")},
    )  # fmt: skip
    body = decode_json(encode_json(to_json(stored(listing))))
    assert isinstance(body, dict)
    again = parse_listing(body, "listings[0]")
    assert merge(None, again) == merge(None, listing)

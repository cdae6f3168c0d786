"""The digest of what was said is the digest of what stands, through every store and back."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from listings.codec import merge, parse_listing
from listings.codec.canonical import digest
from listings.errors import InvalidInput
from listings.source.csv_file import read_csv
from listings.source.feed import load_feed
from listings.source.mapping import read_listings
from ops.devstack.sample_feed import generate
from tests.support.scale import scale
from tests.support.shared import ROOT, shared

if TYPE_CHECKING:
    from listings.model import Listing

EXTREMES: tuple[dict[str, Any], ...] = (
    {"extra": {"n": [Decimal("1.50"), Decimal("15E-1"), Decimal("1E+2"), 100, Decimal("-0.0")]}},
    {"extra": {"n": [10**40, -(10**40), Decimal("1E-300"), Decimal("9.999E+300")]}},
    {"extra": {"n": Decimal("0.1000000000000000055511151231257827021181583404541015625")}},
    {"extra": {"b": {"é": 1, "e": 2, "z": {}}, "a": [], "": None, "B": [None, True, "", "1"]}},
    {"extra": {"2": 1, "10": 2, "１": 3, "\U0001f3e0": "家", "\ue000": "private"}},
    {"latitude": "-0.00000001", "longitude": Decimal("179.99999999"), "landAreaSqm": "0.005"},
    {"priceYen": 10**15, "floors": 0, "landAreaSqm": 10**9, "hasGas": False},
    {"builtOn": "0001-01-01", "listedOn": "9999-12-31", "sourceUpdatedAt": "9999-12-31T23:59:59Z"},
    {"sourceUpdatedAt": "1868-01-25T00:00:00.000001Z"},
    {"sourceUpdatedAt": "2024-04-01T12:00:00.100000+09:00", "builtOn": "明治元年1月25日"},
    {"description": '\\ "quoted"\t\u2028\u0085 a\u0301 á 塚 \x01\x1f ￥', "title": "{}[],;'--"},
    {"description": "null", "title": "true", "city": "_", "extra": {"x": "NULL", "y": "{}"}},
    {},
)


def sample() -> list[Listing]:
    """Messy listings of the sample feed."""
    mapping = load_feed(ROOT / "config/source.toml", environ={}).mapping
    table = read_csv(generate(scale(full=2000, quick=100)), "sample")
    return [entry.listing for entry in read_listings(table, mapping, "sample").listings]


def naughty() -> list[Listing]:
    """Every naughty string that can be stored, as text, as value and as key."""
    lines = shared("corpus/naughty_strings.jsonl").read_text("utf-8").splitlines()
    found: list[Listing] = []
    for index, line in enumerate(lines):
        text = json.loads(line)["text"]
        raw = {"propertyNumber": f"N{index:04d}", "description": text, "title": text[:200]}
        try:
            found.append(parse_listing({**raw, "extra": {text: text, "k": [text]}}, "listing"))
        except InvalidInput:
            continue
    return found


async def test_what_was_said_is_what_stands(under_test: Any) -> None:
    """Record, row read singly and row read in a page have the digest the codec planned."""
    extremes = [
        parse_listing({"propertyNumber": f"X{index}", **raw}, "listing")
        for index, raw in enumerate(EXTREMES)
    ]
    listings = [*sample(), *naughty(), *extremes]
    planned = {}
    for said in listings:
        row = merge(None, said)
        planned[said.property_number] = digest(said.property_number, row.fields, row.extra)
    assert len(planned) == len(listings)
    ordered = sorted(listings, key=lambda said: said.property_number)
    for start in range(0, len(ordered), 100):
        result = await under_test.write(*ordered[start : start + 100])
        for record in result.records:
            assert record.digest == planned[record.property_number], record
    standing = await under_test.store.page(under_test.workspace, limit=10_000)
    assert {
        row.property_number: digest(row.property_number, row.fields, row.extra) for row in standing
    } == planned
    again = await under_test.write(*ordered[-100:])
    assert {record.action.value for record in again.records} == {"unchanged"}
    one = await under_test.store.get(under_test.workspace, "X0")
    assert one is not None
    assert digest("X0", one.fields, one.extra) == planned["X0"]

"""What every store promises about writes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import uuid4

import pytest

from listings.model import FIELDS, Kind
from listings.store import Action
from tests.contract.store.conftest import (
    Harness,
    assert_continuous,
    by_number,
    listing,
    planned,
)
from tests.support.scale import scale

WEIRD = [
    'quo"te', "back\\slash", "com,ma", "(paren)", "per%20cent", "a&b=c#d?e", "plus+sign", "sp ace",
    "dot.in.middle", "null", "in.(x)", "*", "😀🏠" * 32, "港区１", "e\u0301", "'", ";--", "-1",
    "x" * 64, "~", ":", "{a}", "[1]", "eq.1",
]  # fmt: skip


async def test_created_updated_unchanged(any_store: Harness) -> None:
    """The action says what became of the row, and the digest is of the row as it stands."""
    first = by_number(await any_store.write(listing("b", price_yen=1), listing("a", title="x")))
    assert [record.action for record in first.values()] == [Action.CREATED, Action.CREATED]
    second = by_number(await any_store.write(listing("a", title="x"), listing("b", price_yen=2)))
    assert second["a"].action is Action.UNCHANGED
    assert second["b"].action is Action.UPDATED
    third = by_number(await any_store.write(listing("a", title="x"), listing("b", price_yen=2)))
    assert {record.action for record in third.values()} == {Action.UNCHANGED}
    standing = await any_store.standing()
    for records in (second, third):
        for number, record in records.items():
            own = standing[number]
            assert record.digest == planned(listing(number), own)


async def test_absent_keeps_and_null_clears(any_store: Harness) -> None:
    """A field not spoken of keeps its value; one left blank is cleared; extra alike."""
    await any_store.write(listing("a", {"k": 1}, title="t", price_yen=5, city="c"))
    await any_store.write(listing("a", price_yen=None), listing("b", city="d"))
    a = (await any_store.standing())["a"]
    assert (a.fields["title"], a.fields["price_yen"], a.fields["city"]) == ("t", None, "c")
    assert a.extra == {"k": 1}
    await any_store.write(listing("a", {}))
    assert (await any_store.standing())["a"].extra == {}


async def test_mixed_fields_in_one_call(any_store: Harness) -> None:
    """Listings that speak of different fields do not touch each other's absent ones."""
    numbers = [f"n{i:02}" for i in range(40)]
    await any_store.write(*(listing(n, title="t", price_yen=1, floors=2) for n in numbers))
    fields = [{"title": "u"}, {"price_yen": 9}, {"floors": None, "title": "v"}, {}]
    await any_store.write(*(listing(n, **fields[i % 4]) for i, n in enumerate(numbers)))
    standing = await any_store.standing()
    for i, number in enumerate(numbers):
        wanted = {"title": "t", "price_yen": 1, "floors": 2} | fields[i % 4]
        own = standing[number].fields
        assert {name: own[name] for name in wanted} == wanted


async def test_unchanged_write_writes_nothing(under_test: Harness) -> None:
    """A write that changes nothing leaves the row's version and the journal untouched."""
    said = [listing("a", {"k": Decimal("1.50")}, land_area_sqm=Decimal("12.50")), listing("b")]
    await under_test.write(*said)
    rows, journal = under_test.rows(), under_test.journal()
    for _ in range(3):
        result = await under_test.write(*said)
        assert {record.action for record in result.records} == {Action.UNCHANGED}
    assert under_test.rows() == rows
    assert under_test.journal() == journal


async def test_one_bad_row_fails_alone(under_test: Harness) -> None:
    """Of a hundred listings the bad one is named with its reason; the other 99 are stored."""
    said = [listing(f"p{i:03}", price_yen=i, title="t") for i in range(100)]
    said[57] = listing("p057", price_yen=-5, title="t")
    records = by_number(await under_test.write(*said))
    bad = records.pop("p057")
    assert bad.action is Action.FAILED
    assert bad.digest is None
    assert bad.error.code == "23514"
    assert "price_yen" in bad.error.error
    assert {record.action for record in records.values()} == {Action.CREATED}
    assert len(await under_test.standing()) == 99


async def test_several_bad_rows_of_different_kinds(under_test: Harness) -> None:
    """Each bad row fails with its own reason, wherever it stands in the batch."""
    said = [listing(f"p{i:02}", floors=i, title="t") for i in range(20)]
    said[0] = listing("p00", floors=10**30, title="t")
    said[13] = listing("p13", floors=1, title="x" * 501)
    said[19] = listing("p19", floors=301, title="t")
    records = by_number(await under_test.write(*said))
    failed = {number for number, record in records.items() if record.action is Action.FAILED}
    assert failed == {"p00", "p13", "p19"}
    assert records["p00"].error.code == "22003"
    assert len(await under_test.standing()) == 17


async def test_any_property_number(any_store: Harness) -> None:
    """Whatever a property number holds, it is written, read and updated as itself, and alone."""
    for number in WEIRD:
        await any_store.write(listing(number, title=f"of {number}", city="c"))
    for number in WEIRD:
        said = listing(number, title=f"still of {number}")
        assert (await any_store.write(said)).records[0].action is Action.UPDATED
        assert (await any_store.write(said)).records[0].action is Action.UNCHANGED
        stood = await any_store.store.get(any_store.workspace, number)
        assert (stood.fields["title"], stood.fields["city"]) == (f"still of {number}", "c")
    assert await any_store.store.property_numbers(any_store.workspace) == set(WEIRD)


async def test_order_is_code_points(any_store: Harness) -> None:
    """Records, pages and keyset order agree with Python's own string order, whatever the script."""
    numbers = [*WEIRD, "A1", "a1", "Ａ１", "ア", "あ", "漢", "\uffee", "\U0001f600"]
    result = await any_store.write(*(listing(n) for n in reversed(numbers)))
    assert [record.property_number for record in result.records] == sorted(numbers)
    walked: list[str] = []
    after = None
    while page := await any_store.store.page(any_store.workspace, after=after, limit=7):
        walked += [row.property_number for row in page]
        after = walked[-1]
    assert walked == sorted(numbers)


def _extremes() -> list[dict]:
    least: dict = {}
    most: dict = {}
    for field in FIELDS:
        match field.kind:
            case Kind.TEXT:
                least[field.name] = "\t'\"\\{},()\u3000"[: field.max_length]
                most[field.name] = "😀" * field.max_length
            case Kind.INTEGER:
                least[field.name], most[field.name] = field.minimum, field.maximum
            case Kind.DECIMAL:
                step = Decimal(1).scaleb(-field.scale)
                least[field.name] = Decimal(field.minimum) + (step if field.minimum == 0 else 0)
                most[field.name] = Decimal(field.maximum) - step
            case Kind.BOOLEAN:
                least[field.name], most[field.name] = False, True
            case Kind.DATE:
                least[field.name], most[field.name] = date(1, 1, 1), date(9999, 12, 31)
            case Kind.TIMESTAMP:
                least[field.name] = datetime(1, 1, 2, 0, 0, 0, 1, tzinfo=UTC)
                most[field.name] = datetime(9999, 12, 30, 23, 59, 59, 999999, tzinfo=UTC)
    return [least, most]


EXTRA = {
    "文字": '値\n"quoted"',
    "deep": {"list": [1, [2, {"x": None}], True, False, ""]},
    "exact": [Decimal("0.1"), Decimal("1.50"), 10**40, Decimal("1E-20"), -0],
}


@pytest.mark.parametrize("fields", _extremes(), ids=["least", "most"])
async def test_extremes_round_trip(any_store: Harness, fields: dict) -> None:
    """Every field's extreme values come back as they went in, and the digest is the codec's own."""
    said = listing("edge", EXTRA, **fields)
    record = (await any_store.write(said)).records[0]
    assert record.error is None
    stood = (await any_store.standing())["edge"]
    assert stood.fields == fields
    assert record.digest == planned(said) == planned(listing("edge"), stood)


async def test_journal_tells_every_write(under_test: Harness) -> None:
    """The journal names the writer and the sync, and its images follow each other without a gap."""
    ids = [uuid4() for _ in range(3)]
    for step, sync_id in enumerate(ids):
        await under_test.write(
            listing("a", price_yen=step), listing("b", title="t"), sync_id=sync_id
        )
    entries = under_test.journal()
    assert [(entry["property_number"], entry["op"]) for entry in entries] == [
        ("a", "insert"), ("b", "insert"), ("a", "update"), ("a", "update"),
    ]  # fmt: skip
    assert {entry["writer"] for entry in entries} == {under_test.system}
    assert [entry["sync_id"] for entry in entries] == [ids[0], ids[0], ids[1], ids[2]]
    assert_continuous(entries)
    stood = (await under_test.standing())["a"]
    assert (stood.written_by, stood.sync_id) == (under_test.system, ids[2])


async def test_an_empty_set_is_no_work(any_store: Harness) -> None:
    """Nothing to write gives no records, dry or not."""
    assert (await any_store.write()).records == ()
    assert (await any_store.write(dry_run=True)).records == ()


async def test_many_at_once(any_store: Harness) -> None:
    """More listings than fit one call come out whole, first written, then unchanged."""
    said = [listing(f"物件{i:05}", title=f"t{i}") for i in range(scale(full=20_000, quick=303))]
    first = await any_store.write(*said)
    assert {record.action for record in first.records} == {Action.CREATED}
    again = await any_store.write(*said)
    assert {record.action for record in again.records} == {Action.UNCHANGED}
    assert [r.digest for r in again.records] == [r.digest for r in first.records]
    numbers = await any_store.store.property_numbers(any_store.workspace)
    assert numbers == {each.property_number for each in said}
    assert len(await any_store.standing()) == len(said)

"""What every store promises to whoever asks why a shadow differs."""

from __future__ import annotations

from uuid import uuid4

from listings.codec import answer_digest
from listings.store import SyncRun, SyncStatus
from listings.stored import row_digest, row_json
from listings.sync.request import Mode, SyncRequest
from listings.sync.shadowing import pairs
from tests.contract.store.conftest import Harness, by_number, listing


async def test_rows_are_read_as_a_sync_left_them(under_test: Harness) -> None:
    """Its own writes from the journal whatever came later, the rest as it stands."""
    first, second = uuid4(), uuid4()
    wrote = await under_test.write(
        *(listing(f"n{i:03}", title="t", price_yen=i) for i in range(150)), sync_id=first
    )
    await under_test.write(listing("n001", price_yen=77), sync_id=second)
    numbers = [f"n{i:03}" for i in range(150)]
    after_first = await under_test.store.rows_after(under_test.workspace, first, numbers)
    assert {n: row_digest(row) for n, row in after_first.items()} == {
        record.property_number: record.digest for record in wrote.records
    }
    after_second = await under_test.store.rows_after(
        under_test.workspace, second, ["n001", "n002", "nobody"]
    )
    assert {n: row_json(row).get("priceYen") for n, row in after_second.items()} == {
        "n001": 77, "n002": 2,
    }  # fmt: skip


async def test_only_what_differs_is_shown_with_both_rows(under_test: Harness) -> None:
    """Of a shadow that changes one of three listings otherwise, that one comes with both rows."""
    sync_id = uuid4()
    await under_test.write(listing("a", title="t", price_yen=1), listing("c", title="c"))
    theirs = await under_test.write(
        listing("a", price_yen=100), listing("b", title="b"), listing("c", title="c"),
        sync_id=sync_id,
    )  # fmt: skip
    run = SyncRun(
        sync_id, under_test.workspace, "push", SyncStatus.COMPLETED,
        *(2 * [(await under_test.standing())["a"].updated_at]),
    )  # fmt: skip
    await under_test.store.record_run(run)
    shadow = await under_test.write(
        listing("a", price_yen=99), listing("b", title="b"), listing("c", title="c"),
        dry_run=True, shadow_of=sync_id,
    )  # fmt: skip
    assert by_number(shadow)["a"].row is not None
    digest = answer_digest((each.property_number, each.digest) for each in theirs.records)
    request = SyncRequest(
        Mode.PUSH, under_test.workspace, dry_run=True, shadow_of=sync_id, shadow_digest=digest
    )
    found = await pairs(under_test.store, request, shadow.records)
    assert list(found) == ["a"]
    assert found["a"].row == {"propertyNumber": "a", "title": "t", "priceYen": 99}
    assert found["a"].shadow_of_row == {"propertyNumber": "a", "title": "t", "priceYen": 100}
    assert await pairs(under_test.store, request, theirs.records) == {}

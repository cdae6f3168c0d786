"""What every store promises about dry runs: nothing is stored, and what they say is true."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from listings.errors import StoreRefused
from listings.model import PROOF_WORKSPACE
from listings.store import Action, DryRun, DryRunMeans, SyncRun, SyncStatus
from sync_new.rest_store import RestStore
from tests.contract.store.conftest import (
    Harness,
    by_number,
    listing,
    planned,
    rest_settings,
)
from tests.support.shared import shared

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.servers import Database, PostgrestFactory

TABLES = ("listings", "listing_journal", "sync_history", "sync_state")


def fingerprint(database: Database) -> list[Any]:
    """Every byte of every table, row versions included."""
    digest = "SELECT md5(string_agg(t::text, '|' ORDER BY t::text))"
    return [
        database.fetch(f"{digest} FROM (SELECT xmin, whole.* FROM {table} AS whole) AS t")
        for table in TABLES
    ]


async def test_a_dry_run_leaves_no_trace(under_test: Harness) -> None:
    """Creating, changing, failing and leaving as it stood: every table stays byte for byte."""
    await under_test.write(listing("a", title="t", price_yen=1), listing("b", title="u"))
    before = fingerprint(under_test.database)
    result = await under_test.write(
        listing("a", price_yen=2), listing("b", title="u"), listing("c", floors=999),
        listing("d", title="new"), dry_run=True,
    )  # fmt: skip
    assert fingerprint(under_test.database) == before
    assert result.dry_run is DryRun.APPLIED
    records = by_number(result)
    assert [record.action for record in records.values()] == [
        Action.UPDATED, Action.UNCHANGED, Action.FAILED, Action.CREATED,
    ]  # fmt: skip
    assert records["c"].error.code == "23514"


async def test_a_dry_run_foretells_the_write(any_store: Harness) -> None:
    """The write that follows has the same actions and digests, one by one."""
    await any_store.write(*(listing(f"p{i:02}", title="t", floors=i) for i in range(30)))
    said = [
        listing(f"p{i:02}", {"i": i} if i % 3 else None, floors=i + i % 2) for i in range(20, 60)
    ]
    dry = await any_store.write(*said, dry_run=True)
    wet = await any_store.write(*said)
    assert dry.records == wet.records


async def test_a_shadow_starts_from_the_before_images(under_test: Harness) -> None:
    """A field that the shadow forgets is found, though the row already holds the right value."""
    sync_id = uuid4()
    await under_test.write(listing("a", title="t", price_yen=1))
    stood = (await under_test.standing())["a"]
    real = await under_test.write(
        listing("a", title="t2", price_yen=2), listing("b", title="new"), sync_id=sync_id
    )
    good = await under_test.write(
        listing("a", title="t2", price_yen=2), listing("b", title="new"),
        dry_run=True, shadow_of=sync_id,
    )  # fmt: skip
    assert good.records == real.records
    forgetful = await under_test.write(
        listing("a", title="t2"), listing("b", title="new"), dry_run=True, shadow_of=sync_id
    )
    assert by_number(forgetful)["a"].digest == planned(listing("a", title="t2"), stood)
    assert by_number(forgetful)["a"].digest != by_number(real)["a"].digest
    naive = await under_test.write(listing("a", title="t2"), dry_run=True)
    assert naive.records[0].digest == by_number(real)["a"].digest  # why before images are needed


async def test_a_shadow_is_not_moved_by_later_writes(under_test: Harness) -> None:
    """Live traffic after the shadowed sync changes nothing in the shadow's answer."""
    sync_id = uuid4()
    await under_test.write(listing("a", title="t"), listing("same", title="s"))
    said = [listing("a", title="u"), listing("b", title="v"), listing("same", title="s")]
    real = await under_test.write(*said, sync_id=sync_id)
    assert by_number(real)["same"].action is Action.UNCHANGED
    run = SyncRun(sync_id, under_test.workspace, "push", SyncStatus.COMPLETED, datetime.now(UTC))
    await under_test.store.record_run(run)
    await under_test.write(
        listing("a", title="later", city="c"), listing("b", city="d"), listing("same", title="x")
    )
    with under_test.database.connect() as connection:
        connection.execute("DELETE FROM listings WHERE property_number = 'b'")
    before = fingerprint(under_test.database)
    shadow = await under_test.write(*said, dry_run=True, shadow_of=sync_id)
    assert shadow.records == real.records
    assert fingerprint(under_test.database) == before


async def test_proof_reads_back(under_test: Harness) -> None:
    """The proof names its means, and leaves nothing in the workspace it uses."""
    proof = await under_test.store.prove_dry_run()
    assert proof.means is under_test.store.dry_run_means()
    left = under_test.database.fetch(
        "SELECT (SELECT count(*) FROM listings WHERE workspace_id = %s),"
        " (SELECT count(*) FROM listing_journal WHERE workspace_id = %s)",
        PROOF_WORKSPACE, PROOF_WORKSPACE,
    )  # fmt: skip
    assert left == [(0, 0)]


async def test_live_traffic_goes_on_beside_dry_runs(under_test: Harness) -> None:
    """Dry runs of rows that are being written neither fail nor hold the writers up for good."""
    numbers = [f"r{i:02}" for i in range(12)]
    await under_test.write(*(listing(n, floors=0) for n in numbers))

    async def live() -> None:
        for i in range(8):
            await under_test.write(*(listing(n, floors=i) for n in numbers))

    async def shadow() -> list:
        return [
            await under_test.write(
                *(listing(n, title="shadow") for n in numbers), dry_run=True, shadow_of=uuid4()
            )
            for _ in range(8)
        ]

    _, results = await asyncio.gather(live(), shadow())
    for result in results:
        assert {record.action for record in result.records} == {Action.UPDATED}
    for stood in (await under_test.standing()).values():
        assert (stood.fields["floors"], stood.fields["title"]) == (7, None)


async def test_live_traffic_changes_nothing_in_the_proof(under_test: Harness) -> None:
    """Writes go on in the other workspaces while the proof is taken; it holds, and so do they."""

    async def live() -> None:
        for i in range(10):
            await under_test.write(*(listing(f"r{n}", floors=i) for n in range(5)))

    async def prove() -> None:
        for _ in range(5):
            await under_test.store.prove_dry_run()

    await asyncio.gather(live(), prove())
    assert {row.fields["floors"] for row in (await under_test.standing()).values()} == {9}


SERVERS = (
    ("real", "commit"),
    ("real", "commit-allow-override"),
    ("real", "rollback"),
    ("real", "rollback-allow-override"),
    ("standin", "commit"),
)


@pytest.mark.parametrize(("kind", "tx_end"), SERVERS)
async def test_no_setting_of_the_server_stores_a_dry_run(
    database: Database, postgrest: PostgrestFactory, kind: str, tx_end: str
) -> None:
    """Under every db-tx-end, the plain commit of the trap included, not one row is stored."""
    matrix = _matrix()
    server = postgrest(database, kind=kind, db_tx_end=tx_end)
    store = RestStore(rest_settings(server))
    harness = Harness(store, database, "default")
    before = fingerprint(database)
    for size in (1, 150):
        said = [listing(f"p{i:03}", title="t") for i in range(size)]
        result = await harness.write(*said, dry_run=True)
        assert {record.action for record in result.records} == {Action.CREATED}
        assert [record.digest for record in result.records] == [planned(each) for each in said]
    expected = DryRunMeans.ROLLBACK if matrix[tx_end] else DryRunMeans.RAISE
    assert (result.means, store.dry_run_means()) == (expected, expected)
    assert (await store.prove_dry_run()).means is expected
    assert fingerprint(database) == before
    await store.close()


@pytest.mark.parametrize(("kind", "tx_end"), SERVERS)
async def test_without_the_function_only_a_proven_rollback_executes(
    database: Database, postgrest: PostgrestFactory, kind: str, tx_end: str
) -> None:
    """A database without the function: rollback where the server honours it, else a plan."""
    matrix = _matrix()
    with database.connect() as connection:
        connection.execute("INSERT INTO listings (property_number, title) VALUES ('a', 't')")
        connection.execute("DROP FUNCTION sync_dry_run")
    server = postgrest(database, kind=kind, db_tx_end=tx_end)
    store = RestStore(rest_settings(server))
    harness = Harness(store, database, "default")
    before = fingerprint(database)
    said = [listing("a", city="c"), listing("b", title="u")]
    result = await harness.write(*said, dry_run=True)
    assert fingerprint(database) == before
    proven = matrix[tx_end]
    assert result.means is (DryRunMeans.ROLLBACK if proven else DryRunMeans.PLAN)
    assert result.dry_run is (DryRun.APPLIED if proven else DryRun.PLANNED)
    stood = (await harness.standing())["a"]
    assert [record.digest for record in result.records] == [
        planned(said[0], stood), planned(said[1]),
    ]  # fmt: skip
    assert [record.action for record in result.records] == [Action.UPDATED, Action.CREATED]
    await store.close()


async def test_a_plan_shadows_from_the_before_images(
    database: Database, postgrest: PostgrestFactory
) -> None:
    """Even a plan starts from where the other system started, and says that it is a plan."""
    with database.connect() as connection:
        connection.execute("DROP FUNCTION sync_dry_run")
    store = RestStore(rest_settings(postgrest(database, db_tx_end="commit-allow-override")))
    harness = Harness(store, database, "default")
    sync_id = uuid4()
    await harness.write(listing("a", title="t", price_yen=1))
    real = await harness.write(listing("a", price_yen=2), listing("b", city="c"), sync_id=sync_id)
    result = await harness.write(
        listing("a", price_yen=2), listing("b"), dry_run=True, shadow_of=sync_id
    )
    assert result.dry_run is DryRun.PLANNED
    assert result.records[0] == real.records[0]
    assert result.records[1].digest == planned(listing("b"))
    await store.close()


async def test_proof_fails_where_a_dry_run_stores(
    database: Database, open_store: Callable[..., Any], postgrest: PostgrestFactory
) -> None:
    """A function that forgot to roll back is found out by reading back, and refused."""
    with database.connect() as connection:
        (source,) = connection.execute(
            "SELECT pg_get_functiondef('sync_dry_run'::regproc)"
        ).fetchone()
        broken = source.replace("RAISE EXCEPTION 'a dry run ends here'", "RAISE NOTICE 'x'")
        assert broken != source
        connection.execute(broken.encode())
    store = RestStore(rest_settings(postgrest(database, db_tx_end="commit")))
    with pytest.raises(StoreRefused) as refused:
        await store.prove_dry_run()
    assert refused.value.code == "dry_run_stored"
    await store.close()


def _matrix() -> dict[str, bool]:
    """Whether ``tx=rollback`` is confirmed, per db-tx-end, from the shared matrix."""
    cases = json.loads(shared("contracts/postgrest_tx_matrix.json").read_text())["matrix"]
    return {
        case["db_tx_end"]: case["preference_applied_contains"] == "tx=rollback"
        for case in cases
        if case["prefer"] == "tx=rollback"
    }

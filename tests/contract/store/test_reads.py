"""What every store promises about reads, the history and its own state."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from listings.errors import StoreRefused, StoreUnavailable
from listings.store import RecordError, SyncRun, SyncStatus
from ops.devstack import tokens
from sync_new.rest_store import RestStore
from tests.contract.store.conftest import Harness, listing, rest_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.servers import Database, PostgrestFactory

START = datetime(2026, 4, 1, 3, 0, 0, 123456, tzinfo=UTC)


def run(harness: Harness, minute: int, **changes: Any) -> SyncRun:
    """A run that started so many minutes after the first."""
    given: dict[str, Any] = {
        "sync_id": uuid4(),
        "workspace_id": harness.workspace,
        "mode": "push",
        "status": SyncStatus.RUNNING,
        "started_at": START + timedelta(minutes=minute),
        **changes,
    }
    return SyncRun(**given)


async def test_unknown_is_none(any_store: Harness) -> None:
    """What is not there is None or empty, not an error."""
    assert await any_store.store.get(any_store.workspace, "nope") is None
    assert await any_store.store.find_run(any_store.workspace, uuid4()) is None
    assert list(await any_store.store.page(any_store.workspace)) == []
    assert await any_store.store.property_numbers(any_store.workspace) == frozenset()
    assert list(await any_store.store.runs(any_store.workspace)) == []


async def test_workspaces_do_not_see_each_other(any_store: Harness) -> None:
    """The same number in two workspaces is two listings; neither read nor write crosses over."""
    other = Harness(any_store.store, any_store.database, f"{any_store.workspace}-b")
    await any_store.write(listing("a", title="mine"))
    await other.write(listing("a", title="theirs"), listing("b"))
    assert (await any_store.store.get(any_store.workspace, "a")).fields["title"] == "mine"
    assert set(await any_store.standing()) == {"a"}
    assert await other.store.property_numbers(other.workspace) == {"a", "b"}


async def test_pages_are_whole_and_ordered(any_store: Harness) -> None:
    """Walking by key gives every listing once, while rows behind and before are added."""
    there = {f"p{i:03}" for i in range(0, 100, 2)}
    await any_store.write(*(listing(number) for number in there))
    walked: list[str] = []
    after = None
    while page := await any_store.store.page(any_store.workspace, after=after, limit=9):
        assert len(page) <= 9
        walked += [row.property_number for row in page]
        after = walked[-1]
        if after in there:
            await any_store.write(listing("p000-late"), listing(f"{after}-next"))
    assert walked == sorted(set(walked))
    assert there <= set(walked)


async def test_a_run_is_kept_from_start_to_end(any_store: Harness) -> None:
    """A run recorded twice is one row with its last state, errors and counts exact."""
    first = run(any_store, 0, total=3)
    await any_store.store.record_run(first)
    assert await any_store.store.find_run(any_store.workspace, first.sync_id) == first
    done = run(
        any_store, 0, sync_id=first.sync_id, status=SyncStatus.PARTIAL,
        completed_at=START + timedelta(seconds=5), total=3, success=1, failed=1, skipped=1,
        errors=(('7"号', RecordError("23514", "price_yen: 値")),),
    )  # fmt: skip
    await any_store.store.record_run(done)
    assert await any_store.store.find_run(any_store.workspace, first.sync_id) == done
    assert list(await any_store.store.runs(any_store.workspace)) == [done]


async def test_history_is_newest_first_and_paged(any_store: Harness) -> None:
    """Runs come newest first; `before` continues where the last page ended."""
    runs = [run(any_store, minute) for minute in range(5)]
    for each in (runs[3], runs[0], runs[4], runs[1], runs[2]):
        await any_store.store.record_run(each)
    store, workspace = any_store.store, any_store.workspace
    page = await store.runs(workspace, limit=2)
    assert list(page) == [runs[4], runs[3]]
    rest = await store.runs(workspace, limit=9, before=page[-1].started_at)
    assert list(rest) == [runs[2], runs[1], runs[0]]


async def test_state_follows_the_newest_run(under_test: Harness) -> None:
    """`sync_state` shows the newest run, also when an older one reports late."""
    new, old = run(under_test, 9, status=SyncStatus.COMPLETED, total=7), run(under_test, 1)
    await under_test.store.record_run(new)
    await under_test.store.record_run(old)
    state = under_test.database.fetch(
        "SELECT system, last_sync_id, status, last_total FROM sync_state WHERE workspace_id = %s",
        under_test.workspace,
    )
    assert state == [(under_test.system, new.sync_id, "completed", 7)]


async def test_check_passes_and_figures_are_there(under_test: Harness) -> None:
    """A store that can serve says so, and gives its own figures."""
    await under_test.store.check()
    await under_test.store.check()
    gauges = under_test.store.gauges()
    assert gauges
    assert all(value >= 0 for value in gauges.values())


async def test_a_missing_migration_is_refused_with_advice(
    empty_database: Database, make_store: Callable[..., Any]
) -> None:
    """On a database without tables, check and write say what to run."""
    for kind in ("old", "new-real", "new-standin"):
        store = await make_store(kind, empty_database)
        with pytest.raises(StoreRefused, match="syncgate migrate"):
            await store.check()
        with pytest.raises(StoreRefused, match="syncgate migrate"):
            await store.upsert([listing("a")], Harness(store, empty_database, "x").context())


@pytest.mark.parametrize("kind", ["real", "standin"])
async def test_a_wrong_key_is_refused_with_advice(
    module_database: Database, module_postgrest: PostgrestFactory, kind: str
) -> None:
    """A key of another project, of a role without rights, or expired: which setting to look at."""
    server = module_postgrest(module_database, kind=kind)
    good = rest_settings(server)
    foreign = tokens.sign({"role": "service_role"}, "the secret of another project altogether")
    expired = server.token("service_role", exp=1_000_000_000)
    for key in (foreign, expired, server.token("anon"), "no.token.atall"):
        store = RestStore(replace(good, authorization=f"Bearer {key}"))
        with pytest.raises(StoreRefused, match="SUPABASE_SERVICE_ROLE_KEY"):
            await store.check()
        with pytest.raises(StoreRefused, match="SUPABASE_SERVICE_ROLE_KEY"):
            await Harness(store, module_database, "x").write(listing("a"))
        await store.close()


async def test_a_store_that_is_gone_is_unavailable(
    database: Database, make_store: Callable[..., Any]
) -> None:
    """Nobody there: StoreUnavailable with what to look at, for reads, writes and dry runs."""
    for kind in ("old-gone", "new-gone"):
        store = await make_store(kind, database)
        harness = Harness(store, database, "x")
        for work in (
            store.check(),
            harness.write(listing("a")),
            harness.write(listing("a"), dry_run=True),
            store.get("x", "a"),
        ):
            with pytest.raises(StoreUnavailable, match=r"nothing (answers|listens)"):
                await work

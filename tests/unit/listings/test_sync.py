"""The sync use case: what is stored is said, what is said is stored."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from listings.codec.canonical import answer_digest
from listings.errors import SourceUnavailable, StoreRefused, StoreUnavailable
from listings.model import FIELD_BY_NAME
from listings.source.mapping import Column, ColumnMapping
from listings.sync.plan import SyncConflict, refuse_count_change
from tests.support.memory_store import MemoryStore
from tests.support.service import SYNC, TextFeed, service

SMALL = ColumnMapping(key=("番号",), columns={FIELD_BY_NAME["price_yen"]: Column("価格")})


def feed(*rows: tuple[str, str]) -> TextFeed:
    """A feed of (number, price) rows."""
    return TextFeed("番号,価格\n" + "".join(f"{n},{p}\n" for n, p in rows), SMALL)


def many(count: int, price: str = "1万円") -> TextFeed:
    """A feed of `count` rows, in falling order."""
    return feed(*((f"N{index:03d}", price) for index in range(count, 0, -1)))


async def test_full_sync_answers_as_the_contract_says() -> None:
    """Body and headers have the names and figures of the contract."""
    async with service(feed=feed(("B", "2万円"), ("A", "1万円"))) as it:
        answer = await it.sync(mode="full")
        body = answer.json()
        assert answer.status_code == 200
        assert body.keys() == {
            "syncId", "system", "mode", "status", "dryRun", "startedAt", "completedAt", "stats",
            "errors", "records", "missing",
        }  # fmt: skip
        assert (body["system"], body["status"], body["dryRun"]) == ("old", "completed", False)
        assert body["stats"] == {"total": 2, "success": 2, "failed": 0, "skipped": 0}
        assert [(r["propertyNumber"], r["action"]) for r in body["records"]] == [
            ("A", "created"),
            ("B", "created"),
        ]
        assert answer.headers["Sync-Id"] == body["syncId"]
        assert answer.headers["Sync-Status"] == "completed"
        assert answer.headers["Sync-Records"] == "2"
        assert answer.headers["Sync-Digest"] == answer_digest(
            (record["propertyNumber"], record["digest"]) for record in body["records"]
        )
        assert "Sync-Dry-Run" not in answer.headers
        assert it.store.rows["default", "A"].fields["price_yen"] == 10_000


async def test_batches_are_in_order_and_of_the_set_size() -> None:
    """Whatever order the feed has, batches follow the property numbers."""
    async with service(feed=many(7), batch_size=3) as it:
        body = (await it.sync(mode="full")).json()
        assert it.store.upserts == 3
        numbers = [record["propertyNumber"] for record in body["records"]]
        assert numbers == sorted(numbers)
        assert len(numbers) == 7


async def test_a_second_sync_writes_nothing() -> None:
    """The same feed in another spelling is unchanged, with the same digest."""
    async with service(feed=many(5)) as it:
        first = await it.sync(mode="full")
        it.feed.text = many(5, "１０,０００円".replace(",", "")).text
        second = await it.sync(mode="full")
        assert {r["action"] for r in second.json()["records"]} == {"unchanged"}
        assert second.headers["Sync-Digest"] == first.headers["Sync-Digest"]
        assert it.store.writes == 5


@pytest.mark.parametrize(
    ("body", "headers"), [({"dryRun": True}, {}), ({}, {"Sync-Dry-Run": "true"})]
)
async def test_a_dry_run_leaves_no_trace(body: dict[str, Any], headers: dict[str, str]) -> None:
    """Asked by body or by header: confirmed, told, and nothing is kept, not even history."""
    async with service(feed=many(3)) as it:
        answer = await it.sync(mode="full", headers=headers, **body)
        assert answer.headers["Sync-Dry-Run"] == "applied"
        assert answer.json()["dryRun"] is True
        assert answer.json()["stats"]["success"] == 3
        assert (it.store.rows, it.store.history, it.store.writes) == ({}, {}, 0)
        wet = await it.sync(mode="full")
        assert wet.headers["Sync-Digest"] == answer.headers["Sync-Digest"]


async def test_a_planned_dry_run_says_so() -> None:
    """What the store only planned is not called applied."""
    async with service(MemoryStore(planned=True), many(2)) as it:
        answer = await it.sync(mode="full", dryRun=True)
        assert answer.headers["Sync-Dry-Run"] == "planned"
        assert answer.json()["dryRunMeans"] == "plan"


async def test_the_shadowed_sync_reaches_the_store() -> None:
    """The header's id is in the write context; one that is no id is refused."""
    shadow = "01890a5d-ac96-774b-bcce-b302099a8057"
    async with service() as it:
        await it.push({"propertyNumber": "A"}, dryRun=True)
        listing = {"mode": "push", "listings": [{"propertyNumber": "A"}], "dryRun": True}
        await it.client.post(SYNC, json=listing, headers={"Sync-Shadow-Of": shadow})
        assert [str(c.shadow_of) for c in it.store.contexts] == ["None", shadow]
        bad = await it.client.post(SYNC, json=listing, headers={"Sync-Shadow-Of": "x"})
        assert bad.status_code == 400
        assert bad.json()["errors"][0]["field"] == "Sync-Shadow-Of"


async def test_a_write_back_is_recorded_under_the_id_of_the_sync_it_repeats() -> None:
    """So both journals speak of one sync; an id that is none is refused before anything happens."""
    repeated = "01890a5d-ac96-774b-bcce-b302099a8057"
    listing = {"mode": "push", "listings": [{"propertyNumber": "A"}]}
    async with service() as it:
        for _ in range(2):
            header = {"Sync-Write-Back-Of": repeated}
            answer = await it.client.post(SYNC, json=listing, headers=header)
            assert answer.headers["Sync-Id"] == answer.json()["syncId"] == repeated
        assert [str(context.sync_id) for context in it.store.contexts] == [repeated, repeated]
        bad = await it.client.post(SYNC, json=listing, headers={"Sync-Write-Back-Of": "x"})
        assert bad.status_code == 400
        assert bad.json()["errors"][0]["field"] == "Sync-Write-Back-Of"
        assert len(it.store.contexts) == 2


async def test_selective_sync_skips_unknown_numbers() -> None:
    """Numbers the feed does not have are counted and named, and are no errors."""
    async with service(feed=many(3)) as it:
        body = (await it.sync(mode="selective", propertyNumbers=["N002", "X", "Ｎ００２"])).json()
        assert body["status"] == "completed"
        assert body["stats"] == {"total": 2, "success": 1, "failed": 0, "skipped": 1}
        assert body["unknown"] == {"count": 1, "propertyNumbers": ["X"]}
        assert [number for _, number in it.store.rows] == ["N002"]


async def test_limit_takes_the_first_in_order() -> None:
    """A limited sync is the start of the full one; it is not measured against the count."""
    async with service(feed=many(30)) as it:
        assert (await it.sync(mode="full", limit=2)).json()["stats"]["total"] == 2
        assert sorted(number for _, number in it.store.rows) == ["N001", "N002"]
        assert (await it.sync(mode="full", limit=10)).json()["stats"]["success"] == 10
        pushed = await it.push({"propertyNumber": "Z2"}, {"propertyNumber": "Z1"}, limit=1)
        assert [r["propertyNumber"] for r in pushed.json()["records"]] == ["Z1"]
        assert pushed.json()["stats"] == {"total": 2, "success": 1, "failed": 0, "skipped": 1}


async def test_only_a_full_sync_tells_the_size_of_the_feed() -> None:
    """A push, a choice or a limited sync brings as many as it likes, and changes nothing of it."""
    async with service(feed=many(10)) as it:
        await it.sync(mode="full")
        await it.sync(mode="full", limit=2)
        await it.sync(mode="selective", propertyNumbers=["N001"])
        await it.push({"propertyNumber": "Z"})
        metrics = (await it.client.get("/api/metrics")).json()
        assert (metrics["fullSyncs"], metrics["listingsSynced"]) == (1, 10)
        assert metrics["syncs"]["completed"] >= 3


async def test_a_big_change_of_count_needs_a_yes() -> None:
    """More than a fifth less or more is refused, stores nothing, and says how to agree."""
    async with service(feed=many(10)) as it:
        await it.sync(mode="full")
        it.feed.text = many(7, "2万円").text
        refused = await it.sync(mode="full")
        assert refused.status_code == 409
        assert refused.json()["type"] == "urn:syncgate:problem:count-change"
        assert '"confirm": true' in refused.json()["detail"]
        assert it.store.writes == 10
        agreed = await it.sync(mode="full", confirm=True)
        assert agreed.json()["stats"]["success"] == 7
        assert agreed.json()["missing"] == {
            "count": 3,
            "propertyNumbers": ["N008", "N009", "N010"],
        }
        assert len(it.store.rows) == 10


@pytest.mark.parametrize(
    ("stored", "said"), [(1, ": 10 times as many, a change of more than 20 %."), (2, "+400.0 %")]
)
async def test_a_feed_many_times_as_large_is_said_in_times(stored: int, said: str) -> None:
    """Nobody reads a percentage of six digits."""
    async with service(feed=many(10)) as it:
        for number in range(stored):
            await it.push({"propertyNumber": f"P{number}"})
        assert said in (await it.sync(mode="full")).json()["detail"]


@pytest.mark.parametrize(("stored", "feed_count"), [(100, 80), (100, 120), (0, 5000), (5, 6)])
def test_a_fifth_is_still_allowed(stored: int, feed_count: int) -> None:
    """Exactly 20 % passes, and so does a first sync."""
    refuse_count_change(stored, feed_count)


@pytest.mark.parametrize(("stored", "feed_count"), [(100, 79), (100, 121), (1, 2000), (5, 7)])
def test_more_than_a_fifth_is_not(stored: int, feed_count: int) -> None:
    """One listing beyond it is refused."""
    with pytest.raises(SyncConflict):
        refuse_count_change(stored, feed_count)


async def test_an_empty_feed_is_refused() -> None:
    """Headings without rows are a broken export, agreed or not."""
    async with service(feed=feed()) as it:
        for confirm in (False, True):
            answer = await it.sync(mode="full", confirm=confirm)
            assert answer.status_code == 409
            assert answer.json()["type"] == "urn:syncgate:problem:empty-feed"


async def test_bad_rows_fail_alone() -> None:
    """The good row is stored; the bad ones are errors with their row, and records where named."""
    rows = feed(("A", "1万円"), ("B", "-5"), ("", "3"), ("C", "nan"))
    async with service(feed=rows) as it:
        answer = await it.sync(mode="full")
        body = answer.json()
        assert answer.headers["Sync-Status"] == "partial"
        assert body["stats"] == {"total": 4, "success": 1, "failed": 3, "skipped": 0}
        assert [(e["propertyNumber"], e["row"], e["code"]) for e in body["errors"]] == [
            (None, 4, "invalid"),
            ("B", 3, "invalid"),
            ("C", 5, "invalid"),
        ]
        assert "価格: expected a whole number from 0" in body["errors"][1]["error"]
        assert [
            (r["propertyNumber"], r["action"], r["digest"] is None) for r in body["records"]
        ] == [
            ("A", "created", False),
            ("B", "failed", True),
            ("C", "failed", True),
        ]


async def test_only_bad_rows_is_a_failed_sync() -> None:
    """An answered sync of which nothing could be stored has status failed."""
    async with service(feed=feed(("A", "-1"))) as it:
        answer = await it.sync(mode="full")
        assert (answer.status_code, answer.headers["Sync-Status"]) == (200, "failed")


async def test_duplicates_in_a_feed() -> None:
    """The same row again is skipped; another one with its number fails, the first stands."""
    rows = feed(("A", "1万円"), ("Ａ", "10,000円".replace(",", "")), ("A", "2万円"))
    async with service(feed=rows) as it:
        body = (await it.sync(mode="full")).json()
        assert body["stats"] == {"total": 3, "success": 1, "failed": 1, "skipped": 1}
        assert body["errors"][0]["code"] == "duplicate"
        assert "row 2" in body["errors"][0]["error"]
        assert len(body["records"]) == 1
        assert it.store.rows["default", "A"].fields["price_yen"] == 10_000


async def test_one_refused_listing_is_a_partial_sync() -> None:
    """What the store refuses is an error of that listing; the others are stored."""
    async with service(MemoryStore(bad_numbers={"B"})) as it:
        answer = await it.push(*({"propertyNumber": n} for n in "CAB"))
        assert answer.headers["Sync-Status"] == "partial"
        assert answer.json()["errors"] == [
            {"propertyNumber": "B", "code": "23514", "error": "refused by a check"}
        ]
        assert len(it.store.rows) == 2


async def test_a_store_that_dies_in_the_middle_is_told_truly() -> None:
    """Batches before stand, its own is unconfirmed, the rest was not attempted."""
    store = MemoryStore(fail_at=1, failure=StoreUnavailable("connection lost"))
    async with service(store, many(5), batch_size=2) as it:
        answer = await it.sync(mode="full")
        body = answer.json()
        assert (answer.status_code, body["status"]) == (200, "partial")
        assert body["stats"] == {"total": 5, "success": 2, "failed": 3, "skipped": 0}
        assert [error["code"] for error in body["errors"]] == [
            "store_unavailable", "store_unavailable", "not_attempted",
        ]  # fmt: skip
        assert sorted(number for _, number in store.rows) == ["N001", "N002"]
        (run,) = store.history.values()
        assert (run.status, run.success, run.failed) == ("partial", 2, 3)


@pytest.mark.parametrize(
    ("failure", "status", "slug"),
    [
        (StoreUnavailable("down", retry_after_s=2.2), 503, "store-unavailable"),
        (
            StoreRefused("key refused; check it", code="401"),
            502,
            "store-refused",
        ),
    ],
)
async def test_a_store_that_takes_nothing_fails_the_sync(
    failure: Any, status: int, slug: str
) -> None:
    """The answer is the store's problem, and Sync-Status says failed."""
    async with service(MemoryStore(fail_at=0, failure=failure)) as it:
        answer = await it.push({"propertyNumber": "A"})
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["Sync-Status"] == "failed"
        assert answer.json()["type"].endswith(slug)
        assert answer.json()["detail"] == failure.detail
        if status == 503:
            assert answer.headers["Retry-After"] == "3"
        (run,) = it.store.history.values()
        assert run.status == "failed"


async def test_a_history_that_cannot_be_opened_stores_nothing() -> None:
    """A full sync first writes its run; if that fails, nothing is stored and it is said."""
    store = MemoryStore(fail_at=-1, failure=StoreUnavailable("down"))
    async with service(store, many(3)) as it:
        assert (await it.sync(mode="full")).status_code == 503
        assert store.rows == {}


async def test_a_run_that_lost_its_store_is_not_running_for_ever() -> None:
    """What the history could not be told at the end, it is told when the store is back."""
    async with service(feed=many(2)) as it:

        def lose_the_store() -> None:
            it.store.failure, it.store.fail_at = StoreUnavailable("gone"), -1

        it.store.before_upsert = lose_the_store
        answer = await it.sync(mode="full")
        assert answer.json()["syncStatus"] == "failed"
        sync_id = answer.json()["syncId"]
        assert [run.status.value for run in it.store.history.values()] == ["running"]
        it.store.failure = None
        status = (await it.client.get(f"{SYNC}/status", params={"syncId": sync_id})).json()
        assert status["status"] == "failed"
        runs = (await it.client.get(f"{SYNC}/history")).json()["runs"]
        assert [run["status"] for run in runs] == ["failed"]


async def test_a_feed_that_cannot_be_read() -> None:
    """The source's own words reach the client."""
    async with service() as it:
        it.feed.failure = SourceUnavailable("The feed has no column 価格.")
        answer = await it.sync(mode="full")
        assert answer.status_code == 502
        assert answer.json()["detail"] == "The feed has no column 価格."
        assert answer.headers["Sync-Status"] == "failed"


async def test_stop_takes_effect_between_batches() -> None:
    """The batch under way is finished, the rest is skipped, the answer says stopped."""
    async with service(feed=many(6), batch_size=2) as it:
        asked: list[asyncio.Task[Any]] = []

        def stop() -> None:
            if it.store.upserts == 1:
                asked.append(asyncio.ensure_future(it.client.post(f"{SYNC}/stop")))

        it.store.before_upsert = stop
        original = it.store.upsert

        async def slow(*args: Any) -> Any:
            result = await original(*args)
            await asyncio.gather(*asked)
            return result

        it.store.upsert = slow  # type: ignore[method-assign]
        body = (await it.sync(mode="full")).json()
        assert body["stopped"] is True
        assert body["status"] == "partial"
        assert body["stats"] == {"total": 6, "success": 4, "failed": 0, "skipped": 2}
        assert len(it.store.rows) == 4
        assert asked[0].result().json()["stopping"] == [body["syncId"]]


async def test_one_full_sync_at_a_time_and_pushes_beside_it() -> None:
    """A second full sync is refused with what to do; a push and a dry run are not."""
    async with service(feed=many(2)) as it:
        entered, leave = asyncio.Event(), asyncio.Event()
        original = it.store.upsert

        async def held(listings: Any, context: Any) -> Any:
            if not context.dry_run and listings[0].property_number == "N001":
                entered.set()
                await leave.wait()
            return await original(listings, context)

        it.store.upsert = held  # type: ignore[method-assign]
        first = asyncio.ensure_future(it.sync(mode="full"))
        await entered.wait()
        refused = await it.sync(mode="full")
        assert refused.status_code == 409
        assert "sync/stop" in refused.json()["detail"]
        status = (await it.client.get(f"{SYNC}/status")).json()
        assert status["status"] == "running"
        assert status["running"][0]["total"] == 2
        one = await it.client.get(
            f"{SYNC}/status", params={"syncId": status["running"][0]["syncId"]}
        )
        assert one.json()["status"] == "running"
        assert (await it.push({"propertyNumber": "Z"})).status_code == 200
        assert (await it.sync(mode="full", dryRun=True, confirm=True)).status_code == 200
        leave.set()
        assert (await first).status_code == 200
        assert (await it.sync(mode="full", confirm=True)).status_code == 200

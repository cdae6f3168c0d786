"""Writes with a key: done once, whatever the caller, the system or the store does."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from gateway.adapters.idempotency import FILE_NAME, SqliteKeys
from gateway.core.breaker import BreakerState
from gateway.proxy.keyed import KeyedWrites
from tests.support.dataplane import (
    OK,
    UNREACHABLE,
    Received,
    RecordingUpstream,
    data_plane,
    routing,
    unlimited,
)
from tests.support.scale import scale
from tests.support.workers import fleet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.dataplane import DataPlane

SYNC = "/api/property-listings/sync"
KEY = {"Idempotency-Key": "k-1"}


@pytest.fixture
def store(tmp_path):
    """A store of the test's own."""
    keys = SqliteKeys(tmp_path / FILE_NAME)
    yield keys
    keys.close()


async def post(gateway, body: bytes = b"{}", **headers: str):
    """A write with the key, or with others."""
    return await gateway.ask(SYNC, "POST", {**KEY, **headers}, body)


async def test_the_second_time_the_stored_answer_comes_back(store) -> None:
    """Same status, same body, same system, marked as replayed; nothing is executed again."""
    answer = OK.replace(b"200 OK", b"201 Created").replace(b"Content-Type", b"Sync-Id: 1\r\nX-T")
    async with (
        RecordingUpstream(answer) as old,
        RecordingUpstream(answer) as new,
        data_plane(unlimited(old.url, new.url), routing(100)) as gateway,
    ):
        gateway.plane.keyed = KeyedWrites(gateway.plane, store)
        first = await post(gateway)
        gateway.plane.route(routing(0, 2))
        again = await post(gateway)
        assert (first.status, again.status, again.body) == (201, 201, b"ok")
        assert again.headers["sync-system"] == "new"
        assert again.headers["sync-id"] == "1"
        assert again.headers["idempotency-replayed"] == "true"
        assert "idempotency-replayed" not in first.headers
        assert len(new.requests) == 1
        assert not old.requests
        assert (await post(gateway, b"other")).status == 422
        assert (await post(gateway, apikey="somebody else")).status == 201
        assert (await gateway.ask(f"{SYNC}/x", "POST", KEY, b"{}")).status == 201
        assert len(old.requests) == 2
        assert gateway.plane.in_flight == 0


async def test_of_many_at_once_one_is_executed(store) -> None:
    """A thousand equal requests: one execution; the others wait or get its answer."""

    async def slowly(_: Received) -> bytes:
        await asyncio.sleep(0.05)
        return OK

    count = scale(full=1_000, quick=200)
    async with (
        RecordingUpstream(slowly) as old,
        data_plane(unlimited(old.url, UNREACHABLE)) as gateway,
    ):
        gateway.plane.keyed = KeyedWrites(gateway.plane, store)
        answers = await asyncio.gather(*(post(gateway) for _ in range(count)))
        seen = Counter(answer.status for answer in answers)
        assert set(seen) <= {200, 409}
        assert len(old.requests) == 1
        assert (await post(gateway)).status == 200
        assert len(old.requests) == 1


async def test_a_key_sticks_to_its_system_until_there_is_an_answer(store) -> None:
    """No answer and 5xx leave it open: the next try goes to the same side, whatever the weight."""
    answers = iter([None, None, b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", OK])
    async with (
        RecordingUpstream() as old,
        RecordingUpstream(lambda _: next(answers)) as new,
        data_plane(unlimited(old.url, new.url), routing(100)) as gateway,
    ):
        gateway.plane.keyed = KeyedWrites(gateway.plane, store)
        assert (await post(gateway)).status == 502
        gateway.plane.route(routing(0, 2))
        assert (await post(gateway)).status == 502
        assert (await post(gateway)).status == 503
        assert (await post(gateway)).status == 200
        assert (await post(gateway)).headers["idempotency-replayed"] == "true"
        assert len(new.requests) == 4
        assert not old.requests


async def test_what_was_never_sent_may_go_to_the_other_side(store) -> None:
    """The canary is unreachable, so the baseline takes the key over."""
    async with (
        RecordingUpstream() as old,
        data_plane(unlimited(old.url, UNREACHABLE), routing(100)) as gateway,
    ):
        gateway.plane.keyed = KeyedWrites(gateway.plane, store)
        assert (await post(gateway)).headers["sync-system"] == "old"
        again = await post(gateway)
        assert (again.headers["sync-system"], again.headers["idempotency-replayed"]) == (
            "old", "true",
        )  # fmt: skip
        assert len(old.requests) == 1


@contextlib.asynccontextmanager
async def begun_on_new(store, **settings) -> AsyncIterator[tuple[DataPlane, RecordingUpstream]]:
    """The key of `post` was taken by new, which gave no answer; old is there, and new at 100 %."""
    async with (
        RecordingUpstream() as old,
        RecordingUpstream(lambda _: None) as new,
        data_plane(unlimited(old.url, new.url, **settings), routing(100)) as gateway,
    ):
        gateway.plane.keyed = KeyedWrites(gateway.plane, store)
        assert (await post(gateway)).status == 502
        assert len(new.requests) == 1
        yield gateway, old


async def test_a_repeat_that_cannot_connect_is_not_sent_to_the_other_side(store) -> None:
    """The first attempt may have arrived, so the key stays with new although new is gone now."""
    gone = asyncio.Event()

    async def dies(request: Received) -> bytes | None:
        if request.method == "GET":
            return OK
        gone.set()
        return None

    async with (
        RecordingUpstream() as old,
        RecordingUpstream(dies) as new,
        data_plane(unlimited(old.url, new.url), routing(100)) as gateway,
    ):
        gateway.plane.keyed = KeyedWrites(gateway.plane, store)
        assert (await gateway.ask(SYNC)).status == 200  # a connection that has served
        new.server.close()
        answer = await post(gateway)
        assert gone.is_set()
        assert (answer.status, answer.headers.get("sync-system")) == (502, None)
        assert not old.requests
        assert gateway.plane.new.fallbacks == 0
        assert gateway.plane.new.failures == {"no_answer": 1}


async def test_an_open_breaker_does_not_send_what_was_begun_elsewhere(store) -> None:
    """503 until new may be asked again; another key is a new write, and old serves it."""
    async with begun_on_new(store, breaker_threshold=1) as (gateway, old):
        assert gateway.plane.new.breaker.state is BreakerState.OPEN
        refused = await post(gateway)
        assert (refused.status, int(refused.headers["retry-after"]) > 0) == (503, True)
        assert not old.requests
        other = await post(gateway, **{"Idempotency-Key": "k-2"})
        assert (other.status, other.headers["sync-system"]) == (200, "old")


async def test_the_emergency_stop_outranks_a_key(store) -> None:
    """Nothing reaches new while it is stopped; what it may have begun waits."""
    async with begun_on_new(store) as (gateway, old):
        gateway.plane.route(routing(0, 2, stopped=True))
        refused = await post(gateway)
        assert (refused.status, refused.headers["retry-after"]) == (503, "60")
        assert b"emergency stop" in refused.body
        assert not old.requests
        assert gateway.plane.in_flight == 0
        gateway.plane.route(routing(0, 3))
        assert (await post(gateway)).status == 502  # new again, and only new
        assert not old.requests


async def test_a_key_under_which_nothing_was_sent_goes_on_with_old_when_stopped(store) -> None:
    """It belongs to new, but new never saw it."""
    async with (
        RecordingUpstream() as old,
        RecordingUpstream() as new,
        data_plane(
            unlimited(old.url, new.url, upstream_limit_per_second=0.001), routing(100)
        ) as gateway,
    ):
        gateway.plane.keyed = KeyedWrites(gateway.plane, store)
        assert (await post(gateway, **{"Idempotency-Key": "k-0"})).status == 200
        assert (await post(gateway)).status == 429
        gateway.plane.route(routing(0, 2, stopped=True))
        answer = await post(gateway)
        assert (answer.status, answer.headers["sync-system"]) == (200, "old")
        assert len(new.requests) == 1


async def test_an_answer_that_is_replayed_has_one_date(store) -> None:
    """That of the answer; and it counts as a replay, not as a refusal."""
    dated = OK.replace(b"\r\n", b"\r\nDate: Mon, 30 Nov 2026 00:00:00 GMT\r\n", 1)
    async with (
        RecordingUpstream(dated) as old,
        data_plane(unlimited(old.url, UNREACHABLE)) as gateway,
    ):
        gateway.plane.keyed = KeyedWrites(gateway.plane, store)
        await post(gateway)
        again = await gateway.exchange(
            b"POST %b HTTP/1.1\r\nHost: gateway.test\r\nIdempotency-Key: k-1\r\n"
            b"Content-Length: 2\r\n\r\n{}" % SYNC.encode()
        )
        assert b"Idempotency-Replayed: true\r\n" in again
        assert again.lower().count(b"\r\ndate:") == 1
        assert len(old.requests) == 1
        assert gateway.plane.replays == 1
        assert not gateway.plane.refused


async def test_an_answer_too_large_to_keep_is_not_asked_for_twice(store) -> None:
    """The write was done; who asks again is told so, with the id to look it up by."""
    large = b"HTTP/1.1 200 OK\r\nSync-Id: 01J\r\nContent-Length: 5000000\r\n\r\n" + b"x" * 5_000_000
    async with (
        RecordingUpstream(large) as old,
        data_plane(unlimited(old.url, UNREACHABLE)) as gateway,
    ):
        gateway.plane.keyed = KeyedWrites(gateway.plane, store)
        assert len((await post(gateway)).body) == 5_000_000
        again = await post(gateway)
        assert (again.status, again.headers["sync-id"]) == (410, "01J")
        assert again.headers["sync-system"] == "old"
        assert b"was done and answered with 200" in again.body
        assert len(old.requests) == 1


async def test_a_dry_run_and_the_real_thing_are_two_requests(store) -> None:
    """One key does not stand for both: the dry run's answer would be taken for a write."""
    async with (
        RecordingUpstream() as old,
        data_plane(unlimited(old.url, UNREACHABLE)) as gateway,
    ):
        gateway.plane.keyed = KeyedWrites(gateway.plane, store)
        assert (await post(gateway, **{"Sync-Dry-Run": "true"})).status == 200
        assert (await post(gateway)).status == 422
        again = await post(gateway, **{"User-Agent": "other", "Sync-Dry-Run": "true"})
        assert again.headers["idempotency-replayed"] == "true"
        assert len(old.requests) == 1


async def test_clients_of_one_address_are_told_apart_by_their_names(store) -> None:
    """Nobody gets another one's answer because both sit behind the same proxy."""
    async with (
        RecordingUpstream() as old,
        data_plane(unlimited(old.url, UNREACHABLE)) as gateway,
    ):
        gateway.plane.keyed = KeyedWrites(gateway.plane, store)
        for name in ("alice", "bob"):
            answer = await post(gateway, **{"X-Client-Id": name})
            assert "idempotency-replayed" not in answer.headers
        assert len(old.requests) == 2


async def test_without_its_store_a_keyed_write_is_not_sent(tmp_path) -> None:
    """503, because the promise could not be kept; writes without a key go on."""
    async with (
        RecordingUpstream() as old,
        data_plane(unlimited(old.url, UNREACHABLE)) as gateway,
    ):
        gateway.plane.keyed = KeyedWrites(gateway.plane, SqliteKeys(tmp_path / "no" / "folder"))
        refused = await post(gateway)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert not old.requests
        assert (await gateway.ask(SYNC, "POST", body=b"{}")).status == 200
        assert gateway.plane.in_flight == 0


async def test_a_claim_is_on_disk_before_anything_is_sent(store, tmp_path) -> None:
    """What the upstream sees of the world while it works: the key is pending."""
    states = []

    def look(_: Received) -> bytes:
        with sqlite3.connect(tmp_path / FILE_NAME) as other:
            states.extend(other.execute("select state, side from keys").fetchall())
        return OK

    async with (
        RecordingUpstream(look) as old,
        data_plane(unlimited(old.url, UNREACHABLE)) as gateway,
    ):
        gateway.plane.keyed = KeyedWrites(gateway.plane, store)
        await post(gateway)
    assert states == [("pending", "old")]


async def test_keys_hold_across_workers(tmp_path) -> None:
    """The store named in the settings is shared by the workers of a node, and outlives them."""
    async with (
        RecordingUpstream() as old,
        fleet(
            unlimited(
                old.url, UNREACHABLE, drain_idle_ms=100,
                key_store="gateway.adapters.idempotency:SqliteKeys",
                key_store_path=str(tmp_path / FILE_NAME),
            ),
            routing(),
        ) as workers,
    ):  # fmt: skip
        from tests.support.dataplane import DataPlane

        gateway = DataPlane(None, workers.port)  # type: ignore[arg-type]  # another process
        first = await workers.start()
        assert (await post(gateway)).status == 200
        await workers.start()
        await first.leave()
        assert (await post(gateway)).headers["idempotency-replayed"] == "true"
        assert len(old.requests) == 1


def claim(keys: SqliteKeys, scope: bytes, now_s: int, side: str = "old") -> str:
    """The verdict of one claim."""
    return keys.claim(scope, b"f", side=side, now_s=now_s, lease_s=10, ttl_s=100)[0]


def test_keys_expire_and_are_bounded(tmp_path) -> None:
    """After its time a key is as good as new; beyond the bound the oldest answers go."""
    keys = SqliteKeys(tmp_path / FILE_NAME, max_rows=3, prune_every=5)
    assert claim(keys, b"a", 0) == "claimed"
    assert claim(keys, b"a", 9) == "under_way"
    assert claim(keys, b"a", 10) == "resumed"  # whoever held it has died
    keys.finish(b"a", side="old", head=b"h", body=b"b")
    assert claim(keys, b"a", 109) == "done"
    assert claim(keys, b"a", 111) == "claimed"
    for number in range(30):
        scope = b"%d" % number
        claim(keys, scope, 120 + number)
        keys.finish(scope, side="old", head=b"", body=b"")
    with sqlite3.connect(tmp_path / FILE_NAME) as other:
        (rows,) = other.execute("select count(*) from keys").fetchone()
    assert 3 <= rows <= 3 + 1 + 5  # and the one that is pending
    keys.close()

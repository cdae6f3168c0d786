"""Writing back to old what new wrote: when, under which name, and what is told of failures."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from gateway.link import Hello, WriteBackFailed
from tests.support.dataplane import (
    UNREACHABLE,
    DataPlane,
    Received,
    RecordingUpstream,
    data_plane,
    routing,
    unlimited,
)
from tests.support.workers import fleet

SYNC = "/api/property-listings/sync"


def answer(
    digest: str = "aa", *, records: int = 3, status: int = 200, dry: bool = False, more: str = ""
) -> bytes:
    """What a sync answers, as far as the gateway looks at it."""
    return (
        f"HTTP/1.1 {status} X\r\nSync-Id: 0000-id\r\nSync-Status: completed\r\n"
        + ("Sync-Dry-Run: applied\r\n" if dry else "")
        + f"Sync-Digest: {digest}\r\nSync-Records: {records}\r\n{more}Content-Length: 2\r\n\r\n{{}}"
    ).encode()


def apart(weight: int = 100, version: int = 1, **more: Any) -> Any:
    """Give a routing with a database for each system."""
    return routing(weight, version, write_back=True, **more)


async def until(condition) -> None:
    """Wait for what happens after the answer."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def told(gateway: DataPlane) -> list[WriteBackFailed]:
    """Collect the failures that the parent would hear of."""
    found: list[WriteBackFailed] = []
    gateway.plane.write_backs.tell = lambda failure: found.append(failure) or True
    return found


async def test_what_new_wrote_is_written_to_old_for_real_in_order() -> None:
    """Same bytes, the sync's own id, no key, no dry run; one after the other as they came."""
    async with (
        RecordingUpstream(answer()) as old,
        RecordingUpstream(answer()) as new,
        data_plane(unlimited(old.url, new.url), apart()) as gateway,
    ):
        for number in range(20):
            headers = {"X-Mine": "1", "Sync-Write-Back-Of": "forged", "Sync-Dry-Run": "false"}
            answered = await gateway.ask(SYNC, "POST", headers, b"%d" % number)
            assert answered.headers["sync-system"] == "new"
        writes = gateway.plane.write_backs
        await until(lambda: writes.agreed == 20)
        assert [each.body for each in old.requests] == [b"%d" % n for n in range(20)]
        assert old.requests[0].header("sync-write-back-of") == "0000-id"
        assert old.requests[0].header("x-mine") == "1"
        assert old.requests[0].header("x-request-id") == new.requests[0].header("x-request-id")
        assert new.requests[0].header("sync-write-back-of") is None
        assert old.requests[0].header("idempotency-key") is None
        assert old.connections == 1
        assert (writes.held_bytes, writes.busy) == (0, False)
        assert gateway.cells()['syncgate_write_backs_total{result="agreed"}'] == 20


async def test_only_what_new_stored_is_written_back() -> None:
    """Not reads, not dry runs, not what new refused or old wrote; nothing with one database."""
    answers = [answer(dry=True), answer(status=422), answer()]

    async def take(_: Received) -> bytes:
        return answers.pop(0) if answers else answer()

    async with (
        RecordingUpstream(answer()) as old,
        RecordingUpstream(take) as new,
        data_plane(unlimited(old.url, new.url), apart()) as gateway,
    ):
        for _ in range(2):
            await gateway.ask(SYNC, "POST", body=b"not stored")
        await gateway.ask("/api/property-listings/AA1", "GET")
        gateway.plane.route(apart(0, 2))
        await gateway.ask(SYNC, "POST", body=b"by old")
        gateway.plane.route(routing(100, 3))
        await gateway.ask(SYNC, "POST", body=b"one database")
        gateway.plane.route(apart(100, 4))
        await gateway.ask(SYNC, "POST", body=b"stored")
        await until(lambda: gateway.plane.write_backs.agreed == 1)
        assert [each.body for each in old.requests] == [b"by old", b"stored"]
        assert gateway.plane.write_backs.failures == {}


async def test_each_failure_is_counted_and_told_with_its_sync() -> None:
    """Refused, failed, other rows, not there; and what new itself left in doubt."""
    for one, other, why in (
        (answer(), answer(status=422), "old answered 422"),
        (answer(), answer().replace(b"completed", b"failed"), "old failed"),
        (answer(), answer("bb"), "old came to other rows"),
        (answer(), answer(records=2), "old came to other rows"),
        (answer(), None, "old gave no answer: connection closed without an answer"),
        (answer(status=500), answer(), "new failed: it may have stored a part"),
        (None, answer(), "new gave no answer: connection closed without an answer"),
    ):
        async with (
            RecordingUpstream(lambda _, said=other: said) as old,
            RecordingUpstream(lambda _, said=one: said) as new,
            data_plane(unlimited(old.url, new.url), apart()) as gateway,
        ):
            failures = told(gateway)
            answered = await gateway.ask(SYNC, "POST", body=b"{}")
            await until(lambda found=failures: found)
            (failure,) = failures
            assert (failure.reason, failure.path, failure.count) == (why, SYNC, 1)
            assert failure.request_id == answered.headers["x-request-id"]
            assert (failure.sync_id, failure.listings) == (("0000-id", 3) if one else ("", 0))
            assert failure.from_us <= failure.to_us
            assert gateway.plane.write_backs.failures == {why: 1}
            assert not gateway.plane.write_backs.busy


async def test_an_old_that_is_gone_costs_clients_nothing_and_is_known_write_by_write() -> None:
    """Each is told; what waits is bounded in number and bytes, and what finds no room is told."""
    async with (
        RecordingUpstream(answer()) as new,
        data_plane(unlimited(UNREACHABLE, new.url), apart()) as gateway,
    ):
        failures = told(gateway)
        for _ in range(30):
            assert (await gateway.ask(SYNC, "POST", body=b"{}")).status == 200
        await until(lambda: len(failures) == 30)
        assert {each.reason for each in failures} == {"old gave no answer: connection refused"}
    async with (
        RecordingUpstream(lambda _: asyncio.sleep(30, answer())) as old,
        RecordingUpstream(answer()) as new,
        data_plane(
            unlimited(old.url, new.url, write_back_queue=3, write_back_queue_bytes=1_000), apart()
        ) as gateway,
    ):
        writes = gateway.plane.write_backs
        for size in (100, 600, 500, 1, 1, 1):
            assert (await gateway.ask(SYNC, "POST", body=b"x" * size)).status == 200
        assert writes.failures == {"queue full (bytes)": 1, "queue full": 1}
        assert (len(writes.queue), writes.held_bytes) == (3, 702)


async def test_failures_the_parent_does_not_take_are_kept_and_then_summed_up() -> None:
    """Nothing is forgotten when the link is stuck; beyond a bound it is a time and a number."""
    async with (
        RecordingUpstream(answer(status=500)) as new,
        data_plane(unlimited(UNREACHABLE, new.url), apart()) as gateway,
    ):
        writes = gateway.plane.write_backs
        writes.tell = lambda _failure: False
        await gateway.ask(SYNC, "POST", body=b"{}")
        await until(lambda: writes.untold)
        late = replace(writes.untold[0], from_us=writes.untold[0].from_us + 60_000_000)
        writes.untold.extend([late] * 4_095)
        for _ in range(3):
            await gateway.ask(SYNC, "POST", body=b"{}")
        found = told(gateway)
        await until(lambda: not writes.untold)
        assert len(found) == 4_096
        last = found[-1]
        assert (last.count, last.listings) == (4, 12)
        assert found[0].from_us < last.from_us < late.from_us  # the earliest that it stands for
        assert last.to_us > found[0].to_us


async def test_a_worker_that_leaves_writes_back_what_waits_and_tells_the_rest() -> None:
    """Draining waits for old; what is still there when time is up is told before the last word."""
    release = asyncio.Event()

    async def slow(_: Received) -> bytes:
        await release.wait()
        return answer()

    async with (
        RecordingUpstream(slow) as old,
        RecordingUpstream(answer()) as new,
        fleet(unlimited(old.url, new.url, drain_timeout_ms=1_500), apart()) as workers,
    ):
        worker = await workers.start()
        client = DataPlane(None, workers.port)  # type: ignore[arg-type]  # nothing to look into
        for _ in range(3):
            assert (await client.ask(SYNC, "POST", body=b"{}")).status == 200
        await worker.leave()
        assert [each.reason for each in worker.heard(WriteBackFailed)] == [
            "the gateway was stopped"
        ] * 3
        release.set()
        another = await workers.start()
        assert another.heard(Hello)
        for _ in range(3):
            assert (await client.ask(SYNC, "POST", body=b"{}")).status == 200
        await another.leave()
        assert another.heard(WriteBackFailed) == []
        assert len(old.requests) >= 4

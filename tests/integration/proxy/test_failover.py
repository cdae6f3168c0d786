"""Who answers when a system does not, and what is counted against whom."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import time

import pytest

from gateway.core.breaker import BreakerState
from gateway.core.model import Outcome
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

SYNC = "/api/property-listings/sync"
ERROR = ("new", int(Outcome.ERROR))
FINE = ("old", int(Outcome.OK))


async def test_the_baseline_serves_what_the_canary_cannot() -> None:
    """No connection, or an open breaker: no client notices, and the canary's rate shows each one.

    Evidence are only the failures that were tried: what was never asked convicts nobody.
    """
    async with (
        RecordingUpstream() as old,
        data_plane(unlimited(old.url, UNREACHABLE), routing(100)) as gateway,
    ):
        for number in range(7):
            answered = await gateway.ask(SYNC, "POST", body=b"%d" % number)
            assert (answered.status, answered.headers["sync-system"]) == (200, "old")
        assert [request.body for request in old.requests] == [b"%d" % n for n in range(7)]
        assert gateway.runs == [ERROR, FINE] * 5 + [FINE] * 2
        assert gateway.plane.new.breaker.state is BreakerState.OPEN
        assert gateway.plane.new.failures == {"refused": 5, "breaker_open": 2}
        assert gateway.plane.new.counts[Outcome.ERROR] == 7
        now_us = time.time_ns() // 1000
        seconds = [counts for _, counts in gateway.plane.new.recorder.take(now_us + 1_000_000)]
        assert sum(counts.errors for counts in seconds) == 7
        assert sum(counts.ok for counts in seconds) == 0


async def test_a_write_that_may_have_arrived_is_never_sent_again() -> None:
    """The canary hangs up after reading the request: 502, and the baseline hears nothing."""
    async with (
        RecordingUpstream() as old,
        RecordingUpstream(lambda _: None) as new,
        data_plane(unlimited(old.url, new.url), routing(100)) as gateway,
    ):
        answered = await gateway.ask(SYNC, "POST", body=b"{}")
        assert answered.status == 502
        assert json.loads(answered.body)["status"] == 502
        assert len(new.requests) == 1
        assert not old.requests
        assert gateway.runs == [ERROR]


@pytest.mark.parametrize(("url", "status"), [(UNREACHABLE, 502)])
async def test_the_baselines_failure_is_told_not_hidden(url: str, status: int) -> None:
    """An unreachable baseline is the client's 502; once its breaker is open, 503 with a time."""
    async with (
        RecordingUpstream() as new,
        data_plane(unlimited(url, new.url), routing(0)) as gateway,
    ):
        for _ in range(5):
            assert (await gateway.ask()).status == status
        answered = await gateway.ask()
        assert answered.status == 503
        assert 1 <= int(answered.headers["retry-after"]) <= 60
        assert not new.requests


async def test_a_read_is_repeated_once_when_an_old_connection_died() -> None:
    """The upstream closes after each answer, unannounced: a read tries again, a write does not."""
    hang_up_next = False

    def answer(_: Received) -> bytes | None:
        nonlocal hang_up_next
        if hang_up_next:
            hang_up_next = False
            return None
        return OK

    async with (
        RecordingUpstream(answer) as old,
        data_plane(unlimited(old.url, UNREACHABLE)) as gateway,
    ):
        assert (await gateway.ask()).status == 200
        hang_up_next = True
        assert (await gateway.ask()).status == 200  # the second request ever, already repeated
        assert gateway.plane.old.retries == 1
        hang_up_next = True
        assert (await gateway.ask(SYNC, "POST", body=b"{}")).status == 502
        assert gateway.plane.old.retries == 1


@pytest.mark.timeout(180)
@pytest.mark.parametrize("answers", [0, 1])
async def test_attempts_stay_within_a_fifth_above_requests(answers: int) -> None:
    """An upstream that fails for a minute is not hammered, at once or after a first answer each."""

    async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            for _ in range(answers):
                await reader.readuntil(b"\r\n\r\n")
                attempts += 1
                writer.write(OK)
            await reader.readuntil(b"\r\n\r\n")
            attempts += 1
        writer.close()

    attempts = requests = 0
    async with await asyncio.start_server(hangs_up, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        settings = unlimited(url, UNREACHABLE, breaker_threshold=10**9)  # nothing else protects it
        async with data_plane(settings) as gateway:
            until = time.monotonic() + scale(full=60, quick=2)
            while time.monotonic() < until:
                await asyncio.gather(*(gateway.ask() for _ in range(5)))
                requests += 5
                await asyncio.sleep(0.02)
            assert attempts <= 1.2 * requests
            assert (gateway.plane.old.retries > 0) is (answers > 0)


async def test_slow_is_504_and_counts() -> None:
    """An upstream that does not answer in time; its connection is not used again."""

    async def never(_: Received) -> bytes:
        await asyncio.sleep(30)
        return OK

    async with (
        RecordingUpstream(never) as old,
        data_plane(unlimited(old.url, UNREACHABLE, read_timeout_ms=50)) as gateway,
    ):
        assert (await gateway.ask()).status == 504
        assert gateway.runs == [("old", int(Outcome.ERROR))]
        assert not gateway.plane.old.pool.all


async def test_what_is_an_error_and_what_is_not() -> None:
    """5xx and a failed sync are errors, 4xx is a rejection; all are passed on as they are."""
    answers = {
        b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n": (500, Outcome.ERROR),
        b"HTTP/1.1 200 OK\r\nSync-Status: failed\r\nContent-Length: 0\r\n\r\n": (
            200, Outcome.ERROR,
        ),
        b"HTTP/1.1 200 OK\r\nSync-Status: partial\r\nContent-Length: 0\r\n\r\n": (
            200, Outcome.OK,
        ),
        b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n": (429, Outcome.REJECTED),
        b"HTTP/1.1 302 There\r\nContent-Length: 0\r\n\r\n": (302, Outcome.OK),
    }  # fmt: skip
    for raw, (status, outcome) in answers.items():
        async with (
            RecordingUpstream(raw) as old,
            data_plane(unlimited(old.url, UNREACHABLE)) as gateway,
        ):
            assert (await gateway.ask()).status == status
            assert gateway.runs == [("old", int(outcome))]


async def test_a_client_that_went_away_says_nothing_about_the_system() -> None:
    """The upstream's call finishes; it counts for nobody, and nothing is left behind."""
    release = asyncio.Event()

    async def waits(_: Received) -> bytes:
        await release.wait()
        return OK

    async with (
        RecordingUpstream(waits) as old,
        data_plane(unlimited(old.url, UNREACHABLE)) as gateway,
    ):
        _, writer = await gateway.connect()
        writer.write(f"POST {SYNC} HTTP/1.1\r\nHost: g\r\nContent-Length: 2\r\n\r\n[]".encode())
        while not old.requests:
            await asyncio.sleep(0.005)
        # A reset; an orderly end would only say that no further request follows.
        client = writer.get_extra_info("socket")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        while gateway.plane.connections:
            await asyncio.sleep(0.005)
        release.set()
        while gateway.plane.in_flight:
            await asyncio.sleep(0.005)
        assert gateway.runs == []
        assert gateway.plane.old.counts[Outcome.IGNORED] == 1


async def test_a_body_cut_off_by_the_client_is_never_forwarded() -> None:
    """Half a batch is no batch."""
    async with (
        RecordingUpstream() as old,
        data_plane(unlimited(old.url, UNREACHABLE)) as gateway,
    ):
        _, writer = await gateway.connect()
        writer.write(f"POST {SYNC} HTTP/1.1\r\nHost: g\r\nContent-Length: 9\r\n\r\n[".encode())
        await asyncio.sleep(0.02)
        writer.transport.abort()
        while gateway.plane.connections:
            await asyncio.sleep(0.005)
        assert not old.requests
        assert gateway.plane.in_flight == 0


async def test_connections_are_used_again_but_not_when_they_rested_long() -> None:
    """Twenty requests, one connection; after the idle time, another one."""
    async with (
        RecordingUpstream() as old,
        data_plane(unlimited(old.url, UNREACHABLE, upstream_idle_ms=100)) as gateway,
    ):
        for _ in range(20):
            await gateway.ask()
        assert old.connections == 1
        while gateway.plane.old.pool.all:
            await asyncio.sleep(0.01)
        await gateway.ask()
        assert old.connections == 2


async def test_the_first_request_of_a_client_rides_no_connection_that_has_rested() -> None:
    """It gets one of its own; a client that was answered before goes on using what is there."""
    ask = b"GET /api/property-listings/x HTTP/1.1\r\nHost: g\r\n\r\n"
    async with (
        RecordingUpstream() as old,
        data_plane(unlimited(old.url, UNREACHABLE, upstream_rest_ms=50)) as gateway,
    ):

        async def rested() -> None:
            (connection,) = gateway.plane.old.pool.idle[-1:]
            while not connection.idle_since_us:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.06)

        reader, writer = await gateway.connect()
        for _ in range(2):
            writer.write(ask)
            assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2)
            await rested()
        assert old.connections == 1
        assert (await gateway.ask()).status == 200
        assert old.connections == 2
        assert (await gateway.ask()).status == 200  # the other one has just been used
        assert old.connections == 2
        writer.transport.abort()


async def test_surplus_bytes_end_a_connection() -> None:
    """An upstream that says more than it was asked is answered from, once."""
    async with (
        RecordingUpstream(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil") as old,
        data_plane(unlimited(old.url, UNREACHABLE)) as gateway,
    ):
        for number in range(4):
            answered = await gateway.ask()
            assert (answered.status, answered.body) == (200, b"ok")
            assert old.connections == number + 1


async def test_an_overlong_answer_is_502() -> None:
    """Announced or in chunks, known head or not."""
    for raw in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n"
        + b"x" * 2000
        + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100_000 + b"\r\nContent-Length: 0\r\n\r\n",
    ):
        async with (
            RecordingUpstream(raw) as old,
            data_plane(unlimited(old.url, UNREACHABLE, max_answer_bytes=1000)) as gateway,
        ):
            assert (await gateway.ask()).status == 502
            assert not gateway.plane.old.pool.all


@pytest.mark.parametrize("status", [0, 1, 99])
async def test_a_status_below_100_is_no_answer(status: int) -> None:
    """Neither a final one nor the prelude to one."""
    raw = b"HTTP/1.1 %03d X\r\nContent-Length: 0\r\n\r\n" % status
    async with (
        RecordingUpstream(raw) as old,
        data_plane(unlimited(old.url, UNREACHABLE)) as gateway,
    ):
        assert (await gateway.ask()).status == 502


async def test_connections_at_rest_make_room_for_a_fresh_one() -> None:
    """All are at rest for longer than a first request may ride: that is no reason to refuse it."""
    async with (
        RecordingUpstream() as old,
        data_plane(
            unlimited(old.url, UNREACHABLE, upstream_connections=4, upstream_rest_ms=50)
        ) as gateway,
    ):
        await asyncio.gather(*(gateway.ask() for _ in range(16)))
        assert len(gateway.plane.old.pool.idle) == 4
        for _ in range(3):
            await asyncio.sleep(0.2)
            assert (await gateway.ask()).status == 200
            assert len(gateway.plane.old.pool.all) <= 4


async def test_an_answer_to_half_a_request_ends_the_connection() -> None:
    """What is left of the body would be the system's next request."""

    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"Content-Length: 8000000" in head:
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            await asyncio.sleep(5)
        writer.write(OK)

    server = await asyncio.start_server(hasty, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with data_plane(unlimited(url, UNREACHABLE)) as gateway:
        assert (await gateway.ask(SYNC, "POST", body=b"x" * 8_000_000)).status == 413
        assert not gateway.plane.old.pool.all
        assert (await asyncio.wait_for(gateway.ask(SYNC, "POST", body=b"{}"), 3)).status == 200
    server.close()

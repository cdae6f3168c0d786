"""Clients that take their time: each meets its deadline, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from dataclasses import replace

import pytest

from gateway.link import Report
from tests.support.dataplane import (
    OK,
    UNREACHABLE,
    Received,
    RecordingUpstream,
    data_plane,
    routing,
    unlimited,
)
from tests.support.scale import SOAK, scale
from tests.support.shared import ROOT
from tests.support.slow_clients import TIMED, act, scripts
from tests.support.workers import fleet

# A tenth of the real deadlines, so that the suite need not wait; the code is the same.
DEADLINES = {
    "header_timeout_ms": 400, "body_timeout_ms": 600, "write_timeout_ms": 600,
    "idle_timeout_ms": 400,
}  # fmt: skip
# A second at full count; the suite runs beside others that want the processor, too.
SLACK_S = float(scale(full=1, quick=3))
# More than a kernel buffers for a client.
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n" + b"x" * 5_000_000


def answer_large(request: Received) -> bytes:
    """Give those who will not read much to read."""
    return LARGE if request.target == "/large" else OK


@pytest.mark.parametrize("name", TIMED)
async def test_each_slow_client_meets_its_deadline(name: str) -> None:
    """Closed within the deadline plus one second, and nothing incomplete upstream."""
    script = scripts()[name]
    async with (
        RecordingUpstream(LARGE) as old,
        data_plane(unlimited(old.url, UNREACHABLE, prefix="/", **DEADLINES)) as gateway,
    ):
        async with asyncio.timeout(max(DEADLINES.values()) / 1000 + SLACK_S):
            await act(gateway.port, script, pace=0.05)
        assert len(old.requests) == (1 if name in {"slow-read", "zero-window"} else 0)
        assert not old.faults
        async with asyncio.timeout(2):
            while gateway.plane.connections:
                await asyncio.sleep(0.01)
        assert gateway.plane.in_flight == 0
        assert all(upstream.call is None for upstream in gateway.plane.old.pool.all)


async def test_an_impatient_client_gets_one_answer() -> None:
    """`Expect: 100-continue` with the body at once: one final answer."""
    script = scripts()["expect-immediate"]
    async with (
        RecordingUpstream() as old,
        data_plane(unlimited(old.url, UNREACHABLE, prefix="/")) as gateway,
    ):
        answer = await gateway.exchange(script[0][1].encode())
        assert answer.count(b"HTTP/1.1 200 OK") == 1
        assert len(old.requests) == 1


@pytest.mark.parametrize("name", ["abort-mid-body", "abort-before-response"])
async def test_a_client_that_resets_is_no_error_of_the_upstream(name: str) -> None:
    """Half a batch is not forwarded; a whole one that nobody waits for counts for nobody."""

    async def slowly(_: object) -> bytes:
        await asyncio.sleep(0.05)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    async with (
        RecordingUpstream(slowly) as old,
        data_plane(unlimited(old.url, UNREACHABLE, prefix="/")) as gateway,
    ):
        _, writer = await gateway.connect()
        writer.write(scripts()[name][0][1].encode())
        await asyncio.sleep(0.02)
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        async with asyncio.timeout(5):
            while gateway.plane.connections or gateway.plane.in_flight:
                await asyncio.sleep(0.01)
        assert gateway.runs == []
        assert len(old.requests) == (0 if name == "abort-mid-body" else 1)
        assert gateway.plane.old.breaker.failures == 0


async def test_many_requests_on_one_connection() -> None:
    """Thousands, sent ahead in portions and answered in order."""
    script = scripts()["keepalive-10k"]
    total, portion = scale(full=10_000, quick=1_000), 100
    async with (
        RecordingUpstream() as old,
        data_plane(unlimited(old.url, UNREACHABLE, prefix="/")) as gateway,
    ):
        reader, writer = await gateway.connect()
        for _ in range(total // portion):
            writer.write(script[0][1].encode() * portion)
            for _ in range(portion):
                assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
                assert await reader.readexactly(2) == b"ok"
        assert len(old.requests) == total
        writer.transport.abort()


async def test_two_hundred_slow_clients_at_once() -> None:
    """Each is closed in its deadline + 1 s, healthy requests are served meanwhile, room is free."""
    # Half a minute as shipped; here longer than a healthy client may stand still on a busy machine.
    deadlines = {} if SOAK else {name: 4 * ms for name, ms in DEADLINES.items()}
    settings = unlimited("", UNREACHABLE, prefix="/", **deadlines)
    deadline_ms = dict.fromkeys(TIMED, settings.body_timeout_ms)
    deadline_ms |= dict.fromkeys(TIMED[:5], settings.header_timeout_ms)
    async with (
        RecordingUpstream(answer_large) as old,
        fleet(replace(settings, old_url=old.url), routing()) as running,
    ):
        worker = await running.start()
        crowd = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.slow_clients", str(running.port), "200", "0.2",
            stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        ended = asyncio.create_task(crowd.communicate())
        served = 0
        async with asyncio.timeout(60):
            while not ended.done():
                reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
                writer.write(b"GET /small HTTP/1.1\r\nHost: g\r\n\r\n")
                assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
                writer.close()
                served += 1
                await asyncio.sleep(0.02)
        closed = [json.loads(line) for line in (await ended)[0].splitlines()]
        assert {name for name, _ in closed} == set(TIMED)
        late = [row for row in closed if row[1] > deadline_ms[row[0]] / 1000 + SLACK_S]
        assert late == []
        assert served > 10
        told = len(worker.heard(Report))
        assert (await worker.until(Report, told + 2))[-1].connections == 0

"""Clients that take their time: each meets its deadline, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from typing import Any

import pytest

from tests.support.dataplane import (
    UNREACHABLE,
    DataPlane,
    RecordingUpstream,
    data_plane,
    unlimited,
)
from tests.support.scale import scale
from tests.support.shared import shared

# A tenth of the real deadlines, so that the suite need not wait; the code is the same.
DEADLINES = {
    "header_timeout_ms": 400, "body_timeout_ms": 600, "write_timeout_ms": 600,
    "idle_timeout_ms": 400,
}  # fmt: skip
SLACK_S = 1.0
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 10_000_000
TIMED = [
    "idle", "one-byte", "drip-reqline", "drip-headers", "no-final-crlf", "body-silent",
    "body-drip", "chunk-drip", "expect-never", "slow-read", "zero-window",
]  # fmt: skip


def scripts() -> dict[str, list[list[Any]]]:
    """The client scripts of the corpus by their short name."""
    lines = shared("corpus/slow_clients.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return {row["id"].removeprefix("slow/"): row["script"] for row in rows}


async def act(gateway: DataPlane, script: list[list[Any]], pace: float) -> None:
    """Play one script until the gateway closes; `pace` shortens its pauses."""
    reader, writer = await gateway.connect()
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    closed = asyncio.ensure_future(_until_closed(reader, writer, script))
    try:
        for step in script:
            await _step(writer, step, pace, closed)
        await closed
    finally:
        closed.cancel()
        writer.transport.abort()


async def _until_closed(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, script: list[list[Any]]
) -> None:
    if any(step[0] in {"read-drip", "noread"} for step in script):
        # The client's own transport must not read either, or the window never fills.
        writer.transport.pause_reading()
        while not _gone(writer):
            await asyncio.sleep(0.02)
        return
    with contextlib.suppress(ConnectionError):
        while await reader.read(65_536):
            pass


async def _step(
    writer: asyncio.StreamWriter, step: list[Any], pace: float, closed: asyncio.Future[None]
) -> None:
    kind = step[0]
    pieces: list[bytes] = []
    if kind == "send":
        writer.write(step[1].encode())
    elif kind == "drip":
        pieces = [bytes([byte]) for byte in step[1].encode()]
    elif kind == "repeat":
        pieces = [step[1].encode()] * step[3]
    for piece in pieces:
        if closed.done() or writer.transport.is_closing():
            return
        writer.write(piece)
        await asyncio.sleep(step[2] * pace)


def _gone(writer: asyncio.StreamWriter) -> bool:
    """Tell, without reading, whether the other end has gone (by TCP_INFO's first byte)."""
    raw = writer.get_extra_info("socket")
    established = 1
    return bool(raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != established)


@pytest.mark.parametrize("name", TIMED)
async def test_each_slow_client_meets_its_deadline(name: str) -> None:
    """Closed within the deadline plus one second, and nothing incomplete upstream."""
    script = scripts()[name]
    async with (
        RecordingUpstream(LARGE) as old,
        data_plane(unlimited(old.url, UNREACHABLE, prefix="/", **DEADLINES)) as gateway,
    ):
        async with asyncio.timeout(max(DEADLINES.values()) / 1000 + SLACK_S):
            await act(gateway, script, pace=0.05)
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


async def test_slow_clients_do_not_slow_the_others() -> None:
    """Two hundred at once: healthy requests are served meanwhile, and all room is given back."""
    everything = scripts()
    async with (
        RecordingUpstream() as old,
        data_plane(unlimited(old.url, UNREACHABLE, prefix="/", **DEADLINES)) as gateway,
    ):
        names = [name for name in TIMED if name not in {"slow-read", "zero-window"}]
        slow = [
            asyncio.create_task(act(gateway, everything[names[n % len(names)]], pace=0.05))
            for n in range(200)
        ]
        served = 0
        async with asyncio.timeout(20):
            while served < 20 or not all(task.done() for task in slow):
                assert (await gateway.ask("/x")).status == 200
                served += 1
                await asyncio.sleep(0.005)
        await asyncio.gather(*slow)
        assert len(old.requests) == served
        async with asyncio.timeout(5):
            while gateway.plane.connections:
                await asyncio.sleep(0.01)

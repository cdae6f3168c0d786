"""What one client can make a worker hold: so much, however it asks."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import httptools
import pytest

from gateway.proxy.intake import Phase
from tests.support.dataplane import (
    OK,
    UNREACHABLE,
    Memory,
    Received,
    RecordingUpstream,
    data_plane,
    unlimited,
)

if TYPE_CHECKING:
    from gateway.proxy.plane import Plane

BODY_BYTES = 64 * 1024
MOST_BYTES = 256 * 1024
READ_BYTES = 256 * 1024
"""What asyncio's transport reads at once."""
SENT = 60
POST = (
    b"POST /api/property-listings/sync HTTP/1.1\r\nHost: g\r\n"
    b"X-Number: %d\r\nContent-Length: %d\r\n\r\n"
)


def held(plane: Plane) -> int:
    """The bytes that wait in line behind requests under way."""
    return sum(len(body) for client in plane.connections for _, body in client.ahead)


async def test_bodies_sent_ahead_wait_in_the_network() -> None:
    """The worker reads what the bound allows and the read under way; all are answered in order."""
    most = 0

    async def slowly(_: Received) -> bytes:
        nonlocal most
        await asyncio.sleep(0.005)
        most = max(most, held(gateway.plane))
        return OK

    async with (
        RecordingUpstream(slowly) as old,
        data_plane(unlimited(old.url, UNREACHABLE, max_body_bytes=MOST_BYTES)) as gateway,
    ):
        reader, writer = await gateway.connect()
        for number in range(SENT):
            writer.write(POST % (number, BODY_BYTES) + bytes([number]) * BODY_BYTES)
        for _ in range(SENT):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            assert head.startswith(b"HTTP/1.1 200 ")
            await reader.readexactly(2)
        writer.close()
        assert MOST_BYTES < most <= MOST_BYTES + READ_BYTES
        assert [int(request.header("x-number") or -1) for request in old.requests] == [*range(SENT)]
        assert all(
            request.body == bytes([number]) * BODY_BYTES
            for number, request in enumerate(old.requests)
        )


async def test_a_long_name_is_kept_as_its_digest() -> None:
    """Sixty kilobytes of client id or key take as little room as one of sixty bytes."""
    async with RecordingUpstream() as old:
        settings = unlimited(old.url, UNREACHABLE, rate_limit_per_second=100.0)
        async with data_plane(settings) as gateway:
            for name in ("X-Client-Id", "apikey"):
                for length in (256, 257, 60_000):
                    value = "n" * length
                    assert (await gateway.ask(headers={name: value})).status == 200
                    assert old.requests[-1].header(name.lower()) == value
            limits = gateway.plane.client_limits
            assert limits is not None
            assert max(map(len, gateway.plane.positions)) <= 256
            assert len(gateway.plane.positions) == 3


async def test_an_early_hint_leaves_no_deadline_behind() -> None:
    """A client that was slow to take a 103 is not cut off while the answer is being made."""
    memory = Memory(asyncio.get_running_loop())
    connection, _ = memory.fresh()
    connection.data_received(b"POST /x HTTP/1.1\r\nHost: g\r\nContent-Length: 2\r\n\r\n{}")
    assert connection.exchange is not None
    connection.pause_writing()
    assert connection.deadline_us > 0
    connection.resume_writing()
    assert (connection.phase, connection.deadline_us) == (Phase.BUSY, 0)


async def slow_read(reader: asyncio.StreamReader, *, per_second: int) -> bytes:
    """Read to the end, so many bytes a second."""
    said = b""
    while piece := await reader.read(per_second // 20):
        said += piece
        await asyncio.sleep(0.05)
    return said


LAST_WORDS = {
    "asked for": (b"HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n"),
    "of HTTP/1.0": (b"HTTP/1.0\r\nHost: g\r\n\r\n"),
    "before a fault": (b"HTTP/1.1\r\nHost: g\r\n\r\nGET /x HTTP/1.1\r\nHost: \0\r\n\r\n"),
}


@pytest.mark.parametrize("words", LAST_WORDS.values(), ids=LAST_WORDS)
async def test_a_last_answer_reaches_a_slow_reader_whole(words: bytes) -> None:
    """However the connection comes to its end."""
    body = bytes(range(256)) * 1_600
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with (
        RecordingUpstream(answer) as old,
        data_plane(unlimited(old.url, UNREACHABLE)) as gateway,
    ):
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", gateway.port))
        reader, writer = await asyncio.open_connection(sock=raw, limit=8_192)
        writer.write(b"GET /api/property-listings/x " + words)
        said = await asyncio.wait_for(slow_read(reader, per_second=200_000), 20)
        writer.close()
    assert said.partition(b"\r\n\r\n")[2][: len(body)] == body


async def test_who_reads_nothing_gets_no_second_answer() -> None:
    """Whatever is asked after an answer that was not read, with a body or without one."""
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n" + b"x" * 20_000_000
    async with (
        RecordingUpstream(big) as old,
        data_plane(unlimited(old.url, UNREACHABLE, write_timeout_ms=1_000)) as gateway,
    ):
        _, writer = await gateway.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /api/property-listings/x HTTP/1.1\r\nHost: g\r\n\r\n")
        while not old.requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        for _ in range(5):
            writer.write(POST % (1, 3))
            await asyncio.sleep(0.02)
            writer.write(b"abc")
            await asyncio.sleep(0.02)
        while gateway.plane.connections:
            await asyncio.sleep(0.05)
        assert len(old.requests) == 1
        writer.transport.abort()


async def test_a_body_of_empty_lines_is_no_dearer_than_another() -> None:
    """The parser is called about as often for it as for a body without any: once a read."""
    fed = 0

    class Counting(httptools.HttpRequestParser):
        def feed_data(self, data: bytes) -> None:
            nonlocal fed
            fed += 1
            super().feed_data(data)

    memory = Memory(asyncio.get_running_loop())
    connection, _ = memory.fresh()
    connection.spare = Counting(connection)
    connection.data_received(b"POST /x HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n")
    body = b"\r\n\r\n" * 50_000
    connection.data_received(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
    assert memory.pool.calls[0].body == body
    assert fed < 10


@pytest.mark.parametrize("size", [b"fffffffff", b"ffffffffffffffff"])
async def test_a_chunk_that_is_too_large_is_refused_when_it_is_announced(size: bytes) -> None:
    """Nobody waits for the bytes."""
    memory = Memory(asyncio.get_running_loop())
    connection, transport = memory.fresh()
    connection.data_received(b"POST /x HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.data_received(b"2\r\nxx\r\n%b\r\nx" % size)
    assert transport.sent.startswith(b"HTTP/1.1 413 ")


async def test_empty_lines_before_a_request_are_few() -> None:
    """Some clients send one; who sends hundreds only wants them read."""
    memory = Memory(asyncio.get_running_loop())
    connection, transport = memory.fresh()
    connection.data_received(b"\r\n" * 10 + b"GET /x HTTP/1.1\r\nHost: g\r\n\r\n")
    assert len(memory.pool.calls) == 1
    connection, transport = memory.fresh()
    connection.data_received(b"\r\n" * 1_000)
    assert b"Too many empty lines." in transport.sent


async def test_chunks_of_next_to_nothing_are_refused() -> None:
    """More framing than a fourth of the content, beyond what small messages need."""
    memory = Memory(asyncio.get_running_loop())
    connection, transport = memory.fresh()
    connection.data_received(b"POST /x HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(200):
        connection.data_received(b"2\r\nxx\r\n" * 1_000)
    assert b"More chunk framing than content." in transport.sent
    assert not memory.pool.calls

"""What one client can make a worker hold: so much, however it asks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

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

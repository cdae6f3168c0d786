"""Large bodies, read where the kernel wrote them: each arrives as it was sent, however it waits."""

from __future__ import annotations

import asyncio
import random

from tests.support.dataplane import UNREACHABLE, Received, RecordingUpstream, routing, unlimited
from tests.support.scale import scale
from tests.support.workers import fleet

BODY_BYTES = 60_000


async def echo(request: Received) -> bytes:
    """Answer with the body, some of them late, so that many wait at once."""
    await asyncio.sleep(request.body[0] % 4 * 0.003)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request.body)
    return head + request.body


async def converse(port: int, dice: random.Random, requests: int) -> None:
    """Send bodies of one's own on one connection, and read some answers only after a while."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    head = b"POST /api/property-listings/sync HTTP/1.1\r\nHost: g\r\nContent-Length: %d\r\n\r\n"
    for _ in range(requests):
        size = dice.choice((BODY_BYTES, BODY_BYTES, 200_000, 5))
        body = dice.randbytes(16) * (size // 16 + 1)
        writer.write(head % len(body))
        if dice.random() < 0.5:
            await asyncio.sleep(0.002)  # as many clients do, head and body are two packets
        writer.write(body)
        if dice.random() < 0.3:
            await asyncio.sleep(0.005)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        assert await reader.readexactly(len(body)) == body
    writer.close()


async def test_many_large_bodies_at_once_stay_apart() -> None:
    """Forty clients, every body different: each gets back exactly its own."""
    seed = random.randrange(2**32)
    async with (
        RecordingUpstream(echo) as old,
        fleet(unlimited(old.url, UNREACHABLE, prefix="/"), routing()) as running,
    ):
        await running.start()
        clients = [
            converse(running.port, random.Random(seed + n), scale(full=500, quick=12))
            for n in range(40)
        ]
        try:
            await asyncio.gather(*clients)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error
        assert not old.faults

"""A mirror that is dead, silent or slow, under load: no client notices, memory stays bounded."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from gateway.link import Report
from tests.bench.load import resident_kib
from tests.support.dataplane import (
    UNREACHABLE,
    Received,
    RecordingUpstream,
    routing,
    unlimited,
)
from tests.support.scale import scale
from tests.support.workers import fleet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.workers import WorkerProcess

BODY_BYTES = 64 * 1024
CLIENTS = 16
REQUESTS = scale(full=19_200, quick=960)
"""A whole number for each client, also of the quarter that warms up."""
BOUND = {"mirror_in_flight": 8, "mirror_queue": 32, "mirror_queue_bytes": 1_500_000}
GROWTH_KIB = 24 * 1024
"""Bodies alone are 75 MiB even in the quick run; the bound of the mirror is 1.5 MB."""
REQUEST = (
    b"POST /api/property-listings/sync HTTP/1.1\r\nHost: g\r\nContent-Length: %d\r\n\r\n"
    % BODY_BYTES
) + b"x" * BODY_BYTES
ANSWER = (
    b"HTTP/1.1 200 OK\r\nSync-Id: 0000-id\r\nSync-Status: completed\r\nSync-Digest: aa\r\n"
    b"Sync-Records: 3\r\nSync-Dry-Run: applied\r\nContent-Length: 2\r\n\r\n{}"
)


async def client(port: int, count: int) -> list[bytes]:
    """Send one request after the other on one connection; give the answers' first lines."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = []
    for _ in range(count):
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(2)
        lines.append(head.partition(b"\r\n")[0])
    writer.close()
    return lines


async def load(port: int, count: int) -> list[bytes]:
    """Ask from several clients at once; give all first lines."""
    shares = await asyncio.gather(*(client(port, count // CLIENTS) for _ in range(CLIENTS)))
    return [line for share in shares for line in share]


@contextlib.asynccontextmanager
async def mirror_in(trouble: str) -> AsyncIterator[str]:
    """Give the address of a system in trouble."""
    if trouble == "dead":
        yield UNREACHABLE
    elif trouble == "stalled":  # the kernel takes connections and bytes; nobody ever reads them
        with socket.create_server(("127.0.0.1", 0), backlog=512) as deaf:
            yield f"http://127.0.0.1:{deaf.getsockname()[1]}"
    else:

        async def slowly(_: Received) -> bytes:
            await asyncio.sleep(0.05)
            return ANSWER

        async with RecordingUpstream(slowly) as slow:
            yield slow.url


async def newest(worker: WorkerProcess) -> dict[str, float]:
    """Give the figures of a report that is yet to come."""
    return dict((await worker.until(Report, len(worker.heard(Report)) + 2))[-1].cells)


@pytest.mark.parametrize("trouble", ["dead", "stalled", "slow"])
async def test_trouble_of_the_mirror_is_nobodys_trouble(trouble: str) -> None:
    """All are answered by old; what the mirror cannot take is dropped and counted by reason."""
    async with mirror_in(trouble) as new, RecordingUpstream(ANSWER) as old:
        settings = unlimited(old.url, new, mirror_timeout_ms=60_000, **BOUND)
        async with fleet(settings, routing(0, mirror_to="new", mirror_rate=1.0)) as workers:
            worker = await workers.start()
            assert set(await load(workers.port, REQUESTS // 4)) == {b"HTTP/1.1 200 OK"}
            before_kib = resident_kib([worker.process.pid])
            lines = await load(workers.port, REQUESTS)
            assert len(lines) == REQUESTS
            assert set(lines) == {b"HTTP/1.1 200 OK"}
            assert resident_kib([worker.process.pid]) - before_kib < GROWTH_KIB
            cells = await newest(worker)
    assert cells["syncgate_shadows_held_bytes"] <= BOUND["mirror_queue_bytes"]
    assert cells["syncgate_shadows_in_flight"] <= BOUND["mirror_in_flight"]
    assert cells["syncgate_shadows_waiting"] <= BOUND["mirror_queue"]
    assert cells['syncgate_requests_total{system="old",outcome="ok"}'] == REQUESTS * 5 // 4
    assert cells['syncgate_requests_total{system="old",outcome="error"}'] == 0
    told = {
        name.partition('"')[2][:-2]: count
        for name, count in cells.items()
        if name.startswith(("syncgate_shadows_dropped", "syncgate_shadows_unanswered"))
    }
    answered = cells['syncgate_shadows_total{result="matched"}']
    held = cells["syncgate_shadows_in_flight"] + cells["syncgate_shadows_waiting"]
    assert sum(told.values()) + answered + held == REQUESTS * 5 // 4  # each one is accounted for
    if trouble == "dead":
        assert told["connection refused"] > 0
    elif trouble == "stalled":
        assert (answered, held) == (0, BOUND["mirror_queue_bytes"] // (BODY_BYTES + 2))
        assert told["queue_bytes_full"] == REQUESTS * 5 // 4 - held
    else:
        assert told["queue_bytes_full"] > 0
        assert answered > 0

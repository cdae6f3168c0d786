"""TLS on the data port: what holds on a plain port holds on this one, from the first byte on."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.dataplane import (
    OK,
    UNREACHABLE,
    Received,
    RecordingUpstream,
    data_plane,
    read_request,
    routing,
    split_answer,
    unlimited,
)
from tests.support.scale import scale
from tests.support.tls import Certificate, make_certificate
from tests.support.workers import Fleet, fleet

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

SYNC = "/api/property-listings/sync"
GET = f"GET {SYNC} HTTP/1.1\r\nHost: g\r\n\r\n".encode()
HEALTH = b"GET /health HTTP/1.1\r\nHost: g\r\n\r\n"
HEAD = f"POST {SYNC} HTTP/1.1\r\nHost: g\r\nContent-Length: 9\r\n\r\n".encode()
EXPECTS = HEAD.replace(b"Content", b"Expect: 100-continue\r\nContent")
CHUNKED = f"POST {SYNC} HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
# Far shorter than shipped, so that the suite need not wait; the code is the same.
DEADLINES = {"header_timeout_ms": 400, "body_timeout_ms": 600, "write_timeout_ms": 500}
LARGE = b"x" * 8_000_000


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """One for all tests of this file."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


def of_length(body: bytes) -> bytes:
    """Make an answer."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@contextlib.asynccontextmanager
async def serving(
    certificate: Certificate, old: RecordingUpstream, **changes: Any
) -> AsyncIterator[Fleet]:
    """Run one worker, which has the event loop that is shipped, with TLS on its port."""
    settings = unlimited(old.url, UNREACHABLE, **{**certificate.settings, **changes})
    async with fleet(settings, routing()) as workers:
        await workers.start()
        yield workers


async def status_of(reader: asyncio.StreamReader) -> int:
    """Read one answer and give its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    answer = split_answer(head)
    if answer.status:
        await reader.readexactly(int(answer.headers["content-length"]))
    return answer.status


async def test_the_data_port_speaks_tls(certificate: Certificate) -> None:
    """Large and small on one connection, a refusal at its end; the upstream is told of the TLS."""
    body = b"x" * 100_000
    async with (
        RecordingUpstream(of_length(body)) as old,
        serving(certificate, old, drain_idle_ms=100) as workers,
    ):
        reader, writer = await certificate.connect(workers.port)
        for _ in range(3):
            writer.write(HEAD.replace(b" 9\r", b" 70000\r") + b"y" * 70_000)
            assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(len(body)) == body
        assert {request.body for request in old.requests} == {b"y" * 70_000}
        assert old.requests[0].header("x-forwarded-proto") == "https"
        writer.write(b"nonsense\r\n\r\n")
        assert split_answer(await reader.read()).status == 400
        writer.transport.abort()
        await workers.workers[0].leave()


class Hinting(RecordingUpstream):
    """Takes longer than clients may take to read, and may send a hint before."""

    def __init__(self, hint: bytes) -> None:
        super().__init__()
        self.hint = hint

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            writer.write(self.hint)
            await asyncio.sleep(1.2)
            writer.write(OK)


@pytest.mark.parametrize("said", ["at once", "in two pieces", "on a used connection"])
@pytest.mark.parametrize("hint", [b"", HINT])
async def test_an_upstream_may_take_longer_than_a_client_to_read(
    certificate: Certificate, said: str, hint: bytes
) -> None:
    """The deadline for reading an answer starts with the answer, not with a hint or a body."""
    async with Hinting(hint) as old, serving(certificate, old, **DEADLINES) as workers:
        reader, writer = await certificate.connect(workers.port)
        if said == "on a used connection":
            writer.write(HEALTH)
            assert await status_of(reader) == 200
        writer.write(HEAD + b"123456789" * (said != "in two pieces"))
        if said == "in two pieces":
            await asyncio.sleep(0.05)
            writer.write(b"123456789")
        raw = await reader.readuntil(b"ok")
        assert raw.startswith(hint + b"HTTP/1.1 200 OK\r\n")
        writer.transport.abort()


@pytest.mark.parametrize(
    ("begun", "drop", "deadline"),
    [
        (b"GET /", b"a", "header_timeout_ms"),
        (HEAD.replace(b" 9\r", b" 90000\r"), b"a", "body_timeout_ms"),
        (CHUNKED, b"1\r\na\r\n", "body_timeout_ms"),
    ],
)
async def test_drops_buy_no_time(
    certificate: Certificate, begun: bytes, drop: bytes, deadline: str
) -> None:
    """A head, a body or chunks that come bit by bit: 408 at the deadline."""
    async with RecordingUpstream() as old, serving(certificate, old, **DEADLINES) as workers:
        reader, writer = await certificate.connect(workers.port)
        writer.write(begun)
        began = time.monotonic()
        said = asyncio.ensure_future(reader.read())
        while not said.done():
            writer.write(drop)
            await asyncio.sleep(0.05)
            assert time.monotonic() - began < 8
        assert split_answer(await said).status == 408
        assert time.monotonic() - began >= DEADLINES[deadline] / 1000 - 0.11
        assert old.requests == []
        writer.transport.abort()


@pytest.mark.parametrize("asked", [GET, HEALTH, HEAD + b"123456789", CHUNKED + b"0\r\n\r\n"])
async def test_requests_sent_ahead_are_all_answered(certificate: Certificate, asked: bytes) -> None:
    """Five in one write."""
    async with RecordingUpstream() as old, serving(certificate, old) as workers:
        reader, writer = await certificate.connect(workers.port)
        for _ in range(3):
            writer.write(asked * 5)
            async with asyncio.timeout(10):
                assert [await status_of(reader) for _ in range(5)] == [200] * 5
        writer.transport.abort()


async def test_a_drain_waits_for_nobody_who_has_nothing_under_way(
    certificate: Certificate,
) -> None:
    """Neither for clients at rest nor for those without a handshake."""
    async with (
        RecordingUpstream() as old,
        serving(certificate, old, drain_idle_ms=100) as workers,
    ):
        clients = [await certificate.connect(workers.port) for _ in range(10)]
        for number, (reader, writer) in enumerate(clients):
            for at in range(number % 4):
                writer.write(GET[:at])
                await asyncio.sleep(0.01)
                writer.write(GET[at:])
                assert await status_of(reader) == 200
        silent = [await asyncio.open_connection("127.0.0.1", workers.port) for _ in range(5)]
        silent[0][1].write(b"\x16\x03\x01")
        await asyncio.sleep(0.2)
        async with asyncio.timeout(8):  # and not as long as a drain may take
            await workers.workers[0].leave()
            for reader, writer in clients + silent:
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
                writer.transport.abort()


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_is_asked_for_once(certificate: Certificate, chunked: bool) -> None:
    """`100 Continue` comes once, however many pieces the body has."""
    pieces = [b"123", b"456", b"789"]
    head = EXPECTS
    if chunked:
        head = CHUNKED.replace(b"Transfer", b"Expect: 100-continue\r\nTransfer")
        pieces = [b"3\r\n%b\r\n" % piece for piece in pieces] + [b"0\r\n\r\n"]
    async with RecordingUpstream() as old, serving(certificate, old) as workers:
        reader, writer = await certificate.connect(workers.port)
        writer.write(head)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.05)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 OK\r\n")
        assert old.requests[0].body == b"123456789"
        writer.transport.abort()


def read_slowly(client: ssl.SSLSocket, asked: bytes, per_second: int) -> int:
    """Ask, read at that pace until the end, and tell how many bytes came."""
    with client:
        client.sendall(asked)
        count = 0
        while data := client.recv(per_second // 50):
            count += len(data)
            time.sleep(len(data) / per_second)
        return count


async def test_a_last_answer_arrives_whole_at_a_slow_reader(certificate: Certificate) -> None:
    """A megabyte at 300 KB/s with `Connection: close`, to an announced end."""
    asked = GET.replace(b"Host", b"Connection: close\r\nHost")
    async with (
        RecordingUpstream(of_length(LARGE[:1_000_000])) as old,
        serving(certificate, old) as workers,
    ):
        client = certificate.blocking(workers.port)
        assert await asyncio.to_thread(read_slowly, client, asked, 300_000) > 1_000_000


async def test_who_does_not_read_meets_the_deadline_of_writing(certificate: Certificate) -> None:
    """And not that of rest, which is longer; what it sent ahead is not served meanwhile."""
    async with (
        RecordingUpstream(of_length(LARGE)) as old,
        data_plane(unlimited(old.url, UNREACHABLE, **certificate.settings, **DEADLINES)) as gateway,
    ):
        client = await asyncio.to_thread(certificate.blocking, gateway.port)
        client.sendall(GET * 3)
        began = time.monotonic()
        while not old.requests or gateway.plane.connections:
            await asyncio.sleep(0.01)
            assert time.monotonic() - began < 8
        assert len(old.requests) == 1
        client.close()


async def test_handshakes_are_counted_and_have_a_deadline(certificate: Certificate) -> None:
    """Silent ones too: beyond the limit they are closed at once, the others in time."""
    settings = unlimited(
        UNREACHABLE, UNREACHABLE, **certificate.settings, **DEADLINES, connections_per_address=5
    )
    async with data_plane(settings) as gateway:
        clients = [await gateway.connect() for _ in range(20)]
        began = time.monotonic()
        for reader, writer in clients[5:]:
            assert await reader.read() == b""
            writer.close()
        assert len(gateway.plane.connections) == 5
        assert gateway.plane.refused["connections"] == 15
        for reader, writer in clients[:5]:
            assert await reader.read() == b""
            writer.close()
        assert DEADLINES["header_timeout_ms"] / 1000 - 0.11 <= time.monotonic() - began < 5
        assert gateway.plane.refused["tls"] == 5
        await answers(certificate, gateway.port)
    assert gateway.plane.connections == set()


async def answers(certificate: Certificate, port: int) -> None:
    """Be one client that is served."""
    reader, writer = await certificate.connect(port)
    writer.write(HEALTH)
    assert await status_of(reader) == 200
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@pytest.mark.parametrize("said", [GET, b"\x16\x03\x01\x00\x05hello", b"\0" * 100_000, b"\x16\x03"])
async def test_what_is_no_handshake_is_closed_and_counted(
    certificate: Certificate, said: bytes
) -> None:
    """Plain HTTP, garbage, and a client that is gone in the middle."""
    settings = unlimited(UNREACHABLE, UNREACHABLE, **certificate.settings)
    async with data_plane(settings) as gateway:
        for _ in range(3):
            assert not (await gateway.exchange(said)).startswith(b"HTTP")
        async with asyncio.timeout(5):
            while gateway.plane.connections:
                await asyncio.sleep(0.01)
        assert gateway.plane.refused == {"tls": 3}
        await answers(certificate, gateway.port)
        assert gateway.plane.refused == {"tls": 3}


async def test_silent_clients_do_not_take_the_descriptors(certificate: Certificate) -> None:
    """More of them than a worker has descriptors: it is there for others when their time is up."""
    async with (
        RecordingUpstream() as old,
        fleet(
            unlimited(
                old.url, UNREACHABLE, **certificate.settings, header_timeout_ms=2000,
                upstream_connections=16, mirror_in_flight=4,
            ),
            routing(), descriptors=256,
        ) as workers,
    ):  # fmt: skip
        await workers.start()
        silent = []
        for _ in range(300):
            with contextlib.suppress(ConnectionError):
                silent.append(await asyncio.open_connection("127.0.0.1", workers.port))
        for reader, writer in silent:
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 8) == b""
            writer.transport.abort()
        await answers(certificate, workers.port)


def echo(request: Received) -> bytes:
    """Answer what came, so that its sender knows that it is its own."""
    size = int(request.target.rpartition("=")[2])
    return of_length(hashlib.sha256(request.body).hexdigest().encode() + b"-" * size)


async def slowly(request: Received) -> bytes:
    """Take a moment now and then."""
    if random.random() < 0.1:
        await asyncio.sleep(random.uniform(0, 0.05))
    return echo(request)


def asks(chance: random.Random) -> tuple[bytes, bytes]:
    """Make one request, and what its answer must be."""
    body = chance.randbytes(chance.choice([0, 1, 300, 16_384, 70_000, chance.randrange(300_000)]))
    size = chance.choice([0, 10, 20_000, chance.randrange(300_000)])
    line = f"POST {SYNC}?size={size} HTTP/1.1\r\nHost: g\r\n".encode()
    if chance.random() < 0.3:
        step = chance.randrange(1000, 50_000)
        cut = [body[at : at + step] for at in range(0, len(body), step)]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in cut)
        raw = line + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    else:
        raw = line + b"Content-Length: %d\r\n\r\n" % len(body) + body
    return raw, hashlib.sha256(body).hexdigest().encode() + b"-" * size


async def keeps_asking(certificate: Certificate, port: int, seed: int, count: int) -> None:
    """Send some ahead, some in pieces, read some late; every answer is the right one."""
    chance = random.Random(seed)
    reader, writer = await certificate.connect(port)
    while count > 0:
        group = [asks(chance) for _ in range(min(count, chance.choice([1, 1, 2, 5])))]
        count -= len(group)
        sent = b"".join(raw for raw, _ in group)
        step = chance.choice([len(sent), len(sent), 100_000, len(sent) // 3 + 1])
        for at in range(0, len(sent), step):
            writer.write(sent[at : at + step])
            await asyncio.sleep(chance.choice([0, 0, 0.01]))
        await asyncio.sleep(chance.choice([0, 0, 0, 0.05]))
        for _, expected in group:
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
            assert await reader.readexactly(len(expected)) == expected
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_thousands_of_exchanges_of_every_kind(certificate: Certificate) -> None:
    """Sent ahead, chunked, cut up, small and large, with slow sides: each answer is its own."""
    each, clients = scale(full=500, quick=100), 20
    async with RecordingUpstream(slowly) as old, serving(certificate, old) as workers:
        async with asyncio.timeout(120):
            await asyncio.gather(
                *(keeps_asking(certificate, workers.port, seed, each) for seed in range(clients))
            )
        assert len(old.requests) == each * clients
        assert old.faults == []
        await workers.workers[0].leave()

"""
A data plane under test: the real protocol on a real socket, in front of real recording upstreams.

`RecordingUpstream` reads with a parser of its own, hand-written and strict, so that what it calls a
complete request does not depend on the parser under test. `Memory` drives one connection without a
socket, for tests that need tens of thousands of connections.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from gateway.link import Routing
from gateway.proxy.cells import render
from gateway.proxy.configuration import DataPlaneSettings
from gateway.proxy.plane import Plane
from gateway.proxy.protocol import ClientConnection, factory
from gateway.proxy.shapes import Shapes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
UNREACHABLE = "http://127.0.0.1:1"


@dataclass
class Received:
    """One complete request as the strict parser read it; header names in lower case."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The one value of a field, None if it is absent; a field that stands twice is an error."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, f"{name} stands {len(values)} times"
        return values[0] if values else None


class NotStrictError(Exception):
    """The gateway sent something that is not plain HTTP/1.1."""


async def read_request(reader: asyncio.StreamReader) -> Received | None:
    """Read one request by the letter of RFC 9112; None at a clean end."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise NotStrictError(f"cut off: {error.partial!r}") from None
        return None
    lines = raw[:-4].decode("latin-1").split("\r\n")
    if any("\r" in line or "\n" in line for line in lines):
        raise NotStrictError(f"bare CR or LF: {raw!r}")
    parts = lines[0].split(" ")
    if len(parts) != 3 or parts[2] != "HTTP/1.1" or not parts[1].startswith("/"):
        raise NotStrictError(f"request line: {lines[0]!r}")
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(": ")
        if not colon or not name or any(not 0x21 <= ord(c) <= 0x7E for c in name):
            raise NotStrictError(f"header line: {line!r}")
        headers.append((name.lower(), value))
    lengths = [value for name, value in headers if name == "content-length"]
    if any(name == "transfer-encoding" for name, _ in headers) or len(lengths) > 1:
        raise NotStrictError(f"framing: {headers!r}")
    if sum(name == "host" for name, _ in headers) != 1:
        raise NotStrictError(f"host: {headers!r}")
    body = await reader.readexactly(int(lengths[0])) if lengths else b""
    return Received(parts[0], parts[1], headers, body)


class RecordingUpstream:
    """Answers every request with `answer` (bytes, or a function of the request; None hangs up)."""

    def __init__(
        self,
        answer: bytes | Callable[[Received], Awaitable[bytes | None] | bytes | None] = OK,
        *,
        close_after: bool = False,
    ) -> None:
        self.answer = answer
        self.close_after = close_after
        self.requests: list[Received] = []
        self.faults: list[str] = []
        self.connections = 0
        self.open: set[asyncio.StreamWriter] = set()
        self.server: asyncio.Server | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.server is not None
        self.server.close()
        for writer in list(self.open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.add(writer)
        with contextlib.suppress(
            ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError
        ):
            await self._converse(reader, writer)
        self.open.discard(writer)
        writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                request = await read_request(reader)
            except NotStrictError as fault:
                self.faults.append(str(fault))
                return
            if request is None:
                return
            if ("user-agent", "syncgate-probe") in request.headers:
                writer.write(OK)  # of another test's gateway, whose system had this port before
                continue
            self.requests.append(request)
            answer: Any = self.answer(request) if callable(self.answer) else self.answer
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer is None:
                return
            writer.write(answer)
            if self.close_after:
                return


def unlimited(old: str, new: str, **changes: Any) -> DataPlaneSettings:
    """Settings without a client limit, so that a test meets only what it asks for."""
    return DataPlaneSettings(old, new, **{"rate_limit_per_second": 0.0, **changes})


def routing(weight_percent: float = 0, version: int = 1, **changes: Any) -> Routing:
    """A routing with one weight for reads and writes."""
    weight = round(weight_percent * 100)
    values: dict[str, Any] = {
        "version": version, "salt": "salt", "write_weight_bp": weight, "read_weight_bp": weight,
        "phase": "2", "status": "running",
    }  # fmt: skip
    return Routing(**{**values, **changes})


@dataclass
class DataPlane:
    """A running data plane: `plane` to look inside, `port` to call."""

    plane: Plane
    port: int
    runs: list[tuple[str, int]] = field(default_factory=list)

    def cells(self) -> dict[str, float]:
        """What a scraper would be told now."""
        plane = self.plane
        return render(plane, plane.mirror.counts(), plane.write_backs.counts())

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open one client connection."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def exchange(self, raw: bytes, *, wait_s: float = 5.0) -> bytes:
        """Send bytes on a connection of their own, say no more, return all that comes back."""
        reader, writer = await self.connect()
        writer.write(raw)
        writer.write_eof()
        try:
            return await asyncio.wait_for(reader.read(), wait_s)
        except ConnectionError:
            return b""
        finally:
            writer.transport.abort()

    async def ask(
        self, target: str = "/api/property-listings/x", method: str = "GET",
        headers: dict[str, str] | None = None, body: bytes | None = None,
    ) -> Answered:  # fmt: skip
        """Make one ordinary request on a connection of its own."""
        lines = {"Host": "gateway.test", **(headers or {})}
        if body is not None:
            lines["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        raw = await self.exchange(
            f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + (body or b"")
        )
        return split_answer(raw)


@dataclass
class Answered:
    """One answer, taken apart; names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def split_answer(raw: bytes) -> Answered:
    """Take the final answer of a raw stream apart (1xx are skipped)."""
    head, _, rest = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    if not lines[0]:
        return Answered(0, {}, b"")
    status = int(lines[0].split(" ")[1])
    if status < 200:
        return split_answer(rest)
    pairs = (line.split(": ", 1) for line in lines[1:])
    return Answered(status, {name.lower(): value for name, value in pairs}, rest)


@contextlib.asynccontextmanager
async def data_plane(
    settings: DataPlaneSettings, route: Routing | None = None, *, tick_s: float = 0.02
) -> AsyncIterator[DataPlane]:
    """Run a data plane in the test's own loop."""
    loop = asyncio.get_running_loop()
    plane = Plane(settings, loop)
    plane.route(route or routing())
    server = await loop.create_server(factory(plane), "127.0.0.1", 0, backlog=1024)
    running = DataPlane(plane, server.sockets[0].getsockname()[1])
    plane.on_outcome = lambda name, outcome: running.runs.append((name, int(outcome)))

    async def ticking() -> None:
        while True:
            plane.tick()
            await asyncio.sleep(tick_s)

    ticker = asyncio.create_task(ticking())
    try:
        yield running
    finally:
        ticker.cancel()
        server.close()
        for connection in list(plane.connections):
            connection.transport.abort()
        for side in plane.sides:
            side.pool.close()
            for upstream in list(side.pool.all):
                upstream.close()
        plane.mirror.close()
        plane.write_backs.close()
        await asyncio.sleep(0)


class _Calls:
    """In the place of a pool: keeps what would have been sent."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.host_line = b"Host: upstream\r\n"
        self.all: set[Any] = set()

    def submit(self, call: Any, *, fresh: bool = False, first: bool = False) -> bool:
        self.calls.append(call)
        return False

    def sweep(self, now_us: int) -> None:
        """Nothing is ever late here."""


class _Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def writelines(self, list_of_data: Any) -> None:
        self.sent += b"".join(list_of_data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer to limit."""

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.closed = True

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed


class Memory:
    """One plane, many connections without sockets; `fresh()` starts the next one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, **changes: Any) -> None:
        self.plane = Plane(unlimited(UNREACHABLE, UNREACHABLE, prefix="/", **changes), loop)
        self.pool = _Calls()
        for side in self.plane.sides:
            side.pool = self.pool  # type: ignore[assignment]

    def fresh(self) -> tuple[ClientConnection, _Transport]:
        """Open a connection; the plane remembers no head from an earlier one."""
        for former in list(self.plane.connections):
            former.connection_lost(None)
        self.plane.heads.clear()
        self.plane.shapes = Shapes(self.plane.rules)
        self.plane.in_flight = 0
        self.pool.calls = []
        connection, transport = ClientConnection(self.plane), _Transport()
        connection.connection_made(transport)
        return connection, transport

"""
One client's connection: bytes in, requests in order, answers in order, and a deadline at all times.

This is what uvicorn's public `http=` option is given (`factory`). A connection is always in one
phase, and every phase but `BUSY` (where the exchange has deadlines of its own) has an absolute one,
looked at by the plane's tick; so no request pays for a timer, and dripping bytes buys no time.

Requests are served one at a time. What a client sends ahead waits, read but not begun, so answers
cannot overtake; a client that sends too far ahead is told to close. A refused request is answered
and the connection closed: after bytes that two parsers may read differently, nothing that follows
can be trusted.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, cast

import httptools

from gateway.proxy import local
from gateway.proxy.bodies import JOIN_BELOW_BYTES, tail
from gateway.proxy.exchange import Exchange, has_body
from gateway.proxy.guard import CHUNKED, Head, Refusal, inspect
from gateway.proxy.problems import CONTINUE, Answer, problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.proxy.bodies import Body
    from gateway.proxy.plane import Plane

_HEAD_END: Final = b"\r\n\r\n"
_MEMO_HEAD_BYTES: Final = 4096
_AHEAD: Final = 256
_OPENING_BYTES: Final = 16 * 1024
_CHUNK_OVERHEAD_BYTES: Final = 64 * 1024
_CHUNK_OVERHEAD_FACTOR: Final = 8
_LINGER_US: Final = 1_000_000
_FLUSH_US: Final = 5_000_000
_LINGER_NOT: Final = struct.pack("ii", 1, 0)


class Phase(IntEnum):
    """What the connection is waiting for."""

    IDLE = 0
    HEAD = 1
    BODY = 2
    BUSY = 3
    WRITING = 4
    LINGERING = 5
    CLOSING = 6


# Reading a member off its Enum costs as much as ten attribute reads; the request path has its own.
_IDLE: Final = Phase.IDLE
_HEAD: Final = Phase.HEAD
_BODY: Final = Phase.BODY
_BUSY: Final = Phase.BUSY
_WRITING: Final = Phase.WRITING
_LINGERING: Final = Phase.LINGERING
_CLOSING: Final = Phase.CLOSING


class ClientConnection(asyncio.Protocol):
    """See the module."""

    __slots__ = (
        "address", "ahead", "begun", "body_bytes", "deadline_us", "eof", "exchange", "first",
        "forwarded", "head", "headers", "last", "need", "opening", "parser", "parts", "phase",
        "plane", "raw_bytes", "refusal", "serving", "target", "transport",
    )  # fmt: skip

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # until made
        self.address = ""
        self.forwarded = b"\r\n"
        self.phase: Phase = _IDLE
        self.deadline_us = 0
        self.exchange: Exchange | None = None
        self.ahead: list[tuple[Head, Body]] = []
        self.refusal: Refusal | None = None
        self.parser: httptools.HttpRequestParser | None = None
        self.head: Head | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.target = b""
        self.parts: list[bytes] = []
        self.need = 0
        self.body_bytes = 0
        self.raw_bytes = 0
        self.last: Head | None = None
        self.opening = b""
        self.first = True
        self.begun = False
        self.serving = False
        self.eof = False

    # --- asyncio ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register, unless this address or the worker has enough connections."""
        plane = self.plane
        self.transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if isinstance(peer, tuple) else "unix"
        self.forwarded = b"\r\nX-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\n\r\n" % (
            self.address.encode(),
            plane.scheme,
        )
        count = plane.per_address.get(self.address, 0) + 1
        plane.per_address[self.address] = count
        plane.connections.add(self)
        self.transport.set_write_buffer_limits(0)  # so that pause_writing means: not all sent
        settings = plane.settings
        self.deadline_us = plane.now_us + settings.header_timeout_ms * 1000
        if (
            0 < settings.connections < len(plane.connections)
            or 0 < settings.connections_per_address < count
        ):
            plane.refuse("connections")
            self._refuse(Refusal(503, "Too many connections."))

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave nothing behind."""
        del exc
        plane = self.plane
        plane.connections.discard(self)
        count = plane.per_address.get(self.address, 1) - 1
        if count > 0:
            plane.per_address[self.address] = count
        else:
            plane.per_address.pop(self.address, None)
        if self.exchange is not None:
            self.exchange.client = None
            self.exchange = None
        self.phase = _CLOSING
        self.ahead.clear()
        self.parser = None

    def eof_received(self) -> bool:
        """Keep the way back open for what was asked completely."""
        self.eof = True
        return self.phase in {_BUSY, _WRITING} and self.transport.can_write_eof()

    def pause_writing(self) -> None:
        """Give a client that does not read its answer a deadline."""
        if self.phase is not _LINGERING and self.phase is not _CLOSING:
            self.phase = _WRITING
        self.deadline_us = self.plane.now_us + self.plane.settings.write_timeout_ms * 1000

    def resume_writing(self) -> None:
        """Go on with what waited for the client to read."""
        if self.phase is _WRITING:
            self.phase = _BUSY
            self._next()

    def data_received(self, data: bytes) -> None:
        """Read on; a bodiless or length-delimited request seen before takes the short way."""
        if self.parser is None and self.phase is _IDLE:
            end = data.find(_HEAD_END) + 4
            head = self.plane.heads.get(data[:end])
            if head is not None:
                length = len(data) - end
                if length == head.length or (length == 0 and head.length <= 0):
                    self._serve(head, tail(data, end))
                    return
                if 0 < length < head.length:
                    self._begin_body(head)
                    self._take(data[end:])
                    return
        if self.phase >= _LINGERING:
            return
        if self.need:
            self._take(data)
        else:
            self._parse(data)

    # --- the short way: a head seen before ---

    def _begin_body(self, head: Head) -> None:
        self.head = head
        self.need = head.length
        self._expect_body(head)

    def _take(self, data: bytes) -> None:
        if len(data) < self.need:
            self.parts.append(data)
            self.need -= len(data)
            return
        rest = data[self.need :]
        self.parts.append(data[: self.need] if rest else data)
        self.need = 0
        head, body = cast("Head", self.head), b"".join(self.parts)
        self.head = None
        self.parts = []
        self.phase = _IDLE
        self._serve(head, body)
        if rest:
            self.data_received(rest)

    # --- the long way: llhttp and guard read ---

    def _parse(self, data: bytes) -> None:  # noqa: C901 - the order of these steps is the point
        if self.parser is None:
            self.parser = httptools.HttpRequestParser(self)
            self.raw_bytes = 0
            self.opening = b""
            self.first = True
        if self.phase is _IDLE:
            self._await_head()
        self.raw_bytes += len(data)
        if len(self.opening) < _OPENING_BYTES:
            self.opening += data[:_OPENING_BYTES]
        waiting = len(self.ahead)
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.begun = False
            if self.refusal is None:
                self.refusal = Refusal(400, f"Malformed request: {error}.")
            if len(self.ahead) > waiting and not self.ahead[-1][0].keep_alive:
                self.ahead.pop()  # bytes after its own last word: neither is to be believed
        else:
            self._measure()
            if not self.begun:
                if len(self.ahead) == waiting + 1:
                    self._remember(data)
                self.parser = None
            elif len(self.ahead) > waiting:
                self.raw_bytes = len(data)
        if self.exchange is None and self.phase < _WRITING:
            self._next()

    def _measure(self) -> None:
        """Bound what is read without becoming a request."""
        rules = self.plane.rules
        if not self.begun:
            return
        if self.head is None:
            if self.raw_bytes > (
                rules.max_header_bytes + rules.max_target_bytes + _MEMO_HEAD_BYTES
            ):
                self.refusal = Refusal(431, "The request head is too large.")
        elif self.head.length == CHUNKED and self.raw_bytes - self.body_bytes > (
            rules.max_header_bytes
            + _CHUNK_OVERHEAD_BYTES
            + _CHUNK_OVERHEAD_FACTOR * self.body_bytes
        ):
            self.refusal = Refusal(400, "More chunk framing than content.")

    def _remember(self, data: bytes) -> None:
        """Let the next request with an equal head take the short way."""
        head = self.ahead[-1][0]
        end = data.find(_HEAD_END) + 4
        if (
            4 <= end <= _MEMO_HEAD_BYTES  # noqa: PLR2004 - found
            and len(data) == self.raw_bytes == end + max(head.length, 0)
            and head.length != CHUNKED
            and not data.startswith(b"\r\n")
        ):
            self.plane.remember_head(data[:end], head)

    def on_message_begin(self) -> None:
        """Start a head."""
        self.begun = True
        self.target = b""
        self.headers = []
        self.parts = []
        self.body_bytes = 0
        self.head = None

    def on_url(self, url: bytes) -> None:
        """Collect the target, which may come in pieces."""
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a field; trailers are dropped."""
        if self.head is None:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Hold the head against the guard's rules; raising stops the parser where it stands."""
        parser = cast("httptools.HttpRequestParser", self.parser)
        head = inspect(
            parser.get_method(), self.target, parser.get_http_version(), self.headers,
            self.plane.rules, upgrade=parser.should_upgrade(),
        )  # fmt: skip
        if isinstance(head, Head) and self.first:
            head = _beyond_llhttp(self.opening) or head
        if isinstance(head, Refusal):
            self.refusal = head
            raise ValueError(head.detail)  # noqa: TRY004 - no type is wrong, the request is
        self.head = head
        self.headers = []
        if has_body(head):
            self._expect_body(head)

    def _expect_body(self, head: Head) -> None:
        if self.exchange is None and not self.ahead:
            self.phase = _BODY
            self.deadline_us = self.plane.now_us + self.plane.settings.body_timeout_ms * 1000
            if head.expects_continue:
                self.transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        """Collect the body, up to the limit."""
        self.body_bytes += len(body)
        if self.body_bytes > self.plane.rules.max_body_bytes:
            limit = self.plane.rules.max_body_bytes
            self.refusal = Refusal(413, f"The body is larger than {limit} bytes.")
            raise ValueError
        self.parts.append(body)

    def on_message_complete(self) -> None:
        """Put the request in line."""
        if len(self.ahead) >= _AHEAD:
            self.refusal = Refusal(429, "Too many requests sent ahead on one connection.")
            raise ValueError
        self.ahead.append((cast("Head", self.head), b"".join(self.parts)))
        self.begun = False
        self.first = False
        self.head = None
        self.headers = []
        self.parts = []

    # --- one after the other ---

    def _next(self) -> None:  # noqa: C901 - one row per thing a connection may wait for
        """Serve the next request in line, or refuse, or wait for more."""
        if self.serving:
            return
        self.serving = True
        while self.ahead and self.exchange is None and self.phase < _WRITING:
            head, body = self.ahead.pop(0)
            self._serve(head, body)
        self.serving = False
        if self.exchange is not None or self.phase >= _WRITING:
            return
        if self.refusal is not None:
            self._refuse(self.refusal)
        elif self.eof:
            self._close()
        elif self.head is not None:
            if self.phase is not _BODY:
                self._expect_body(self.head)
        elif self.begun:
            if self.phase is not _HEAD:
                self._await_head()
        elif self.phase is _BUSY:
            self._rest()

    def _await_head(self) -> None:
        self.phase = _HEAD
        self.deadline_us = self.plane.now_us + self.plane.settings.header_timeout_ms * 1000

    def _rest(self) -> None:
        self.phase = _IDLE
        self.deadline_us = self.plane.now_us + self.plane.idle_us

    def _serve(self, head: Head, body: Body) -> None:
        plane = self.plane
        self.phase = _BUSY
        self.deadline_us = 0
        self.last = head
        path = head.path
        if path.startswith(plane.below_prefix) or path == plane.prefix:
            exchange = self.exchange = Exchange(plane, self, head, body)
            exchange.start()
            return
        answer = local.answer(plane, head)
        identity = head.request_id or plane.request_id()
        self.answer(answer.head, plane.mark, identity, b"" if head.is_head else answer.body)

    def interim(self, raw: bytes) -> None:
        """Send an early hint, to clients that can take one."""
        if self.last is not None and not self.last.persistent_1_0 and self.last.host is not None:
            self.transport.write(raw)

    def answer(self, forward: bytes, mark: bytes, identity: bytes, body: Body) -> None:
        """Send one final answer in one write, and go on; `identity` completes the fields."""
        self.exchange = None
        transport = self.transport
        last = cast("Head", self.last)
        final = not last.keep_alive or (
            (self.plane.draining or self.eof) and not self.ahead and self.refusal is None
        )
        if final:
            end = b"\r\nConnection: close\r\n\r\n"
        elif last.persistent_1_0:
            end = b"\r\nConnection: keep-alive\r\n\r\n"
        else:
            end = _HEAD_END
        if len(body) < JOIN_BELOW_BYTES:
            transport.write(b"".join((forward, mark, identity, end, body)))
        else:
            transport.writelines((b"".join((forward, mark, identity, end)), body))
        if final:
            self._close()
        elif self.phase is _BUSY:  # and not WRITING: the client has it all
            if self.parser is None and not self.ahead:
                self._rest()
            else:
                self._next()

    # --- the end ---

    def _refuse(self, refusal: Refusal) -> None:
        """Answer with a problem and close; nothing that follows can be trusted."""
        plane = self.plane
        plane.refuse(f"status_{refusal.status}")
        answer: Answer = problem(refusal.status, refusal.detail)
        self.transport.write(
            b"%b%b%b\r\nConnection: close\r\n\r\n%b"
            % (answer.head, plane.mark, plane.request_id(), answer.body)
        )
        self._close()

    def _close(self) -> None:
        """Send what is left, then close; unread bytes would make it a reset, eating the answer."""
        self.ahead.clear()
        if self.eof or not self.transport.can_write_eof():
            self.phase = _CLOSING
            self.deadline_us = self.plane.now_us + _FLUSH_US
            self.transport.close()
            return
        self.phase = _LINGERING
        self.deadline_us = self.plane.now_us + _LINGER_US
        self.transport.write_eof()

    def expire(self) -> None:
        """Act on a deadline that has passed."""
        if self.phase in {_HEAD, _BODY}:
            self._refuse(Refusal(408, "The request did not arrive in time."))
        elif self.phase is _IDLE:
            self.phase = _CLOSING
            self.deadline_us = self.plane.now_us + _FLUSH_US
            self.transport.close()
        else:
            self._reset()

    def _reset(self) -> None:
        """Give up at once: what the kernel still holds for a client that does not read goes too."""
        raw = self.transport.get_extra_info("socket")
        if raw is not None and raw.family != socket.AF_UNIX:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.transport.abort()

    def leave(self) -> None:
        """Close if nothing is under way; part of draining, which ends the others."""
        if self.phase is _IDLE:
            self.phase = _CLOSING
            self.deadline_us = self.plane.now_us + _FLUSH_US
            self.transport.close()

    def shutdown(self) -> None:
        """Part of uvicorn's contract for connections; the worker's own drain does it."""
        self.leave()


def _beyond_llhttp(opening: bytes) -> Refusal | None:
    """Refuse what llhttp takes and the guard cannot see: it is no part of the parsed head."""
    line = opening.lstrip(b"\r\n")
    if opening[: len(opening) - len(line)].replace(b"\r\n", b""):
        return Refusal(400, "A bare CR or LF stands before the request.")
    if not line.partition(b"\r\n")[0].endswith((b" HTTP/1.1", b" HTTP/1.0")):
        return Refusal(400, "The request line is not of HTTP/1.1.")  # llhttp speaks RTSP too
    return None


def factory(plane: Plane) -> Callable[..., asyncio.Protocol]:
    """Make what uvicorn calls for each connection; it passes its own state, which is not needed."""

    def make(**_uvicorn: Any) -> asyncio.Protocol:
        return ClientConnection(plane)

    return make

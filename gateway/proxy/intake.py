"""
Reading a client's requests: the half of a connection that faces the bytes.

There are two ways. The long one is llhttp, strict, and then the guard; it is taken for a head not
seen before, for chunks, and for everything that is cut up or sent ahead. The short one is for a
head whose very bytes, or all but its id and length (`shapes`), have been through the long way
already, which is what most requests of a client look like: only the body is counted off. Both put
the complete request to `serve`; nothing incomplete ever gets there.

What is read without becoming a request is bounded: head, target, body, and the framing of chunks.
So is what is read ahead: beyond the largest body's worth the connection reads on when it got
through some of it.
"""

from __future__ import annotations

import asyncio
from enum import IntEnum
from typing import TYPE_CHECKING, Final, cast

import httptools

from gateway.proxy.bodies import tail
from gateway.proxy.chunks import Chunks, MalformedChunkError
from gateway.proxy.guard import CHUNKED, Head, Refusal, inspect
from gateway.proxy.problems import CONTINUE
from gateway.proxy.reading import LARGE_BYTES, read_large

if TYPE_CHECKING:
    from gateway.proxy.bodies import Body
    from gateway.proxy.exchange import Exchange
    from gateway.proxy.plane import Plane

HEAD_END: Final = b"\r\n\r\n"
_MEMO_HEAD_BYTES: Final = 4096
_AHEAD: Final = 256
_HTTP: Final = frozenset({b" HTTP/1.1", b" HTTP/1.0"})
_OPENING_BYTES: Final = 16 * 1024
_CHUNK_OVERHEAD_BYTES: Final = 64 * 1024
_CONTENT_PER_OVERHEAD: Final = 4
_STRAY_BYTES: Final = 64
_PARTS: Final = 4_096
"""A body in more pieces is put together in between: each costs as much as fifty bytes."""


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
IDLE: Final = Phase.IDLE
HEAD: Final = Phase.HEAD
BODY: Final = Phase.BODY
BUSY: Final = Phase.BUSY
WRITING: Final = Phase.WRITING
LINGERING: Final = Phase.LINGERING
CLOSING: Final = Phase.CLOSING


class Intake(asyncio.Protocol):
    """See the module; `ClientConnection` is the other half."""

    __slots__ = (
        "ahead", "ahead_bytes", "begun", "body_bytes", "chunks", "deadline_us", "ended", "exchange",
        "full", "head", "headers", "need", "opening", "parser", "parts", "phase", "plane",
        "raw_bytes", "refusal", "spare", "target", "trail", "transport",
    )  # fmt: skip

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # until made
        self.phase: Phase = IDLE
        self.deadline_us = 0
        self.exchange: Exchange | None = None
        self.ahead: list[tuple[Head, Body]] = []
        self.ahead_bytes = 0
        self.full = False
        self.refusal: Refusal | None = None
        self.parser: httptools.HttpRequestParser | None = None
        self.spare: httptools.HttpRequestParser | None = None
        self.head: Head | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.target = b""
        self.parts: list[bytes] = []
        self.need = 0
        self.body_bytes = 0
        self.raw_bytes = 0
        self.opening = b""
        self.trail = b""
        self.begun = False
        self.ended = False
        self.chunks: Chunks | None = None

    def serve(self, head: Head, body: Body) -> None:
        """Answer a complete request; the connection is free for it."""
        raise NotImplementedError

    def go_on(self) -> None:
        """Serve the next request in line, or refuse, or wait for more."""
        raise NotImplementedError

    def next_ahead(self) -> tuple[Head, Body]:
        """Take the next request in line; there may be room for more then."""
        head, body = self.ahead.pop(0)
        self.ahead_bytes -= len(body)
        if self.full and self.ahead_bytes <= self.plane.rules.max_body_bytes:
            self.full = False
            self.transport.resume_reading()
        return head, body

    def forget_ahead(self) -> None:
        """Serve none of what is in line; what still comes is read and dropped."""
        self.ahead.clear()
        self.ahead_bytes = 0
        if self.full:
            self.full = False
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Read on; a bodiless or length-delimited request seen before takes the short way."""
        if self.parser is None and self.phase is IDLE:
            end = data.find(HEAD_END) + 4
            raw = data[:end]
            head = self.plane.heads.get(raw)
            if head is None and 3 < end <= _MEMO_HEAD_BYTES:  # noqa: PLR2004 - found
                head = self.plane.shapes.get(raw)
            if head is not None:
                length = len(data) - end
                if length == head.length or (length == 0 and head.length <= 0):
                    self.serve(head, tail(data, end))
                    if length >= LARGE_BYTES:
                        read_large(self.transport, self, self.plane.buffers)
                    return
                if length < head.length:
                    self._begin_body(head)
                    if length:
                        self._take(data[end:])
                    return
        if self.phase >= LINGERING:
            return
        if self.need:
            self._take(data)
        else:
            self._parse(data)

    def read_in_place(self, buffer: bytearray, size: int) -> bool:
        """Take a whole request with a head seen before, or the whole body that is awaited."""
        if self.need == size and not self.parts:
            self._serve_body(memoryview(buffer)[:size])
            return True
        if self.parser is not None or self.phase is not IDLE:
            return False
        end = buffer.find(HEAD_END, 0, _MEMO_HEAD_BYTES) + 4
        raw = bytes(buffer[:end])
        head = self.plane.heads.get(raw) or self.plane.shapes.get(raw)
        if head is None or size - end != head.length:
            return False
        self.serve(head, memoryview(buffer)[end:size])
        return True

    # --- the short way: a head seen before ---

    def _begin_body(self, head: Head) -> None:
        self.head = head
        self.need = head.length
        self.expect_body(head)

    def _take(self, data: bytes) -> None:
        if len(data) < self.need:
            self.parts.append(data)
            self.need -= len(data)
            return
        rest = data[self.need :]
        self.parts.append(data[: self.need] if rest else data)
        self._serve_body(b"".join(self.parts))
        if rest:
            self.data_received(rest)

    def _serve_body(self, body: Body) -> None:
        head = cast("Head", self.head)
        self.need = 0
        self.head = None
        self.parts = []
        self.phase = IDLE
        self.serve(head, body)

    # --- the long way: llhttp and guard read ---

    def _parse(self, data: bytes) -> None:  # noqa: C901 - the order of these steps is the point
        alone = self.parser is None
        if alone:
            self.parser = self.spare or httptools.HttpRequestParser(self)
            self.spare = None
        if self.phase is IDLE:
            self.await_head()
        waiting = len(self.ahead)
        try:
            self._feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.begun = False
            if self.refusal is None:
                self.refusal = Refusal(400, f"Malformed request: {error}.")
            if len(self.ahead) > waiting and not self.ahead[-1][0].keep_alive:
                self.ahead.pop()  # bytes after its own last word: neither is to be believed
        else:
            if self.begun:
                self._measure()
            elif self.opening:
                self._stray()
            else:
                if alone and len(self.ahead) == waiting + 1:
                    self._remember(data)
                # Between two requests it is as good as new, and dearer to make than to keep.
                self.spare, self.parser = self.parser, None
        if self.exchange is None and self.phase < WRITING:
            self.go_on()

    def _feed(self, data: bytes) -> None:
        """Give the parser one message at a time, so that what stands between two is seen."""
        parser = cast("httptools.HttpRequestParser", self.parser)
        at, size = 0, len(data)
        while at < size:
            end = self._piece_end(data, at)
            piece = data[at:end]
            self.raw_bytes += end - at
            if self.head is None and len(self.opening) < _OPENING_BYTES:
                self.opening += piece
            at = end
            self.ended = False
            parser.feed_data(piece)
            if not self.begun and self.raw_bytes > _STRAY_BYTES:
                self.refusal = self.refusal or Refusal(400, "Too many empty lines.")
                raise httptools.HttpParserError
        if self.begun:
            self.trail = (self.trail + data[-3:])[-3:]

    def _piece_end(self, data: bytes, at: int) -> int:
        """Find where the message may end: by its length, its chunks, or at an empty line."""
        head = self.head
        if head is not None and head.length > 0:
            return min(len(data), at + head.length - self.body_bytes)
        if self.chunks is not None:
            return self._chunks_end(self.chunks, data, at)
        if at == 0 and self.trail:  # the empty line may have begun in what came before
            early = (self.trail + data[:3]).find(HEAD_END)
            if early >= 0:
                return early + 4 - len(self.trail)
        end = data.find(HEAD_END, at) + 4
        return end if end > 3 else len(data)  # noqa: PLR2004 - found

    def _chunks_end(self, chunks: Chunks, data: bytes, at: int) -> int:
        """Follow a body in chunks; one that will be too large need not be waited for."""
        try:
            end = chunks.end(data, at)
        except MalformedChunkError:
            self.refusal = Refusal(400, "The size of a chunk cannot be read.")
            raise httptools.HttpParserError from None
        limit = self.plane.rules.max_body_bytes
        if chunks.announced > limit:
            self.refusal = Refusal(413, f"The body is larger than {limit} bytes.")
            raise httptools.HttpParserError
        return end

    def _stray(self) -> None:
        """Take empty lines before a request, which clients of old send, and nothing else."""
        if self.opening.replace(b"\r\n", b"") not in {b"", b"\r"}:
            self.refusal = Refusal(400, "A bare CR or LF stands before the request.")

    def _measure(self) -> None:
        """Bound what is read without becoming a request."""
        rules = self.plane.rules
        if self.head is None:
            if self.raw_bytes > (
                rules.max_header_bytes + rules.max_target_bytes + _MEMO_HEAD_BYTES
            ):
                self.refusal = Refusal(431, "The request head is too large.")
        elif self.head.length == CHUNKED and self.raw_bytes - self.body_bytes > (
            rules.max_header_bytes
            + _CHUNK_OVERHEAD_BYTES
            + self.body_bytes // _CONTENT_PER_OVERHEAD
        ):
            self.refusal = Refusal(400, "More chunk framing than content.")

    def _remember(self, data: bytes) -> None:
        """Let the next request with an equal head, or one of this shape, take the short way."""
        head = self.ahead[-1][0]
        end = data.find(HEAD_END) + 4
        if (
            end > _MEMO_HEAD_BYTES
            or head.length == CHUNKED
            or len(data) != end + max(head.length, 0)
            or data.startswith(b"\r\n")
        ):
            return
        if head.request_id is None and head.traceparent is None:  # else it does not come twice
            self.plane.remember_head(data[:end], head)
        self.plane.shapes.learn(data[:end], head)

    def _between(self) -> None:
        """Forget the last message; what comes now belongs to the next."""
        self.opening = self.trail = b""
        self.chunks = None
        self.raw_bytes = 0
        self.head = None
        self.headers = []
        self.parts = []

    def on_message_begin(self) -> None:
        """Start a head; one that begins where another was thought to go on is not believed."""
        if self.ended:
            raise ValueError
        self.begun = True
        self.target = b""
        self.body_bytes = 0

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
        if isinstance(head, Head):
            head = _beyond_llhttp(self.opening) or head
        if isinstance(head, Refusal):
            self.refusal = head
            raise ValueError(head.detail)  # noqa: TRY004 - no type is wrong, the request is
        self.head = head
        self.headers = []
        if head.length == CHUNKED:
            self.chunks = Chunks()
        if head.length == CHUNKED or head.length > 0:
            self.expect_body(head)

    def await_head(self) -> None:
        """Start the head's deadline, counted from its first byte."""
        self.phase = HEAD
        self.deadline_us = self.plane.now_us + self.plane.settings.header_timeout_ms * 1000

    def expect_body(self, head: Head) -> None:
        """Start the body's deadline and ask for it, once it is this request's turn."""
        if self.exchange is None and not self.ahead and self.phase < WRITING:
            self.phase = BODY
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
        if len(self.parts) > _PARTS:
            self.parts = [b"".join(self.parts)]

    def on_message_complete(self) -> None:
        """Put the request in line."""
        if len(self.ahead) >= _AHEAD:
            self.refusal = Refusal(429, "Too many requests sent ahead on one connection.")
            raise ValueError
        body = b"".join(self.parts)
        self.ahead.append((cast("Head", self.head), body))
        self.ahead_bytes += len(body)
        if self.ahead_bytes > self.plane.rules.max_body_bytes:
            self.full = True
            self.transport.pause_reading()
        self.begun = False
        self.ended = True
        self._between()


def _beyond_llhttp(opening: bytes) -> Refusal | None:
    """Refuse what llhttp takes and the guard cannot see: it is no part of the parsed head."""
    end = opening.find(b"\r\n")
    if end > 0 and opening[end - 9 : end] in _HTTP and opening[0] not in b"\r\n":
        return None
    line = opening.lstrip(b"\r\n")
    if opening[: len(opening) - len(line)].replace(b"\r\n", b""):
        return Refusal(400, "A bare CR or LF stands before the request.")
    if not line.partition(b"\r\n")[0].endswith(tuple(_HTTP)):
        return Refusal(400, "The request line is not of HTTP/1.1.")  # llhttp speaks RTSP too
    return None

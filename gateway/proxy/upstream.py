"""
One keep-alive connection to an upstream: a call goes out, one answer comes back, callbacks only.

An answer is read whole before anybody sees it. So a truncated, malformed or over-long one never
reaches a client as half an answer, a slow client never holds an upstream, and the connection is
free again the moment the last byte is here. A connection that has shown anything but one complete,
well-framed answer is closed and never used again.

Equal heads are read once (`remembered`): only bodies delimited by Content-Length are read that way.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from enum import Enum
from time import monotonic_ns
from typing import TYPE_CHECKING, Final, Protocol, cast

import httptools

from gateway.proxy.answers import CHUNKED, EMPTY, FIRST_FINAL, AnswerHead, read_answer
from gateway.proxy.bodies import JOIN_BELOW_BYTES, tail
from gateway.proxy.reading import LARGE_BYTES, read_large
from gateway.proxy.remembered import REMEMBERED_HEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.proxy.bodies import Body
    from gateway.proxy.pool import Pool

_HEAD_END: Final = b"\r\n\r\n"
_MAX_HEAD_BYTES: Final = 64 * 1024
_LOWEST: Final = 100
_SWITCHING: Final = 101


class Failure(Enum):
    """Why there is no answer. `sent` says whether the upstream may have seen the request."""

    REFUSED = ("connection refused", False, 502)
    CONNECT_TIMEOUT = ("no connection in time", False, 504)
    SATURATED = ("all connections busy", False, 503)
    NO_ANSWER = ("connection closed without an answer", True, 502)
    TRUNCATED = ("answer cut off", True, 502)
    MALFORMED = ("malformed answer", True, 502)
    OVERSIZED = ("answer too large", True, 502)
    TIMEOUT = ("no answer in time", True, 504)

    def __init__(self, reason: str, sent: bool, status: int) -> None:  # noqa: FBT001 - enum row
        self.reason = reason
        self.sent = sent
        self.status = status


class Call(Protocol):
    """One request to an upstream, and who wants to know how it went."""

    request_head: bytes
    body: Body
    to_head: bool
    deadline_us: int

    @property
    def agrees(self) -> Callable[[AnswerHead], bool] | None:
        """What tells by the head alone that the body is not needed, if anything can."""
        ...

    def answered(self, answer: AnswerHead, body: Body) -> None:
        """Take the whole answer."""
        ...

    def interim(self, answer: AnswerHead) -> None:
        """Take a 1xx answer; the final one follows."""
        ...

    def failed(self, failure: Failure, *, reused: bool) -> None:
        """Take notice; `reused` says that the connection had served before and may just be old."""
        ...


class UpstreamConnection(asyncio.Protocol):
    """See the module; `call` is the request under way, if any."""

    __slots__ = (
        "answer", "answer_bytes", "call", "complete", "deadline_us", "headers", "idle_since_us",
        "need", "opening", "parser", "parts", "pool", "reason", "served", "skip", "spare",
        "surplus", "transport", "unsent",
    )  # fmt: skip

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # until made
        self.call: Call | None = None
        self.deadline_us = 0
        self.idle_since_us = 0
        self.served = 0
        self.unsent = False
        self.parser: httptools.HttpResponseParser | None = None
        self.spare: httptools.HttpResponseParser | None = None
        self.need = 0
        self.skip = False
        self.opening = b""
        self._reset()

    def _reset(self) -> None:
        self.answer: AnswerHead | None = None
        self.parts: list[Body] = []
        self.answer_bytes = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.reason = b""
        self.complete = False
        self.surplus = False

    # --- the call goes out ---

    def send(self, call: Call) -> None:
        """Write the request at once; the connection must be free."""
        self.call = call
        self.deadline_us = call.deadline_us
        body = call.body
        if not body:
            self.transport.write(call.request_head)
        elif len(body) < JOIN_BELOW_BYTES:
            self.transport.write(b"".join((call.request_head, body)))
        else:
            self.transport.writelines((call.request_head, body))

    # --- asyncio ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; writes go to the kernel at once."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(0)

    def pause_writing(self) -> None:
        """Note that part of a request is not sent yet."""
        self.unsent = True

    def resume_writing(self) -> None:
        """Note that it is."""
        self.unsent = False

    def data_received(self, data: bytes) -> None:
        """Read on; see the module for the short way."""
        if self.call is None:
            self.close()  # nobody asked: the connection cannot be trusted any more
        elif self.need:
            self._take_body(data)
        elif self.parser is None:
            self._start(data)
        else:
            self._parse(data)

    def eof_received(self) -> None:
        """Let the transport close; `connection_lost` tells the call."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the call, if one is under way, what it has lost."""
        del exc
        self.pool.lost(self)
        self.spare = None
        if self.call is not None:
            begun = bool(self.opening or self.answer or self.need)
            self._fail(Failure.TRUNCATED if begun else Failure.NO_ANSWER)

    # --- the short way: a head seen before, a body of known length ---

    def read_in_place(self, buffer: bytearray, size: int) -> bool:
        """Take a whole answer with a head seen before."""
        if self.call is None or self.call.to_head or self.need or self.parser is not None:
            return False
        end = buffer.find(_HEAD_END, 0, REMEMBERED_HEAD_BYTES) + 4
        answer = self.pool.heads.get(bytes(buffer[:end]))
        if answer is None or size - end != answer.length:
            return False
        self._finish(answer, memoryview(buffer)[end:size], reuse=True)
        return True

    def _start(self, data: bytes) -> None:
        end = data.find(_HEAD_END) + 4
        answer = self.pool.heads.get(data[:end]) if end > 3 else None  # noqa: PLR2004 - found
        if answer is None or self.call.to_head:  # type: ignore[union-attr]  # asked above
            self.parser = self.spare or httptools.HttpResponseParser(self)
            self.spare = None
            self._parse(data)
            return
        length = len(data) - end
        if length == answer.length:
            self._finish(answer, tail(data, end), reuse=True)
            if length >= LARGE_BYTES:
                read_large(self.transport, self, self.pool.buffers)
            return
        self.answer = answer
        self.opening = data[:1]
        self.need = answer.length
        agrees = self.call.agrees  # type: ignore[union-attr]  # as above
        self.skip = agrees is not None and agrees(answer)
        self._take_body(tail(data, end))

    def _take_body(self, data: Body) -> None:
        if len(data) < self.need:
            if not self.skip:
                self.parts.append(data)
            self.need -= len(data)
            self._pace()
            return
        surplus = len(data) > self.need
        if not self.skip:
            self.parts.append(data[: self.need] if surplus else data)
        self.need = 0
        self._finish(cast("AnswerHead", self.answer), b"".join(self.parts), reuse=not surplus)

    # --- the long way: llhttp reads ---

    def _parse(self, data: bytes) -> None:
        if self.answer is None:
            self.opening += data
            if (
                len(self.opening) > _MAX_HEAD_BYTES
                and _HEAD_END not in self.opening[:_MAX_HEAD_BYTES]
            ):
                self._fail(Failure.OVERSIZED)
                return
        try:
            self.parser.feed_data(data)  # type: ignore[union-attr]  # made in _start
        except _HeadOnly:
            self.complete = True
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if isinstance(error.__context__, _HeadOnly):
                self.complete = True
                self.surplus = not data.endswith(_HEAD_END) or data.count(_HEAD_END) > 1
            else:
                self._fail(
                    Failure.OVERSIZED
                    if isinstance(error.__context__, _Oversized)
                    else Failure.MALFORMED
                )
                return
        if self.complete:
            answer = cast("AnswerHead", self.answer)
            self.pool.heads.remember(self.opening[: self.opening.find(_HEAD_END) + 4], answer)
            self._finish(answer, b"".join(self.parts), reuse=not self.surplus)
        elif self.opening:
            self._pace()
        else:  # an early hint was all: the answer itself has not begun
            self.deadline_us = cast("Call", self.call).deadline_us

    def on_message_begin(self) -> None:
        """Notice a second answer to one question."""
        if self.complete:
            self.surplus = True

    def on_status(self, reason: bytes) -> None:
        """Collect the reason phrase, which may come in pieces."""
        if not self.complete:
            self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a field; trailers are dropped."""
        if self.answer is None:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Judge the head."""
        if self.complete:
            return
        parser = cast("httptools.HttpResponseParser", self.parser)
        status = parser.get_status_code()
        to_head = cast("Call", self.call).to_head
        # llhttp also takes RTSP and ICE, and HTTP of any version it has heard of.
        known = self.opening.lstrip(b"\r\n").startswith((b"HTTP/1.1 ", b"HTTP/1.0 "))
        answer = (
            read_answer(
                status, self.reason, self.headers,
                keep_alive=parser.should_keep_alive(), to_head=to_head,
            )
            if known and status >= _LOWEST and status != _SWITCHING
            else None
        )  # fmt: skip
        if answer is None:
            raise ValueError
        if answer.length > self.pool.max_answer_bytes:
            raise _Oversized
        self.answer = answer
        if to_head and status >= FIRST_FINAL:
            raise _HeadOnly

    def on_body(self, body: bytes) -> None:
        """Collect the body, up to the limit."""
        if self.complete:
            return
        self.answer_bytes += len(body)
        if self.answer_bytes > self.pool.max_answer_bytes:
            raise _Oversized
        self.parts.append(body)

    def on_message_complete(self) -> None:
        """Note the end; a 1xx is only the prelude."""
        if self.complete:
            return
        answer = cast("AnswerHead", self.answer)
        if answer.status < FIRST_FINAL:
            cast("Call", self.call).interim(answer)
            opening = self.opening
            self._reset()
            self.opening = opening[opening.find(_HEAD_END) + 4 :]
            return
        self.complete = True

    # --- the end ---

    def _pace(self) -> None:
        """Bound the silence after the first byte, and the whole by the call's own deadline."""
        call = cast("Call", self.call)
        stalled_at = monotonic_ns() // 1000 + self.pool.stall_us
        self.deadline_us = min(call.deadline_us, stalled_at)

    def _finish(self, answer: AnswerHead, body: Body, *, reuse: bool) -> None:
        call = cast("Call", self.call)
        self.call = None
        self.deadline_us = 0
        self.served += 1
        if self.answer is not None:
            if reuse and answer.keep_alive and not call.to_head:
                self.spare = self.parser or self.spare
            self.parser = None
            self.opening = b""
            self._reset()
        if answer.length == CHUNKED:
            field = b"Content-Length: %d\r\n" % len(body)
            answer = replace(answer, forward=answer.forward + field, length=len(body))
        elif answer.length == EMPTY:
            body = b""
        if reuse and answer.keep_alive and not self.unsent:
            self.pool.free(self)
        else:
            self.close()
        call.answered(answer, body)

    def _fail(self, failure: Failure) -> None:
        call = cast("Call", self.call)
        self.call = None
        self.close()
        call.failed(failure, reused=self.served > 0)

    def expire(self) -> None:
        """Give up on the call under way, or on a connection that rested too long."""
        if self.call is None:
            self.close()
        else:
            self._fail(Failure.TIMEOUT)

    def close(self) -> None:
        """Never use this connection again."""
        self.pool.lost(self)
        self.deadline_us = 0
        if not self.transport.is_closing():
            self.transport.abort()


class _Oversized(Exception):  # noqa: N818 - control flow through llhttp's callback, never shown
    pass


class _HeadOnly(Exception):  # noqa: N818 - an answer to HEAD ends with its head; llhttp cannot know
    pass

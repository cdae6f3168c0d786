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

import fcntl
import socket
import struct
import termios
from typing import TYPE_CHECKING, Any, Final, cast

from gateway.proxy import local
from gateway.proxy.bodies import JOIN_BELOW_BYTES
from gateway.proxy.connection_limits import Admittance
from gateway.proxy.exchange import Exchange
from gateway.proxy.guard import Refusal
from gateway.proxy.intake import (
    BODY,
    BUSY,
    CLOSING,
    HEAD,
    HEAD_END,
    IDLE,
    LINGERING,
    WRITING,
    Intake,
)
from gateway.proxy.problems import Answer, problem
from gateway.proxy.tls import TlsTransport, server_context

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from gateway.proxy.bodies import Body
    from gateway.proxy.guard import Head
    from gateway.proxy.plane import Plane

_UNAVAILABLE: Final = 503
_LINGER_US: Final = 1_000_000
_FLUSH_US: Final = 5_000_000
_LINGER_NOT: Final = struct.pack("ii", 1, 0)
_COUNT: Final = struct.Struct("i")


class ClientConnection(Intake):
    """See the module."""

    __slots__ = (
        "address", "admittance", "answered", "eof", "forwarded", "give_up_us", "last", "serving",
        "unsent",
    )  # fmt: skip

    def __init__(self, plane: Plane) -> None:
        super().__init__(plane)
        self.address = ""
        self.admittance = Admittance.RESET
        self.give_up_us = 0
        self.answered = False
        self.forwarded = b"\r\n"
        self.last: Head | None = None
        self.serving = False
        self.eof = False
        self.unsent = False

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
        self.admittance = plane.connection_limits.admit(self.address)
        plane.connections.add(self)
        self.transport.set_write_buffer_limits(0)  # so that pause_writing means: not all sent
        self.deadline_us = plane.now_us + plane.settings.header_timeout_ms * 1000
        if self.admittance is not Admittance.ADMITTED:
            plane.refuse("connections")
            if self.admittance is Admittance.RESET:
                self._reset()
            else:
                self._refuse(Refusal(503, "Too many connections."))

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave nothing behind."""
        del exc
        plane = self.plane
        plane.connections.discard(self)
        plane.connection_limits.release(self.address, self.admittance)
        if self.exchange is not None:
            self.exchange.client = None
            self.exchange = None
        self.phase = CLOSING
        self.ahead.clear()
        self.parser = self.spare = None

    def eof_received(self) -> bool:
        """Keep the way back open for what was asked completely."""
        self.eof = True
        return self.phase in {BUSY, WRITING} and self.transport.can_write_eof()

    def pause_writing(self) -> None:
        """Give a client that does not read its answer a deadline; other phases have theirs."""
        self.unsent = True
        if self.phase is BUSY:
            self._await_reader()

    def _await_reader(self) -> None:
        self.phase = WRITING
        self.deadline_us = self.plane.now_us + self.plane.settings.write_timeout_ms * 1000

    def resume_writing(self) -> None:
        """Go on with what waited for the client to read."""
        self.unsent = False
        if self.phase is LINGERING:
            self.deadline_us = self.plane.now_us + _LINGER_US
        elif self.phase is WRITING:
            self.phase = BUSY
            if self.exchange is not None:  # it took an early hint; the exchange has a deadline
                self.deadline_us = 0
            self.go_on()

    # --- one after the other ---

    def go_on(self) -> None:  # noqa: C901 - one row per thing a connection may wait for
        """Serve the next request in line, or refuse, or wait for more."""
        if self.serving:
            return
        self.serving = True
        while self.ahead and self.exchange is None and self.phase < WRITING:
            self.serve(*self.next_ahead())
        self.serving = False
        if self.exchange is not None or self.phase >= WRITING:
            return
        if self.refusal is not None:
            self._refuse(self.refusal)
        elif self.eof:
            self._close()
        elif self.head is not None:
            if self.phase is not BODY:
                self.expect_body(self.head)
        elif self.begun:
            if self.phase is not HEAD:
                self.await_head()
        elif self.phase is BUSY:
            self._rest()

    def _rest(self) -> None:
        self.phase = IDLE
        self.deadline_us = self.plane.now_us + self.plane.idle_us

    def serve(self, head: Head, body: Body) -> None:
        """Give the request to an exchange, or answer it here."""
        plane = self.plane
        self.phase = BUSY
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
        if self.last is not None and not self.last.is_1_0:
            self.transport.write(raw)

    def answer(self, forward: bytes, mark: bytes, identity: bytes, body: Body) -> None:
        """Send one final answer in one write, and go on; `identity` completes the fields."""
        self.exchange = None
        self.answered = True
        transport = self.transport
        last = cast("Head", self.last)
        final = not last.keep_alive or (
            (self.plane.draining or self.eof) and not self.ahead and self.refusal is None
        )
        if final:
            end = b"\r\nConnection: close\r\n\r\n"
        elif last.is_1_0:
            end = b"\r\nConnection: keep-alive\r\n\r\n"
        else:
            end = HEAD_END
        if len(body) < JOIN_BELOW_BYTES:
            transport.write(b"".join((forward, mark, identity, end, body)))
        else:
            transport.writelines((b"".join((forward, mark, identity, end)), body))
        if final:
            self._close()
        elif self.phase is BUSY:
            if self.unsent:  # since before this request's turn, so nobody said it again
                self._await_reader()
            elif self.parser is None and not self.ahead:
                self._rest()
            else:
                self.go_on()

    # --- the end ---

    def _refuse(self, refusal: Refusal) -> None:
        """Answer with a problem and close; nothing that follows can be trusted."""
        plane = self.plane
        plane.refuse(f"status_{refusal.status}")
        again = b"Retry-After: 1\r\n" if refusal.status == _UNAVAILABLE else b""
        answer: Answer = problem(refusal.status, refusal.detail, again)
        self.transport.write(
            b"%b%b%b\r\nConnection: close\r\n\r\n%b"
            % (answer.head, plane.mark, plane.request_id(), answer.body)
        )
        self._close()

    def _close(self) -> None:
        """Send what is left, then close; unread bytes would make it a reset, eating the answer."""
        self.forget_ahead()
        plane = self.plane
        self.give_up_us = plane.now_us + plane.settings.write_timeout_ms * 1000
        if self.eof or not self.transport.can_write_eof():
            self.phase = CLOSING
            self.deadline_us = self.give_up_us
            self.transport.close()
            return
        self.phase = LINGERING
        self.deadline_us = plane.now_us + _LINGER_US
        self.transport.write_eof()

    def expire(self) -> None:
        """Act on a deadline that has passed."""
        if self.phase in {HEAD, BODY}:
            self._refuse(Refusal(408, "The request did not arrive in time."))
        elif self.phase is IDLE:
            self.phase = CLOSING
            self.deadline_us = self.plane.now_us + _FLUSH_US
            self.transport.close()
        elif self.phase is LINGERING and self._arrived():
            self.transport.abort()
        elif self.phase is LINGERING and self.plane.now_us < self.give_up_us:
            self.deadline_us = self.plane.now_us + _LINGER_US
        else:
            self._reset()

    def _arrived(self) -> bool:
        """Tell whether the client's side has acknowledged all that was sent."""
        if self.transport.get_write_buffer_size():
            return False
        raw = self.transport.get_extra_info("socket")
        try:
            (waiting,) = _COUNT.unpack(fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, _COUNT.pack(0)))
        except OSError:
            return True  # not a question for this kind of socket or system
        return bool(waiting == 0)

    def _reset(self) -> None:
        """Give up at once: what the kernel still holds for a client that does not read goes too."""
        raw = self.transport.get_extra_info("socket")
        if raw is not None and raw.family != socket.AF_UNIX:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.transport.abort()

    def leave(self) -> None:
        """Close if nothing is under way; part of draining, which ends the others."""
        if self.phase is IDLE:
            self.phase = CLOSING
            self.deadline_us = self.plane.now_us + _FLUSH_US
            self.transport.close()

    def shutdown(self) -> None:
        """Part of uvicorn's contract for connections; the worker's own drain does it."""
        self.leave()


def factory(plane: Plane) -> Callable[..., asyncio.Protocol]:
    """Make what uvicorn calls for each connection; it passes its own state, which is not needed."""
    context = server_context(plane.settings)

    def make(**_uvicorn: Any) -> asyncio.Protocol:
        connection = ClientConnection(plane)
        return connection if context is None else TlsTransport(plane, connection, context)

    return make

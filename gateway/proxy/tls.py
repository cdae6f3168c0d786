"""
TLS on the data port: a layer between the socket's transport and the connection that speaks HTTP.

TLS is bytes in, bytes out. OpenSSL is given what arrived and leaves in memory what is to be sent;
so nothing here waits, and a handshake needs no task. A connection is told of its client when that
is accepted, before any handshake: from then on it counts, has its first deadline and is closed by a
drain, like one that says nothing on a plain port. Nothing can be said to a client before the
handshake is done, so beyond the limits it is closed without a word.

The event loop's own TLS does not do: it tells of a client only after the handshake; it hands all of
an answer to the socket's transport at once and sees no further, so it never says that the client
does not read; and it cannot end one direction, without which a last answer may be lost to a reset.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.proxy.configuration import DataPlaneSettings
    from gateway.proxy.plane import Plane


_RECORD_BYTES: Final = 16 * 1024


def server_context(settings: DataPlaneSettings) -> ssl.SSLContext | None:
    """Load the certificate that the settings name; None without one."""
    if settings.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # so that to write never means to read first
    context.load_cert_chain(settings.tls_certificate, settings.tls_key, password="")
    return context


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """The socket's protocol and the connection's transport; see the module."""

    __slots__ = (
        "admitted", "connection", "context", "ended", "failing", "half", "held", "incoming", "open",
        "outgoing", "paused", "plane", "raw", "tls",
    )  # fmt: skip

    def __init__(self, plane: Plane, connection: asyncio.Protocol, context: ssl.SSLContext) -> None:
        super().__init__()
        self.plane = plane
        self.connection: asyncio.Protocol | None = connection
        self.context = context
        self.raw: asyncio.Transport = None  # type: ignore[assignment]  # until made
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.tls: ssl.SSLObject = None  # type: ignore[assignment]  # who says nothing needs none
        self.admitted = False
        self.failing = False
        """Whether an end now is the end of a handshake that was begun, or waited for in vain."""
        self.open = False
        self.half = False
        """Whether the client said that it will send no more."""
        self.ended = False
        self.paused = False
        self.held = False

    # --- what the socket's transport calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the connection count its client, and close it if there are too many."""
        self.raw = cast("asyncio.Transport", transport)
        self._above().connection_made(self)
        self.admitted = not self.raw.is_closing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a handshake that failed, and leave nothing behind."""
        if self.failing:
            self.plane.refuse("tls")
        above, self.connection = self._above(), None
        above.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Go on with the handshake, or hand on what was said."""
        if self.ended or self.half or not self.admitted:
            return
        self.incoming.write(data)
        if self.open or self._shake_hands():
            self._read()

    def eof_received(self) -> bool:
        """Stay for what was asked completely; an end that TLS did not announce is none to trust."""
        return self.half

    def pause_writing(self) -> None:
        """Tell the connection that not all is sent."""
        self._above().pause_writing()

    def resume_writing(self) -> None:
        """Tell the connection that all is sent."""
        if self.held:
            self.held = False
            if not self.paused:
                self.raw.resume_reading()
        self._above().resume_writing()

    # --- between ---

    def _above(self) -> asyncio.Protocol:
        return cast("asyncio.Protocol", self.connection)

    def _shake_hands(self) -> bool:
        """Go on with the handshake; tell whether it is done."""
        if self.tls is None:
            self.failing = True
            self.tls = self.context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send()
            return False
        except ssl.SSLError:
            self._give_up()
            return False
        self.open = True
        self.failing = False
        self._send()
        return True

    def _read(self) -> None:
        tls, incoming = self.tls, self.incoming
        pieces = []
        try:
            while incoming.pending or tls.pending():  # dearer to be told by an exception
                piece = tls.read(_RECORD_BYTES)
                if not piece:
                    self.half = True
                    break
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.half = True
        except ssl.SSLError:
            self._give_up()
            return
        if self.outgoing.pending:
            self._send()
            self._hold()
        if pieces:
            self._above().data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if self.half and not self._above().eof_received():
            self.close()

    def _hold(self) -> None:
        """Read no more from a client that has TLS itself answer, and does not read the answers."""
        if self.raw.get_write_buffer_size():
            self.held = True
            self.raw.pause_reading()

    def _send(self) -> None:
        data = self.outgoing.read()
        if data:
            self.raw.write(data)

    def _encrypt(self, data: bytes | bytearray | memoryview) -> None:
        if self.ended or not self.open:
            return
        write, size = self.tls.write, len(data)
        done = write(data) if size else 0
        if done < size:  # one record at a time
            view = memoryview(data)
            while done < size:
                done += write(view[done:])

    def _end(self) -> None:
        """Announce the end of what is sent; that the client's own has not come is no error."""
        self.ended = True
        with contextlib.suppress(ssl.SSLError):
            self.tls.unwrap()
        self._send()

    def _give_up(self) -> None:
        """Say what OpenSSL has to say about what it was given, and close."""
        self.ended = True
        self._send()
        self.raw.close()

    # --- what the connection calls ---

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, unless there is nobody to understand it."""
        self._encrypt(data)
        self._send()

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """Send all in one write."""
        for data in list_of_data:
            self._encrypt(data)
        self._send()

    def can_write_eof(self) -> bool:
        """Tell whether one direction can be ended: there is none before the handshake."""
        return self.open

    def write_eof(self) -> None:
        """End what is sent; what still comes is dropped."""
        if not self.ended:
            self._end()
        self.raw.write_eof()

    def close(self) -> None:
        """Send what is left, then close both directions."""
        if self.open and not self.ended:
            self._end()
        elif self.admitted and not self.open:
            self.failing = not self.plane.draining
        self.raw.close()

    def abort(self) -> None:
        """Close at once."""
        self.raw.abort()

    def is_closing(self) -> bool:
        """Tell whether it is closed or about to be."""
        return self.raw.is_closing()

    def is_reading(self) -> bool:
        """Tell whether what comes is handed on."""
        return not self.paused

    def pause_reading(self) -> None:
        """Hand nothing on: nothing decrypted is ever kept here."""
        self.paused = True
        self.raw.pause_reading()

    def resume_reading(self) -> None:
        """Hand on what comes."""
        self.paused = False
        if not self.held:
            self.raw.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set what "not all sent" means; all that is encrypted is in the socket's transport."""
        self.raw.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Give how many bytes the kernel has not taken yet."""
        return self.raw.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Give what is known of the socket."""
        return self.raw.get_extra_info(name, default)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Give who reads the socket: TLS cannot be read in place."""
        return self

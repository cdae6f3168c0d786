"""
Reading large messages without copying them.

Sixty kilobytes that are read and sent on cost a fifth less if nothing copies them on the way. So a
connection that has brought one large message changes to `LargeReads`: the kernel writes into a
buffer all connections of a worker share, and a message that came whole is looked at there. The
buffer is used again only when nothing refers to it any more, which reference counts tell: whoever
keeps a view, like a transport that could not send all, keeps its buffer, and reading goes on in
another one. Messages are copied when too many are kept, and where all are kept for a while
(`lend`): with mirroring, as many buffers as requests under way are slower than a copy.
"""

from __future__ import annotations

import asyncio
from sys import getrefcount
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE_BYTES: Final = 32 * 1024
"""From here on a message is worth a buffer; a kept view holds at most four times its size."""
_BUFFER_BYTES: Final = 128 * 1024
_MOST_BUFFERS: Final = 64
_LOOKED_AT: Final = 4


class Buffers:
    """The read buffers of one worker; `current` is the one to read into."""

    __slots__ = ("_at", "_at_rest", "_ring", "current", "lend")

    def __init__(self, lend: Callable[[], bool]) -> None:
        self.lend = lend
        self._ring = [bytearray(_BUFFER_BYTES)]
        self._at = 0
        self._at_rest = getrefcount(self._ring[0])
        self.current = self._ring[0]

    def spare(self) -> bytearray | None:
        """Find a buffer that nothing refers to, or make one; None to copy instead."""
        if not self.lend():
            return None
        ring = self._ring
        for _ in range(_LOOKED_AT):
            self._at = (self._at + 1) % len(ring)
            if getrefcount(ring[self._at]) == self._at_rest:
                return ring[self._at]
        if len(ring) == _MOST_BUFFERS:
            return None
        ring.append(bytearray(_BUFFER_BYTES))
        return ring[-1]


class LargeReader(Protocol):
    """A connection that can take a message where it was read."""

    def data_received(self, data: bytes) -> None:
        """Take bytes of its own."""
        ...

    def read_in_place(self, buffer: bytearray, size: int) -> bool:
        """Take a whole message of `size` bytes, or decline; only views may be kept of it."""
        ...

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        ...

    def eof_received(self) -> bool | None:
        """See asyncio."""
        ...

    def pause_writing(self) -> None:
        """See asyncio."""
        ...

    def resume_writing(self) -> None:
        """See asyncio."""
        ...


class LargeReads(asyncio.BufferedProtocol):
    """What a transport talks to from the first large message on; see the module."""

    __slots__ = ("buffers", "connection", "connection_lost", "eof_received", "pause_writing",
                 "resume_writing")  # fmt: skip

    def __init__(self, connection: LargeReader, buffers: Buffers) -> None:
        self.connection = connection
        self.buffers = buffers
        self.connection_lost = connection.connection_lost  # type: ignore[method-assign]
        self.eof_received = connection.eof_received  # type: ignore[method-assign]
        self.pause_writing = connection.pause_writing  # type: ignore[method-assign]
        self.resume_writing = connection.resume_writing  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> bytearray:
        """Give the buffer to read into."""
        del sizehint
        return self.buffers.current

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on what was read."""
        buffers = self.buffers
        buffer = buffers.current
        if nbytes >= LARGE_BYTES and (spare := buffers.spare()) is not None:
            buffers.current = spare
            referred = getrefcount(buffer)
            taken = self.connection.read_in_place(buffer, nbytes)
            if getrefcount(buffer) == referred:
                buffers.current = buffer  # still in the processor's cache
            if taken:
                return
        self.connection.data_received(bytes(memoryview(buffer)[:nbytes]))


def read_large(transport: asyncio.Transport, connection: LargeReader, buffers: Buffers) -> None:
    """Let the connection read large messages in place from now on, if that is worth while."""
    reads_small: object = transport.get_protocol()
    if buffers.lend() and reads_small is connection and transport.is_reading():
        transport.pause_reading()
        transport.set_protocol(LargeReads(connection, buffers))
        transport.resume_reading()

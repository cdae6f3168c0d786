"""
The sampled access log: one request in so many, as JSON lines, written when nobody waits.

Lines are formatted only for requests that are sampled, kept until the next tick and then written as
far as whoever reads them takes them at once. The rest is left out and counted: a pipe that is full
must not hold up everybody's requests.
"""

from __future__ import annotations

import os
import select
from time import time
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.proxy.exchange import Exchange

_MAX_LINES: Final = 1_000
_PATH_BYTES: Final = 1_024
_STDERR: Final = 2


class AccessLog:
    """Every `every`-th request; 0 logs none. `lost` counts lines that nobody took."""

    __slots__ = ("_descriptor", "_left", "_lines", "every", "lost")

    def __init__(self, every: int, *, descriptor: int = _STDERR) -> None:
        self.every = every
        self.lost = 0
        self._left = every
        self._descriptor = descriptor
        self._lines: list[bytes] = []

    def note(self, exchange: Exchange, status: int, took_us: int) -> None:
        """Count a request, and keep a line if it is its turn."""
        self._left -= 1
        if self._left > 0:
            return
        self._left = self.every
        if len(self._lines) >= _MAX_LINES:
            self.lost += 1
            return
        head = exchange.head
        self._lines.append(
            orjson.dumps(
                {
                    "event": "request",
                    "at": time(),
                    "request_id": exchange.request_id.decode("latin-1"),
                    "method": head.method.decode(),
                    "path": head.path[:_PATH_BYTES].decode("latin-1"),
                    "system": exchange.side.name,
                    "status": status,
                    "took_us": took_us,
                },
                option=orjson.OPT_APPEND_NEWLINE,
            )
        )

    def flush(self) -> None:
        """Write what was kept."""
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        room = select.poll()
        room.register(self._descriptor, select.POLLOUT)
        for portion in _portions(lines):
            try:
                taken = bool(room.poll(0)) and os.write(self._descriptor, b"".join(portion)) > 0
            except OSError:
                taken = False
            self.lost += 0 if taken else len(portion)


def _portions(lines: list[bytes]) -> Iterator[list[bytes]]:
    """Divide them so that a pipe that has room at all takes a portion whole (PIPE_BUF)."""
    portion: list[bytes] = []
    size = 0
    for line in lines:
        if portion and size + len(line) > select.PIPE_BUF:
            yield portion
            portion, size = [], 0
        portion.append(line)
        size += len(line)
    yield portion

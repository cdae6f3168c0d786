"""
The sampled access log: one request in so many, as JSON lines, written when nobody waits.

Lines are formatted only for requests that are sampled, kept until the next tick and written in one
go; what does not fit between two ticks is left out, because a log must never slow a request.
"""

from __future__ import annotations

import os
from time import time
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from gateway.proxy.exchange import Exchange

_MAX_LINES: Final = 1_000
_STDERR: Final = 2


class AccessLog:
    """Every `every`-th request; 0 logs none."""

    __slots__ = ("_left", "_lines", "every")

    def __init__(self, every: int) -> None:
        self.every = every
        self._left = every
        self._lines: list[bytes] = []

    def note(self, exchange: Exchange, status: int, took_us: int) -> None:
        """Count a request, and keep a line if it is its turn."""
        self._left -= 1
        if self._left > 0 or len(self._lines) >= _MAX_LINES:
            return
        self._left = self.every
        head = exchange.head
        self._lines.append(
            orjson.dumps(
                {
                    "event": "request",
                    "at": time(),
                    "request_id": exchange.request_id.decode("latin-1"),
                    "method": head.method.decode(),
                    "path": head.path.decode("latin-1"),
                    "system": exchange.side.name,
                    "status": status,
                    "took_us": took_us,
                }
            )
        )

    def flush(self) -> None:
        """Write what was kept."""
        if self._lines:
            lines, self._lines = self._lines, []
            os.write(_STDERR, b"\n".join(lines) + b"\n")

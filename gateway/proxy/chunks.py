"""
Where a chunked message ends.

llhttp judges the bytes, but does not say where a message ended, and what stands between two has to
be seen (`intake`). To look for every empty line would be dear in a body that is full of them. So
the sizes of chunks are followed: data is stepped over, not looked at. What cannot be followed is
refused, so nothing can end in another place here than it does for llhttp.
"""

from __future__ import annotations

import re
from typing import Final

_END: Final = b"\r\n\r\n"
_LINE_END: Final = b"\r\n"
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[^\r\n]*)?\r\n")
_LONGEST_LINE: Final = 64 * 1024


class MalformedChunkError(ValueError):
    """A line that should say a chunk's size does not."""


class Chunks:
    """One message's body, followed from its first byte on; `announced` are the bytes so far."""

    __slots__ = ("_last", "_left", "_line", "_tail", "announced")

    def __init__(self) -> None:
        self.announced = 0
        self._left = 0
        self._line = b""
        self._last = False
        self._tail = _LINE_END

    def end(self, data: bytes, at: int) -> int:
        """Follow `data` from `at` on; give where the message ends, `len(data)` if it goes on."""
        size = len(data)
        while not self._last:
            step = min(self._left, size - at)
            at += step
            self._left -= step
            stop = data.find(b"\n", at) + 1 if not self._left else 0
            if not stop:
                self._keep(data[at:])
                return size
            self._read(self._line + data[at:stop])
            at = stop
        return self._behind_trailers(data, at)

    def _keep(self, piece: bytes) -> None:
        """Keep the part of a line that is here; more of it is to come."""
        self._line += piece
        if len(self._line) > _LONGEST_LINE:
            raise MalformedChunkError

    def _read(self, line: bytes) -> None:
        """Read the size of the next chunk: so much data, and a line end; 0 is the last."""
        found = _SIZE.fullmatch(line)
        if found is None:
            raise MalformedChunkError
        self._line = b""
        length = int(found[1], 16)
        self.announced += length
        self._left = length + len(_LINE_END) if length else 0
        self._last = length == 0

    def _behind_trailers(self, data: bytes, at: int) -> int:
        """Find the empty line; the end of the last size's line may be the first half of it."""
        rest = self._tail + data[at:]
        found = rest.find(_END)
        if found < 0:
            self._tail = rest[1 - len(_END) :]
            return len(data)
        return at + found + len(_END) - len(self._tail)

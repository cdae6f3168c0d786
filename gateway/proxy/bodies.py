"""
Bodies without copies.

A body that came in one piece with its head is not copied: it is a view of the bytes that were read.
Copying 60 KB costs as much as everything the gateway decides about a request.
"""

from __future__ import annotations

from typing import Final

Body = bytes | memoryview
JOIN_BELOW_BYTES: Final = 4096
"""Up to here one joined write is cheaper than a vector of two."""


def tail(data: bytes, start: int) -> Body:
    """Give what follows `start`: a copy when that is cheap, a view when it is not."""
    return data[start:] if len(data) - start < JOIN_BELOW_BYTES else memoryview(data)[start:]


def same(one: Body, other: Body) -> bool:
    """Compare two bodies; memoryview's own comparison would make an object of every byte."""
    if len(one) != len(other):
        return False
    # A view of bytes is a tail of them, and a tail is compared without being cut off.
    whole = one.obj if isinstance(one, memoryview) and isinstance(one.obj, bytes) else bytes(one)
    return whole.endswith(other)

"""
Who goes where: sticky and monotone with a key, exact without one.

**With a key.** The salt and the key give a fixed point on a line of 2**64 points; the canary owns
the half-open interval [0, weight). Raising the weight only moves the interval's end, so it adds
clients and never sends one back; lowering it gives back in the reverse order. The salt changes when
a rollout starts afresh, so that not always the same clients go first.

**Without a key** nobody can be recognised, so the only promise is the share itself, kept exactly:
each request adds the weight to an accumulator, and whoever makes it reach the whole goes to the
canary. Any hundred consecutive requests at 10 % are ten, evenly spaced, and because the remainder
is carried over, that also holds for the first hundred after a change of weight.

Reads and writes move separately, so each has an accumulator of its own; a client's point on the
line is the same for both.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from gateway.core.model import WEIGHT_ALL, Variant

if TYPE_CHECKING:
    from gateway.core.model import Weight

SPAN: Final = 2**64
_KEY_BYTES: Final = 64  # what blake2b takes as a key


def position(key: bytes, salt: bytes) -> int:
    """Give a stable point in [0, 2**64) for `key`."""
    digest = blake2b(key, key=salt[:_KEY_BYTES], digest_size=8).digest()
    return int.from_bytes(digest, "big")


def in_canary(point: int, weight: Weight) -> bool:
    """Whether the point lies in [0, weight)."""
    return point * WEIGHT_ALL < weight * SPAN


def assign(key: bytes, salt: bytes, weight: Weight) -> Variant:
    """Choose the side of a client that can be recognised.

    The rule whole, as tests and readers want it; the data plane keeps the point and asks in two
    steps.
    """
    return Variant.CANARY if in_canary(position(key, salt), weight) else Variant.BASELINE


def turn(carried: int, weight: Weight) -> tuple[Variant, int]:
    """Choose the side of a request without a key; also return what to carry to the next one."""
    carried += weight
    if carried >= WEIGHT_ALL:
        return Variant.CANARY, carried - WEIGHT_ALL
    return Variant.BASELINE, carried

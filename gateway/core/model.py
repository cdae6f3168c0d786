"""The words every other core module uses: the two variants, weights, outcomes."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Final, NewType

Weight = NewType("Weight", int)
"""The canary's share in basis points, 0..10_000."""

WEIGHT_NONE: Final = Weight(0)
WEIGHT_ALL: Final = Weight(10_000)

Micros = NewType("Micros", int)
"""Integer microseconds: an instant of the injected clock, or a span."""

SECOND_US: Final = 1_000_000
EPOCH_WEEKDAY: Final = 3
"""1 January 1970 was a Thursday; Monday is 0."""


class Variant(Enum):
    """The two systems. The value is the name on the wire."""

    BASELINE = "old"
    CANARY = "new"


class Access(Enum):
    """Reads and writes move separately, each with a weight of its own."""

    READ = "read"
    WRITE = "write"


class Outcome(IntEnum):
    """What one request says about the system that served it.

    ERROR: no or malformed answer, deadline passed, 5xx, or a sync whose status is ``failed``.
    REJECTED: the system answered 4xx; compared with the other system's share, never an error.
    IGNORED: says nothing about the system (our own 429 or 503, the client went away).
    """

    OK = 0
    ERROR = 1
    REJECTED = 2
    IGNORED = 3

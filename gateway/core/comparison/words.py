"""The kinds and causes of differences, and the difference itself."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """What differs."""

    MISSING = "missing"
    """The baseline has it, the canary does not."""
    EXTRA = "extra"
    """The canary has it, the baseline does not."""
    TYPE = "type"
    VALUE = "value"
    ORDER = "order"
    FORMAT = "format"
    """The same, written differently."""


class Cause(Enum):
    """Why, as far as the two values tell."""

    FORMAT_ONLY = "format_only"
    NULL_AGAINST_ABSENT = "null_against_absent"
    PRECISION = "precision"
    TIME_ZONE = "time_zone"
    GENERATED = "generated"
    ORDER = "order"
    REAL = "real"
    UNREADABLE = "unreadable"
    """Too deep, or no JSON: not known to agree, so it does not."""


Scalar = str | int | float | bool | None


class Signature(NamedTuple):
    """What noise is learnt and differences are counted by."""

    field: str
    kind: Kind
    cause: Cause


class Difference(NamedTuple):
    """
    One difference, with enough kept to be scored again under other rules.

    `left` is the baseline's value, `right` the canary's: scalars as they are (long text cut), lists
    and objects as the beginning of their JSON; the side that has nothing is None.
    """

    path: str
    field: str
    kind: Kind
    cause: Cause
    left: Scalar
    right: Scalar

    @property
    def signature(self) -> Signature:
        """What it is counted by."""
        return Signature(self.field, self.kind, self.cause)


class Comparison(NamedTuple):
    """The differences of two values; `truncated` says there are more than were kept."""

    differences: tuple[Difference, ...] = ()
    truncated: bool = False

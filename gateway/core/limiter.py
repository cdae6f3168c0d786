"""
GCRA: one timestamp per key, one comparison per arrival (theory to grow).

Time inside is scaled: a state is `requests` times a microsecond instant, so every rate is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Quota:
    """`burst` at once, then `requests` per `period_us`, evenly spaced; a 0 in `requests` or `burst` means off."""

    requests: int
    period_us: int
    burst: int

    @classmethod
    def per_second(cls, rate: float, burst: int) -> Quota:
        """`rate` may be a fraction (0.5: one every two seconds)."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer to one arrival."""

    allowed: bool
    retry_after_us: int = 0


ALLOWED: Final = Admission(allowed=True)


@dataclass(frozen=True, slots=True)
class Standing:
    """The values of the RateLimit header fields."""

    limit: int
    remaining: int
    reset_s: int
    """Whole seconds, rounded up, until the burst is whole again."""


def admit(tat: int, now_us: int, quota: Quota) -> tuple[Admission, int]:
    """Decide one arrival; return the TAT to store (a rejection keeps the old one). 0 is a fresh key."""
    raise NotImplementedError


def standing(tat: int, now_us: int, quota: Quota) -> Standing:
    """What a key has left."""
    raise NotImplementedError


class Table:
    """One quota, many keys (clients), bounded memory."""

    def __init__(self, quota: Quota, *, capacity: int = 65_536) -> None: ...

    def admit(self, key: str | bytes, now_us: int) -> Admission:
        """Decide one arrival of one client."""
        raise NotImplementedError

    def standing(self, key: str | bytes, now_us: int) -> Standing:
        """What the client has left."""
        raise NotImplementedError

    def __len__(self) -> int: ...

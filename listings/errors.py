"""What can go wrong with listings, in the words of the field; adapters translate into these."""

# ruff: noqa: N818 - named for what happened, not for being errors

from __future__ import annotations

from dataclasses import dataclass


class ListingsError(Exception):
    """Base of every error this package raises on purpose."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input: where it is, what was expected, what stood there.

    `field` is a path as the sender wrote it (``listings[3].priceYen``, or a feed's heading);
    `row` is the 1-based line of a feed, None for JSON.
    """

    field: str
    expected: str
    got: str
    row: int | None = None


class InvalidInput(ListingsError):
    """The input is refused whole; nothing was stored."""

    def __init__(self, detail: str, *faults: Fault) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = faults


class StoreUnavailable(ListingsError):
    """The store cannot be reached, is too slow, or its breaker is open; worth trying again.

    `retry_after_s` is the store's own word for when, if it gave one; `detail_ja` is for operators.
    """

    def __init__(
        self, detail: str, *, retry_after_s: float | None = None, detail_ja: str = ""
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.detail_ja = detail_ja
        self.retry_after_s = retry_after_s


class StoreRefused(ListingsError):
    """The store answered, and will not until somebody changes something (credentials, schema)."""

    def __init__(self, detail: str, *, code: str, detail_ja: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.detail_ja = detail_ja
        self.code = code


class SourceUnavailable(ListingsError):
    """The feed cannot be read: missing file, missing column, refused by the other side."""

"""
Two answers to one sync, matched by the digests of their records.

A digest covers a listing as it stands after the sync, its own fields only, so two systems agree on
a listing exactly when its digests agree, whatever each had to do for it. Only those that differ
need their rows fetched and compared. Answers come from a system under test: whatever is not a
record counts as unreadable, never as agreement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class RecordsMatch:
    """Which property numbers agree, and how the others do not; each tuple is in their order."""

    matched: int
    missing: tuple[str, ...] = ()
    """Only the baseline named them."""
    extra: tuple[str, ...] = ()
    """Only the canary named them."""
    different: tuple[str, ...] = ()
    """Both named them; their digests differ, or one has none."""
    unreadable: int = 0
    """Records without a usable property number, and repetitions of one."""

    @property
    def compared(self) -> int:
        """All listings that either side named, and everything that should have been one."""
        return (
            self.matched
            + len(self.missing)
            + len(self.extra)
            + len(self.different)
            + self.unreadable
        )


def match_records(baseline: Any, canary: Any) -> RecordsMatch:
    """Match two lists of records (``propertyNumber``, ``action``, ``digest``), in any order."""
    left, left_unreadable = _by_number(baseline)
    right, right_unreadable = _by_number(canary)
    both = left.keys() & right.keys()
    different = {number for number in both if left[number] != right[number]}
    # Without a digest there is nothing that could agree, unless both say that they failed.
    different |= {number for number in both if left[number] is None}
    return RecordsMatch(
        matched=len(both) - len(different),
        missing=tuple(sorted(left.keys() - both)),
        extra=tuple(sorted(right.keys() - both)),
        different=tuple(sorted(different)),
        unreadable=max(left_unreadable, right_unreadable),
    )


def _by_number(records: Any) -> tuple[dict[str, str | None], int]:
    """Read the digest of each property number (`FAILED` where it failed) and count what is none."""
    if not isinstance(records, list):
        return {}, 1
    digests: dict[str, str | None] = {}
    unreadable = 0
    for record in records:
        number = record.get("propertyNumber") if isinstance(record, dict) else None
        if not isinstance(number, str) or number in digests:
            unreadable += 1
            continue
        digest = record.get("digest")
        if isinstance(digest, str) and digest:
            digests[number] = digest
        else:
            digests[number] = FAILED if record.get("action") == FAILED else None
    return digests, unreadable

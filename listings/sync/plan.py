"""
The plan of a sync: which listings will be written, what fell out before, what the feed lacks.

Pure decisions over a feed's contents; the writing is in `listings.sync`. Rules:

- Of rows with the same property number the first counts. A later one that says the same is skipped;
  one that says something else fails, because which of them is right cannot be known.
- Listings are written in property-number order (code points); `limit` takes the first ones.
- A full sync compares the feed's count with the stored one: more than 20 % up or down is refused,
  because a broken export looks like that. Nothing is ever deleted; what the feed lacks is reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from listings.errors import ListingsError
from listings.store import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from listings.errors import Fault
    from listings.model import Listing
    from listings.source.mapping import FeedContents

_MANY_TIMES: Final = 10
MAX_COUNT_CHANGE_PERCENT: Final = 20


class SyncConflict(ListingsError):  # noqa: N818 - named like its siblings in listings.errors
    """The sync is refused as things stand; nothing was stored. `slug` names the reason."""

    def __init__(self, slug: str, detail: str) -> None:
        super().__init__(detail)
        self.slug = slug
        self.detail = detail


@dataclass(frozen=True, slots=True)
class SyncError:
    """Why one listing or row failed; a row whose key is unreadable has no number."""

    property_number: str | None
    code: str
    error: str
    row: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write, in order, and what is already known about the rest."""

    listings: tuple[Listing, ...]
    errors: tuple[SyncError, ...] = ()
    skipped: int = 0
    unknown: tuple[str, ...] = ()
    missing: tuple[str, ...] | None = None


def plan_push(listings: Iterable[Listing], limit: int | None) -> Plan:
    """Plan the listings a request brought; reading it has made their numbers distinct."""
    ordered = sorted(listings, key=lambda listing: listing.property_number)
    return Plan(tuple(ordered[:limit]), skipped=len(ordered) - len(ordered[:limit]))


def plan_selective(contents: FeedContents, wanted: Sequence[str], limit: int | None) -> Plan:
    """Plan the wanted numbers of a feed; those it does not have are skipped."""
    refuse_empty(contents)
    choice = frozenset(wanted)
    listings, errors, skipped = _distinct(contents)
    known = listings.keys() | {error.property_number for error in errors}
    unknown = tuple(sorted(choice - known))
    chosen = {number: listings[number] for number in listings if number in choice}
    failed = [error for error in errors if error.property_number in choice]
    taken, kept = _limited(chosen, failed, limit)
    repeated = sum(1 for number in skipped if number in choice)
    return Plan(taken, kept, repeated + len(unknown), unknown)


def plan_full(
    contents: FeedContents, stored: frozenset[str], *, limit: int | None, confirm: bool
) -> Plan:
    """Plan the whole feed against what is stored."""
    refuse_empty(contents)
    listings, errors, skipped = _distinct(contents)
    named = listings.keys() | {e.property_number for e in errors if e.property_number}
    if limit is None and not confirm:
        refuse_count_change(len(stored), len(named))
    taken, kept = _limited(listings, errors, limit)
    repeated = len(skipped) if limit is None else 0
    return Plan(taken, kept, repeated, missing=tuple(sorted(stored - named)))


def refuse_empty(contents: FeedContents) -> None:
    """Refuse a feed without a single row: that is a broken export, not an empty market."""
    if not contents.listings and not contents.failures:
        raise SyncConflict(
            "empty-feed", "The feed has headings but no rows; nothing was stored. Check its export."
        )


def refuse_count_change(stored: int, feed: int) -> None:
    """Refuse a full sync whose feed differs in size from what is stored by more than a fifth."""
    if stored and abs(feed - stored) * 100 > MAX_COUNT_CHANGE_PERCENT * stored:
        limit = f"more than {MAX_COUNT_CHANGE_PERCENT} %"
        change = f"a change of {(feed - stored) * 100 / stored:+.1f} %, {limit}"
        if feed >= _MANY_TIMES * stored:
            change = f"{feed / stored:,.0f} times as many, a change of {limit}"
        raise SyncConflict(
            "count-change",
            f"The feed has {feed} listings and {stored} are stored: {change}. "
            "Nothing was stored. If that is right, "
            'send the request again with "confirm": true.',
        )


def _distinct(
    contents: FeedContents,
) -> tuple[dict[str, Listing], list[SyncError], list[str]]:
    """Sort a feed's rows into listings by number, errors, and numbers repeated without change."""
    listings: dict[str, Listing] = {}
    first_row: dict[str, int] = {}
    skipped: list[str] = []
    errors = [
        SyncError(failure.property_number, "invalid", said(failure.faults), failure.row)
        for failure in contents.failures
    ]
    for entry in contents.listings:
        number = entry.listing.property_number
        if number not in listings:
            listings[number], first_row[number] = entry.listing, entry.row
        elif listings[number] == entry.listing:
            skipped.append(number)
        else:
            text = f"the number is already in row {first_row[number]} with other values"
            errors.append(SyncError(number, "duplicate", text, entry.row))
    return listings, errors, skipped


def _limited(
    listings: dict[str, Listing], errors: Sequence[SyncError], limit: int | None
) -> tuple[tuple[Listing, ...], tuple[SyncError, ...]]:
    """Take the first `limit` numbers in order; of the errors, those up to the last number taken."""
    ordered = sorted(listings)[:limit]
    by_place = sorted(errors, key=lambda error: (error.property_number or "", error.row or 0))
    if limit is not None and len(ordered) < len(listings):
        last = ordered[-1]
        by_place = [error for error in by_place if "" < (error.property_number or "") <= last]
    return tuple(listings[number] for number in ordered), tuple(by_place)


def said(faults: Iterable[Fault]) -> str:
    """Put faults into one sentence for an error of a listing."""
    return "; ".join(
        f"{fault.field}: expected {fault.expected}, got {fault.got}"
        + (f" (row {fault.row})" if fault.row is not None else "")
        for fault in faults
    )


def as_record_error(error: SyncError) -> RecordError:
    """Give the form the history keeps."""
    where = f" (row {error.row})" if error.row is not None and "(row " not in error.error else ""
    return RecordError(error.code, error.error + where)

"""
Why a shadow differs: both rows of the listings on which two systems do not agree.

A shadow's caller says what the shadowed sync answered as its digest. While that is our own digest,
nothing is done here and nothing is read. Only when the two differ are the rows read that the other
sync left behind, and both sides of those that differ go into the answer, bounded in number and
bytes: the caller knows no listings, and could not fetch them as they stood then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from listings.codec import answer_digest, encode_json
from listings.errors import ListingsError
from listings.stored import row_digest, row_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from listings.store import ListingStore, Record
    from listings.sync.request import SyncRequest

LISTINGS_READ: Final = 2_000
PAIRS_SHOWN: Final = 200
BYTES_SHOWN: Final = 256 * 1024

_log = structlog.get_logger("listings.sync")


@dataclass(frozen=True, slots=True)
class Pair:
    """One listing on which the two disagree: our row and the other system's, own fields only."""

    row: Mapping[str, Any] | None
    shadow_of_row: Mapping[str, Any] | None


async def pairs(
    store: ListingStore, request: SyncRequest, records: Sequence[Record]
) -> dict[str, Pair]:
    """Find both rows of the listings that differ; empty when all agree, or nobody asked."""
    if not request.dry_run or request.shadow_of is None or request.shadow_digest is None:
        return {}
    ours = answer_digest((record.property_number, record.digest) for record in records)
    if ours == request.shadow_digest:
        return {}
    looked_at = records[:LISTINGS_READ]
    numbers = [record.property_number for record in looked_at]
    try:
        theirs = await store.rows_after(request.workspace_id, request.shadow_of, numbers)
    except ListingsError as exc:
        # The answer is worth having without its explanation.
        _log.warning("shadowed_rows_not_read", error=str(exc))
        return {}
    return _different(looked_at, theirs)


def _different(
    records: Sequence[Record], theirs: Mapping[str, Mapping[str, Any]]
) -> dict[str, Pair]:
    found: dict[str, Pair] = {}
    left_bytes = BYTES_SHOWN
    for record in records:
        other = theirs.get(record.property_number)
        if len(found) == PAIRS_SHOWN:
            break
        if (row_digest(other) if other is not None else None) == record.digest:
            continue
        pair = Pair(
            row_json(record.row) if record.row is not None else None,
            row_json(other) if other is not None else None,
        )
        left_bytes -= len(encode_json({"row": pair.row, "other": pair.shadow_of_row}))
        if left_bytes < 0:
            break
        found[record.property_number] = pair
    return found

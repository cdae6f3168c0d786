"""
Batches: listings that spoke of the same fields, in property-number order.

PostgREST's bulk upsert sets every listed column for every row of the call, so rows with different
fields must not share a call: the absent field of one would overwrite what is stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from listings.codec import row_values

if TYPE_CHECKING:
    from collections.abc import Iterable

    from listings.model import Listing


@dataclass(frozen=True, slots=True)
class Batch:
    """Listings for one call; `columns` are the fields all of them spoke of."""

    columns: tuple[str, ...]
    listings: tuple[Listing, ...]

    @property
    def all_columns(self) -> tuple[str, ...]:
        """Give the columns of a row as it is sent."""
        return ("workspace_id", "property_number", *self.columns)

    def rows(self, workspace_id: str) -> list[dict[str, Any]]:
        """Give the rows as they are sent."""
        return [
            {
                "workspace_id": workspace_id,
                "property_number": listing.property_number,
                **row_values(listing),
            }
            for listing in self.listings
        ]

    def halves(self) -> tuple[Batch, Batch]:
        """Cut it in two, to find the row at fault."""
        middle = len(self.listings) // 2
        return (
            Batch(self.columns, self.listings[:middle]),
            Batch(self.columns, self.listings[middle:]),
        )


def batches(listings: Iterable[Listing], size: int) -> list[Batch]:
    """Group ordered listings by the fields they spoke of, and cut the groups to `size`."""
    groups: dict[tuple[str, ...], list[Listing]] = {}
    for listing in listings:
        groups.setdefault(tuple(sorted(row_values(listing))), []).append(listing)
    return [
        Batch(columns, tuple(group[start : start + size]))
        for columns, group in groups.items()
        for start in range(0, len(group), size)
    ]

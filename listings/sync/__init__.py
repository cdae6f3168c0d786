"""The sync use case: read the request, plan, write in batches, answer the truth."""

from listings.sync.service import (
    ListingFeed,
    Running,
    SyncAnswer,
    SyncCounts,
    SyncFailed,
    SyncService,
    Timing,
)

__all__ = [
    "ListingFeed",
    "Running",
    "SyncAnswer",
    "SyncCounts",
    "SyncFailed",
    "SyncService",
    "Timing",
]

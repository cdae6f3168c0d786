"""
ListingStore: where a listing is written, the one thing in which the two services differ.

Every implementation keeps these promises, held by one contract suite:

- Listings are written in property-number order (code points), so two writers cannot deadlock.
- A field absent from a `Listing` keeps its stored value; a write without a change writes nothing.
- One bad listing fails alone, with its reason; the others of the batch are stored.
- A dry run leaves no trace: no row, no journal entry, no history.
- A record's digest is of the row as it stands (or would stand) afterwards, whatever the action was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from listings.model import Listing, StoredListing, System


class Action(StrEnum):
    """What became of one listing."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    FAILED = "failed"


class DryRun(StrEnum):
    """How a dry run was made: executed and rolled back, or only planned."""

    APPLIED = "applied"
    PLANNED = "planned"


class DryRunMeans(StrEnum):
    """How a dry run is kept from storing anything; the first three execute, the last only plans.

    `TRANSACTION` is a direct connection's own rolled-back transaction; `ROLLBACK` is PostgREST's
    ``Prefer: tx=rollback``, used only where the server has proven to honour it; `RAISE` is a
    function in the database that always ends by raising, with its result as the message.
    """

    TRANSACTION = "transaction"
    ROLLBACK = "rollback"
    RAISE = "raise"
    PLAN = "plan"


@dataclass(frozen=True, slots=True)
class DryRunProof:
    """What a store showed when asked to prove that its dry runs store nothing."""

    means: DryRunMeans
    detail: str


@dataclass(frozen=True, slots=True)
class RecordError:
    """Why one listing failed: a stable `code` (SQLSTATE or PGRST...) and a sentence for people."""

    code: str
    error: str


@dataclass(frozen=True, slots=True)
class Record:
    """One listing's result; `digest` (32 hex digits) is None exactly when it failed.

    `row` is what a dry run would have left in the table; a real write keeps none.
    """

    property_number: str
    action: Action
    digest: str | None = None
    error: RecordError | None = None
    row: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class WriteContext:
    """Who writes, and how: goes into the change journal of every row.

    `shadow_of` names the sync whose before images a dry run starts from.
    """

    workspace_id: str
    sync_id: UUID
    dry_run: bool = False
    shadow_of: UUID | None = None


@dataclass(frozen=True, slots=True)
class UpsertResult:
    """Records in property-number order, one per listing; `dry_run` is None for a real write."""

    records: tuple[Record, ...]
    dry_run: DryRun | None = None
    means: DryRunMeans | None = None


class SyncStatus(StrEnum):
    """`partial`: some listings failed, or an operator stopped it; the others are stored."""

    RUNNING = "running"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SyncRun:
    """One sync as the history keeps it (a row of `sync_history`)."""

    sync_id: UUID
    workspace_id: str
    mode: str
    status: SyncStatus
    started_at: datetime
    completed_at: datetime | None = None
    total: int = 0
    success: int = 0
    failed: int = 0
    skipped: int = 0
    errors: tuple[tuple[str, RecordError], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class ApiUsage:
    """REST calls of the last second's budget; a store without a budget reports limit 0."""

    used: float
    limit: float


class ListingStore(Protocol):
    """The port. Raises only StoreUnavailable (try again) and StoreRefused (fix something)."""

    @property
    def system(self) -> System:
        """Which service this store makes."""
        ...

    async def upsert(self, listings: Sequence[Listing], context: WriteContext) -> UpsertResult:
        """Write one batch; property numbers must be distinct."""
        ...

    async def get(self, workspace_id: str, property_number: str) -> StoredListing | None:
        """One listing, or None."""
        ...

    async def page(
        self, workspace_id: str, *, after: str | None = None, limit: int = 100
    ) -> Sequence[StoredListing]:
        """Up to `limit` listings with a property number greater than `after`, in order (keyset)."""
        ...

    async def property_numbers(self, workspace_id: str) -> frozenset[str]:
        """Every property number stored in the workspace."""
        ...

    async def record_run(self, run: SyncRun) -> None:
        """Insert or update the run in `sync_history`, and `sync_state` with it."""
        ...

    async def runs(
        self, workspace_id: str, *, limit: int = 20, before: datetime | None = None
    ) -> Sequence[SyncRun]:
        """Give this system's latest runs, newest first."""
        ...

    async def find_run(self, workspace_id: str, sync_id: UUID) -> SyncRun | None:
        """One run by its id."""
        ...

    async def rows_after(
        self, workspace_id: str, sync_id: UUID, numbers: Sequence[str]
    ) -> Mapping[str, Mapping[str, Any]]:
        """Read listings as that sync left them (change journal, else the standing row)."""
        ...

    async def check(self) -> None:
        """Prove that the store can be reached and will serve us; raise what is wrong."""
        ...

    async def prove_dry_run(self) -> DryRunProof:
        """Dry-run a random listing in `PROOF_WORKSPACE`, then read its rows and journal back.

        Raises StoreRefused, saying what was found, unless nothing was stored.
        """
        ...

    def dry_run_means(self) -> DryRunMeans | None:
        """Name the means the next dry run would use, if known; None before the first."""
        ...

    def api_usage(self) -> ApiUsage:
        """How much of the store's call budget is in use."""
        ...

    def gauges(self) -> Mapping[str, float]:
        """Figures of the store's own for the metrics, by name (e.g. ``db_pool_waiting``)."""
        ...

    async def close(self) -> None:
        """Give everything back."""
        ...

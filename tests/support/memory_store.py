"""A ListingStore in memory that keeps the port's promises; its switches make it fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from listings.codec import digest, merge
from listings.model import StoredListing, System
from listings.store import (
    Action,
    ApiUsage,
    DryRun,
    DryRunMeans,
    DryRunProof,
    Record,
    RecordError,
    UpsertResult,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from listings.errors import ListingsError
    from listings.model import Listing
    from listings.store import SyncRun, WriteContext


@dataclass
class MemoryStore:
    """Rows by (workspace, number). From the `fail_at`-th upsert on (from 0) it raises."""

    system: System = System.OLD
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    rows: dict[tuple[str, str], StoredListing] = field(default_factory=dict)
    history: dict[UUID, SyncRun] = field(default_factory=dict)
    bad_numbers: set[str] = field(default_factory=set)
    fail_at: int | None = None
    failure: ListingsError | None = None
    check_failure: ListingsError | None = None
    planned: bool = False
    upserts: int = 0
    writes: int = 0
    contexts: list[WriteContext] = field(default_factory=list)
    before_upsert: Callable[[], None] = lambda: None
    closed: bool = False

    async def upsert(self, listings: Sequence[Listing], context: WriteContext) -> UpsertResult:
        """Write one batch in order; a dry run computes and keeps nothing."""
        self.before_upsert()
        turn, self.upserts = self.upserts, self.upserts + 1
        self.contexts.append(context)
        if self.failure is not None and self.fail_at is not None and turn >= self.fail_at:
            raise self.failure
        records = [
            self._write(listing, context)
            for listing in sorted(listings, key=lambda listing: listing.property_number)
        ]
        mode = DryRun.PLANNED if self.planned else DryRun.APPLIED
        means = DryRunMeans.PLAN if self.planned else DryRunMeans.TRANSACTION
        if not context.dry_run:
            return UpsertResult(tuple(records))
        return UpsertResult(tuple(records), mode, means)

    def _write(self, listing: Listing, context: WriteContext) -> Record:
        number = listing.property_number
        if number in self.bad_numbers:
            return Record(number, Action.FAILED, error=RecordError("23514", "refused by a check"))
        key = (context.workspace_id, number)
        stored = self.rows.get(key)
        row = merge(stored, listing)
        row_digest = digest(number, row.fields, row.extra)
        if stored is None:
            action = Action.CREATED
        elif digest(number, stored.fields, stored.extra) == row_digest:
            action = Action.UNCHANGED
        else:
            action = Action.UPDATED
        if action is not Action.UNCHANGED and not context.dry_run:
            now = self.clock()
            self.writes += 1
            self.rows[key] = StoredListing(
                id=stored.id if stored else uuid4(),
                workspace_id=context.workspace_id,
                property_number=number,
                fields=row.fields,
                extra=row.extra,
                written_by=self.system.value,
                sync_id=context.sync_id,
                created_at=stored.created_at if stored else now,
                updated_at=now,
            )
        would_be = {"property_number": number, **row.fields, "extra": row.extra}
        return Record(number, action, row_digest, row=would_be if context.dry_run else None)

    async def get(self, workspace_id: str, property_number: str) -> StoredListing | None:
        """One listing."""
        return self.rows.get((workspace_id, property_number))

    async def page(
        self, workspace_id: str, *, after: str | None = None, limit: int = 100
    ) -> Sequence[StoredListing]:
        """A keyset page."""
        numbers = sorted(n for w, n in self.rows if w == workspace_id and n > (after or ""))
        return [self.rows[workspace_id, number] for number in numbers[:limit]]

    async def property_numbers(self, workspace_id: str) -> frozenset[str]:
        """Every number of the workspace."""
        return frozenset(number for workspace, number in self.rows if workspace == workspace_id)

    async def record_run(self, run: SyncRun) -> None:
        """Keep the run."""
        if self.failure is not None and self.fail_at == -1:
            raise self.failure
        self.history[run.sync_id] = run

    async def runs(
        self, workspace_id: str, *, limit: int = 20, before: datetime | None = None
    ) -> Sequence[SyncRun]:
        """Newest first."""
        found = [
            run
            for run in self.history.values()
            if run.workspace_id == workspace_id and (before is None or run.started_at < before)
        ]
        return sorted(found, key=lambda run: run.started_at, reverse=True)[:limit]

    async def find_run(self, workspace_id: str, sync_id: UUID) -> SyncRun | None:
        """One run."""
        run = self.history.get(sync_id)
        return run if run is not None and run.workspace_id == workspace_id else None

    async def rows_after(
        self, workspace_id: str, sync_id: UUID, numbers: Sequence[str]
    ) -> Mapping[str, Mapping[str, Any]]:
        """Give the standing rows: no journal is kept here."""
        del sync_id
        found = {number: self.rows.get((workspace_id, number)) for number in numbers}
        return {
            number: {"property_number": number, **row.fields, "extra": row.extra}
            for number, row in found.items()
            if row is not None
        }

    async def check(self) -> None:
        """Fail as told."""
        if self.check_failure is not None:
            raise self.check_failure

    async def prove_dry_run(self) -> DryRunProof:
        """Nothing is stored by a dry run here."""
        return DryRunProof(DryRunMeans.TRANSACTION, "in memory")

    def dry_run_means(self) -> DryRunMeans | None:
        """Executed, unless told to plan."""
        return DryRunMeans.PLAN if self.planned else DryRunMeans.TRANSACTION

    def gauges(self) -> dict[str, float]:
        """Count the rows."""
        return {"rows": float(len(self.rows))}

    def api_usage(self) -> ApiUsage:
        """No budget."""
        return ApiUsage(0, 0)

    async def close(self) -> None:
        """Remember it."""
        self.closed = True

"""
`ListingStore` over PostgREST: the new service's way to the same rows.

What stands behind each method is elsewhere: `writer` (batches), `dry_run` (its three means),
`reader` (pages), `postgrest` (one call). Here it is put together and given the port's words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from listings.model import PROOF_WORKSPACE, System
from listings.proof import prove
from listings.store import ApiUsage, UpsertResult
from listings.stored import run_row, stored_listing, stored_run
from sync_new import reader
from sync_new.breaker import State
from sync_new.dry_run import DryRunner
from sync_new.postgrest import PostgrestClient, RestSettings, World
from sync_new.query import equals, query
from sync_new.writer import BatchWriter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from listings.model import Listing, StoredListing
    from listings.store import DryRunMeans, DryRunProof, SyncRun, WriteContext
    from sync_new.limiter import SharedTat


class RestStore:
    """The store; `world` lets a test replace time, chance and the wire."""

    def __init__(
        self,
        settings: RestSettings,
        *,
        world: World | None = None,
        shared: SharedTat | None = None,
    ) -> None:
        self._settings = settings
        self._client = PostgrestClient(settings, world, shared=shared)
        self._writer = BatchWriter(self._client, batch_size=settings.batch_size)
        self._dry_runner = DryRunner(self._client, self._writer, batch_size=settings.batch_size)

    @property
    def system(self) -> System:
        """This store makes the new service."""
        return System.NEW

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()

    async def upsert(self, listings: Sequence[Listing], context: WriteContext) -> UpsertResult:
        """Write listings in batches, in property-number order."""
        ordered = sorted(listings, key=lambda listing: listing.property_number)
        if context.dry_run:
            return await self._dry_runner.upsert(ordered, context)
        return UpsertResult(tuple(await self._writer.write(ordered, context)))

    async def get(self, workspace_id: str, property_number: str) -> StoredListing | None:
        """One listing, or None."""
        rows = await reader.rows_by_number(self._client, workspace_id, [property_number])
        row = rows.get(property_number)
        return stored_listing(row) if row is not None else None

    async def page(
        self, workspace_id: str, *, after: str | None = None, limit: int = 100
    ) -> Sequence[StoredListing]:
        """Up to `limit` listings after `after`, in property-number order."""
        rows = await reader.page(self._client, workspace_id, after=after or "", limit=limit)
        return [stored_listing(row) for row in rows]

    async def property_numbers(self, workspace_id: str) -> frozenset[str]:
        """Every property number of the workspace."""
        return await reader.numbers(self._client, workspace_id)

    async def record_run(self, run: SyncRun) -> None:
        """Insert or update the run; a trigger keeps `sync_state` with it."""
        await self._client.call(
            "POST",
            f"sync_history?{query(('on_conflict', 'workspace_id,system,sync_id'))}",
            workspace_id=run.workspace_id,
            body=[run_row(run, self.system)],
            prefer="resolution=merge-duplicates,return=minimal",
        )

    async def runs(
        self, workspace_id: str, *, limit: int = 20, before: datetime | None = None
    ) -> Sequence[SyncRun]:
        """Give the new service's latest runs, newest first."""
        filters = [("workspace_id", equals(workspace_id)), ("system", equals(self.system.value))]
        if before is not None:
            filters.append(("started_at", f"lt.{before.isoformat()}"))
        answer = await self._client.call(
            "GET",
            "sync_history?"
            + query(*filters, ("order", "started_at.desc,sync_id.asc"), ("limit", str(limit))),
            workspace_id=workspace_id,
        )
        return [stored_run(row) for row in answer.body]

    async def find_run(self, workspace_id: str, sync_id: UUID) -> SyncRun | None:
        """One run by its id."""
        answer = await self._client.call(
            "GET",
            "sync_history?"
            + query(
                ("workspace_id", equals(workspace_id)),
                ("system", equals(self.system.value)),
                ("sync_id", equals(sync_id)),
            ),
            workspace_id=workspace_id,
        )
        return stored_run(answer.body[0]) if answer.body else None

    async def rows_after(
        self, workspace_id: str, sync_id: UUID, numbers: Sequence[str]
    ) -> Mapping[str, Mapping[str, Any]]:
        """Read listings as that sync left them."""
        return await reader.rows_after(self._client, workspace_id, sync_id, numbers)

    async def check(self) -> None:
        """Read from every table we need, with the key we write with."""
        for table in ("listings", "sync_history", "listing_journal"):
            await self._client.call(
                "GET",
                f"{table}?{query(('select', 'workspace_id'), ('limit', '1'))}",
                workspace_id=PROOF_WORKSPACE,
            )

    async def prove_dry_run(self) -> DryRunProof:
        """Dry-run a random listing in the proof workspace and look for it."""

        async def left_behind(number: str) -> tuple[int, int]:
            counts = []
            for table in ("listings", "listing_journal"):
                where = (
                    ("select", "property_number"),
                    ("workspace_id", equals(PROOF_WORKSPACE)),
                    ("property_number", equals(number)),
                )
                answer = await self._client.call(
                    "GET", f"{table}?{query(*where)}", workspace_id=PROOF_WORKSPACE
                )
                counts.append(len(answer.body))
            return counts[0], counts[1]

        return await prove(self, left_behind)

    def dry_run_means(self) -> DryRunMeans | None:
        """Name the means of the last dry run."""
        return self._dry_runner.means

    def api_usage(self) -> ApiUsage:
        """Give calls per second, as a mean over the last ten seconds, and the budget."""
        return ApiUsage(self._client.used_per_second(), self._settings.calls_per_second)

    def gauges(self) -> dict[str, float]:
        """Give the client's state."""
        return {
            "rest_calls": self._client.calls,
            "rest_repeats": self._client.repeats,
            "rest_connections_lost": self._client.reconnects,
            "rest_breaker_open": float(self._client.breaker_state != State.CLOSED.value),
        }

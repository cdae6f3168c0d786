"""
`ListingStore` straight on PostgreSQL, as the old system writes: one statement per listing.

Each row is its own transaction, so one bad row fails alone and no lock is held longer than a row
takes. Every transaction first says who it is (role, writer, workspace, sync), and the settings end
with it: behind a pooler that hands connections around, nothing leaks into somebody else's work.

A dry run is a transaction that always rolls back, with a savepoint for each row; it starts from
the before images of another sync when it shadows one (see ``sync_restore_before`` in the
migrations). It runs in slices, because its row locks make live traffic wait.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb, set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from listings.codec import decode_json, encode_json, row_values
from listings.errors import StoreRefused, StoreUnavailable
from listings.maintenance.connection import CONNECT_TIMEOUT_S, explain
from listings.model import PROOF_WORKSPACE, System
from listings.proof import prove
from listings.store import (
    ApiUsage,
    DryRun,
    DryRunMeans,
    DryRunProof,
    Record,
    SyncRun,
    UpsertResult,
)
from listings.stored import (
    failed_record,
    run_row,
    stored_listing,
    stored_run,
    unchanged_record,
    written_record,
)
from sync_old import statements
from sync_old.deadline import answered_within
from sync_old.faults import Blame, ConnectionLost, blame, said, translate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from psycopg import sql

    from listings.model import Listing, StoredListing
    from listings.store import WriteContext

_Result = TypeVar("_Result")
_Connection: TypeAlias = psycopg.AsyncConnection[DictRow]

ATTEMPTS: Final = 5
DRY_RUN_ATTEMPTS: Final = 3  # each may wait a second for a row that live traffic holds
DRY_RUN_SLICE: Final = 25
_BACKOFF_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class PoolSize:
    """How many connections to keep and to open at most; how long to wait for one, and for it."""

    minimum: int = 2
    maximum: int = 20
    wait_s: float = 5.0
    answer_s: float = 10.0


class PostgresStore:
    """`ListingStore` over one connection pool, which opens with the first use."""

    def __init__(self, database_url: str, *, pool: PoolSize | None = None) -> None:
        size = pool or PoolSize()
        self._database_url = database_url
        self._wait_s = size.wait_s
        self._answer_s = size.answer_s
        # None until the first connection showed whether we may step down to the role sync_old.
        self._identify: sql.SQL = statements.IDENTIFY
        self._opened = False
        # Before the first use and after a loss we ask the server ourselves: the pool only waits.
        self._alive = False
        self._pool: AsyncConnectionPool[_Connection] = AsyncConnectionPool(
            database_url,
            connection_class=cast("type[_Connection]", psycopg.AsyncConnection),
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                "application_name": "sync_old",
                "connect_timeout": CONNECT_TIMEOUT_S,
            },
            min_size=size.minimum,
            max_size=size.maximum,
            timeout=size.wait_s,
            configure=self._configure,
            open=False,
        )

    @property
    def system(self) -> System:
        """This store makes the old service."""
        return System.OLD

    async def open(self) -> None:
        """Start the pool; it connects in the background, so a dead server is no error yet."""
        self._opened = True
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def upsert(self, listings: Sequence[Listing], context: WriteContext) -> UpsertResult:
        """Write listings one by one, in property-number order."""
        ordered = sorted(listings, key=lambda listing: listing.property_number)
        if not context.dry_run:
            return UpsertResult(tuple(await self._write_all(ordered, context)))
        records: list[Record] = []
        for start in range(0, len(ordered), DRY_RUN_SLICE):
            part = ordered[start : start + DRY_RUN_SLICE]
            work = partial(self._dry_run, part, context)
            records += await self._repeat(work, attempts=DRY_RUN_ATTEMPTS)
        return UpsertResult(tuple(records), DryRun.APPLIED, DryRunMeans.TRANSACTION)

    async def get(self, workspace_id: str, property_number: str) -> StoredListing | None:
        """One listing, or None."""
        rows = await self._read(workspace_id, statements.ONE, (workspace_id, property_number))
        return stored_listing(rows[0]) if rows else None

    async def page(
        self, workspace_id: str, *, after: str | None = None, limit: int = 100
    ) -> Sequence[StoredListing]:
        """Up to `limit` listings after `after`, in property-number order."""
        parameters = (workspace_id, after or "", limit)
        rows = await self._read(workspace_id, statements.PAGE, parameters)
        return [stored_listing(row) for row in rows]

    async def property_numbers(self, workspace_id: str) -> frozenset[str]:
        """Every property number of the workspace."""
        rows = await self._read(workspace_id, statements.NUMBERS, (workspace_id,))
        return frozenset(row["property_number"] for row in rows)

    async def record_run(self, run: SyncRun) -> None:
        """Insert or update the run; a trigger keeps `sync_state` with it."""
        row = run_row(run, self.system)
        row["errors"] = Jsonb(row["errors"], dumps=encode_json)
        values = [row[column] for column in statements.RUN_COLUMNS]
        await self._read(run.workspace_id, statements.RECORD_RUN, values, sync_id=run.sync_id)

    async def runs(
        self, workspace_id: str, *, limit: int = 20, before: datetime | None = None
    ) -> Sequence[SyncRun]:
        """Give the old service's latest runs, newest first."""
        rows = await self._read(workspace_id, statements.RUNS, (workspace_id, before, limit))
        return [stored_run(row) for row in rows]

    async def find_run(self, workspace_id: str, sync_id: UUID) -> SyncRun | None:
        """One run by its id."""
        rows = await self._read(workspace_id, statements.ONE_RUN, (workspace_id, sync_id))
        return stored_run(rows[0]) if rows else None

    async def rows_after(
        self, workspace_id: str, sync_id: UUID, numbers: Sequence[str]
    ) -> Mapping[str, Mapping[str, Any]]:
        """Read listings as that sync left them."""
        asked = {"workspace": workspace_id, "sync_id": sync_id, "numbers": list(numbers)}
        rows = await self._read(workspace_id, statements.ROWS_AFTER, asked)
        images = [row["image"] for row in rows if row["image"] is not None]
        return {image["property_number"]: image for image in images}

    async def check(self) -> None:
        """Connect, and look at the tables with the rights we write with."""
        await self._read(PROOF_WORKSPACE, statements.CHECK, ())

    async def prove_dry_run(self) -> DryRunProof:
        """Dry-run a random listing in the proof workspace and look for it."""

        async def left_behind(number: str) -> tuple[int, int]:
            asked = {"workspace": PROOF_WORKSPACE, "number": number}
            rows = await self._read(PROOF_WORKSPACE, statements.LEFT_BEHIND, asked)
            return rows[0]["rows"], rows[0]["entries"]

        return await prove(self, left_behind)

    def dry_run_means(self) -> DryRunMeans | None:
        """Name the one means a direct connection needs: its own transaction."""
        return DryRunMeans.TRANSACTION

    def api_usage(self) -> ApiUsage:
        """PostgreSQL counts no calls."""
        return ApiUsage(0, 0)

    def gauges(self) -> dict[str, float]:
        """Give the pool's state: the diagnosis of "no connection free"."""
        stats = self._pool.get_stats()
        return {
            "db_pool_total": stats.get("pool_size", 0),
            "db_pool_idle": stats.get("pool_available", 0),
            "db_pool_waiting": stats.get("requests_waiting", 0),
            "db_pool_max": stats.get("pool_max", 0),
        }

    async def _write_all(self, ordered: Sequence[Listing], context: WriteContext) -> list[Record]:
        """Write every row; when the store is lost half-way, the rest of the records say so."""
        records: list[Record] = []
        lost = 0
        while len(records) < len(ordered):
            before = len(records)
            try:
                async with self._connection() as connection:
                    for listing in ordered[before:]:
                        records.append(await self._write(connection, listing, context))  # noqa: PERF401 - rows written before a failure must not be lost
            except (StoreUnavailable, StoreRefused) as exc:
                lost = 1 if len(records) > before else lost + 1
                if isinstance(exc, ConnectionLost) and lost < ATTEMPTS:
                    await _pause(lost)
                    continue
                if not records:
                    raise
                code = exc.code if isinstance(exc, StoreRefused) else "store_unavailable"
                rest = ordered[len(records) :]
                return records + [
                    failed_record(each.property_number, code, exc.detail) for each in rest
                ]
        return records

    async def _write(
        self, connection: _Connection, listing: Listing, context: WriteContext
    ) -> Record:
        """Write one row in its own transaction, again if two writers met."""
        attempt = 1
        while True:
            try:
                async with self._transaction(connection):
                    await self._identify_as(connection, context.workspace_id, context.sync_id)
                    return await _upsert(connection, listing, context)
            except UnicodeEncodeError as exc:
                return failed_record(listing.property_number, "22021", f"not valid text: {exc}")
            except psycopg.Error as exc:
                kind = blame(exc)
                if kind is Blame.CONNECTION:
                    raise
                if kind is Blame.REPEAT and attempt < ATTEMPTS:
                    await _pause(attempt)
                    attempt += 1
                    continue
                if kind in {Blame.ROW, Blame.REPEAT}:
                    return failed_record(
                        listing.property_number, exc.sqlstate or "22000", said(exc)
                    )
                raise translate(exc) from exc

    async def _dry_run(self, part: Sequence[Listing], context: WriteContext) -> list[Record]:
        """Execute one slice in a transaction that always rolls back."""
        records = []
        async with (
            self._connection() as connection,
            self._transaction(connection, force_rollback=True),
        ):
            await self._identify_as(connection, context.workspace_id, context.sync_id)
            await connection.execute(statements.LOCK_TIMEOUT)
            for listing in part:
                number = listing.property_number
                try:
                    async with connection.transaction():
                        if context.shadow_of is not None:
                            start = (context.workspace_id, [number], context.shadow_of)
                            await connection.execute(statements.RESTORE_BEFORE, start)
                        records.append(await _upsert(connection, listing, context))
                except UnicodeEncodeError as exc:
                    records.append(failed_record(number, "22021", f"not valid text: {exc}"))
                except psycopg.Error as exc:
                    if blame(exc) is not Blame.ROW:
                        raise
                    records.append(failed_record(number, exc.sqlstate or "22000", said(exc)))
        return records

    async def _read(
        self,
        workspace_id: str,
        statement: sql.SQL | sql.Composed,
        parameters: Sequence[Any] | dict[str, Any],
        *,
        sync_id: UUID | None = None,
    ) -> list[DictRow]:
        """Run one statement in its own transaction, speaking for the workspace."""

        async def once() -> list[DictRow]:
            async with self._connection() as connection, self._transaction(connection):
                await self._identify_as(connection, workspace_id, sync_id)
                cursor = await connection.execute(statement, parameters)
                return await cursor.fetchall() if cursor.description else []

        return await self._repeat(once)

    async def _repeat(
        self, work: Callable[[], Awaitable[_Result]], *, attempts: int = ATTEMPTS
    ) -> _Result:
        """Do work that may be done again, while its failure is nobody's fault."""
        attempt = 1
        while True:
            try:
                return await work()
            except psycopg.Error as exc:
                if blame(exc) is not Blame.REPEAT or attempt == attempts:
                    raise translate(exc) from exc
            except ConnectionLost:
                if attempt == attempts:
                    raise
            await _pause(attempt)
            attempt += 1

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[_Connection]:
        """Lend one connection; what breaks on the way becomes the port's words."""
        if not self._alive:
            await self._reach()
        if not self._opened:
            await self.open()
        try:
            async with self._pool.connection() as connection:
                try:
                    yield connection
                except psycopg.Error as exc:
                    if blame(exc) is Blame.CONNECTION:
                        raise ConnectionLost(translate(exc).detail) from exc
                    raise
        except ConnectionLost:
            self._alive = False
            raise
        except (PoolTimeout, TooManyRequests) as exc:
            self._alive = False
            stats = self._pool.get_stats()
            raise StoreUnavailable(
                f"no connection came free in {self._wait_s:g} s: total {stats.get('pool_size')},"
                f" idle {stats.get('pool_available')}, waiting {stats.get('requests_waiting')};"
                " raise DB_POOL_MAX or look for slow transactions",
                retry_after_s=1,
            ) from exc

    @asynccontextmanager
    async def _transaction(
        self, connection: _Connection, *, force_rollback: bool = False
    ) -> AsyncIterator[None]:
        """Open a transaction that a server which went silent cannot hold for ever."""
        async with (
            answered_within(self._answer_s, connection),
            connection.transaction(force_rollback=force_rollback),
        ):
            yield

    async def _reach(self) -> None:
        """Connect once outside the pool: it fails at once, and says why."""
        try:
            async with await psycopg.AsyncConnection.connect(
                self._database_url, connect_timeout=CONNECT_TIMEOUT_S
            ):
                self._alive = True
        except psycopg.Error as exc:
            raise explain(exc, self._database_url) from exc
        if self._opened:
            # What was idle most likely died with the one that was lost: weed it out.
            await self._pool.check()

    async def _configure(self, connection: _Connection) -> None:
        """Prepare a new connection: exact JSON numbers, and the role if we may have it."""
        set_json_loads(decode_json, context=connection)
        try:
            async with connection.transaction():
                await connection.execute("SET LOCAL ROLE sync_old")
        except psycopg.Error:
            # Not migrated yet, or a login without that membership: the RLS of the login binds then.
            self._identify = statements.IDENTIFY
        else:
            self._identify = statements.IDENTIFY_AS_ROLE

    async def _identify_as(
        self, connection: _Connection, workspace_id: str, sync_id: UUID | None
    ) -> None:
        said_id = str(sync_id) if sync_id is not None else ""
        await connection.execute(self._identify, (workspace_id, said_id))


async def _upsert(connection: _Connection, listing: Listing, context: WriteContext) -> Record:
    values: dict[str, Any] = {**row_values(listing)}
    if "extra" in values:
        values["extra"] = Jsonb(values["extra"], dumps=encode_json)
    key = (context.workspace_id, listing.property_number)
    cursor = await connection.execute(statements.upsert(tuple(values)), (*key, *values.values()))
    if (row := await cursor.fetchone()) is not None:
        return _kept(written_record(row), row, context)
    # The conflict locked the row, so what stands now is what this write left unchanged.
    cursor = await connection.execute(statements.ONE, key)
    row = await cursor.fetchone()
    if row is None:
        # With nothing to set there is no lock, and a delete may have come between.
        return failed_record(listing.property_number, "40001", "the listing was deleted meanwhile")
    return _kept(unchanged_record(row), row, context)


def _kept(record: Record, row: DictRow, context: WriteContext) -> Record:
    """Keep the row of a dry run, which stands nowhere else."""
    return replace(record, row=row) if context.dry_run else record


async def _pause(attempt: int) -> None:
    """Wait a random moment, longer each time, so that two writers do not meet again."""
    await asyncio.sleep(random.uniform(0, _BACKOFF_S * 2**attempt))  # noqa: S311 - jitter, no secret

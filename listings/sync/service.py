"""
The sync use case, the same for both services: read, plan, write in batches, answer the truth.

What the answer says was stored is stored; what it does not know it calls unconfirmed. A store that
fails in the middle ends the sync: the batches before it stand and are reported, its own batch is
unconfirmed, the rest was not attempted. When nothing at all was confirmed, the sync fails as a
whole (`SyncFailed`), so that a client need not read records to learn that the store is down.

A stop request takes effect between two batches: nothing is torn, the rest is counted as skipped.
One full sync of a kind (real or dry) runs at a time in a process; pushes run side by side.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from listings.errors import ListingsError, StoreRefused, StoreUnavailable
from listings.store import (
    Action,
    DryRun,
    DryRunMeans,
    ListingStore,
    Record,
    RecordError,
    SyncRun,
    SyncStatus,
    WriteContext,
)
from listings.sync.plan import (
    Plan,
    SyncConflict,
    SyncError,
    as_record_error,
    plan_full,
    plan_push,
    plan_selective,
)
from listings.sync.request import Mode, SyncRequest
from listings.sync.shadowing import Pair, pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from listings.model import Listing, System
    from listings.source.mapping import FeedContents

HISTORY_ERRORS: Final = 100
TIMINGS_KEPT: Final = 10
WORKSPACES_KEPT: Final = 1000
RUNS_OWED: Final = 1000
NOT_ATTEMPTED: Final = RecordError("not_attempted", "the store had failed before this listing")

_log = structlog.get_logger("listings.sync")


class ListingFeed(Protocol):
    """Where full and selective syncs read from."""

    @property
    def name(self) -> str:
        """What to call it in a message."""
        ...

    async def read(self) -> FeedContents:
        """Read the feed as it is now; raises SourceUnavailable."""
        ...


class SyncFailed(ListingsError):  # noqa: N818 - named like its siblings in listings.errors
    """Nothing of a sync was confirmed; `cause` is the store's or the source's own error."""

    def __init__(self, sync_id: UUID, cause: ListingsError) -> None:
        super().__init__(str(cause))
        self.sync_id = sync_id
        self.cause = cause


@dataclass(frozen=True, slots=True)
class SyncAnswer:
    """What a sync did. `records` and `errors` are in property-number order."""

    run: SyncRun
    system: System
    dry_run: DryRun | None
    records: tuple[Record, ...]
    errors: tuple[SyncError, ...]
    unknown: tuple[str, ...] = ()
    missing: tuple[str, ...] | None = None
    stopped: bool = False
    means: DryRunMeans | None = None
    pairs: Mapping[str, Pair] = field(default_factory=dict)
    """Both rows of listings on which a shadow and the sync it shadows disagree."""


@dataclass(slots=True)
class Running:
    """A sync under way; `stop` is looked at between batches."""

    sync_id: UUID
    mode: Mode
    dry_run: bool
    started_at: datetime
    total: int = 0
    done: int = 0
    stop: bool = False


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a sync took, for what number of listings."""

    listings: int
    seconds: float


@dataclass(slots=True)
class SyncCounts:
    """What this process has done since it started; dry runs are not counted."""

    completed: int = 0
    partial: int = 0
    failed: int = 0
    full: int = 0
    """Full syncs that stored something; alone their sizes tell of the feed."""
    full_listings: int | None = None
    """The size of the last of them."""
    timings: deque[Timing] = field(default_factory=lambda: deque(maxlen=TIMINGS_KEPT))


@dataclass(slots=True)
class _Written:
    """What the batches gave so far."""

    records: list[Record] = field(default_factory=list)
    dry_run: DryRun = DryRun.APPLIED
    means: DryRunMeans | None = None
    stopped: bool = False
    failure: StoreUnavailable | StoreRefused | None = None


class SyncService:
    """Runs syncs over one store and one feed; clock and ids come from outside."""

    def __init__(
        self,
        store: ListingStore,
        feed: ListingFeed,
        *,
        batch_size: int,
        clock: Callable[[], datetime],
        new_id: Callable[[], UUID],
    ) -> None:
        self._store = store
        self._feed = feed
        self._batch_size = batch_size
        self._clock = clock
        self._new_id = new_id
        self.running: dict[UUID, Running] = {}
        self.counts = SyncCounts()
        self.last_run: dict[str, SyncRun] = {}
        self._owed: dict[UUID, SyncRun] = {}

    async def run(self, request: SyncRequest) -> SyncAnswer:
        """Do one sync; raises SyncConflict (refused as things stand) or SyncFailed."""
        with self._under_way(request) as running:
            context = WriteContext(
                request.workspace_id, running.sync_id, request.dry_run, request.shadow_of
            )
            try:
                plan = await self._plan(request)
                if request.mode is not Mode.PUSH and not request.dry_run:
                    await self._store.record_run(_opened(running, request, plan))
                running.total = len(plan.listings)
                written = await self._write(plan.listings, context, running)
                if written.failure and not any(map(_stored, written.records)):
                    raise written.failure
            except SyncConflict:
                raise
            except ListingsError as exc:
                await self._give_up(running, request, exc)
                raise SyncFailed(running.sync_id, exc) from exc
            return await self._close(running, request, plan, written)

    def stop(self, sync_id: UUID | None = None) -> tuple[UUID, ...]:
        """Ask running syncs (or one) to stop after their batch; says which."""
        chosen = [
            running
            for running in self.running.values()
            if sync_id is None or running.sync_id == sync_id
        ]
        for running in chosen:
            running.stop = True
        return tuple(running.sync_id for running in chosen)

    async def settle_history(self) -> None:
        """Write the runs that the store did not take when they ended; raises as the store does.

        Without this a run that lost its store would stand in the history as running for ever.
        """
        for run in tuple(self._owed.values()):
            await self._store.record_run(run)
            self._owed.pop(run.sync_id, None)

    @contextmanager
    def _under_way(self, request: SyncRequest) -> Iterator[Running]:
        for other in self.running.values():
            both_full = other.mode is Mode.FULL and request.mode is Mode.FULL
            if both_full and other.dry_run is request.dry_run:
                raise SyncConflict(
                    "already-running",
                    f"The full sync {other.sync_id} is still running. Wait for it "
                    "(GET /api/property-listings/sync/status) or stop it "
                    "(POST /api/property-listings/sync/stop).",
                )
        # Both journals speak of one sync by one id; a second repetition is another sync.
        sync_id = request.write_back_of
        if sync_id is None or sync_id in self.running:
            sync_id = self._new_id()
        running = Running(sync_id, request.mode, request.dry_run, self._clock())
        self.running[running.sync_id] = running
        try:
            yield running
        finally:
            del self.running[running.sync_id]

    async def _plan(self, request: SyncRequest) -> Plan:
        if request.mode is Mode.PUSH:
            return plan_push(request.listings, request.limit)
        contents = await self._feed.read()
        if request.mode is Mode.SELECTIVE:
            plan = plan_selective(contents, request.property_numbers, request.limit)
            for number in plan.unknown:
                _log.warning("unknown_property_number", property_number=number, skipped=True)
            return plan
        stored = await self._store.property_numbers(request.workspace_id)
        return plan_full(contents, stored, limit=request.limit, confirm=request.confirm)

    async def _write(
        self, listings: Sequence[Listing], context: WriteContext, running: Running
    ) -> _Written:
        written = _Written()
        for start in range(0, len(listings), self._batch_size):
            if running.stop:
                written.stopped = True
                break
            batch = listings[start : start + self._batch_size]
            try:
                result = await self._store.upsert(batch, context)
            except (StoreUnavailable, StoreRefused) as exc:
                written.failure = exc
                written.records += _unconfirmed(batch, exc)
                written.records += [
                    Record(listing.property_number, Action.FAILED, error=NOT_ATTEMPTED)
                    for listing in listings[start + len(batch) :]
                ]
                break
            written.records += result.records
            running.done += len(batch)
            written.means = result.means
            if result.dry_run is DryRun.PLANNED:
                written.dry_run = DryRun.PLANNED
        return written

    async def _close(
        self, running: Running, request: SyncRequest, plan: Plan, written: _Written
    ) -> SyncAnswer:
        success = sum(map(_stored, written.records))
        errors = sorted((*plan.errors, *_record_errors(written.records)), key=_place)
        skipped = plan.skipped + len(plan.listings) - len(written.records)
        run = SyncRun(
            sync_id=running.sync_id,
            workspace_id=request.workspace_id,
            mode=request.mode.value,
            status=_status(success, len(errors), stopped=written.stopped),
            started_at=running.started_at,
            completed_at=self._clock(),
            total=success + len(errors) + skipped,
            success=success,
            failed=len(errors),
            skipped=skipped,
            errors=tuple(
                (error.property_number or "", as_record_error(error))
                for error in errors[:HISTORY_ERRORS]
            ),
        )
        if not request.dry_run:
            await self._remember(run, whole=request.mode is Mode.FULL and request.limit is None)
        records = tuple(_with_plan_errors(written.records, plan.errors))
        return SyncAnswer(
            run=run,
            system=self._store.system,
            dry_run=written.dry_run if request.dry_run else None,
            records=records,
            errors=tuple(errors),
            unknown=plan.unknown,
            missing=plan.missing,
            stopped=written.stopped,
            means=written.means if request.dry_run else None,
            pairs=await pairs(self._store, request, records),
        )

    async def _remember(self, run: SyncRun, *, whole: bool) -> None:
        self._count(run, whole=whole)
        self._owe(run)
        try:
            await self.settle_history()
        except ListingsError as exc:
            # The listings are stored; an answer that says so is worth more than the history's row.
            _log.error("history_not_written", sync_id=str(run.sync_id), error=str(exc))
        _log.info(
            "sync_done",
            sync_id=str(run.sync_id),
            mode=run.mode,
            status=run.status.value,
            total=run.total,
            success=run.success,
            failed=run.failed,
            skipped=run.skipped,
        )

    async def _give_up(self, running: Running, request: SyncRequest, cause: ListingsError) -> None:
        _log.error("sync_failed", sync_id=str(running.sync_id), error=str(cause))
        if request.dry_run:
            return
        run = SyncRun(
            sync_id=running.sync_id,
            workspace_id=request.workspace_id,
            mode=request.mode.value,
            status=SyncStatus.FAILED,
            started_at=running.started_at,
            completed_at=self._clock(),
            errors=(("", RecordError("sync_failed", str(cause))),),
        )
        self._count(run, whole=False)
        self._owe(run)
        with suppress(ListingsError):
            await self.settle_history()

    def _owe(self, run: SyncRun) -> None:
        if len(self._owed) >= RUNS_OWED:
            del self._owed[next(iter(self._owed))]  # a store that is away for days costs no memory
        self._owed[run.sync_id] = run

    def _count(self, run: SyncRun, *, whole: bool) -> None:
        if len(self.last_run) >= WORKSPACES_KEPT:
            self.last_run.clear()  # only a cache: the store has the history
        self.last_run[run.workspace_id] = run
        name = run.status.value
        setattr(self.counts, name, getattr(self.counts, name) + 1)
        if run.success and run.completed_at is not None:
            seconds = (run.completed_at - run.started_at).total_seconds()
            self.counts.timings.append(Timing(run.success + run.failed, seconds))
            if whole:
                self.counts.full += 1
                self.counts.full_listings = run.success + run.failed


def _opened(running: Running, request: SyncRequest, plan: Plan) -> SyncRun:
    return SyncRun(
        sync_id=running.sync_id,
        workspace_id=request.workspace_id,
        mode=request.mode.value,
        status=SyncStatus.RUNNING,
        started_at=running.started_at,
        total=len(plan.listings) + len(plan.errors) + plan.skipped,
    )


def _status(success: int, failed: int, *, stopped: bool) -> SyncStatus:
    if stopped:
        # An operator's stop is no failure of the service, and must not count as one.
        return SyncStatus.PARTIAL
    if not failed:
        return SyncStatus.COMPLETED
    return SyncStatus.PARTIAL if success else SyncStatus.FAILED


def _stored(record: Record) -> bool:
    return record.action is not Action.FAILED


def _place(error: SyncError) -> tuple[str, int]:
    return (error.property_number or "", error.row or 0)


def _record_errors(records: Sequence[Record]) -> list[SyncError]:
    return [
        SyncError(record.property_number, record.error.code, record.error.error)
        for record in records
        if record.error is not None
    ]


def _with_plan_errors(records: Sequence[Record], errors: Sequence[SyncError]) -> list[Record]:
    """One record per number: a row that failed in the feed is one, unless another stands."""
    by_number = {record.property_number: record for record in records}
    for error in errors:
        if error.property_number is not None:
            by_number.setdefault(
                error.property_number,
                Record(error.property_number, Action.FAILED, error=as_record_error(error)),
            )
    return [by_number[number] for number in sorted(by_number)]


def _unconfirmed(batch: Sequence[Listing], exc: StoreUnavailable | StoreRefused) -> list[Record]:
    code = exc.code if isinstance(exc, StoreRefused) else "store_unavailable"
    error = RecordError(code, f"not confirmed by the store: {exc.detail}")
    return [Record(listing.property_number, Action.FAILED, error=error) for listing in batch]

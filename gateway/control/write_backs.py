"""
The record of write-backs: what old may not have of what new wrote, until a repair says otherwise.

Workers tell of each failure; it is stored at once, on a thread of its own, and nothing waits for
it. What nobody could tell is a failure, too: a worker that died may have had write-backs under way,
and so may a gateway that did not end in order, which its successor finds out. Failures are cleared
only by a repair that began after them and after which both stores agree.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from gateway import link
from gateway.control.worker_process import WorkerChanged
from gateway.errors import RefusedError, StoreUnavailableError
from gateway.ports.write_backs import (
    RepairReport,
    WriteBackFailure,
    WriteBackLedger,
    WriteBackView,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.ports import Actor, Clock
    from gateway.ports.write_backs import WriteBackStore

NOT_STORED_MOST: Final = 10_000

_log = structlog.get_logger("write_backs")
_Result = TypeVar("_Result")


async def _not_audited(*_: object, **__: object) -> None:
    """Stand in until somebody keeps the audit."""


class WriteBackRecord:
    """`WriteBackDesk`, and what workers tell."""

    def __init__(self, store: WriteBackStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="write-backs")
        self._ledger = WriteBackLedger()
        self._not_stored: deque[WriteBackFailure] = deque()
        self._saving: asyncio.Task[None] | None = None
        self._on_since_us: int | None = None
        self._marked = False
        self._trouble = ""
        self.audit: Callable[..., Awaitable[None]] = _not_audited

    # --- what comes in ----------------------------------------------------------------------

    async def restore(self) -> None:
        """Take up the record; a gateway that did not end in order has left a gap in it."""
        try:
            self._ledger = await self._run(self._store.load)
        except StoreUnavailableError as error:
            self._troubled(error)
            return
        since_us = self._ledger.left_open_since_us
        if since_us is not None:
            self._keep(self._gap(since_us, "the gateway did not end in order"))

    def follow(self, *, on: bool) -> None:
        """Take note whether write-backs are on."""
        if on and self._on_since_us is None:
            self._on_since_us = self._clock.now_us()
            self._save()
        elif not on:
            self._on_since_us = None

    def heard(self, message: link.Message | WorkerChanged) -> None:
        """Take in what a worker said, or became."""
        if isinstance(message, link.WriteBackFailed):
            told = {name: getattr(message, name) for name in WriteBackFailure.__slots__}
            self._keep(WriteBackFailure(**told))
        elif isinstance(message, WorkerChanged) and message.unexpected and self._on_since_us:
            self._keep(self._gap(self._on_since_us, "a worker died"))

    def _gap(self, since_us: int, reason: str) -> WriteBackFailure:
        return WriteBackFailure(since_us, max(since_us, self._clock.now_us()), reason)

    def _keep(self, failure: WriteBackFailure) -> None:
        waiting = self._not_stored
        if len(waiting) >= NOT_STORED_MOST:  # the disk has been full for long
            last = waiting.pop()
            failure = replace(
                last, from_us=min(last.from_us, failure.from_us),
                to_us=max(last.to_us, failure.to_us), count=last.count + failure.count,
                listings=last.listings + failure.listings,
            )  # fmt: skip
        waiting.append(failure)
        self._save()

    def _save(self) -> None:
        if self._saving is None:
            self._saving = asyncio.create_task(self._saved())
            self._saving.add_done_callback(self._again)

    def _again(self, _: asyncio.Task[None]) -> None:
        self._saving = None
        if self._not_stored and not self._trouble:
            self._save()

    async def _saved(self) -> None:
        failures = tuple(self._not_stored)
        self._not_stored.clear()
        try:
            if self._on_since_us is not None and not self._marked:
                await self._run(self._store.mark, self._on_since_us)
                self._marked = True
            if failures:
                self._ledger = await self._run(self._store.add, failures)
        except StoreUnavailableError as error:
            self._not_stored.extendleft(reversed(failures))
            self._troubled(error)
            return
        self._trouble = ""

    def _troubled(self, error: StoreUnavailableError) -> None:
        if not self._trouble:
            _log.error("write_backs_not_kept", reason=error.message)
        self._trouble = error.message

    # --- people ------------------------------------------------------------------------------

    def view(self, counts: link.WriteBackCounts, *, on: bool) -> WriteBackView:
        """Show the present; a record that could not be stored is tried again."""
        if self._trouble and self._not_stored:
            self._save()
        waiting = sum(each.count for each in self._not_stored)
        return WriteBackView(
            on=on,
            agreed=counts.agreed,
            failed=counts.failed,
            reasons=tuple(counts.failures.items()),
            waiting=counts.waiting,
            held_bytes=counts.held_bytes,
            ledger=replace(self._ledger, open=self._ledger.open + waiting),
            trouble=self._trouble,
        )

    async def failures(self, limit: int) -> list[WriteBackFailure]:
        """Give open failures, newest first."""
        return await self._run(self._store.latest, limit)

    async def repaired(self, report: RepairReport, *, by: Actor, reason: str) -> None:
        """Take note of a repair; what failed before it began is cleared if nothing was left."""
        now_us = self._clock.now_us()
        if report.began_us > now_us:
            raise RefusedError("A repair cannot have begun in the future.")
        before = self._ledger.open

        def store() -> WriteBackLedger:
            return self._store.repaired(report, at_us=now_us)

        self._ledger = await self._run(store)
        cleared = before - self._ledger.open
        await self.audit(
            "write_backs.repaired", by=by, reason=reason,
            text=f"A repair wrote {report.repaired} rows to old and left {report.left}; "
            f"{cleared} failed write-backs are cleared, {self._ledger.open} are open.",
        )  # fmt: skip

    async def close(self) -> None:
        """Store the rest; with everything stored, the record ends in order."""
        if self._saving is not None:
            await asyncio.wait({self._saving})
        await self._saved()
        if self._marked and not self._trouble:
            with contextlib.suppress(StoreUnavailableError):
                await self._run(self._store.mark, None)
        await self._run(self._store.close)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

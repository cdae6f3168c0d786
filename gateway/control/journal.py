"""
What happened is stored before anybody acts on it, with one exception: traffic going back.

A step up must be durable or it does not happen. A step back must not wait for a full or hanging
disk: after a moment's patience it goes on in memory, its record is kept in order, and it is stored
as soon as the store answers again. Until then nothing moves up.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from gateway.errors import StateError, StoreUnavailableError
from gateway.ports import Transition

if TYPE_CHECKING:
    from gateway.ports import Committed, Event, StateStore

PATIENCE_S: Final = 1.0
MAX_WAITING: Final = 1_000
"""Beyond so many, only the state and the audit are kept for later."""

_log = structlog.get_logger("journal")


class Journal:
    """The one writer of the store."""

    def __init__(self, store: StateStore, *, version: int, patience_s: float = PATIENCE_S) -> None:
        self._store = store
        self._version = version
        self._patience_s = patience_s
        self._one_at_a_time = asyncio.Lock()
        self._waiting: list[Transition] = []
        self._late: asyncio.Task[Committed] | None = None
        self._if_late_stored: Transition | None = None
        self._if_late_lost: Transition | None = None

    @property
    def store(self) -> StateStore:
        """For reading."""
        return self._store

    @property
    def writable(self) -> bool:
        """Whether everything that happened is stored."""
        return not self._waiting and self._late is None

    async def must_record(self, transition: Transition, *, undo: Transition) -> tuple[Event, ...]:
        """Store it durably, or raise StoreUnavailableError and nothing has happened.

        A disk that hangs may store it after we gave up; then `undo` is stored on top.
        """
        async with self._one_at_a_time:
            if not self.writable:
                await self._catch_up()
            if not self.writable:
                raise StoreUnavailableError(
                    "The state cannot be stored at the moment, so nothing can be moved forward.",
                    todo="Check the disk of the state directory; rollback and emergency stop work.",
                )
            self._if_late_stored, self._if_late_lost = undo, None
            return await self._store_now(transition)

    async def record(self, transition: Transition) -> tuple[Event, ...]:
        """Store it, or keep it to be stored later; never raises, never waits for long."""
        async with self._one_at_a_time:
            if self.writable:
                self._if_late_stored, self._if_late_lost = None, transition
                try:
                    return await self._store_now(transition)
                except StateError as error:
                    _log.error("not_stored", reason=str(error))
                if self._late is not None:
                    return ()
            crowded = len(self._waiting) >= MAX_WAITING
            self._waiting.append(_essence(transition) if crowded else transition)
            return ()

    async def catch_up(self) -> tuple[Event, ...]:
        """Store what has been waiting, in order, as one step."""
        async with self._one_at_a_time:
            return await self._catch_up()

    async def _catch_up(self) -> tuple[Event, ...]:
        if self._late is not None:
            if not self._late.done():
                return ()
            self._settle(self._late)
        if not self._waiting:
            return ()
        together, self._waiting = _joined(self._waiting), []
        self._if_late_stored, self._if_late_lost = None, together
        try:
            events = await self._store_now(together)
        except StateError as error:
            _log.error("still_not_stored", reason=str(error))
            if self._late is None:
                self._waiting.insert(0, together)
            return ()
        _log.warning("stored_late", audit=len(together.audit), events=len(together.events))
        return events

    async def _store_now(self, transition: Transition) -> tuple[Event, ...]:
        """Wait a moment for the store; what takes longer is finished in the background."""
        numbered = replace(transition, expected_version=self._version)
        task = asyncio.create_task(self._store.commit(numbered))
        try:
            done, _ = await asyncio.wait({task}, timeout=self._patience_s)
        except asyncio.CancelledError:
            self._late = task
            raise
        if not done:
            self._late = task
            raise StoreUnavailableError(
                f"The store did not answer within {self._patience_s:g} s.",
                todo="Check the disk of the state directory.",
            )
        return self._learn(task.result())

    def _learn(self, committed: Committed) -> tuple[Event, ...]:
        self._version = committed.version
        for entry in committed.audit:
            # Kept outside the store as well: a history rewritten with its head shows here.
            _log.info("audited", seq=entry.seq, action=entry.action, digest=entry.digest)
        return committed.events

    def _settle(self, task: asyncio.Task[Committed]) -> None:
        """Learn what became of a commit that nobody waited for."""
        self._late = None
        lost = task.cancelled() or task.exception() is not None
        if not lost:
            self._learn(task.result())
        follow_up = self._if_late_lost if lost else self._if_late_stored
        if follow_up is not None:
            self._waiting.insert(0, follow_up)


def _essence(transition: Transition) -> Transition:
    """Give what must not be lost, however long the store stays away: the state and the audit."""
    return replace(transition, decisions=(), events=(), measurements=(), reports=())


def _joined(parts: list[Transition]) -> Transition:
    """Everything that waited, with the newest state."""
    documents = [part.document for part in parts if part.document is not None]
    return Transition(
        expected_version=0,
        document=documents[-1] if documents else None,
        audit=tuple(draft for part in parts for draft in part.audit),
        decisions=tuple(draft for part in parts for draft in part.decisions),
        events=tuple(draft for part in parts for draft in part.events),
        measurements=tuple(draft for part in parts for draft in part.measurements),
        reports=tuple(draft for part in parts for draft in part.reports),
    )

"""
What happened is stored before anybody acts on it, with one exception: traffic going back.

A step up must be durable or it does not happen. A step back must not wait for a full or hanging
disk: after a moment's patience it goes on in memory, its record is kept in order, and it is stored
as soon as the store answers again. Until then nothing moves up.

In a fleet the store is shared, and another replica may have been quicker: then nothing was stored,
`OVERTAKEN` says so, and whoever asked looks at the newest state first. What was done locally while
the store was away is kept on this replica's own disk as well (`Spare`).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from gateway.errors import FencedError, StateError, StoreUnavailableError, VersionConflictError
from gateway.ports import StoredState, Transition

if TYPE_CHECKING:
    from gateway.ports import Committed, Document, Event, StateStore

PATIENCE_S: Final = 1.0
MAX_WAITING: Final = 1_000
"""Of each kind of news so much is kept for later; of the audit all, and the newest state."""
OVERTAKEN: Final = (VersionConflictError, FencedError)
"""Another replica was quicker, or holds the lease by now: nothing of the step was stored."""

_log = structlog.get_logger("journal")


class Spare(Protocol):
    """The copy on this replica's own disk, beside a store that is shared."""

    def saw(self, stored: StoredState, *, token: int) -> None:
        """Remember the newest shared state soon; never waits, never raises."""
        ...

    async def kept(self, transition: Transition, *, version: int) -> None:
        """Remember what the shared store did not take; gives up after a moment, never raises."""
        ...


class Journal:
    """The one writer of the store."""

    def __init__(
        self,
        store: StateStore,
        *,
        version: int,
        patience_s: float = PATIENCE_S,
        spare: Spare | None = None,
        place: str = "the disk of the state directory",
    ) -> None:
        self._store = store
        self._version = version
        self._patience_s = patience_s
        self._spare = spare
        self._place = place
        self._one_at_a_time = asyncio.Lock()
        self._waiting: Transition | None = None
        self._late: asyncio.Task[Committed] | None = None
        self._if_late_stored: Transition | None = None
        self._if_late_lost: Transition | None = None
        self._untold: tuple[Event, ...] = ()
        """What was stored when nobody waited for it any more."""
        self.detached = False
        """The store is passed by for now: what goes back is kept for later."""

    @property
    def store(self) -> StateStore:
        """For reading."""
        return self._store

    @property
    def writable(self) -> bool:
        """Whether everything that happened is stored."""
        return self._waiting is None and self._late is None

    @property
    def version(self) -> int:
        """The version of the newest stored state that is known here."""
        return self._version

    @property
    def waiting_state(self) -> Document | None:
        """The newest state that could not be stored yet; None: the stored one is ours."""
        return self._waiting.document if self._waiting is not None else None

    def begin_with(self, transition: Transition) -> None:
        """Take up what an earlier run could not store."""
        self._waiting = _joined(self._waiting, transition)

    def moved_to(self, version: int, *, put_on_top: Document | None) -> None:
        """Go on from another version of the stored state than the last one known.

        States that wait, or would if the commit under way is lost, were made for the old one: they
        are dropped, what was written down with them stays; `put_on_top` waits instead, to be stored
        on top of that version.
        """
        self._version = version
        self._if_late_stored = None  # what is stored is in force now, whoever stored it
        self._waiting = _without_state(self._waiting)
        self._if_late_lost = _without_state(self._if_late_lost)
        if put_on_top is not None:
            self._waiting = _joined(self._waiting, Transition(0, document=put_on_top))

    async def must_record(self, transition: Transition, *, undo: Transition) -> tuple[Event, ...]:
        """Store it durably, or raise StoreUnavailableError and nothing has happened.

        A disk that hangs may store it after we gave up; then `undo` is stored on top. OVERTAKEN:
        another replica was quicker.
        """
        async with self._one_at_a_time:
            if not self.writable and not self.detached:
                await self._catch_up()
            if not self.writable or self.detached:
                raise StoreUnavailableError(
                    "The state cannot be stored at the moment, so nothing can be moved forward.",
                    todo=f"Check {self._place}; rollback and emergency stop work.",
                )
            self._if_late_stored, self._if_late_lost = undo, None
            events = await self._store_now(transition)
            return self._late_ones() + events

    async def record(self, transition: Transition) -> tuple[Event, ...]:
        """Store it, or keep it to be stored later; never waits for long, raises only OVERTAKEN."""
        async with self._one_at_a_time:
            if self.writable and not self.detached:
                self._if_late_stored, self._if_late_lost = None, transition
                try:
                    events = await self._store_now(transition)
                    return self._late_ones() + events
                except OVERTAKEN:
                    raise
                except StateError as error:
                    _log.error("not_stored", reason=str(error))
                if self._late is not None:
                    await self._keep_a_copy(transition)
                    return ()
            self._waiting = _joined(self._waiting, transition)
            await self._keep_a_copy(transition)
            return ()

    async def _keep_a_copy(self, transition: Transition) -> None:
        if self._spare is not None and (transition.document is not None or transition.audit):
            await self._spare.kept(transition, version=self._version)

    async def catch_up(self) -> tuple[Event, ...]:
        """Store what has been waiting, in order, as one step; OVERTAKEN: it still waits."""
        async with self._one_at_a_time:
            await self._catch_up()
            return self._late_ones()

    async def _catch_up(self) -> None:
        if self._late is not None:
            if not self._late.done():
                return
            self._settle(self._late)
        if self._waiting is None:
            return
        together, self._waiting = self._waiting, None
        self._if_late_stored, self._if_late_lost = None, together
        try:
            events = await self._store_now(together)
        except StateError as error:
            if self._late is None:
                self._waiting = together
            if isinstance(error, OVERTAKEN):
                raise
            _log.error("still_not_stored", reason=str(error))
            return
        _log.warning("stored_late", audit=len(together.audit), events=len(together.events))
        self._untold += events

    def _late_ones(self) -> tuple[Event, ...]:
        """Give what was stored late and not told yet, once."""
        late, self._untold = self._untold, ()
        return late

    async def _store_now(self, transition: Transition) -> tuple[Event, ...]:
        """Wait a moment for the store; what takes longer is finished in the background."""
        numbered = replace(transition, expected_version=self._version)
        task = asyncio.create_task(self._commit(numbered))
        try:
            done, _ = await asyncio.wait({task}, timeout=self._patience_s)
        except asyncio.CancelledError:
            self._late = task
            raise
        if not done:
            self._late = task
            raise StoreUnavailableError(
                f"The store did not answer within {self._patience_s:g} s.",
                todo=f"Check {self._place}.",
            )
        return self._learn(task.result())

    async def _commit(self, numbered: Transition) -> Committed:
        committed = await self._store.commit(numbered)
        if numbered.document is not None:
            # Without a document the version is somebody else's state, which we have not seen.
            self._version = committed.version
            if self._spare is not None:
                stored = StoredState(committed.version, numbered.document)
                self._spare.saw(stored, token=numbered.token)
        return committed

    def _learn(self, committed: Committed) -> tuple[Event, ...]:
        for entry in committed.audit:
            # Kept outside the store as well: a history rewritten with its head shows here.
            _log.info("audited", seq=entry.seq, action=entry.action, digest=entry.digest)
        return committed.events

    def _settle(self, task: asyncio.Task[Committed]) -> None:
        """Learn what became of a commit that nobody waited for."""
        self._late = None
        lost = task.cancelled() or task.exception() is not None
        if not lost:
            self._untold += self._learn(task.result())
        follow_up = self._if_late_lost if lost else self._if_late_stored
        if follow_up is not None:
            self._waiting = _joined(follow_up, self._waiting)


def _without_state(transition: Transition | None) -> Transition | None:
    return None if transition is None else replace(transition, document=None, token=0)


def _joined(first: Transition | None, then: Transition | None) -> Transition | None:
    """Both as one step with the newer state; of each kind of news no more than is kept."""
    if first is None or then is None:
        return first or then
    return Transition(
        expected_version=0,
        document=first.document if then.document is None else then.document,
        audit=first.audit + then.audit,
        decisions=(first.decisions + then.decisions)[:MAX_WAITING],
        events=(first.events + then.events)[:MAX_WAITING],
        measurements=(first.measurements + then.measurements)[:MAX_WAITING],
        reports=(first.reports + then.reports)[:MAX_WAITING],
        token=max(first.token, then.token),
    )

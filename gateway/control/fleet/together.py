"""
What joins the controller of one replica with its fleet; everything in the controller's order.

Numbers of the others are filed beside our own, their outcomes are put to our evidence in the order
in which they come, their figures and reports are taken in, so that every replica knows what the
fleet knows and any of them can decide next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from gateway.control.fleet import showing
from gateway.control.fleet.agreement import Agreement
from gateway.control.fleet.attendance import OF_SILENCE, Attendance
from gateway.control.fleet.fleet import Role
from gateway.control.fleet.members import complete_second
from gateway.control.fleet.postings import Copies, Figure, Runs, Seconds, Told
from gateway.control.journal import OVERTAKEN
from gateway.errors import InvalidRequestError, StateError, StateUnreadableError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Sequence

    from gateway.control.fleet.fleet import Fleet
    from gateway.control.fleet.members import Heard, MemberChanged
    from gateway.control.follow import Followers
    from gateway.control.journal import Journal
    from gateway.control.senses import Senses
    from gateway.control.turns import Turns
    from gateway.control.workers import WorkerPool
    from gateway.ports import Clock, Confirmations, FleetView
    from gateway.ports.fleet import BoardReading

_TRIES: Final = 3
_EVENTS: Final = 200
_ENDED: Final = frozenset({"left", "gone", "restarted"})

_log = structlog.get_logger("fleet")


class Together:
    """See the module."""

    def __init__(
        self,
        fleet: Fleet,
        *,
        order: asyncio.Lock,
        turns: Turns,
        journal: Journal,
        senses: Senses,
        followers: Followers,
        workers: WorkerPool,
        clock: Clock,
        if_alarmed: Callable[[], Awaitable[None]],
    ) -> None:
        self.fleet = fleet
        self._order = order
        self._if_alarmed = if_alarmed
        self._turns = turns
        self._journal = journal
        self._senses = senses
        self._followers = followers
        self._workers = workers
        self._clock = clock
        self._newest = 0
        self._read_to = 0
        self._was_older = self._fell_back = False
        self._attendance = Attendance()
        self._agreement = Agreement(fleet.store, journal, turns, fleet.copy)
        senses.snapshots.own_name(fleet.identity.name)

    @property
    def in_force(self) -> int:
        """What all workers of this replica route by."""
        return showing.in_force(self._workers.view(), self._turns.engine.state.version)

    @property
    def stored_version(self) -> int:
        """The version of the newest stored state that is known here."""
        return self._journal.version

    def view(self) -> FleetView:
        """Show every replica."""
        return showing.view(self.fleet, self._turns.engine.state, self._workers.view())

    async def confirmations(self, version: int) -> Confirmations:
        """Wait a moment for all replicas to say that they route by this version."""
        return await self.fleet.confirmations(version, own=lambda: self.in_force)

    def applied(self, version: int) -> None:
        """Take note that a worker routes by this version; when all do, the others are told."""
        if self.in_force >= version:
            self.fleet.due.set()

    async def exchange(self) -> None:
        """Tell the others what was seen here, and take in what they saw; StateError: not now."""
        reading = await self._post()
        async with self._order:
            await self._read(reading)
            await self._if_alarmed()

    def heard_of(self, version: int) -> None:
        """Take note of a stored state's version; what is not ours is looked at.

        One reading may be older than what was just stored: it was already under way. Only a second
        older one in a row means that the store fell back.
        """
        ours = self._journal.version
        older = version < ours
        self._newest = max(self._newest, version)
        self._fell_back |= older and self._was_older
        self._was_older = older
        if version > ours or self._fell_back or not self._journal.writable:
            self.fleet.behind.set()

    async def _post(self) -> BoardReading:
        snapshots, workers = self._senses.snapshots, self._workers.view()
        body = self.fleet.body(
            self._turns.engine.state,
            in_force=self.in_force,
            stored_version=self._journal.version,
            complete_second=snapshots.own_complete_second(),
            breakers=snapshots.own_breakers(),
            workers=sum(worker.ready for worker in workers),
            measurements=self._senses.measurements.newest(),
        )
        return await self.fleet.post(body)

    async def _read(self, reading: BoardReading) -> None:
        changes, heard = self.fleet.take(reading)
        for each in heard:
            self._hear(each)
        for member in self.fleet.members:
            reaches = complete_second(member)
            if reaches is not None and member.body is not None:
                self._senses.snapshots.replica_told(
                    member.source,
                    member.name,
                    complete_second=reaches,
                    breakers=member.body.breakers,
                )
        await self._tell_of(changes)
        await self._tell_of_silence()
        self.heard_of(reading.version)

    def _hear(self, heard: Heard) -> None:
        now_us = self._clock.now_us()
        match heard.item:
            case Seconds():
                self._senses.snapshots.replica_second(
                    heard.source, heard.item.second, heard.item.variants, now_us
                )
            case Copies():
                self._senses.snapshots.replica_copies(
                    heard.source, heard.item.second, heard.item.variants, now_us
                )
            case Runs():
                self._turns.engine = self._turns.engine.observe(heard.item.runs, now_us)
            case Figure():
                try:
                    self._senses.measurements.take(heard.item.draft, now_us=now_us)
                except InvalidRequestError as error:
                    _log.warning("figure_refused", replica=heard.replica, reason=str(error))
            case Told():
                self._senses.reported((heard.item.report,))

    async def age(self) -> None:
        """Notice who has fallen silent; the order is held."""
        await self._tell_of(self.fleet.members.age(self._clock.now_us()))

    async def _tell_of(self, changes: Sequence[MemberChanged]) -> None:
        """Say who came or left: whoever decides puts it on record, once."""
        for change in changes:
            _log.info("replica", name=change.replica, change=change.change)
            if change.change in _ENDED:
                self._senses.snapshots.worker_gone(change.source)
                self._attendance.begins_anew(change.replica)
            if change.change not in OF_SILENCE and self.fleet.role is Role.DECIDES:
                await self._note(change)

    async def _tell_of_silence(self) -> None:
        """Say who is silent or back, as heard just now: also of the one that decided before."""
        fleet = self.fleet
        for change in self._attendance.to_say(
            fleet.members,
            listening_us=self._clock.now_us() - fleet.listening_since_us,
            decides=fleet.role is Role.DECIDES,
        ):
            await self._note(change)

    async def _note(self, change: MemberChanged) -> None:
        await self._turns.note_event(
            f"replica.{change.change}",
            change.text,
            text_ja=change.text_ja,
            replica=change.replica,
        )

    async def agree(self) -> None:
        """Take up the newest stored state; StateError: not now, this replica goes on as it is."""
        async with self._order:
            ahead = self._newest > self._journal.version
            if ahead or self._fell_back or not self._journal.writable:
                await self.agree_now()

    async def agree_now(self) -> None:
        """Take up the newest state, and store what waits; the order is held."""
        for _ in range(_TRIES):
            heard = self._newest
            try:
                moved = await self._agreement.reach()
            except StateUnreadableError as error:
                self.fleet.holding = error.message
                await self.fleet.lease.release()
                raise
            self.fleet.holding = ""
            self._fell_back = False
            if self._newest == heard:  # else there was news meanwhile, and it is still to be read
                self._newest = self._journal.version
            if moved:
                self.fleet.due.set()
            try:
                if not self._journal.writable:
                    self._followers.tell(await self._journal.catch_up())
                break
            except OVERTAKEN:
                continue
        await self._hear_events()

    async def _hear_events(self) -> None:
        """Tell those who follow events here what others put on record."""
        try:
            if self._followers.newest == 0:
                self._followers.remember(await self.fleet.store.latest_events(limit=50))
                self._read_to = self._followers.newest
            else:
                # Not after what was told: our own news is, before another's older is read.
                after = self._read_to or self._followers.newest
                events = await self.fleet.store.events(after_seq=after, limit=_EVENTS)
                self._followers.tell(events)
                self._read_to = max((after, *(event.seq for event in events)))
        except StateError as error:
            _log.info("events_not_read", reason=error.message)

    async def took_the_lease(self) -> None:
        """Take note that this replica decides from here on: on the newest state."""
        name, token = self.fleet.identity.name, self.fleet.lease.fencing_token
        async with self._order:
            await self.agree_now()
            await self._turns.note_event(
                "replica.decides",
                f"Replica {name} decides from here on.",
                text_ja=f"以後、レプリカ {name} が判断します。",
                replica=name,
                token=token,
            )

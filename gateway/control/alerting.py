"""
Alerts: what stands is looked at once a second, and what has to be told is stored before it is sent.

The book of incidents and the messages that follow from it are one transaction, so a crash loses no
alert and begins no incident twice; what stands is found again by the next look. Only the holder of
the lease decides. When the store does not answer, alerts go out from memory (that the store is gone
is one of them) and are stored when it does. Nothing here is waited for by the rollout's decisions.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import structlog

from gateway.control.telling import messages
from gateway.core import alerts
from gateway.core.analysis import Sentence
from gateway.errors import (
    StateError,
    StateUnreadableError,
    StoreUnavailableError,
    VersionConflictError,
)
from gateway.ports.alerts import MOST_UNSTORED, AlertsView, Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.core import rollout
    from gateway.core.analysis import Reading
    from gateway.ports import Clock, ControlView, Lease, Notice
    from gateway.ports.alerts import AlertSettings, AlertStore, Delivery

LOOK_S: Final = 1.0
FOLLOW_US: Final = 5_000_000
"""How often one that does not decide reads what was decided: a fleet has many readers."""
PATIENCE_S: Final = 2.0
"""A store that takes longer is treated as one that is gone; its answer is taken up when it comes.
"""
_MOST_SAID: Final = 256
_MOST_STATES: Final = 64
_DERIVED: Final = frozenset({"store"})
"""Notices that say what the view shows anyway."""

T = TypeVar("T")
Changed = tuple[alerts.Outcome, T]
"""What follows from a person's change, and what the person is answered."""

_log = structlog.get_logger("alerting")


class Outbox(Protocol):
    """Where messages go: `deliveries.Deliveries`, as far as it is needed here."""

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels that can be used."""
        ...

    def wake(self) -> None:
        """Look at once: something was stored."""
        ...

    def offer(self, deliveries: Iterable[Delivery]) -> None:
        """Send what could not be stored, from memory."""
        ...


class Alerting:
    """The one place where the book of incidents changes."""

    def __init__(
        self,
        store: AlertStore,
        settings: AlertSettings,
        *,
        view: Callable[[], ControlView],
        readings: Callable[[Iterable[int]], tuple[Reading, ...]],
        clock: Clock,
        lease: Lease,
        outbox: Outbox,
        link: Callable[[alerts.Incident, int, int], str | None],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._store = store
        self._settings = settings
        self._view = view
        self._readings = readings
        self._clock = clock
        self._lease = lease
        self._outbox = outbox
        self._link = link
        self._patience_s = patience_s
        self._order = asyncio.Lock()
        self._wake = asyncio.Event()
        self._book = alerts.Book()
        self._signs: tuple[alerts.Sign, ...] = ()
        self._version: int | None = None
        """Of the stored book; None: it has to be read first."""
        self._stored: alerts.Book | None = None
        self._deliveries: list[Delivery] = []
        self._ended: list[Ended] = []
        self._readable = True
        self._late: asyncio.Task[int] | None = None
        self._carried = self._book, 0, 0
        """What the commit under way holds: the book, and so many deliveries and ends."""
        self._followed_us = 0
        self._said: dict[str, alerts.Said] = {}
        self._states: deque[rollout.State] = deque(maxlen=_MOST_STATES)

    # --- what happens --------------------------------------------------------------------------

    def tell(self, notice: Notice) -> None:
        """Take in something to be told; never waits, never fails. One per key is kept."""
        key = notice.key or notice.title
        if key in _DERIVED:
            return
        if key not in self._said and len(self._said) >= _MOST_SAID:
            _log.error("notice_dropped", level=notice.level.value, title=notice.title)
            return
        self._said[key] = _said(key, notice)
        self._wake.set()

    def moved(self, state: rollout.State) -> None:
        """Take note of a step of the rollout, so that two within a second are both told."""
        self._states.append(state)
        self._wake.set()

    async def restore(self) -> None:
        """Take up what was stored; StateUnreadableError when it is no book of ours."""
        async with self._order:
            try:
                await self._load()
            except StoreUnavailableError as error:
                _log.error("alerts_unreadable", reason=error.message)

    async def run(self) -> None:
        """Look once a second, and at once when something is told."""
        while True:
            self._wake.clear()
            await self.look()
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Draw the conclusions of what stands, and store them with what has to be told."""
        async with self._order:
            if not self._lease.held:
                self._tell_what_only_we_know()
                now_us = self._clock.now_us()
                if self._version is None or not 0 <= now_us - self._followed_us < FOLLOW_US:
                    self._followed_us = now_us
                    await self._loaded()  # people may look and answer here, too
                return
            if self._version is None and not await self._loaded():
                return
            view = self._view()
            said, self._said = tuple(self._said.values()), {}
            states = [state for state in self._states if state is not view.state]
            self._states.clear()
            for state in states:
                self._take(replace(view, state=state), ())
            self._take(view, said)
            if not await self._save():
                # Another one wrote meanwhile: what stands is found again, what was said is kept.
                self._said = {one.key: one for one in said} | self._said

    def _take(self, view: ControlView, said: tuple[alerts.Said, ...]) -> None:
        plan = self._settings.plan
        seen = alerts.Seen(
            now_us=view.at_us,
            state=view.state,
            plan=view.plan,
            inputs=view.inputs,
            readings=self._readings(plan.windows_s()),
            store_writable=view.store_writable,
            said=said,
        )
        self._keep(alerts.advance(self._book, plan, seen), view)

    def _keep(self, outcome: alerts.Outcome, view: ControlView) -> None:
        """Remember what follows; nothing is sent before it was stored, or could not be."""
        self._book = outcome.book
        self._signs = outcome.signs or self._signs
        made = [
            message
            for tell in outcome.tells
            for message in messages(
                tell,
                self._settings,
                usable=self._outbox.channels,
                state=view.state,
                plan=view.plan,
                link=self._link_of(tell),
            )
        ]
        self._deliveries += made
        self._ended += [_over(incident) for incident in outcome.ended]
        for tell in outcome.tells:
            _log.info("told", id=tell.id, stage=tell.stage.value, level=tell.level.value)

    def _link_of(self, tell: alerts.Tell) -> str | None:
        if tell.incident is None:
            return None
        return self._link(tell.incident, tell.at_us, self._settings.link_valid_s)

    def _tell_what_only_we_know(self) -> None:
        """Leave what stands to the one that decides; what was said here goes out from here."""
        self._deliveries.clear()
        self._ended.clear()
        self._states.clear()
        if self._said:
            said, self._said = tuple(self._said.values()), {}
            view, book = self._view(), self._book
            alone = alerts.Seen(view.at_us, view.state, view.plan, None, said=said)
            outcome = alerts.advance(alerts.Book(), self._settings.plan, alone)
            told = [t for t in outcome.tells if t.message == "notice"]
            self._keep(alerts.Outcome(book, tuple(told)), view)
            self._outbox.offer(self._deliveries)
            self._deliveries.clear()

    # --- the store -----------------------------------------------------------------------------

    async def _loaded(self) -> bool:
        """Read the book if the store answers; without it nothing is known to be told already."""
        try:
            await self._load()
        except StoreUnavailableError as error:
            if self._readable:
                _log.error("alerts_unreadable", reason=error.message)
            self._readable = False
            self._version = self._stored = None
            return False
        self._readable = True
        return True

    async def _load(self) -> None:
        if self._late is not None:
            # Its version decides whether it counts; whatever became of it is in what is read next.
            self._late.add_done_callback(lambda task: task.cancelled() or task.exception())
            self._late = None
        try:
            async with asyncio.timeout(self._patience_s):
                stored = await self._store.load()
        except TimeoutError as error:
            raise StoreUnavailableError("The store of alerts does not answer.") from error
        book = alerts.Book()
        if stored is not None:
            try:
                book = alerts.book_from_json(dict(stored.document))
            except alerts.ForeignBookError as error:
                raise StateUnreadableError(
                    f"The stored alerts (version {stored.version}) cannot be used: {error}.",
                    todo="Start the version of syncgate that wrote them, or move alerts.sqlite3 "
                    "out of the state directory: open alerts are then raised anew.",
                ) from error
        self._version = stored.version if stored else 0
        self._book = self._stored = book
        self._deliveries.clear()
        self._ended.clear()

    async def _save(self) -> bool:
        """Store what changed. False: somebody else did before us, nothing of ours counts."""
        if self._late is None:
            now = replace(self._book, at_us=0)
            if self._stored is not None and now == replace(self._stored, at_us=0):
                return True
            self._late = asyncio.create_task(
                self._store.commit(
                    alerts.book_to_json(self._book),
                    expected_version=self._version or 0,
                    # Without the lease it is a person's change: then only the version decides.
                    token=self._lease.fencing_token if self._lease.held else 0,
                    deliveries=tuple(self._deliveries),
                    ended=tuple(self._ended),
                )
            )
            self._carried = self._book, len(self._deliveries), len(self._ended)
        done, _ = await asyncio.wait({self._late}, timeout=self._patience_s)
        if not done:
            self._go_on_in_memory("no answer")
            return True
        task, self._late = self._late, None
        try:
            self._version = task.result()
        except VersionConflictError as error:
            _log.warning("alerts_changed_by_another", reason=error.message)
            self._version = self._stored = None
            return False
        except StateError as error:
            self._go_on_in_memory(error.message)
            return True
        self._stored, deliveries, ended = self._carried
        del self._deliveries[:deliveries]
        del self._ended[:ended]
        self._outbox.wake()
        return True

    def _go_on_in_memory(self, reason: str) -> None:
        _log.error("alerts_not_stored", reason=reason, waiting=len(self._deliveries))
        self._outbox.offer(self._deliveries)
        # What was stored late is recognised by its id; beyond this much, only news is lost to it.
        _, deliveries, ended = self._carried if self._late is not None else (None, 0, 0)
        _trim(self._deliveries, under_way=deliveries)
        _trim(self._ended, under_way=ended)

    # --- people --------------------------------------------------------------------------------

    def view(self) -> AlertsView:
        """Show the present."""
        stored = self._stored is not None and self._late is None and not self._deliveries
        return AlertsView(
            at_us=self._clock.now_us(),
            book=self._book,
            signs=self._signs,
            plan=self._settings.plan,
            channels=self._outbox.channels,
            stored=stored,
            deciding=self._lease.held,
        )

    async def change(self, wish: Callable[[alerts.Book, alerts.AlertPlan], Changed[T]]) -> T:
        """Make a person's change on the newest book; once more if somebody else was faster."""
        async with self._order:
            for _ in range(2):
                if self._version is None or not self._lease.held:
                    await self._load()
                outcome, answer = wish(self._book, self._settings.plan)
                self._keep(outcome, self._view())
                if await self._save():
                    return answer
            raise VersionConflictError(
                "The alerts were changed by somebody else at the same moment.",
                todo="Look again, then repeat it.",
            )

    async def use(self, settings: AlertSettings) -> None:
        """Decide by other settings from now on."""
        async with self._order:
            self._settings = settings
        self._wake.set()

    def wake(self) -> None:
        """Look at once."""
        self._wake.set()


def _trim(waiting: list[T], *, under_way: int) -> None:
    """Let go of the oldest that are too many, but for those that a commit holds."""
    surplus = len(waiting) - max(MOST_UNSTORED, under_way)
    if surplus > 0:
        del waiting[under_way : under_way + surplus]


def _said(key: str, notice: Notice) -> alerts.Said:
    japanese = str(notice.data.get("text_ja") or notice.text)
    title = notice.title.replace("_", " ").capitalize()
    return alerts.Said(
        key=key,
        level=notice.level,
        title=Sentence(title, str(notice.data.get("title_ja") or title)),
        why=Sentence(notice.text, japanese),
        over=bool(notice.data.get("resolved")),
    )


def _over(incident: alerts.Incident) -> Ended:
    assert incident.ended_us is not None
    return Ended(
        number=incident.number,
        rule=incident.rule,
        system=incident.system,
        level=incident.level,
        raised_us=incident.raised_us,
        ended_us=incident.ended_us,
        document=alerts.incident_to_json(incident),
    )

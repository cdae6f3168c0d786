"""What could not be stored waits within bounds; what is stored late is told all the same."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from gateway.control.journal import MAX_WAITING, Journal
from gateway.errors import StoreUnavailableError
from gateway.ports import (
    Actor,
    AuditDraft,
    Committed,
    Event,
    EventDraft,
    MeasurementDraft,
    Transition,
)

ANN = Actor("ann")


class Disk:
    """A store that is full or hangs when a test says so, and numbers what it takes."""

    def __init__(self) -> None:
        self.full = False
        self.answers = asyncio.Event()
        self.answers.set()
        self.taken: list[Transition] = []
        self.events = 0

    async def commit(self, transition: Transition) -> Committed:
        """Take it, if there is room, when it answers."""
        await self.answers.wait()
        if self.full:
            raise StoreUnavailableError("disk full")
        self.taken.append(transition)
        told = []
        for draft in transition.events:
            self.events += 1
            told.append(Event(self.events, draft.at_us, draft.kind, draft.text, draft.data))
        return Committed(len(self.taken), events=tuple(told))


@pytest.fixture
def disk() -> Disk:
    """A disk with nothing wrong."""
    return Disk()


def journal_on(disk: Disk) -> Journal:
    """Give a journal with little patience."""
    store: Any = disk
    return Journal(store, version=0, patience_s=0.02)


def event(number: int) -> Transition:
    """Something to be told."""
    return Transition(0, events=(EventDraft(number, "breaker.changed", f"change {number}"),))


def step(number: int, kind: str = "rollback") -> Transition:
    """A step of the rollout, with its audit and its event."""
    return Transition(
        0,
        document={"number": number},
        audit=(AuditDraft(number, ANN, kind, {}, {}, "why"),),
        events=(EventDraft(number, f"rollout.{kind}", "moved"),),
    )


def transitions_in_memory() -> int:
    """Count them, whoever holds them."""
    gc.collect()
    return sum(isinstance(one, Transition) for one in gc.get_objects())


async def until_it_is_stored(journal: Journal) -> list[Event]:
    """Catch up, and give all that was told on the way."""
    told: list[Event] = []
    async with asyncio.timeout(10):
        while True:
            told += await journal.catch_up()
            if journal.writable:
                return told
            await asyncio.sleep(0.005)


async def test_a_full_disk_fills_no_memory(disk: Disk) -> None:
    """However long it lasts and often it is tried: of news so much, of steps all, one state."""
    journal = journal_on(disk)
    disk.full = True
    for number in range(3 * MAX_WAITING):
        await journal.record(event(number))
        if number % 1_000 == 0:
            await journal.record(step(number))
        if number % 10 == 0:
            await journal.catch_up()
    figure = MeasurementDraft(1, "cpu_ratio", 0.5)
    await journal.record(Transition(0, measurements=(figure,)))
    disk.full = False
    await until_it_is_stored(journal)
    [late] = disk.taken
    assert len(late.events) == MAX_WAITING
    assert late.measurements == (figure,), "one kind does not crowd out another"
    assert [draft.at_us for draft in late.audit] == [0, 1_000, 2_000]
    assert late.document == {"number": 2_000}


async def test_a_hanging_disk_fills_no_memory(disk: Disk) -> None:
    """What is only news is not even counted once there is too much of it."""
    journal, before = journal_on(disk), transitions_in_memory()
    disk.answers.clear()
    for number in range(3 * MAX_WAITING):
        await journal.record(event(number))
    await journal.record(step(7))
    assert transitions_in_memory() - before < 10
    disk.answers.set()
    await until_it_is_stored(journal)
    assert sum(len(one.events) for one in disk.taken) <= MAX_WAITING + 1
    assert disk.taken[-1].document == {"number": 7}


async def test_what_is_stored_late_is_told(disk: Disk) -> None:
    """A commit that was given up on and succeeds is heard of by those who follow events."""
    journal = journal_on(disk)
    disk.answers.clear()
    assert await journal.record(step(1)) == ()
    await journal.record(event(2))
    disk.answers.set()
    told = await until_it_is_stored(journal)
    assert [(one.seq, one.kind) for one in told] == [
        (1, "rollout.rollback"),
        (2, "breaker.changed"),
    ]


async def test_what_is_stored_late_is_told_with_the_next_step(disk: Disk) -> None:
    """The next order finds it stored: its own event comes after the late one."""
    journal = journal_on(disk)
    disk.answers.clear()
    await journal.record(step(1))
    disk.answers.set()
    await asyncio.sleep(0.05)
    told = await journal.must_record(step(2, "resume"), undo=Transition(0))
    assert [one.kind for one in told] == ["rollout.rollback", "rollout.resume"]


async def test_late_news_waits_for_a_step_that_could_not_be_stored(disk: Disk) -> None:
    """The order is refused, and what was found to be stored meanwhile is not lost with it."""
    journal = journal_on(disk)
    disk.answers.clear()
    await journal.record(step(1))
    disk.answers.set()
    await asyncio.sleep(0.05)
    disk.full = True
    with pytest.raises(StoreUnavailableError):
        await journal.must_record(step(2, "resume"), undo=Transition(0))
    disk.full = False
    told = await journal.record(event(3))
    assert [one.kind for one in told] == ["rollout.rollback", "breaker.changed"]


async def test_a_state_that_is_lost_on_its_way_is_not_put_on_a_newer_one(disk: Disk) -> None:
    """Another replica's state is in force meanwhile; what was written down stays."""
    journal = journal_on(disk)
    disk.answers.clear()
    await journal.record(step(1))
    journal.moved_to(5, put_on_top=None)
    disk.full = True
    disk.answers.set()
    await asyncio.sleep(0.05)
    disk.full = False
    await journal.catch_up()
    [stored] = disk.taken
    assert (stored.document, len(stored.audit)) == (None, 1)

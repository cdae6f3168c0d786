"""Roll-ups beside the controller: counted once, stored, unknown where nobody counted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gateway.adapters.rollup_store import SqliteRollups
from gateway.control.rollups import DAYS_KEPT, HOURS_KEPT, RollUps
from gateway.control.snapshots import Snapshots
from gateway.core.analysis import Inputs, Measurement, Metric, UserReport
from gateway.core.model import SECOND_US, Variant
from gateway.core.period import Timetable
from gateway.core.rollout import State, Status
from gateway.core.rollup import Bucket, Counted
from gateway.core.window import VariantSecond
from gateway.errors import StateUnreadableError, StoreUnavailableError
from gateway.link import Report
from gateway.ports import ControlView
from tests.support.plans import quick_plan

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 494_000
BEGAN_S = HOUR * 3600 + 3_000


class Clock:
    """Moved by hand."""

    second = BEGAN_S

    def now_us(self) -> int:
        """Now."""
        return self.second * SECOND_US

    wall_us = now_us


class Lease:
    """Held or not, as the test says."""

    held = True
    fencing_token = 1


class Breaking:
    """A store that fails while told to."""

    def __init__(self, store: SqliteRollups) -> None:
        self.store = store
        self.broken = self.full = False

    def __getattr__(self, name: str) -> Any:
        if (self.broken and name != "close") or (self.full and name == "put"):
            raise StoreUnavailableError("The disk is full.")
        return getattr(self.store, name)


class Room:
    """One process: a worker's seconds, a made-up state, a real store."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.lease = Clock(), Lease()
        self.store = Breaking(SqliteRollups(folder))
        self.state = State(version=1, status=Status.RUNNING, phase=0, write_bp=1000)  # type: ignore[arg-type]
        self.inputs = Inputs(now_us=self.clock.now_us())
        self.begin()

    def begin(self) -> None:
        """Make the parts anew, as a start does."""
        self.snapshots = Snapshots(workers=1)
        self.snapshots.worker_joined(1, self.clock.now_us())
        self.rollups = RollUps(
            self.store,  # type: ignore[arg-type]
            view=self.view,
            seconds=self.snapshots,
            clock=self.clock,
            lease=self.lease,
            timetable=Timetable(540),
        )

    def view(self) -> ControlView:
        """What the controller shows."""
        self.inputs = replace(self.inputs, now_us=self.clock.now_us())
        return ControlView(
            self.clock.now_us(), self.state, quick_plan(), None, (), self.inputs, None, (), (), ()
        )

    async def seconds(self, count: int, *, ok: int = 1, errors: int = 0) -> None:
        """Let time go by, with the same counts of old every second; look every ten seconds."""
        for _ in range(count):
            at = self.clock.second
            self.clock.second += 1
            counts = {"old": VariantSecond(ok=ok, errors=errors), "new": VariantSecond()}
            self.snapshots.report(Report(1, at, 1, counts, {}, {}), self.clock.now_us())
            if self.clock.second % 10 == 0:
                await self.rollups.look()

    async def hour(self, hour: int = HOUR) -> Bucket:
        """What is known of one hour."""
        found = await self.rollups.between(hour, hour + 1)
        return found[0] if found else Bucket(hour)


@pytest.fixture
async def room(tmp_path: Path) -> Any:
    """A process that looks."""
    made = Room(tmp_path)
    await made.rollups.look()
    yield made
    made.store.broken = made.store.full = False
    await made.store.close()


async def test_each_second_is_counted_once_into_its_hour(room: Room) -> None:
    """However often it is looked, and over the turn of the hour."""
    await room.seconds(610, ok=2, errors=1)
    await room.rollups.look()
    first, second = await room.hour(), await room.hour(HOUR + 1)
    assert (first.covered_s, first.of("old").ok, first.of("old").errors) == (600, 1_200, 600)
    assert (second.covered_s, second.of("old").ok) == (10, 20)


async def test_kill_loses_a_minute_at_most_and_the_time_away_is_unknown(room: Room) -> None:
    """What was stored is gone on with; nothing is counted twice, nothing made up."""
    await room.seconds(100)
    room.clock.second += 300  # killed: nothing is stored any more, nobody counts
    room.begin()
    await room.rollups.look()
    await room.seconds(50)
    bucket = await room.hour()
    assert 60 + 50 - 1 <= bucket.covered_s <= 150
    assert bucket.of("old").ok == bucket.covered_s


async def test_a_store_that_fails_delays_and_loses_nothing_of_the_counts(room: Room) -> None:
    """Twenty minutes without a disk, over the turn of the hour: the seconds are read back."""
    await room.seconds(300)
    room.store.broken = True
    await room.seconds(1_200)
    assert room.rollups.trouble == "The disk is full."
    with pytest.raises(StoreUnavailableError):
        await room.rollups.between(HOUR, HOUR + 2)
    room.store.broken = False
    await room.seconds(10)
    first, second = await room.hour(), await room.hour(HOUR + 1)
    assert (first.of("old").ok, second.of("old").ok) == (600, 910)
    assert room.rollups.trouble == ""


async def test_a_store_that_only_reads_fills_no_memory(room: Room) -> None:
    """After three days of a full disk two of them are kept, and the older hours are unknown."""
    room.store.full = True
    for _ in range(72):
        room.clock.second += 3_600
        await room.rollups.look()
    assert len(room.rollups._open) == 48
    room.store.full = False
    await room.rollups.look()
    found = [one.hour for one in await room.store.between(HOUR, HOUR + 100)]
    assert found == [HOUR, *range(HOUR + 25, HOUR + 73)], "the first was stored in time"


async def test_only_the_holder_of_the_lease_counts(room: Room) -> None:
    """Another one's time is not ours; what we counted before is stored."""
    await room.seconds(95)
    room.lease.held = False
    await room.rollups.look()
    await room.seconds(205)
    assert (await room.store.between(HOUR, HOUR + 1))[0].covered_s == 95
    room.lease.held = True
    await room.rollups.look()
    await room.seconds(30)
    assert (await room.hour()).covered_s == 125


async def test_levels_and_events_are_counted_when_they_are_new(room: Room) -> None:
    """A figure that is looked at twice is one look; a rollback, decision, report is one event."""
    await room.seconds(10)
    now_us = room.clock.now_us()
    cpu = Measurement(Metric.CPU_RATIO, 0.4, now_us)
    api = Measurement(Metric.API_USAGE_RATIO, 0.7, now_us, system=Variant.CANARY)
    agreed = Measurement(Metric.MATCH_RATIO, 0.98, now_us, system=Variant.CANARY, sample=900)
    room.inputs = replace(room.inputs, measurements=(cpu, api, agreed))
    await room.rollups.look()
    room.state = replace(room.state, rollbacks=1, next_decision=3, status=Status.ROLLED_BACK)
    reports = (UserReport(now_us + 5, serious=True), UserReport(now_us + 9, serious=False))
    room.inputs = replace(room.inputs, reports=reports)
    await room.rollups.look()
    room.state = replace(room.state, rollbacks=0)  # another rollout
    await room.rollups.look()
    room.state = replace(room.state, rollbacks=1)
    await room.rollups.look()
    bucket = await room.hour()
    assert {name: one.looks for name, one in bucket.levels.items()} == {
        "cpu_ratio": 1, "api_usage_ratio:new": 1,
    }  # fmt: skip
    assert bucket.happened == {
        "rollbacks": 2, "decisions": 2, "user_reports": 2, "serious_user_reports": 1,
    }  # fmt: skip
    assert bucket.standing is not None
    assert (bucket.standing.status, bucket.standing.match_ratio) == ("rolled_back", 0.98)


async def test_old_hours_become_days_and_old_days_go(room: Room) -> None:
    """35 days by the hour, two years by the day; counts stay the same."""
    ancient = HOUR - (DAYS_KEPT + 5) * 24
    old = [HOUR - HOURS_KEPT - 48 + n for n in range(48)]
    await room.store.put(
        [Bucket(n, covered_s=3600, systems={"old": Counted(ok=1)}) for n in [ancient, *old]]
    )
    await room.seconds(700)  # the next hour begins
    found = await room.store.between(0, HOUR - 24)
    assert sum(one.of("old").ok for one in found) == 48
    days = [one for one in found if one.hours == 24]
    assert days
    assert all((one.hour + 9) % 24 == 0 for one in days)
    assert all(one.hour >= HOUR - HOURS_KEPT - 24 for one in found if one.hours == 1)


async def test_the_rest_is_stored_at_the_end(room: Room, tmp_path: Path) -> None:
    """A stop that was asked for loses nothing; a file of another program is left alone."""
    await room.seconds(25)
    await room.rollups.close()
    again = SqliteRollups(tmp_path)
    assert (await again.between(HOUR, HOUR + 1))[0].covered_s == 25
    await again.told("daily", 7)
    await again.told("daily", 5)
    assert (await again.last_told("daily"), await again.last_told("weekly")) == (7, None)
    await again.close()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "reports.sqlite3").write_bytes(b"no database at all" * 100)
    with pytest.raises(StateUnreadableError, match="cannot be read"):
        SqliteRollups(tmp_path / "other")
    room.store.store = SqliteRollups(tmp_path)

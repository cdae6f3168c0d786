"""Summaries of days and weeks: told once, late if need be, never of an unknown time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.adapters.alert_store import SqliteAlertStore
from gateway.adapters.rollup_store import SqliteRollups
from gateway.control.reporting import Audience, Reporting
from gateway.control.telling import messages
from gateway.core import alerts, histogram
from gateway.core.model import SECOND_US
from gateway.core.period import Timetable
from gateway.core.rollout import State
from gateway.core.rollup import Bucket, Counted, Level, Standing
from gateway.errors import StoreUnavailableError
from gateway.ports.alerts import AlertSettings
from tests.support.alerts import plan
from tests.support.plans import quick_plan
from tests.support.told import shipped

if TYPE_CHECKING:
    from pathlib import Path

TABLE = Timetable(540, daily_at_min=9 * 60, weekly_at_min=9 * 60, weekly_day=0)


def hour(day: int, of_day: int = 0) -> int:
    """An hour of a local day in Tokyo."""
    return day * 24 + of_day - 9


class Clock:
    """Moved by hand."""

    hour = 0

    def now_us(self) -> int:
        """Now."""
        return self.hour * 3600 * SECOND_US

    wall_us = now_us


class Lease:
    """Held or not."""

    held = True
    fencing_token = 1


class Teller:
    """Remembers what it was to tell; a crash loses what comes after."""

    def __init__(self) -> None:
        self.told: list[alerts.Tell] = []
        self.trouble: Exception | None = None

    async def change(self, wish: Any) -> Any:
        """Take it, as the real one does."""
        if self.trouble:
            raise self.trouble
        outcome, answer = wish(alerts.Book(), plan())
        assert outcome.book.news == 1
        self.told += outcome.tells
        return answer


class Room:
    """Reporting over a real store."""

    def __init__(self, folder: Path) -> None:
        self.store, self.kept = SqliteRollups(folder), SqliteAlertStore(folder)
        self.clock, self.lease, self.teller = Clock(), Lease(), Teller()
        self.timetable = TABLE
        self.reporting = Reporting(
            self,
            self.store,
            alerts_kept=self.kept,
            teller=self.teller,
            audience=Audience(("slack-low", "email-team"), ("ja", "en")),
            clock=self.clock,
            lease=self.lease,
        )

    async def between(self, from_hour: int, to_hour: int) -> list[Bucket]:
        """Read the store."""
        return await self.store.between(from_hour, to_hour)

    async def fill(self, *days: int) -> None:
        """Have something counted at noon of these days."""
        counted = Counted(
            ok=99, errors=1, syncs=1, listings=400,
            latency=((histogram.bucket_of(80_000), 99),), pace=((histogram.bucket_of(9_000), 1),),
        )  # fmt: skip
        await self.store.put(
            [
                Bucket(
                    hour(day, 12), covered_s=1_800, systems={"old": counted},
                    levels={"cpu_ratio": Level(1, 0.5, 0.7)}, happened={"user_reports": 2},
                    standing=Standing(hour(day, 12) * 3600 * SECOND_US, "running", "small", 10.0),
                )
                for day in days
            ]
        )  # fmt: skip

    async def at(self, day: int, of_day: int) -> list[str]:
        """Look at that hour; what was told now."""
        before = len(self.teller.told)
        self.clock.hour = hour(day, of_day)
        await self.reporting.look()
        return [one.title.en for one in self.teller.told[before:]]


@pytest.fixture
async def room(tmp_path: Path) -> Any:
    """Reporting with nothing told yet."""
    made = Room(tmp_path)
    yield made
    await made.store.close()
    await made.kept.close()


def monday() -> int:
    """A day since the epoch that is a Monday."""
    return 4 + 7 * 2_900


async def test_a_day_is_told_at_its_time_and_once(room: Room) -> None:
    """Not a minute early, not again at the next look, and the next day the next."""
    tuesday = monday() + 1
    await room.fill(tuesday, tuesday + 1)
    assert await room.at(tuesday + 1, 8) == []
    assert len(await room.at(tuesday + 1, 9)) == 1
    assert await room.at(tuesday + 1, 10) == []
    assert len(await room.at(tuesday + 2, 9)) == 1
    assert len({one.id for one in room.teller.told}) == 2


async def test_a_week_is_told_on_its_day_with_the_day_before(room: Room) -> None:
    """On Monday: Sunday and the seven days that end with it."""
    await room.fill(monday() - 1)
    titles = await room.at(monday(), 9)
    assert [title.split()[0] for title in titles] == ["Daily", "Weekly"]
    assert room.teller.told[1].todo.startswith("syncgate report weekly --at ")


async def test_what_was_missed_is_told_late_and_what_is_unknown_never(room: Room) -> None:
    """Down for three days: that of the day it went down is told when it is back, no other."""
    tuesday = monday() + 1
    await room.fill(tuesday, tuesday + 1)
    assert len(await room.at(tuesday + 1, 9)) == 1
    late = await room.at(tuesday + 5, 3)
    assert len(late) == 1
    assert room.teller.told[-1].id == f"report-daily-{hour(tuesday + 2)}"
    assert await room.at(tuesday + 5, 23) == []


async def test_who_never_told_tells_the_newest_only(room: Room) -> None:
    """Switched on after a month: no flood of old summaries."""
    tuesday = monday() + 1
    await room.fill(*range(tuesday - 1, tuesday + 4))
    assert len(await room.at(tuesday + 4, 12)) == 1


async def test_a_crash_between_telling_and_remembering_repeats_the_same_id(room: Room) -> None:
    """Whoever receives it can tell that it is the same; a store in trouble is tried again."""
    tuesday = monday() + 1
    await room.fill(tuesday)
    room.teller.trouble = StoreUnavailableError("full")
    assert await room.at(tuesday + 1, 9) == []
    room.teller.trouble = None
    remember, room.store.told = room.store.told, _crash  # type: ignore[method-assign]
    assert len(await room.at(tuesday + 1, 10)) == 1
    room.store.told = remember  # type: ignore[method-assign]
    assert len(await room.at(tuesday + 1, 11)) == 1
    first, second = room.teller.told
    assert first.id == second.id


async def _crash(*_: object) -> None:
    raise StoreUnavailableError("killed")


async def test_only_the_holder_of_the_lease_tells(room: Room) -> None:
    """Every replica would, otherwise."""
    tuesday = monday() + 1
    await room.fill(tuesday)
    room.lease.held = False
    assert await room.at(tuesday + 1, 9) == []


async def test_the_message_says_the_figures_in_both_languages(room: Room) -> None:
    """Through the shipped templates: figures, how much is known, the command; no false zero."""
    tuesday = monday() + 1
    await room.fill(tuesday)
    await room.at(tuesday + 1, 9)
    settings = AlertSettings(plan(), {}, 3_600)
    made = [
        shipped().render(one)
        for one in messages(
            room.teller.told[0], settings, usable=("slack-low", "email-team"), state=State(),
            plan=quick_plan(), link=None,
        )
    ]  # fmt: skip
    assert len(made) == 4
    japanese, english = made[0], made[1]
    assert japanese.title.startswith("日次レポート 2025-08-05")
    assert english.title == "Daily report 2025-08-05"
    assert "成功率: old 99.00 %" in japanese.text
    for part in (
        "Success: old 99.00 % / new -", "Requests: old 100 / new 0", "Highest use: CPU 70 %",
        "Alerts: 0", "User reports: 2", "small, 10 %", "know 2 % of the time",
        "syncgate report daily --at 2025-08-05",
    ):  # fmt: skip
        assert part in english.text, english.text
    assert "Match rate" not in english.text

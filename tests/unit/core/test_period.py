"""Days, weeks and the minute a report is due: whole hours in any place's time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from gateway.core.period import Kind, Period, Timetable, calendar, due, latest, local_day

TOKYO = 540


def hour(text: str) -> int:
    """Hours since the epoch of an instant in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) // 3600


def micros(text: str) -> int:
    """Microseconds since the epoch of an instant in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def day(text: str) -> int:
    """Days since the epoch."""
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


def test_the_latest_ends_with_the_hour_under_way() -> None:
    """At 05:30 the last day began at 06:00 yesterday; the one before it ends there."""
    found = latest(Kind.DAILY, micros("2026-11-21T05:30"))
    assert found == Period(Kind.DAILY, hour("2026-11-20T06:00"), hour("2026-11-21T06:00"))
    assert found.before == Period(Kind.DAILY, hour("2026-11-19T06:00"), hour("2026-11-20T06:00"))
    week = latest(Kind.WEEKLY, micros("2026-11-21T06:00"))
    assert (week.from_hour, week.to_hour) == (hour("2026-11-14T07:00"), hour("2026-11-21T07:00"))


def test_a_day_and_a_week_of_the_calendar_are_those_of_the_place() -> None:
    """In Tokyo the 18th began at 15:00 UTC of the 17th, its week on Monday the 16th."""
    tokyo = calendar(Kind.DAILY, day("2026-11-18"), TOKYO)
    assert (tokyo.from_hour, tokyo.to_hour) == (hour("2026-11-17T15:00"), hour("2026-11-18T15:00"))
    for named in ("2026-11-16", "2026-11-18", "2026-11-22"):
        week = calendar(Kind.WEEKLY, day(named), TOKYO)
        assert week.from_hour == hour("2026-11-15T15:00")


@pytest.mark.parametrize("offset_min", [-720, -210, 0, 330, 540, 840])
def test_every_hour_is_of_exactly_one_day(offset_min: int) -> None:
    """Also where the offset is no whole hour: no hour twice, none lost."""
    for each in range(494_000, 494_100):
        of = calendar(Kind.DAILY, local_day(each, offset_min), offset_min)
        assert of.from_hour <= each < of.to_hour


def test_the_day_before_is_due_at_its_minute_and_not_earlier() -> None:
    """At 08:59 in Tokyo the newest is of the day before yesterday, at 09:00 of yesterday."""
    table = Timetable(TOKYO, daily_at_min=9 * 60)
    at_nine = micros("2026-11-21T00:00")
    yesterday = calendar(Kind.DAILY, day("2026-11-20"), TOKYO)
    assert due(Kind.DAILY, table, at_nine)[0] == yesterday
    assert due(Kind.DAILY, table, at_nine - 1)[0] == yesterday.before
    assert due(Kind.DAILY, table, at_nine)[1] == yesterday.before
    assert due(Kind.WEEKLY, table, at_nine) == ()


@pytest.mark.parametrize("weekday", range(7))
def test_a_week_is_due_on_its_day(weekday: int) -> None:
    """The seven days until the chosen day began, from that day's minute on for a week."""
    table = Timetable(TOKYO, weekly_at_min=600, weekly_day=weekday)
    monday = datetime(2026, 11, 16, 1, 0, tzinfo=UTC)  # 10:00 in Tokyo
    chosen = monday + timedelta(days=weekday)
    end = hour((chosen.date() - timedelta(days=1)).isoformat() + "T15:00")
    at_us = int(chosen.timestamp()) * 1_000_000
    assert due(Kind.WEEKLY, table, at_us)[0] == Period(Kind.WEEKLY, end - 168, end)
    assert due(Kind.WEEKLY, table, at_us + 6 * 86_400 * 1_000_000)[0].to_hour == end
    assert due(Kind.WEEKLY, table, at_us - 1)[0].to_hour == end - 168

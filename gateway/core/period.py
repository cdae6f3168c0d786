"""
The spans that reports are of, and when a report of one is due: whole hours, plain arithmetic.

Hours are counted since the epoch. A place has one offset from UTC, without summer time; where that
is no whole hour, a day begins with the hour in which its midnight lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.core.model import EPOCH_WEEKDAY, SECOND_US

DAY_H: Final = 24
WEEK_H: Final = 7 * DAY_H
_MINUTE_US: Final = 60 * SECOND_US
_DAY_MIN: Final = 24 * 60
_LOOKED_BACK: Final = {"daily": 7, "weekly": 2}


class Kind(StrEnum):
    """How long a report's span is."""

    DAILY = "daily"
    WEEKLY = "weekly"

    @property
    def hours(self) -> int:
        """Its length."""
        return DAY_H if self is Kind.DAILY else WEEK_H


@dataclass(frozen=True, slots=True)
class Period:
    """Whole hours, `to_hour` exclusive."""

    kind: Kind
    from_hour: int
    to_hour: int

    @property
    def before(self) -> Period:
        """The one of the same length just before."""
        return Period(self.kind, self.from_hour - self.kind.hours, self.from_hour)


@dataclass(frozen=True, slots=True)
class Timetable:
    """When reports are told: minutes of the local day; None: never."""

    offset_min: int = 0
    daily_at_min: int | None = None
    weekly_at_min: int | None = None
    weekly_day: int = 0
    """0 is Monday; the report is of the seven days until that day begins."""


def latest(kind: Kind, now_us: int) -> Period:
    """Give the hours that end with the one now under way."""
    end = now_us // (60 * _MINUTE_US) + 1
    return Period(kind, end - kind.hours, end)


def calendar(kind: Kind, day: int, offset_min: int) -> Period:
    """Give the local day (counted since 1970-01-01), or the week from Monday that holds it."""
    if kind is Kind.WEEKLY:
        day -= (day + EPOCH_WEEKDAY) % 7
    begin = _midnight(day, offset_min)
    return Period(kind, begin, begin + kind.hours)


def local_day(hour: int, offset_min: int) -> int:
    """Say which local day an hour is of, with days beginning where `calendar` begins them."""
    return (hour * 60 + offset_min + (-offset_min) % 60) // _DAY_MIN


def due(kind: Kind, table: Timetable, now_us: int) -> tuple[Period, ...]:
    """List the periods whose report should have been told by now, newest first, a few back."""
    at_min = table.daily_at_min if kind is Kind.DAILY else table.weekly_at_min
    if at_min is None:
        return ()
    local_min = now_us // _MINUTE_US + table.offset_min
    day = (local_min - at_min) // _DAY_MIN  # the newest day on which that time has come
    if kind is Kind.WEEKLY:
        day -= (day + EPOCH_WEEKDAY - table.weekly_day) % 7
    step = kind.hours // DAY_H
    ends = (_midnight(day - back * step, table.offset_min) for back in range(_LOOKED_BACK[kind]))
    return tuple(Period(kind, end - kind.hours, end) for end in ends)


def _midnight(day: int, offset_min: int) -> int:
    """Find the hour in which a local day begins."""
    return (day * _DAY_MIN - offset_min) // 60

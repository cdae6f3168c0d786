"""
Reports of a day and of a week, against the one before: shapes, and how they are made.

Counts come from the roll-ups, alerts and decisions from their own stores. A figure of which nothing
is known is null; how much of the time is known stands beside the figures, and so does what is not.
"""

from __future__ import annotations

import asyncio
import re
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.admin.models import Output, Sentence, System
from gateway.admin.reported import (
    AlertsReported,
    Compared,
    DecisionsReported,
    DifferencesReported,
    UserReportsReported,
    alerts_reported,
    compared,
    decisions_reported,
    differences_reported,
    user_reports_reported,
)
from gateway.admin.view import instant
from gateway.core import period as periods
from gateway.core import rollup
from gateway.core.model import SECOND_US, Variant
from gateway.core.rollup import HOUR_S, HOUR_US

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.core.period import Kind, Period
    from gateway.core.rollup import Bucket, Counted, Standing
    from gateway.ports import Clock, Control
    from gateway.ports.alerts import AlertDesk
    from gateway.ports.reports import Rollups

_FIRST_DAY: Final = date(1970, 1, 1)
_WRITTEN: Final = re.compile(r"^20[0-9]{2}-[0-9]{2}-[0-9]{2}$")
_LEAST_SHOWN: Final = 0.001
_RESOURCES: Final = ("cpu", "memory", "disk", "network", "database_load", "api_usage")


def _day(written: object) -> object:
    """Take only a day as it is written, not what else might be meant by one."""
    if isinstance(written, str) and not _WRITTEN.fullmatch(written):
        raise ValueError("a day such as 2026-11-20")
    return written


_AS_WRITTEN: Final = Field(json_schema_extra={"pattern": _WRITTEN.pattern})


class ReportAsked(BaseModel):
    """Which report."""

    model_config = ConfigDict(extra="forbid")

    at: Annotated[date, BeforeValidator(_day), _AS_WRITTEN] | None = Field(
        default=None,
        description="The day, or the week from Monday that holds it; without: the latest hours.",
    )
    lang: Literal["ja", "en"] | None = Field(
        default=None, description="The language of the page; without: that of Accept-Language."
    )


class SystemReport(Output):
    """What one system did; `system` null: both together."""

    system: System | None
    requests: Compared
    errors: Compared
    error_ratio: Compared
    """Errors among the judged requests: all but those answered 4xx."""
    success_ratio: Compared
    rejected: Compared
    latency_p50_ms: Compared
    latency_p95_ms: Compared
    latency_p99_ms: Compared
    syncs: Compared
    """Those that went well."""
    listings_synced: Compared
    sync_seconds_per_1000: Compared
    """The median of the syncs."""
    sync_seconds_per_1000_p95: Compared


class ResourceReport(Output):
    """How much of something was in use, 0 to 1."""

    name: str
    system: System | None
    average: Compared
    most: Compared


class Stood(Output):
    """Where the rollout stood, as it was seen last in the period."""

    at: datetime
    status: str
    phase: str | None
    weight_percent: float


class RolloutReport(Output):
    """Where the rollout stands and what happened to it."""

    at_end: Stood | None
    """Null: it is not known."""
    at_end_before: Stood | None
    rollbacks: Compared


class Gap(Output):
    """Whole hours of which nothing is known: no gateway counted, or nothing was stored."""

    since: datetime
    until: datetime


class Known(Output):
    """How much of the time the figures know of; the rest is unknown, not idle."""

    ratio: float
    """Of the hours that are over or under way."""
    ratio_before: float
    unknown_hours: int
    """Whole hours without any figure, in the period."""
    gaps: list[Gap]
    sentence: Sentence


class Report(Output):
    """A day or a week, against the one before."""

    kind: Literal["daily", "weekly"]
    at: datetime
    """When it was made."""
    since: datetime
    until: datetime
    """The end of the period; what lies after `at` has not happened yet."""
    utc_offset_minutes: int
    """Where days begin at midnight."""
    known: Known
    total: SystemReport
    systems: list[SystemReport]
    resources: list[ResourceReport]
    rollout: RolloutReport
    match_rate: Compared
    """How far the systems agreed at the end, by all that had been compared until then."""
    alerts: AlertsReported
    decisions: DecisionsReported
    differences: DifferencesReported | None
    """What differs now; null: the report is of the past."""
    user_reports: UserReportsReported


class Reporter:
    """Makes reports."""

    def __init__(self, control: Control, clock: Clock, desk: AlertDesk, rollups: Rollups) -> None:
        self._control = control
        self._clock = clock
        self._desk = desk
        self._rollups = rollups

    async def make(self, kind: Kind, at: date | None) -> Report:
        """Report on the latest hours, or on the calendar's day or week."""
        now_us = self._clock.now_us()
        offset_min = self._rollups.timetable.offset_min
        if at is None:
            span = periods.latest(kind, now_us)
        else:
            span = periods.calendar(kind, (at - _FIRST_DAY).days, offset_min)
        buckets = await self._rollups.between(span.before.from_hour, span.to_hour)
        now = [one for one in buckets if one.hour >= span.from_hour]
        before = [one for one in buckets if one.hour < span.from_hour]
        # Adding up a week takes its while; the rollout's own steps go on meanwhile.
        both = _Both(
            await asyncio.to_thread(_merged, span, now),
            await asyncio.to_thread(_merged, span.before, before),
        )
        since_us, before_us = span.from_hour * HOUR_US, span.before.from_hour * HOUR_US
        until_us = span.to_hour * HOUR_US
        return Report(
            kind=kind.value,
            at=instant(now_us),
            since=instant(since_us),
            until=instant(until_us),
            utc_offset_minutes=offset_min,
            known=_known(span, now, both, now_us),
            total=_system(None, both),
            systems=[_system(System(variant.value), both) for variant in Variant],
            resources=list(_resources(both)),
            rollout=RolloutReport(
                at_end=_stood(both.now.standing),
                at_end_before=_stood(both.before.standing),
                rollbacks=both.happened("rollbacks"),
            ),
            match_rate=both.of(lambda one: one.standing.match_ratio if one.standing else None),
            alerts=await alerts_reported(self._desk, before_us, since_us, until_us),
            decisions=await decisions_reported(
                self._control.store, since_us, until_us, both.happened("decisions")
            ),
            differences=differences_reported(self._control.comparison.view())
            if since_us <= now_us < until_us
            else None,
            user_reports=await user_reports_reported(
                self._control.store,
                (before_us, since_us, until_us),
                (both.happened("user_reports"), both.happened("serious_user_reports")),
            ),
        )


class _Both:
    """The period and the one before; of hours that nobody knows every figure is None."""

    def __init__(self, now: Bucket, before: Bucket) -> None:
        self.now = now
        self.before = before

    def of(self, figure: Callable[[Bucket], float | None]) -> Compared:
        """Read one figure of both."""
        return compared(figure(self.now), figure(self.before))

    def happened(self, name: str) -> Compared:
        """Say how often something happened, where anybody was there to see it."""
        return self.of(lambda one: one.happened.get(name, 0) if _seen(one) else None)


def _seen(bucket: Bucket) -> bool:
    return bucket.covered_s > 0 or bucket.standing is not None


def _merged(span: Period, buckets: list[Bucket]) -> Bucket:
    return rollup.merged(buckets, hour=span.from_hour, hours=span.kind.hours)


def _system(system: System | None, both: _Both) -> SystemReport:
    def one(bucket: Bucket) -> Counted:
        names = [system.value] if system else [variant.value for variant in Variant]
        return rollup.counted(bucket.of(name) for name in names)

    pair = one(both.now), one(both.before)
    seen = both.now.covered_s > 0, both.before.covered_s > 0

    def figure(read: Callable[[Counted], float | None]) -> Compared:
        now, before = (
            read(this) if known else None for this, known in zip(pair, seen, strict=True)
        )
        return compared(now, before)

    return SystemReport(
        system=system,
        requests=figure(lambda this: this.requests),
        errors=figure(lambda this: this.errors),
        error_ratio=figure(lambda this: this.error_ratio),
        success_ratio=figure(
            lambda this: None if this.error_ratio is None else 1 - this.error_ratio
        ),
        rejected=figure(lambda this: this.rejected),
        latency_p50_ms=figure(lambda this: this.latency_ms(0.5)),
        latency_p95_ms=figure(lambda this: this.latency_ms(0.95)),
        latency_p99_ms=figure(lambda this: this.latency_ms(0.99)),
        syncs=figure(lambda this: this.syncs),
        listings_synced=figure(lambda this: this.listings),
        sync_seconds_per_1000=figure(lambda this: this.pace_s(0.5)),
        sync_seconds_per_1000_p95=figure(lambda this: this.pace_s(0.95)),
    )


def _resources(both: _Both) -> list[ResourceReport]:
    names = sorted({*both.now.levels, *both.before.levels})
    order = {f"{name}_ratio": place for place, name in enumerate(_RESOURCES)}
    names.sort(key=lambda name: order.get(name.partition(":")[0], len(order)))
    found = []
    for name in names:
        metric, _, system = name.partition(":")
        now, before = both.now.levels.get(name), both.before.levels.get(name)
        found.append(
            ResourceReport(
                name=metric,
                system=System(system) if system else None,
                average=compared(now.average if now else None, before.average if before else None),
                most=compared(now.most if now else None, before.most if before else None),
            )
        )
    return found


def _stood(standing: Standing | None) -> Stood | None:
    if standing is None:
        return None
    return Stood(
        at=instant(standing.at_us),
        status=standing.status,
        phase=standing.phase,
        weight_percent=standing.weight_percent,
    )


def _known(span: Period, buckets: list[Bucket], both: _Both, now_us: int) -> Known:
    """Say how much of the time that has passed is known."""
    begun = min(span.to_hour, now_us // HOUR_US + 1)
    missing = rollup.gaps(buckets, from_hour=span.from_hour, to_hour=max(begun, span.from_hour))
    hours = sum(to - since for since, to in missing)
    passed_s = min(span.to_hour * HOUR_S, now_us // SECOND_US) - span.from_hour * HOUR_S
    ratio = min(1.0, both.now.covered_s / passed_s) if passed_s > 0 else 0.0
    return Known(
        ratio=ratio,
        ratio_before=min(1.0, both.before.covered_s / (span.kind.hours * HOUR_S)),
        unknown_hours=hours,
        gaps=[Gap(since=instant(a * HOUR_US), until=instant(b * HOUR_US)) for a, b in missing],
        sentence=_said(ratio, hours),
    )


def _said(ratio: float, hours: int) -> Sentence:
    if not ratio:
        return Sentence(
            en="Nothing is known of this time: no gateway counted.",
            ja="この期間の記録はありません(ゲートウェイが計測していません)。",
        )
    share = f"{int(ratio * 1000) / 10:g} %" if ratio >= _LEAST_SHOWN else "< 0.1 %"
    if hours:
        return Sentence(
            en=f"The figures know {share} of the time; {hours} whole hours are unknown, not idle.",
            ja=f"記録があるのは期間の {share} です。{hours} 時間分は不明です(ゼロではありません)。",
        )
    return Sentence(
        en=f"The figures know {share} of the time.", ja=f"記録があるのは期間の {share} です。"
    )

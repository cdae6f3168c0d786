"""
Summaries of a day and of a week, told once through the channels of alerts.

What was told is remembered durably, so a summary that was due while the gateway was down is told
when it is back, with its date; one whose message was stored but not yet remembered carries the same
id again, and is recognised by it. Of a period of which nothing is known nothing is told. Only the
holder of the lease tells.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import structlog

from gateway.core import alerts, rollup
from gateway.core.analysis import Sentence, Severity
from gateway.core.model import Variant
from gateway.core.period import Kind, due
from gateway.core.rollup import HOUR_US
from gateway.errors import SyncgateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.core.analysis.sentences import Figure
    from gateway.core.period import Period
    from gateway.core.rollup import Bucket, Counted
    from gateway.ports import Clock, Lease
    from gateway.ports.alerts import AlertStore
    from gateway.ports.reports import Rollups, RollupStore

EVERY_S: Final = 60.0
_MOST_ALERTS: Final = 10_000
_TITLES: Final = {
    Kind.DAILY: ("Daily report", "日次レポート"),
    Kind.WEEKLY: ("Weekly report", "週次レポート"),
}
_DASH: Final = "-"

T = TypeVar("T")

_log = structlog.get_logger("reporting")


class Teller(Protocol):
    """Who tells: `alerting.Alerting`, as far as it is needed here."""

    async def change(
        self,
        wish: Callable[[alerts.Book, alerts.AlertPlan], tuple[alerts.Outcome, T]],
    ) -> T:
        """Store what follows from a wish, and tell it."""
        ...


@dataclass(frozen=True, slots=True)
class Audience:
    """Who is told, in which languages."""

    channels: tuple[str, ...]
    languages: tuple[str, ...]


class Reporting:
    """Tells what is due."""

    def __init__(
        self,
        rollups: Rollups,
        store: RollupStore,
        *,
        alerts_kept: AlertStore,
        teller: Teller,
        audience: Audience,
        clock: Clock,
        lease: Lease,
    ) -> None:
        self._rollups = rollups
        self._store = store
        self._alerts = alerts_kept
        self._teller = teller
        self._audience = audience
        self._clock = clock
        self._lease = lease

    async def run(self) -> None:
        """Look once a minute."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Tell what is due and was not told; what cannot be now is tried again."""
        if not self._lease.held or not self._audience.channels:
            return
        try:
            for kind in Kind:
                await self._tell_due(kind)
        except SyncgateError as error:
            _log.warning("report_not_told", reason=error.message)

    async def _tell_due(self, kind: Kind) -> None:
        waiting = due(kind, self._rollups.timetable, self._clock.now_us())
        last = await self._store.last_told(kind.value)
        # Who never told any tells the newest, not all that could have been told before.
        missed = waiting[:1] if last is None else [one for one in waiting if one.to_hour > last]
        for span in reversed(missed):
            buckets = await self._rollups.between(span.before.from_hour, span.to_hour)
            now = [one for one in buckets if one.hour >= span.from_hour]
            if not any(one.covered_s for one in now):
                continue
            before = [one for one in buckets if one.hour < span.from_hour]
            raised = await self._raised(span)
            figures = await asyncio.to_thread(summary, span, now, before, raised)
            tell = self._tell(span, figures)
            await self._teller.change(
                lambda book, _, tell=tell: (  # type: ignore[misc] # it is called at once
                    alerts.Outcome(replace(book, news=book.news + 1), (tell,)),
                    None,
                )
            )
            await self._store.told(kind.value, span.to_hour)
            _log.info("report_told", kind=kind.value, until_hour=span.to_hour)

    async def _raised(self, span: Period) -> int:
        since_us, until_us = span.from_hour * HOUR_US, span.to_hour * HOUR_US
        over = await self._alerts.ended(since_us=since_us, limit=_MOST_ALERTS)
        stored = await self._alerts.load()
        open_us = [
            one.raised_us
            for one in (alerts.book_from_json(dict(stored.document)).open if stored else ())
        ]
        times = [*open_us, *(one.raised_us for one in over)]
        return sum(since_us <= at_us < until_us for at_us in times)

    def _tell(self, span: Period, figures: dict[str, Figure]) -> alerts.Tell:
        named = self._span(span)
        title, title_ja = (f"{text} {named}" for text in _TITLES[span.kind])
        known, known_before = figures.pop("known"), figures.pop("known_before")
        return alerts.Tell(
            id=f"report-{span.kind.value}-{span.to_hour}",
            incident=None,
            stage=alerts.Stage.TOLD,
            level=Severity.LOW,
            channels=self._audience.channels,
            languages=self._audience.languages,
            names=(),
            message="report",
            title=Sentence(title, title_ja),
            why=Sentence(
                f"The figures know {known} of the time, of the period before {known_before}.",
                f"記録があるのは期間の {known}、前の期間は {known_before} です。",
            ),
            at_us=self._clock.now_us(),
            figures=(*figures.items(), ("period", named)),
            todo=f"syncgate report {span.kind.value} --at {self._day(span)}",
        )

    def _local(self, hour: int) -> datetime:
        offset = timedelta(minutes=self._rollups.timetable.offset_min)
        return datetime.fromtimestamp(hour * 3600, UTC) + offset

    def _day(self, span: Period) -> str:
        return f"{self._local(span.from_hour) + timedelta(hours=1):%Y-%m-%d}"

    def _span(self, span: Period) -> str:
        last = self._local(span.to_hour - 1)
        since = self._day(span)
        return since if span.kind is Kind.DAILY else f"{since} - {last:%m-%d}"


def summary(
    span: Period, now: list[Bucket], before: list[Bucket], raised: int
) -> dict[str, Figure]:
    """Say the most important figures of a period in few words, with those of the one before."""
    this = rollup.merged(now, hour=span.from_hour, hours=span.kind.hours)
    last = rollup.merged(before, hour=span.before.from_hour, hours=span.kind.hours)
    figures: dict[str, Figure] = {
        "known": _known(this),
        "known_before": _known(last),
        "alerts": f"{raised:,}",
    }
    for name, show in _LINES:
        if shown := show(this):
            was = show(last)
            figures[name] = f"{shown} ({was})" if was else shown
    return figures


def _known(bucket: Bucket) -> str:
    share = bucket.covered_s / (bucket.hours * rollup.HOUR_S)
    return f"{int(min(1.0, share) * 1000) / 10:g} %"


def _each(read: Callable[[Counted], str | None]) -> Callable[[Bucket], str | None]:
    """Show a figure of both systems; None when there is none of either."""

    def show(bucket: Bucket) -> str | None:
        if not bucket.covered_s:
            return None
        found = {one.value: read(bucket.of(one.value)) for one in Variant}
        if not any(found.values()):
            return None
        return " / ".join(f"{name} {text or _DASH}" for name, text in found.items())

    return show


def _ratio(value: float | None) -> str | None:
    return None if value is None else f"{value * 100:.2f} %"


def _success(one: Counted) -> str | None:
    return None if one.error_ratio is None else _ratio(1 - one.error_ratio)


def _time(one: Counted) -> str | None:
    found = one.latency_ms(0.95)
    return None if found is None else f"{found:,.0f} ms"


def _pace(one: Counted) -> str | None:
    found = one.pace_s(0.5)
    return None if found is None else f"{found:.2f} s"


def _loads(bucket: Bucket) -> str | None:
    """Show the highest use of the machine and of the API."""
    names = {"cpu_ratio": "CPU", "memory_ratio": "RAM", "disk_ratio": "disk"}
    names |= {"database_load_ratio": "DB", "api_usage_ratio:new": "API"}
    found = [
        f"{label} {bucket.levels[name].most * 100:.0f} %"
        for name, label in names.items()
        if name in bucket.levels
    ]
    return ", ".join(found) or None


def _happened(name: str) -> Callable[[Bucket], str | None]:
    return lambda bucket: f"{bucket.happened.get(name, 0):,}" if bucket.covered_s else None


def _stood(bucket: Bucket) -> str | None:
    one = bucket.standing
    return None if one is None else f"{one.phase or _DASH}, {one.weight_percent:g} %"


def _agreed(bucket: Bucket) -> str | None:
    one = bucket.standing
    if one is None or one.match_ratio is None:
        return None
    return f"{one.match_ratio * 100:.2f} % / {one.match_sample:,}"


_LINES: Final[tuple[tuple[str, Callable[[Bucket], str | None]], ...]] = (
    ("requests", _each(lambda one: f"{one.requests:,}")),
    ("success", _each(_success)),
    ("latency", _each(_time)),
    ("listings", _each(lambda one: f"{one.listings:,}")),
    ("pace", _each(_pace)),
    ("resources", _loads),
    ("match_rate", _agreed),
    ("rollbacks", _happened("rollbacks")),
    ("decisions", _happened("decisions")),
    ("user_reports", _happened("user_reports")),
    ("stood", _stood),
)

"""
What a report says besides counts: alerts, decisions, differences, what users said.

Lists are bounded; how much was left out stands beside them.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic reads the annotation at run time
from statistics import median
from typing import TYPE_CHECKING, Final

from gateway.admin.models import Output, Sentence, System
from gateway.admin.view import instant
from gateway.core import alerts
from gateway.core.analysis import Severity
from gateway.core.model import SECOND_US
from gateway.ports import ReportSeverity

if TYPE_CHECKING:
    from gateway.ports import Decision, StateStore
    from gateway.ports.alerts import AlertDesk
    from gateway.ports.compared import ComparisonView

_MOST_LOOKED_AT: Final = 10_000
_MOST_SHOWN: Final = 20
_PAGE: Final = 200
_MOST_DECISIONS: Final = 2_000


class Compared(Output):
    """One figure of the period and of the one before; null: not known."""

    now: float | None
    before: float | None
    change_ratio: float | None
    """By which share it grew; null: one of the two is not known, or the one before is zero."""


def compared(now: float | None, before: float | None) -> Compared:
    """Put one figure beside the one before."""
    grew = None if now is None or not before else now / before - 1
    return Compared(now=now, before=before, change_ratio=grew)


class LevelReported(Output):
    """Alerts of one level that were raised in the period."""

    level: str
    raised: int
    acknowledged: int
    answer_median_s: float | None
    """From being raised to somebody taking it; null: nobody took any."""
    longest_s: float | None
    """How long the longest lasted, or has lasted; null: there was none."""


class AlertReported(Output):
    """One alert."""

    id: int
    rule: str
    system: System | None
    level: str
    title: Sentence
    raised_at: datetime
    acknowledged_by: str | None
    answered_after_s: float | None
    ended_at: datetime | None
    lasted_s: float


class AlertsReported(Output):
    """Alerts that were raised in the period."""

    raised: int
    raised_before: int
    """In the period before."""
    acknowledged: int
    open: int
    """Of these, those that are not over yet."""
    by_level: list[LevelReported]
    """The worst level first; only those with any."""
    items: list[AlertReported]
    """The worst first, then the longest."""
    more: int
    """So many are not listed."""
    complete: bool
    """False: there were more than are kept, so the counts are at least these."""


class DecisionReported(Output):
    """One decision."""

    id: int
    at: datetime
    verdict: str
    sentence: str


class DecisionsReported(Output):
    """What the machine decided, and how many decisions it left to people."""

    opened: Compared
    """Decisions that waited for a person, compared with the period before."""
    items: list[DecisionReported]
    """Newest first."""
    more: bool
    """There are older ones of the period than are listed."""


class DifferenceReported(Output):
    """How many listings differ so."""

    path: str
    kind: str
    cause: str
    count: int


class DifferencesReported(Output):
    """How far the systems agree now."""

    match_rate: float | None
    lower_bound: float
    listings: int
    items: list[DifferenceReported]
    """Those that count, the most frequent first."""
    more: int


class UserReportReported(Output):
    """What a user reported."""

    at: datetime
    severity: str
    text: str
    by: str


class UserReportsReported(Output):
    """What users reported."""

    total: Compared
    serious: Compared
    items: list[UserReportReported]
    """The newest first."""
    more: int


async def alerts_reported(
    desk: AlertDesk, before_us: int, since_us: int, until_us: int
) -> AlertsReported:
    """Report on alerts raised from `since_us` on, and count those from `before_us` on."""
    over = await desk.ended(since_us=before_us, limit=_MOST_LOOKED_AT)
    view = desk.view()
    every = [alerts.incident_from_json(one.document) for one in over]
    every += [one for one in view.book.open if one.number not in {e.number for e in every}]
    raised = [one for one in every if since_us <= one.raised_us < until_us]
    shown = sorted(raised, key=lambda one: (-one.level.rank, -_lasted_s(one, view.at_us)))
    return AlertsReported(
        raised=len(raised),
        raised_before=sum(before_us <= one.raised_us < since_us for one in every),
        acknowledged=sum(one.ack is not None for one in raised),
        open=sum(one.ended_us is None for one in raised),
        by_level=[
            _level(level, of, view.at_us)
            for level in sorted(Severity, key=lambda one: -one.rank)
            if (of := [one for one in raised if one.level is level])
        ],
        items=[_alert(one, view.at_us) for one in shown[:_MOST_SHOWN]],
        more=max(0, len(shown) - _MOST_SHOWN),
        complete=len(over) < _MOST_LOOKED_AT,
    )


def _level(level: Severity, of: list[alerts.Incident], now_us: int) -> LevelReported:
    answers = [answer for one in of if (answer := _answered_s(one)) is not None]
    return LevelReported(
        level=level.value,
        raised=len(of),
        acknowledged=len(answers),
        answer_median_s=median(answers) if answers else None,
        longest_s=max(_lasted_s(one, now_us) for one in of),
    )


def _alert(one: alerts.Incident, now_us: int) -> AlertReported:
    return AlertReported(
        id=one.number,
        rule=one.rule,
        system=System(one.system) if one.system else None,
        level=one.level.value,
        title=Sentence(en=one.title.en, ja=one.title.ja),
        raised_at=instant(one.raised_us),
        acknowledged_by=one.ack.by if one.ack else None,
        answered_after_s=_answered_s(one),
        ended_at=None if one.ended_us is None else instant(one.ended_us),
        lasted_s=_lasted_s(one, now_us),
    )


def _answered_s(one: alerts.Incident) -> float | None:
    return None if one.ack is None else max(0, one.ack.at_us - one.raised_us) / SECOND_US


def _lasted_s(one: alerts.Incident, now_us: int) -> float:
    return max(0, (now_us if one.ended_us is None else one.ended_us) - one.raised_us) / SECOND_US


async def decisions_reported(
    store: StateStore, since_us: int, until_us: int, opened: Compared
) -> DecisionsReported:
    """List what was decided in the period; of a long past period what is still within reach."""
    found: list[Decision] = []
    before: int | None = None
    for _ in range(_MOST_DECISIONS // _PAGE):
        rows = await store.decisions(before_seq=before, limit=_PAGE)
        found += [row for row in rows if since_us <= row.at_us < until_us]
        if len(rows) < _PAGE or rows[-1].at_us < since_us or len(found) > _MOST_SHOWN:
            break
        before = rows[-1].seq
    items = [
        DecisionReported(
            id=row.seq, at=instant(row.at_us), verdict=row.verdict, sentence=row.sentence
        )
        for row in found[:_MOST_SHOWN]
    ]
    return DecisionsReported(opened=opened, items=items, more=len(found) > _MOST_SHOWN)


def differences_reported(view: ComparisonView) -> DifferencesReported:
    """Report on what differs now."""
    judged = view.score.judged
    counting = [one for one in view.score.differences if one.counts]
    return DifferencesReported(
        match_rate=judged.certain / judged.compared if judged.compared else None,
        lower_bound=judged.lower_bound(view.confidence) if judged.compared else 0.0,
        listings=round(judged.compared),
        items=[
            DifferenceReported(
                path=one.field, kind=one.kind.value, cause=one.cause.value, count=one.count
            )
            for one in counting[:_MOST_SHOWN]
        ],
        more=max(0, len(counting) - _MOST_SHOWN),
    )


async def user_reports_reported(
    store: StateStore, span_us: tuple[int, int, int], counted: tuple[Compared, Compared]
) -> UserReportsReported:
    """Report on what users said; `span_us` is where the period before and this one begin, and end.

    `counted` is all and the serious ones by the roll-ups, which remember longer than the record
    does; what the record knows beyond that (it was told while nobody counted) counts, too.
    """
    before_us, since_us, until_us = span_us
    every = await store.reports(since_us=before_us)
    now = [one for one in every if since_us <= one.at_us < until_us]
    before = [one for one in every if one.at_us < since_us]
    serious = ReportSeverity.SERIOUS
    return UserReportsReported(
        total=compared(_more(counted[0].now, len(now)), _more(counted[0].before, len(before))),
        serious=compared(
            _more(counted[1].now, sum(one.severity is serious for one in now)),
            _more(counted[1].before, sum(one.severity is serious for one in before)),
        ),
        items=[
            UserReportReported(
                at=instant(one.at_us), severity=one.severity.value, text=one.text, by=one.by
            )
            for one in reversed(now[-_MOST_SHOWN:])
        ],
        more=max(0, len(now) - _MOST_SHOWN),
    )


def _more(counted: float | None, recorded: int) -> float | None:
    return max(counted or 0, recorded) if recorded or counted is not None else None

"""
The page of a report. Every text from outside is escaped on its way in: `_e` is the only door.

Beside each figure stands the one of the period before, smaller, with the change. What is not known
is a dash, and the page says first how much of the time is known.
"""

from __future__ import annotations

from datetime import timedelta
from html import escape
from typing import TYPE_CHECKING, Final

from gateway.admin.dashboard import words as figures
from gateway.admin.dashboard.report_words import ReportWords

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import date, datetime

    from gateway.admin.models import Sentence
    from gateway.admin.reported import AlertReported, Compared
    from gateway.admin.reports import Report, SystemReport

_TINY: Final = 0.0005
_HUGE: Final = 100.0
_NEARLY_ALL: Final = 0.995


def _seconds(value: float | None) -> str:
    return figures.DASH if value is None else f"{value:.2f} s"


_ROWS: Final[tuple[tuple[str, Callable[[float | None], str]], ...]] = (
    ("requests", figures.number),
    ("success_ratio", figures.ratio),
    ("errors", figures.number),
    ("error_ratio", figures.ratio),
    ("rejected", figures.number),
    ("latency_p50_ms", figures.milliseconds),
    ("latency_p95_ms", figures.milliseconds),
    ("latency_p99_ms", figures.milliseconds),
    ("syncs", figures.number),
    ("listings_synced", figures.number),
    ("sync_seconds_per_1000", _seconds),
    ("sync_seconds_per_1000_p95", _seconds),
)


def report_page(report: Report, language: str, *, asked: date | None) -> str:
    """Build the whole page; `asked` is the day that was asked for, None: the latest hours."""
    say = ReportWords(language)
    title = f"{say(report.kind)} {_span(report)}"
    body = "".join(
        (
            _known(report, say),
            _rollout(report, say),
            _systems(report, say),
            _resources(report, say),
            _alerts(report, say),
            _decisions(report, say),
            _differences(report, say),
            _user_reports(report, say),
        )
    )
    made = f"{say('made')} {_local(report, report.at):%Y-%m-%d %H:%M:%S} {_zone(report)}"
    return (
        f'<!doctype html><html lang="{say.language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_e(title)} - syncgate</title>"
        '<link rel="stylesheet" href="/dashboard/style.css"></head><body>'
        f"<header><h1>{_e(title)}</h1>{_nav(report, say, asked)}</header>"
        f"<main>{body}</main><footer>{_e(made)}</footer></body></html>"
    )


def _e(value: object) -> str:
    return escape(str(value), quote=True)


def _local(report: Report, at: datetime) -> datetime:
    return at + timedelta(minutes=report.utc_offset_minutes)


def _zone(report: Report) -> str:
    hours, minutes = divmod(abs(report.utc_offset_minutes), 60)
    sign = "-" if report.utc_offset_minutes < 0 else "+"
    return f"UTC{sign}{hours:02}:{minutes:02}"


def _span(report: Report) -> str:
    since, until = _local(report, report.since), _local(report, report.until)
    if not since.hour and since.minute == 0:  # a day or a week of the calendar
        last = until - timedelta(hours=1)
        one_day = since.date() == last.date()
        return f"{since:%Y-%m-%d}" if one_day else f"{since:%Y-%m-%d} - {last:%m-%d}"
    return f"{since:%Y-%m-%d %H:%M} - {until:%m-%d %H:%M}"


def _nav(report: Report, say: ReportWords, asked: date | None) -> str:
    kind, lang = report.kind, say.language
    step = timedelta(days=1 if kind == "daily" else 7)
    today = _local(report, report.at).date()
    day = asked or today
    other_language, other_kind = "en" if lang == "ja" else "ja", "weekly"
    if kind == "weekly":
        other_kind = "daily"
    at = f"&at={asked}" if asked else ""
    links = [
        (f"/?lang={lang}", say("dashboard")),
        (f"/reports/{kind}?lang={lang}&at={day - step}", say("earlier")),
    ]
    if asked is not None:
        if day + step <= today:
            links.append((f"/reports/{kind}?lang={lang}&at={day + step}", say("later")))
        links.append((f"/reports/{kind}?lang={lang}", say("latest")))
    links += [
        (f"/reports/{other_kind}?lang={lang}{at}", say(other_kind)),
        (f"/reports/{kind}?lang={other_language}{at}", say("other")),
    ]
    return "<nav>" + " ".join(f'<a href="{_e(to)}">{_e(text)}</a>' for to, text in links) + "</nav>"


def _known(report: Report, say: ReportWords) -> str:
    known = report.known
    text = _in(known.sentence, say)
    if not known.gaps:
        return f'<p class="why">{_e(text)}</p>'
    spans = ", ".join(
        f"{_local(report, one.since):%m-%d %H:%M}-{_local(report, one.until):%m-%d %H:%M}"
        for one in known.gaps[:8]
    )
    more = f" (+{len(known.gaps) - 8})" if len(known.gaps) > 8 else ""  # noqa: PLR2004 - as many as are shown
    return (
        f'<p class="why">{_e(text)}</p>'
        f'<p class="notice">{_e(say("gaps"))}: {_e(spans)}{more} {_e(_zone(report))}</p>'
    )


def _in(this: Sentence, say: ReportWords) -> str:
    return this.ja if say.language == "ja" else this.en


def _compared(one: Compared, show: Callable[[float | None], str]) -> str:
    """Show a figure with the one before it."""
    if one.before is None:
        return _e(show(one.now))
    before = show(one.before)
    if one.change_ratio is not None and abs(one.change_ratio) >= _TINY:
        grew = one.change_ratio
        before += f" ({grew:+.1%})" if abs(grew) < _HUGE else " (x100+)"
    return f'{_e(show(one.now))}<div class="dim">{_e(before)}</div>'


def _beside(report: Report, say: ReportWords) -> str:
    """Say what stands beneath the figures."""
    ratio = report.known.ratio_before
    if not ratio:
        return say("nothing_before")
    part = "" if ratio >= _NEARLY_ALL else f" ({say('known_part')} {ratio:.0%})"
    return say("below") + part


def _section(title: str, note: str, inner: str) -> str:
    small = f" <small>{note}</small>" if note else ""
    return f"<h2>{_e(title)}{small}</h2>{inner}"


def _table(heads: Iterable[tuple[str, str]], rows: Iterable[str]) -> str:
    head = "".join(f'<th scope="col" class="{_e(style)}">{_e(text)}</th>' for text, style in heads)
    top = f"<thead><tr>{head}</tr></thead>" if head else ""
    return f'<div class="scroll"><table>{top}<tbody>{"".join(rows)}</tbody></table></div>'


def _row(*cells: tuple[str, str]) -> str:
    """Make a row of (HTML, style)."""
    return (
        "<tr>" + "".join(f'<td class="{_e(style)}">{html}</td>' for html, style in cells) + "</tr>"
    )


def _rollout(report: Report, say: ReportWords) -> str:
    rollout = report.rollout
    at_end = rollout.at_end
    if at_end is None:
        inner = f'<p class="dim">{_e(say("unknown"))}</p>'
    else:
        where = f"{at_end.phase or figures.DASH} · {at_end.weight_percent:g} % {say('to_new')}"
        inner = (
            f'<p><span class="badge {_e(at_end.status)}">{_e(say(at_end.status))}</span> '
            f"{_e(where)}</p>"
        )
    back = _compared(rollout.rollbacks, figures.number)
    agreed = _compared(report.match_rate, figures.ratio)
    rows = [
        _row((_e(say("rollbacks")), ""), (back, "n")),
        _row((_e(say("match_rate")), ""), (agreed, "n")),
    ]
    return _section(say("stood"), "", inner + _table((), rows))


def _systems(report: Report, say: ReportWords) -> str:
    columns: list[SystemReport] = [report.total, *report.systems]
    heads = [("", "")]
    heads += [(one.system.value if one.system else say("whole"), "n") for one in columns]
    rows = [
        _row((_e(say(name)), ""), *((_compared(getattr(one, name), show), "n") for one in columns))
        for name, show in _ROWS
    ]
    return _section(say("figures"), _e(_beside(report, say)), _table(heads, rows))


def _resources(report: Report, say: ReportWords) -> str:
    if not report.resources:
        return _section(say("resources"), "", f'<p class="dim">{_e(say("unknown"))}</p>')
    heads = [("", ""), (say("average"), "n"), (say("most"), "n")]
    rows = [
        _row(
            (_e(say(one.name) + (f" ({one.system.value})" if one.system else "")), ""),
            (_compared(one.average, figures.ratio), "n"),
            (_compared(one.most, figures.ratio), "n"),
        )
        for one in report.resources
    ]
    return _section(say("resources"), "", _table(heads, rows))


def _alerts(report: Report, say: ReportWords) -> str:
    alerts = report.alerts
    least = "" if alerts.complete else f"{say('at_least')} "
    now = _known_count(alerts.raised, report.known.ratio, say)
    before = _known_count(alerts.raised_before, report.known.ratio_before, say)
    note = f"{least}{now} ({say('before')}: {before})"
    if not alerts.raised:
        return _section(say("report_alerts"), _e(note), _nothing(report, say))
    heads = [("", ""), (say("raised"), "n"), (say("acknowledged"), "n")]
    heads += [(say("answer_median"), "n"), (say("longest"), "n")]
    levels = [
        _row(
            (_e(say(one.level)), one.level),
            (str(one.raised), "n"),
            (str(one.acknowledged), "n"),
            (_e(_lasting(one.answer_median_s, say)), "n"),
            (_e(_lasting(one.longest_s, say)), "n"),
        )
        for one in alerts.by_level
    ]
    rows = [_alert(one, report, say) for one in alerts.items]
    more = f'<p class="dim">+{alerts.more} {_e(say("more"))}</p>' if alerts.more else ""
    inner = _table(heads, levels) + _table((), rows) + more
    return _section(say("report_alerts"), _e(note), inner)


def _known_count(count: int, known_ratio: float, say: ReportWords) -> str:
    """Say how many; of a time in which nobody looked, none is not known."""
    return str(count) if count or known_ratio else say("unknown")


def _nothing(report: Report, say: ReportWords) -> str:
    """Say that there was none, if anybody was there to see it."""
    return f'<p class="dim">{_e(say("none" if report.known.ratio else "unknown"))}</p>'


def _alert(one: AlertReported, report: Report, say: ReportWords) -> str:
    if one.acknowledged_by:
        answered = _lasting(one.answered_after_s, say)
        taken = f"{say('taken')} {one.acknowledged_by} ({answered})"
    else:
        taken = say("nobody")
    state = "" if one.ended_at else f" · {say('still')}"
    system = f" ({one.system.value})" if one.system else ""
    return _row(
        (f"#{one.id}", ""),
        (_e(say(one.level)), f"level {one.level}"),
        (_e(_in(one.title, say) + system), "r"),
        (f"{_local(report, one.raised_at):%m-%d %H:%M}", "level dim"),
        (_e(_lasting(one.lasted_s, say) + state), "n"),
        (_e(taken), "level"),
    )


def _lasting(seconds: float | None, say: ReportWords) -> str:
    return figures.DASH if seconds is None else say.span(seconds)


def _decisions(report: Report, say: ReportWords) -> str:
    decisions = report.decisions
    opened = decisions.opened
    note = f"{say('opened')}: {figures.number(opened.now)} "
    note += f"({say('before')}: {figures.number(opened.before)})"
    if not decisions.items:
        return _section(say("report_decisions"), _e(note), _nothing(report, say))
    rows = [
        _row(
            (f"{_local(report, one.at):%m-%d %H:%M}", "level dim"),
            (_e(say(one.verdict)), "level"),
            (_e(one.sentence), "r"),
        )
        for one in decisions.items
    ]
    more = f'<p class="dim">... {_e(say("more"))}</p>' if decisions.more else ""
    return _section(say("report_decisions"), _e(note), _table((), rows) + more)


def _differences(report: Report, say: ReportWords) -> str:
    found = report.differences
    if found is None:
        return _section(say("differences"), "", f'<p class="dim">{_e(say("past"))}</p>')
    note = (
        f"{say('match_rate')} {figures.ratio(found.match_rate)} · {say('at_least_rate')} "
        f"{figures.ratio(found.lower_bound)} · "
        f"{say('of_listings').format(listings=f'{found.listings:,}')}"
        if found.listings
        else say("unknown")
    )
    rows = [
        _row(
            (_e(one.path), ""),
            (_e(say(f"kind_{one.kind}")), ""),
            (_e(say(f"cause_{one.cause}")), ""),
            (f"{one.count:,}", "n"),
        )
        for one in found.items
    ]
    nothing = f'<p class="dim">{_e(say("none"))}</p>' if found.listings else ""
    inner = _table((), rows) if rows else nothing
    more = f'<p class="dim">+{found.more} {_e(say("more"))}</p>' if found.more else ""
    return _section(say("differences"), _e(note), inner + more)


def _user_reports(report: Report, say: ReportWords) -> str:
    told = report.user_reports
    note = (
        f"{figures.number(told.total.now)} ({say('before')}: {figures.number(told.total.before)})"
        f" · {say('serious')} {figures.number(told.serious.now)}"
    )
    rows = [
        _row(
            (f"{_local(report, one.at):%m-%d %H:%M}", "level dim"),
            (_e(say(one.severity)), "level critical" if one.severity == "serious" else "level dim"),
            (_e(one.text), "r"),
            (_e(one.by), "dim"),
        )
        for one in told.items
    ]
    inner = _table((), rows) if rows else _nothing(report, say)
    more = f'<p class="dim">+{told.more} {_e(say("more"))}</p>' if told.more else ""
    return _section(say("user_reports"), _e(note), inner + more)

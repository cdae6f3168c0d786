"""Reports on the command line: the figures of a day or a week beside those of the one before."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from gateway.admin.dashboard import words as figures
from gateway.admin.dashboard.report_words import ReportWords
from gateway.cli.session import Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rich.table import Table

    from gateway.cli.session import Session

_STYLE: Final = '<link rel="stylesheet" href="/dashboard/style.css">'
_WRITTEN: Final = ("Written to {path}.", "{path} に書き込みました。")
_NOT_WRITTEN: Final = ("{path} cannot be written: {why}", "{path} に書き込めません: {why}")
_ELSEWHERE: Final = ("Choose another file.", "別のファイルを指定してください。")


def _seconds(value: float | None) -> str:
    return figures.DASH if value is None else f"{value:.2f} s"


_ROWS: Final[tuple[tuple[str, Callable[[float | None], str]], ...]] = (
    ("requests", figures.number),
    ("success_ratio", figures.ratio),
    ("error_ratio", figures.ratio),
    ("latency_p50_ms", figures.milliseconds),
    ("latency_p95_ms", figures.milliseconds),
    ("syncs", figures.number),
    ("listings_synced", figures.number),
    ("sync_seconds_per_1000", _seconds),
)


def show(session: Session, kind: str, at: str | None) -> None:
    """Show the report."""
    found = session.get(_path(kind, at))
    if session.as_json:
        session.show_json(found)
        return
    from rich.text import Text  # noqa: PLC0415 - `--json` need not wait for it

    say, out = ReportWords(session.say.language), session.out
    out.print(Text(f"{say(kind)}  {_span(found)}", style="bold"))
    known = found["known"]
    whole = not known["unknown_hours"]
    out.print(Text(known["sentence"][say.language], style="" if whole else "yellow"))
    out.print(Text(_stood(found, say)))
    out.print(_table(found, say))
    for line in _lines(found, say):
        out.print(Text(line))


def write_page(session: Session, kind: str, at: str | None, path: Path) -> None:
    """Write the page as one file that needs nothing else."""
    page = session.page(_path(kind, at, lang=session.say.language))
    style = session.page("/dashboard/style.css")
    japanese = session.say.language == "ja"
    try:
        path.write_text(page.replace(_STYLE, f"<style>{style}</style>"), encoding="utf-8")
    except OSError as error:
        detail = _NOT_WRITTEN[japanese].format(path=path, why=error.strerror)
        session.fail(Exit.REFUSED, detail, fix=_ELSEWHERE[japanese])
    if session.as_json:
        session.show_json({"written": str(path)})
    else:
        session.note(_WRITTEN[japanese].format(path=path))


def _path(kind: str, at: str | None, **more: str) -> str:
    asked = urlencode({**({"at": at} if at else {}), **more})
    return f"/api/v1/reports/{kind}" + (f"?{asked}" if asked else "")


def _span(found: dict[str, Any]) -> str:
    offset = timedelta(minutes=found["utc_offset_minutes"])
    since, until = (datetime.fromisoformat(found[name]) + offset for name in ("since", "until"))
    minutes = found["utc_offset_minutes"]
    zone = f"UTC{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    return f"{since:%Y-%m-%d %H:%M} - {until:%Y-%m-%d %H:%M} {zone}"


def _stood(found: dict[str, Any], say: ReportWords) -> str:
    stood = found["rollout"]["at_end"]
    back = _beside(found["rollout"]["rollbacks"], figures.number)
    if stood is None:
        return f"{say('stood')}: {say('unknown')}"
    where = f"{say(stood['status'])}, {stood['phase'] or figures.DASH}, "
    where += f"{stood['weight_percent']:g} % {say('to_new')}"
    return f"{say('stood')}: {where} · {say('rollbacks')}: {back}"


def _table(found: dict[str, Any], say: ReportWords) -> Table:
    from rich.table import Table  # noqa: PLC0415 - as above

    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
    table.add_column("")
    columns = [found["total"], *found["systems"]]
    for one in columns:
        table.add_column(one["system"] or say("whole"), justify="right")
    for name, shown in _ROWS:
        table.add_row(say(name), *(_beside(one[name], shown) for one in columns))
    return table


def _beside(one: dict[str, Any], shown: Callable[[float | None], str]) -> str:
    """Write a figure, and in brackets the one before if there is one."""
    now = shown(one["now"])
    return now if one["before"] is None else f"{now} ({shown(one['before'])})"


def _lines(found: dict[str, Any], say: ReportWords) -> Iterator[str]:
    """Say the rest, one line each."""
    used = [
        f"{say(one['name'])}{' ' + one['system'] if one['system'] else ''} "
        f"{figures.ratio(one['average']['now'])} / {figures.ratio(one['most']['now'])}"
        for one in found["resources"]
    ]
    yield f"{say('resources')} ({say('average')} / {say('most')}): {', '.join(used) or '-'}"
    alerts = found["alerts"]
    levels = ", ".join(f"{say(one['level'])} {one['raised']}" for one in alerts["by_level"])
    yield (
        f"{say('report_alerts')}: {alerts['raised']} ({say('before')}: {alerts['raised_before']})"
        + (f": {levels}; {say('acknowledged')} {alerts['acknowledged']}" if levels else "")
    )
    yield f"{say('report_decisions')}: {_beside(found['decisions']['opened'], figures.number)}"
    yield f"{say('match_rate')}: {_beside(found['match_rate'], figures.ratio)}"
    differences = found["differences"]
    for one in (differences or {"items": []})["items"][:5]:
        yield f"  {one['path']} {say('kind_' + one['kind'])}: {one['count']:,}"
    told = found["user_reports"]
    yield f"{say('user_reports')}: {_beside(told['total'], figures.number)}"
    for one in told["items"][:5]:
        at = datetime.fromisoformat(one["at"]) + timedelta(minutes=found["utc_offset_minutes"])
        yield f"  {at:%Y-%m-%d %H:%M} {say(one['severity'])}: {one['text']}"

"""
The page's HTML. Every text from outside is escaped on its way in: `_e` is the only door.

Bars are `progress` and `meter` elements, so that the policy for content allows neither inline
styles nor inline scripts.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from gateway.admin.alerted import AlertState
from gateway.admin.dashboard import words as figures
from gateway.admin.dashboard.agreement import agreement_section
from gateway.admin.dashboard.alerts import alerts_section, take_command
from gateway.admin.dashboard.copies import copies_section
from gateway.admin.models import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.admin.alerted import Alert
    from gateway.admin.compared import Comparisons
    from gateway.admin.dashboard.words import Words
    from gateway.admin.models import Decision, EvidenceBar, Gate, Rollout

_BY_HAND = {Status.RUNNING, Status.PAUSED}
BAKE_GATE = "bake_time"
_MARKS = {"pass": "✓", "fail": "✗", "inconclusive": "?", "error": "!"}


def page(
    state: Rollout,
    say: Words,
    *,
    alerts: list[Alert],
    signed_in: bool,
    compared: Comparisons | None = None,
) -> str:
    """Build the whole page."""
    other = "en" if say.language == "ja" else "ja"
    shown = fragment(state, say, alerts=alerts, compared=compared)
    reports = " ".join(
        f'<a href="/reports/{kind}?lang={say.language}">{_e(say(kind))}</a>'
        for kind in ("daily", "weekly")
    )
    leave = (
        f'<form method="post" action="/logout?lang={say.language}">'
        f"<button>{_e(say('sign_out'))}</button></form>"
        if signed_in
        else ""
    )
    return _document(
        say,
        title=_title(state, say),
        head=(
            '<noscript><meta http-equiv="refresh" content="5"></noscript>'
            '<script src="/dashboard/refresh.js" defer></script>'
        ),
        body=(
            f"<header><h1>syncgate</h1><nav>{reports} "
            f'<a href="/?lang={other}" hreflang="{other}">{_e(say("other"))}</a> {leave}'
            f'</nav></header><main>{_notice(say)}<div id="state">{shown}</div></main>'
        ),
    )


def login(say: Words, *, to: str, wrong: bool) -> str:
    """Build the page that asks for a token; `to` is the page that was wanted."""
    notice = f'<p class="notice" role="alert">{_e(say("wrong"))}</p>' if wrong else ""
    return _document(
        say,
        title=f"{say('sign_in')} - syncgate",
        head="",
        body=(
            f'<main class="login"><h1>syncgate</h1><p>{_e(say("ask_token"))}</p>{notice}'
            f'<form method="post" action="/login?lang={say.language}">'
            f'<input type="hidden" name="to" value="{_e(to)}"><label>{_e(say("token"))}'
            '<input type="password" name="token" autocomplete="current-password" required '
            f"autofocus></label><button>{_e(say('sign_in'))}</button></form></main>"
        ),
    )


def refusal_page(say: Words, kind: str, detail: str, fix: str) -> str:
    """Build the page that says why not, in the reader's language where there are words for it."""
    key = f"refused_{kind}"
    told = say(key) if say.knows(key) else f"{detail} {fix}".strip()
    return _document(
        say,
        title=f"{say('refused')} - syncgate",
        head="",
        body=(
            f'<main class="login"><h1>syncgate</h1><p class="why">{_e(say("refused"))}</p>'
            f'<p>{_e(told)}</p><p><a href="/?lang={say.language}">{_e(say("dashboard"))}</a></p>'
            "</main>"
        ),
    )


def fragment(
    state: Rollout, say: Words, *, alerts: list[Alert], compared: Comparisons | None = None
) -> str:
    """Build what changes: the state, in parts that are each replaced when they change."""
    parts = {
        "top": _top(state, alerts, say),
        "alerts": alerts_section(alerts, say),
        "decisions": _decisions(state.decisions, say),
        "systems": _systems(state, say),
        "copies": copies_section(state.mirror, say),
        "gates": _gates(state.gates, say),
        "agreement": agreement_section(compared, say),
        "evidence": _evidence(state.evidence, say),
        "events": _events(state, say),
        "footer": _footer(state, say),
    }
    return "".join(f'<section data-part="{name}">{html}</section>' for name, html in parts.items())


def _title(state: Rollout, say: Words) -> str:
    return f"{say(state.status.value)} {state.weight_percent:g} % - syncgate"


def _notice(say: Words) -> str:
    """Build what the script shows while the state is not the newest."""
    return (
        f'<p class="notice" hidden><span id="notice" role="status" data-gone="{_e(say("gone"))}" '
        f'data-held="{_e(say("selected"))}"></span> <span id="age" aria-hidden="true" '
        f'data-text="{_e(say("age"))}"></span></p>'
    )


def _footer(state: Rollout, say: Words) -> str:
    at = f"{state.at:%Y-%m-%d %H:%M:%S} UTC"
    return f"<footer>{_e(say('policy'))} {_e(state.policy)} · v{state.version} · {at}</footer>"


def _document(say: Words, *, title: str, head: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="{say.language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_e(title)}</title>"
        f'<link rel="stylesheet" href="/dashboard/style.css">{head}</head>'
        f"<body>{body}</body></html>"
    )


def _e(value: object) -> str:
    return escape(str(value), quote=True)


def _top(state: Rollout, alerts: list[Alert], say: Words) -> str:
    status = state.status.value
    title = state.phase_title.ja if say.language == "ja" else state.phase_title.en
    where = (
        f"{say('phase')} {state.phase_number}/{state.phases} · {title}" if state.phase else title
    )
    why = state.why.ja if say.language == "ja" else state.why.en
    return (
        f'<p data-title="{_e(_title(state, say))}"><span class="badge {_e(status)}">'
        f"{_e(say(status))}</span> {_e(where)}</p>"
        f'<p class="why">{_e(why)}</p><p class="do">{_do(state, alerts, say)}</p>'
        f"{_weights(state, say)}"
    )


def _do(state: Rollout, alerts: list[Alert], say: Words) -> str:
    """Name what to do: what moves the rollout, else the worst alert that nobody has taken."""
    waiting = next((one for one in alerts if one.state is AlertState.OPEN), None)
    command = state.next_command or (take_command(waiting) if waiting else None)
    if command:
        return f"{_e(say('do'))} <code>{_e(command)}</code>"
    do = _e(say("nothing"))
    if state.bake_left_s and state.status is Status.RUNNING:
        do += f" {_e(say('bake_left').format(left=say.span(state.bake_left_s)))}"
    return do


def _weights(state: Rollout, say: Words) -> str:
    if state.read_weight_percent == state.write_weight_percent:
        shares = [("to_new", state.write_weight_percent)]
    else:
        shares = [
            ("reads_to_new", state.read_weight_percent),
            ("writes_to_new", state.write_weight_percent),
        ]
    note = (
        f' <span class="dim">({_e(say("by_hand"))})</span>'
        if state.override and state.status in _BY_HAND
        else ""
    )
    return "".join(
        f'<div class="weight"><span>{_e(say(key))}</span><progress max="100" value="{share:g}" '
        f'aria-label="{_e(say(key))}">{share:g} %</progress>'
        f"<strong>{share:g} %</strong>{note}</div>"
        for key, share in shares
    )


def _table(heads: Iterable[tuple[str, str]], rows: Iterable[str]) -> str:
    head = "".join(f'<th scope="col" class="{_e(style)}">{_e(text)}</th>' for text, style in heads)
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cells(*cells: tuple[str, str]) -> str:
    return (
        "<tr>"
        + "".join(f'<td class="{_e(style)}">{_e(text)}</td>' for text, style in cells)
        + "</tr>"
    )


def _systems(state: Rollout, say: Words) -> str:
    systems = state.systems
    window = say.span(systems[0].window_s) if systems else ""
    heads = [(say("system"), "")]
    heads += [(say(key), "n") for key in ("requests", "errors", "p50", "p95", "p99", "per_1000")]
    heads += [(say("breaker"), ""), (say("health"), "")]
    rows = []
    for one in systems:
        pace = one.sync_seconds_per_1000
        word = "healthy" if one.healthy else "unhealthy"
        health = figures.DASH if one.healthy is None else say(word)
        name = one.system.value
        if state.mirror.on and state.mirror.to == name:
            name += f" ({say('mirrored')})"
        rows.append(
            _cells(
                (name, "level"),
                (f"{one.requests_per_s:,.1f}", "n"),
                (figures.ratio(one.error_ratio), "n"),
                (figures.milliseconds(one.p50_ms), "n"),
                (figures.milliseconds(one.p95_ms), "n"),
                (figures.milliseconds(one.p99_ms), "n"),
                (figures.DASH if pace is None else f"{pace:.1f} s", "n"),
                (say(f"breaker_{one.breaker}"), "" if one.breaker == "closed" else "level down"),
                (health, {True: "pass", False: "down", None: "dim"}[one.healthy]),
            )
        )
    title = f"<h2>{_e(say('systems'))} <small>{_e(say('last'))} {_e(window)}</small></h2>"
    return title + _table(heads, rows)


def _gates(gates: list[Gate], say: Words) -> str:
    if not gates:
        return ""
    passed = sum(gate.verdict.value == "pass" for gate in gates)
    heads = [(say("gate"), ""), (say("verdict"), "")]
    heads += [(say(key), "n") for key in ("value", "asked", "sample")] + [(say("because"), "")]
    rows = []
    for gate in gates:
        verdict = gate.verdict.value
        asked = figures.by_metric(gate.threshold, gate.metric, gate.basis)
        rows.append(
            _cells(
                (gate.name, ""),
                (f"{_MARKS.get(verdict, '')} {_verdict(gate, say)}", f"level {verdict}"),
                (figures.by_metric(gate.value, gate.metric, gate.basis), "n"),
                (f"{gate.comparison or ''} {asked}".strip(), "n"),
                (figures.number(gate.sample) if gate.metric else figures.DASH, "n"),
                (gate.reason_ja if say.language == "ja" else gate.reason, "r"),
            )
        )
    return f"<h2>{_e(say('gates'))} <small>{passed}/{len(gates)}</small></h2>{_table(heads, rows)}"


def _verdict(gate: Gate, say: Words) -> str:
    """Say how a gate stands; of time that is not over how much is left, for nothing is missing."""
    waits = gate.name == BAKE_GATE and gate.verdict.value == "inconclusive"
    if not waits or gate.value is None or gate.threshold is None:
        return say(gate.verdict.value)
    return say("bakes").format(left=say.span(max(0.0, gate.threshold - gate.value)))


def _evidence(bars: list[EvidenceBar], say: Words) -> str:
    if not bars:
        return ""
    rows = []
    for bar in sorted(bars, key=lambda one: -one.level):
        rate = figures.DASH
        if bar.rate is not None and bar.low is not None and bar.high is not None:
            rate = f"{bar.rate:.2%} ({bar.low:.1%} - {bar.high:.1%}), {bar.sample:,}"
        rows.append(
            f"<tr><td>{_e(bar.rule)}</td>"
            f'<td class="level {_e(bar.severity)}">{_e(say(bar.severity))}</td>'
            f'<td class="n">&gt; {bar.threshold_ratio * 100:g} %</td>'
            f'<td class="level"><meter min="0" max="1" low="0.25" high="0.75" optimum="0" '
            f'value="{bar.level:.3f}">{bar.level:.0%}</meter> {bar.level:.0%}</td>'
            f'<td class="n">{_e(rate)}</td></tr>'
        )
    heads = [(say("rule"), ""), ("", ""), (say("threshold"), "n"), (say("level"), "")]
    heads.append((say("rate"), "n"))
    return f"<h2>{_e(say('evidence'))}</h2>{_table(heads, rows)}"


def _decisions(decisions: list[Decision], say: Words) -> str:
    if not decisions:
        return ""
    rows = []
    for one in decisions:
        if one.state == "held":
            state = f"{say('held')} {one.held_by}: {one.held_reason}"
        else:
            state = f"{say('left')} {say.span(one.time_left_s)}"
        reason = one.reason_ja if say.language == "ja" else one.reason
        severity = (say(one.severity), f"level {one.severity}")
        cells = (f"#{one.id}", ""), severity, (reason, "r"), (state, "r")
        rows.append(_cells(*cells))
    return f"<h2>{_e(say('decisions'))}</h2>{_table((), rows)}"


def _events(state: Rollout, say: Words) -> str:
    if not state.events:
        return ""
    rows = [
        _cells(
            (f"{event.at:%H:%M:%S}", "level dim"),
            (str(event.data.get(f"text_{say.language}") or event.text), "r"),
            (event.kind, "dim"),
        )
        for event in state.events
    ]
    return f"<h2>{_e(say('events'))}</h2>{_table((), rows)}"

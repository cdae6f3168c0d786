"""
The rollout on a terminal: in five seconds what is happening, why, and the one command to run.

Pure: a state and a size give lines. What matters most stands on top and is never cut: state,
weight, reason, command, both systems. Below, each section gets the lines that are left, worst
things first, so that the same picture fits 80x24 and grows with the window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from gateway.cli import figures, fleet, next_step
from gateway.cli.copies import copies
from gateway.cli.figures import DASH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.cli.texts import Texts

    Alerts = Sequence[dict[str, Any]] | None

State = dict[str, Any]

NARROWEST: Final = 60
_INDENT: Final = 5
_TALL: Final = 34
"""From this height on, an empty line parts the sections, and what is long is wrapped, not cut."""

_BADGE: Final = {
    "idle": "bold white on bright_black",
    "running": "bold black on green",
    "paused": "bold black on yellow",
    "rolled_back": "bold white on red",
    "emergency_stopped": "bold white on red",
    "completed": "bold black on cyan",
    "away": "bold black on yellow",
}
_VERDICT: Final = {
    "pass": ("✓", "green"),
    "fail": ("✗", "bold red"),
    "inconclusive": ("?", "yellow"),
    "error": ("!", "bold yellow"),
}
_SEVERITY: Final = next_step.STYLES
_HEALTH: Final = {
    True: ("healthy", "green"),
    False: ("unhealthy", "bold red"),
    None: ("unprobed", "dim"),
}


def headline(state: State, say: Texts, *, width: int = 80) -> Text:
    """Show what stands on top, as one text: for the answer to an order."""
    lines = _top(state, say, width=max(width, NARROWEST), away=None)
    return Text("\n").join([*lines, *fleet.confirmations(state, say)])


def screen(
    state: State,
    say: Texts,
    *,
    width: int,
    height: int | None = None,
    away: str | None = None,
    alerts: Alerts = (),
) -> list[Text]:
    """Show everything in `width` columns and, if given, at most `height` lines.

    `alerts` are the open ones, worst first; None: nobody could say.
    """
    width = max(width, NARROWEST)
    lines = _top(state, say, width=width, away=away, alerts=alerts)
    lines += [Text(), *_systems(state, say, width)]
    whole = height is None or height >= _TALL
    sections = [
        _decisions(state, say, width, whole=whole),
        _gates(state, say, width, whole=whole),
        fleet.section(state, say, width),
        _evidence(state, say, width),
        copies(state, say, width),
        _events(state, say, width, whole=whole),
        _resources(state, say),
    ]
    if height is None:
        shown, gap = [section for section in sections if section], 1
    else:
        gap = 1 if height >= _TALL else 0
        shown = _fitted(sections, room=height - len(lines) - 1, gap=gap, say=say)
    for number, section in enumerate(shown):
        lines += [Text()] * (gap or number == 0) + section
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _fitted(sections: list[list[Text]], *, room: int, gap: int, say: Texts) -> list[list[Text]]:
    """Share the lines that are left: every section its heading and two lines, then by order."""
    wanted = [section for section in sections if section]
    least = [min(len(section), 3) for section in wanted]
    while wanted and sum(least) + gap * len(least) > room:
        wanted.pop()
        least.pop()
    spare = room - sum(least) - gap * len(least)
    fitted: list[list[Text]] = []
    for section, lines in zip(wanted, least, strict=True):
        more = min(spare, len(section) - lines)
        spare -= more
        count = lines + more
        if count < len(section):
            heading = section[0].copy()
            heading.rstrip()
            heading.append(f"  {say('more', count=len(section) - count)}", style="not bold dim")
            fitted.append([heading, *section[1:count]])
        else:
            fitted.append(section)
    return fitted


# --- the top ------------------------------------------------------------------------------------


def _top(
    state: State, say: Texts, *, width: int, away: str | None, alerts: Alerts = ()
) -> list[Text]:
    lines = [_title(state, say, width=width, away=away)]
    if away:
        lines += figures.labelled("", Text(away, style="yellow"), width=width, lines=2, indent=0)
    lines += _weights(state, say, width)
    why = state["why"][say.language]
    if not state.get("store_writable", True):
        why = f"{say('store_down')} {why}"
    parts = [(say("why"), Text(why), 3), (say("do"), next_step.command(state, alerts, say), 2)]
    if (wrong := next_step.open_alerts(state, alerts, say)) is not None:
        parts.append((say("alerts"), wrong, 2))
    indent = max(_INDENT, *(Text(label).cell_len + 2 for label, _, _ in parts))
    for label, text, most in parts:
        lines += figures.labelled(label, text, width=width, lines=most, indent=indent)
    return lines


def _title(state: State, say: Texts, *, width: int, away: str | None) -> Text:
    status = state["status"]
    left = Text(no_wrap=True)
    left.append("syncgate ", style="bold")
    badge = "away" if away else status
    left.append(f" {say(badge).upper()} ", style=_BADGE[badge])
    left.append("  ")
    if state["phase"] is None:
        left.append(say("not_started"))
    else:
        title = state["phase_title"][say.language]
        number, count = state["phase_number"], state["phases"]
        left.append(say("phase", number=number, count=count, title=title))
    right = Text(f"{figures.clock(state['at'])} UTC", style="dim")
    left.truncate(width - right.cell_len - 1, overflow="ellipsis")
    left.append(" " * (width - left.cell_len - right.cell_len))
    return left.append_text(right)


def _weights(state: State, say: Texts, width: int) -> list[Text]:
    reads, writes = state["read_weight_percent"], state["write_weight_percent"]
    if reads == writes:
        return [_weight(say("to_new"), writes, state, say, width)]
    return [
        _weight(say("reads_to_new"), reads, state, say, width),
        _weight(say("writes_to_new"), writes, state, say, width),
    ]


def _weight(label: str, percent: float, state: State, say: Texts, width: int) -> Text:
    line = Text(f"{label} ", style="bold", no_wrap=True)
    figure = Text(f" {percent:g} %", style="bold cyan")
    if state["override"] and state["status"] in {"running", "paused"}:
        figure.append(f" ({say('by_hand')})", style="not bold dim")
    room = width - line.cell_len - figure.cell_len
    return line + figures.bar(percent / 100, room, "cyan") + figure


# --- both systems -------------------------------------------------------------------------------


def _systems(state: State, say: Texts, width: int) -> list[Text]:
    widths = [12, 8, 9, 9, 9, 9, 9, 10]
    keys = ["", "requests", "errors", "p50", "p95", "p99", "per_1000", "health"]
    titles = [key if key in {"", "p50", "p95", "p99"} else say(key) for key in keys]
    if width < 90:  # noqa: PLR2004 - the median goes first, it decides nothing
        del widths[3], titles[3]
    window = state["systems"][0]["window_s"] if state["systems"] else 0
    titles[0] = say("last_seconds", span=say.span(window)) if window else say("systems")
    right = range(1, len(widths) - 1)
    lines = [figures.row([(title, "dim") for title in titles], widths, right=right)]
    for system in state["systems"]:
        cells = _system_cells(system, state, say)
        if width < 90:  # noqa: PLR2004 - as above
            del cells[3]
        lines.append(figures.row(cells, widths, right=right))
    return lines


def _system_cells(system: State, state: State, say: Texts) -> list[Text | tuple[str, str]]:
    bad = (system["error_ratio"] or 0) >= 0.05  # noqa: PLR2004 - critical
    warned = (system["error_ratio"] or 0) >= 0.01  # noqa: PLR2004 - warning
    word, style = _HEALTH[system["healthy"]]
    health = Text(say(word), style=style)
    if system["breaker"] not in {"closed", ""}:
        health = Text(say(system["breaker"]), style="bold red")
    name = Text(system["system"], style="bold")
    mirror = state["mirror"]
    if mirror["on"] and mirror["to"] == system["system"]:
        name.append(" mirror", style="magenta")
    pace = system["sync_seconds_per_1000"]
    return [
        name,
        (f"{system['requests_per_s']:,.1f}", ""),
        (figures.ratio(system["error_ratio"]), "bold red" if bad else "yellow" if warned else ""),
        (figures.milliseconds(system["p50_ms"]), ""),
        (figures.milliseconds(system["p95_ms"]), ""),
        (figures.milliseconds(system["p99_ms"]), ""),
        (DASH if pace is None else f"{pace:.1f} s", ""),
        health,
    ]


# --- the sections below -------------------------------------------------------------------------


def _heading(text: str, note: str = "") -> Text:
    line = Text(text, style="bold", no_wrap=True)
    if note:
        line.append(f"  {note}", style="not bold dim")
    return line


def _set(line: Text, rest: str, width: int, *, whole: bool) -> list[Text]:
    """Set text after the head of a line: wrapped below itself, or cut at the margin."""
    if whole:
        return figures.beside(line, Text(rest), width=width)
    line.append(f" {rest}")
    line.truncate(width, overflow="ellipsis")
    return [line]


def _decisions(state: State, say: Texts, width: int, *, whole: bool) -> list[Text]:
    lines: list[Text] = []
    for decision in state["decisions"]:
        reason = decision["reason_ja" if say.language == "ja" else "reason"]
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"#{decision['id']} ", style="bold")
        line.append(say(decision["severity"]), style=_SEVERITY.get(decision["severity"], ""))
        if decision["state"] == "held":
            held = say("held", who=decision["held_by"], why=decision["held_reason"])
            line.append(f"  {held}", style="dim")
        else:
            verb = "rolls_back_in" if decision["severity"] == "high" else "escalates_in"
            line.append(
                f"  {say(verb, span=say.span(decision['time_left_s']))}", style="bold yellow"
            )
        line.append(" ")
        if line.cell_len > width // 2:
            lines += [line, *_set(Text("   "), reason, width, whole=whole)]
        else:
            lines += _set(line, reason, width, whole=whole)
    return [_heading(say("decisions")), *lines] if lines else []


_GATE_ORDER: Final = {"fail": 0, "error": 1, "inconclusive": 2, "pass": 3}


def _gates(state: State, say: Texts, width: int, *, whole: bool) -> list[Text]:
    gates = sorted(state["gates"], key=lambda gate: _GATE_ORDER.get(gate["verdict"], 0))
    if not gates:
        return []
    widths = [20, 11, 10, 8]
    rest = width - sum(widths) - 2 * len(widths) - 2
    widths.append(max(rest, 14))
    passed = sum(gate["verdict"] == "pass" for gate in gates)
    title = Text.assemble((say("gates"), "bold"), (f" {passed}/{len(gates)}", "dim"))
    head: list[Text | tuple[str, str]] = [title]
    head += [(say(key), "dim") for key in ("value", "asked", "sample")]
    lines = [figures.row([*head, ("", "")], [22, *widths[1:]], right=(1, 2, 3))]
    for gate in gates:
        mark, style = _VERDICT.get(gate["verdict"], ("?", ""))
        reason = gate["reason_ja" if say.language == "ja" else "reason"]
        below = whole and gate["verdict"] != "pass" and Text(reason).cell_len > widths[-1]
        asked = DASH
        if gate["threshold"] is not None and gate["metric"]:
            asked = f"{gate['comparison'] or ''} {figures.of_gate(gate['threshold'], gate)}".strip()
        cells: list[Text | tuple[str, str]] = [
            (gate["name"], ""),
            (figures.of_gate(gate["value"], gate) if gate["metric"] else DASH, style),
            (asked, ""),
            (figures.plain(gate["sample"]) if gate["metric"] else DASH, ""),
            (say(gate["verdict"]) if gate["verdict"] == "pass" or below else reason, "dim"),
        ]
        lines.append(Text(f"{mark} ", style=style) + figures.row(cells, widths, right=(1, 2, 3)))
        if below:
            lines += figures.beside(Text("   "), Text(reason, style="dim"), width=width)
    return lines


def _evidence(state: State, say: Texts, width: int) -> list[Text]:
    bars = sorted(state["evidence"], key=lambda bar: -bar["level"])
    if not bars:
        return []
    lines = [_heading(say("evidence"))]
    drawn = max(12, min(40, width - 62))
    for bar in bars:
        level = bar["level"]
        style = "red" if level >= 0.75 else "yellow" if level >= 0.25 else "green"  # noqa: PLR2004 - thirds
        if bar["rate"] is None or not bar["sample"]:
            estimate = say("no_sign")
        else:
            estimate = say(
                "estimate",
                rate=figures.ratio(bar["rate"]),
                low=f"{bar['low'] * 100:.1f}",
                high=f"{bar['high'] * 100:.1f}",
                sample=figures.plain(bar["sample"]),
            )
        fired = level >= 1
        figure = Text(say("fired"), style="bold red") if fired else Text(f"{level * 100:.0f} %")
        widths = [20, 8, drawn, 6, max(10, width - 42 - drawn)]
        cells: list[Text | tuple[str, str]] = [
            (bar["rule"], ""),
            (f"> {bar['threshold_ratio'] * 100:g} %", _SEVERITY.get(bar["severity"], "")),
            figures.bar(level, drawn, style),
            figure,
            (estimate, "dim"),
        ]
        lines.append(figures.row(cells, widths, right=(1, 3)))
    return lines


def _resources(state: State, say: Texts) -> list[Text]:
    known = state["resources"]
    if not known:
        return []
    line = _heading(say("resources"))
    for name, share in known.items():
        style = "red" if share >= 0.9 else "yellow" if share >= 0.8 else ""  # noqa: PLR2004 - critical and warning
        line.append(f"  {say(name)} ", style="not bold dim")
        line.append(f"{share:.0%}", style=f"not bold {style}")
    return [line]


def _events(state: State, say: Texts, width: int, *, whole: bool) -> list[Text]:
    lines: list[Text] = []
    for event in state["events"]:
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"{figures.clock(event['at'])} ", style="dim")
        text = event["data"].get(f"text_{say.language}") or event["text"]
        lines += _set(line, text, width, whole=whole)
    return [_heading(say("events")), *lines] if lines else []

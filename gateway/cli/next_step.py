"""What to do now, on top of the status: the one command, and the alerts that want an answer."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.cli.texts import Texts

State = dict[str, Any]

STYLES: Final = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}
_NAMED: Final = 3
_WAY_ON: Final = {
    "rolled_back": "syncgate resume",
    "emergency_stopped": "syncgate release",
    "paused": "syncgate resume",
}
"""What leads on, worth naming also while new is not yet well enough for it."""


def command(state: State, alerts: Sequence[dict[str, Any]] | None, say: Texts) -> Text:
    """Name the one command to run; where there is none, what is waited for."""
    if state["next_command"]:
        text = Text(state["next_command"], style="bold green")
        way_on = _WAY_ON.get(state["status"])
        if way_on and way_on not in state["next_command"]:
            text.append(f" · {say('once_well', command=way_on)}", style="not bold dim")
        return text
    asked = _unanswered(alerts)
    text = Text(_ack(asked), style="bold green") if asked else Text(say("nothing_to_do"))
    waits = [gate["name"] for gate in state["gates"] if gate["verdict"] != "pass"]
    if waits:
        names = ", ".join(waits[:_NAMED]) + (", …" if len(waits) > _NAMED else "")
        text.append(f" · {say('waits_for', names=names)}", style="not bold default")
    if state["bake_left_s"] and state["status"] == "running":
        left = say("bake_left", span=say.span(state["bake_left_s"]))
        text.append(f" · {left}", style="not bold default")
    if state["next_phase"]:
        text.append(f" · {say('next_phase', phase=state['next_phase'])}", style="not bold dim")
    return text


def open_alerts(state: State, alerts: Sequence[dict[str, Any]] | None, say: Texts) -> Text | None:
    """Count the open alerts by level and name the worst; None: there are none."""
    if alerts is None:
        return Text(say("alerts_unknown"), style="yellow")
    loud = [one for one in alerts if one["state"] != "silenced"]
    if not loud:
        return None
    counts = Counter(one["level"] for one in loud)
    text = Text()
    for level, style in STYLES.items():
        if counts[level]:
            text.append(", " if text else "")
            text.append(f"{counts[level]} {say(level)}", style=style)
    asked = _unanswered(alerts)
    worst = asked or loud[0]
    system = f" ({worst['system']})" if worst["system"] else ""
    text.append(f" · #{worst['id']} {worst['title'][say.language]}{system}")
    if asked is None:
        text.append(f" · {say('alert_taken', who=worst['acknowledged']['by'])}", style="dim")
    elif state["next_command"]:
        text.append(f" · {_ack(asked)}", style="green")
    return text


def _unanswered(alerts: Sequence[dict[str, Any]] | None) -> dict[str, Any] | None:
    """Give the worst that nobody has taken."""
    return next((one for one in alerts or () if one["state"] == "open"), None)


def _ack(alert: dict[str, Any]) -> str:
    return f'syncgate ack {alert["id"]} --reason "..."'

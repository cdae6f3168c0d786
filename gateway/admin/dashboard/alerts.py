"""The dashboard's section on alerts: what is open, who is asked, until when."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.admin.alerted import Alert
    from gateway.admin.dashboard.words import Words

_MINUTE_S: Final = 60


def alerts_section(alerts: list[Alert], say: Words) -> str:
    """Show the open ones, worst first; nothing when there is none."""
    if not alerts:
        return ""
    rows = "".join(_row(one, say) for one in alerts)
    return (
        f"<h2>{_e(say('alerts'))} <small>{len(alerts)}</small></h2>"
        f'<div class="scroll"><table><tbody>{rows}</tbody></table></div>'
    )


def _row(one: Alert, say: Words) -> str:
    japanese = say.language == "ja"
    title, why = (each.ja if japanese else each.en for each in (one.title, one.text))
    if one.acknowledged is not None:
        stands = f"{say('taken_by')} {one.acknowledged.by}: {one.acknowledged.reason}"
    elif one.state.value == "silenced":
        stands = say("silenced")
    else:
        stands = f"{say('asked_now')} {', '.join(one.asked)}"
        if one.answer_by is not None:
            stands += f" · {say('answer_by')} {one.answer_by:%m-%d %H:%M} UTC"
    todo = one.todo if one.acknowledged else take_command(one)
    system = one.system.value if one.system else ""
    return (
        f'<tr><td class="level">#{one.id}</td>'
        f'<td class="level {_e(one.level.value)}">{_e(say(one.level.value))}</td>'
        f'<td class="t">{_e(title)}<div class="dim">{_e(system)}</div></td>'
        f'<td class="r">{_e(why)}</td>'
        f'<td class="n">{_e(say.span(_rounded(one.lasted_s)))}</td><td class="r">{_e(stands)}<br>'
        f"<code>{_e(todo)}</code></td></tr>"
    )


def _rounded(seconds: float) -> float:
    """Leave out what nobody reads: seconds of what lasts minutes."""
    return seconds if seconds < _MINUTE_S else seconds // _MINUTE_S * _MINUTE_S


def take_command(one: Alert) -> str:
    """Give the command by which somebody answers for it."""
    return f"syncgate ack {one.id} --reason ..."


def _e(value: object) -> str:
    return escape(str(value), quote=True)

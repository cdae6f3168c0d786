"""The dashboard's section on copies: what is mirrored, what is written back to old."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from gateway.admin.dashboard import words as figures

if TYPE_CHECKING:
    from gateway.admin.dashboard.words import Words
    from gateway.admin.models import Mirror, MirrorTraffic, WriteBack

_MEBIBYTE: Final = 1024 * 1024


def copies_section(mirror: Mirror, say: Words) -> str:
    """Show what became of copies; nothing where there never were any."""
    traffic, back = mirror.traffic, mirror.write_back
    rows = []
    if traffic and (mirror.on or traffic.sent or traffic.dropped):
        rows.append(_row(_mirror(mirror, say), _shadows(traffic, say)))
    elif mirror.on or mirror.why_off:
        rows.append(_row(_mirror(mirror, say), _e(mirror.why_off or "")))
    if back and (rows or back.needed or back.open):
        rows.append(_row(_e(say("write_backs")), _write_backs(back, say)))
    if not rows:
        return ""
    table = f'<div class="scroll"><table><tbody>{"".join(rows)}</tbody></table></div>'
    return f"<h2>{_e(say('copies'))}</h2>{table}"


def _row(name: str, html: str) -> str:
    return f'<tr><td class="level">{name}</td><td class="r">{html}</td></tr>'


def _mirror(mirror: Mirror, say: Words) -> str:
    to = f" → {_e(mirror.to)}" if mirror.on and mirror.to else ""
    return _e(say("shadows")) + to


def _shadows(traffic: MirrorTraffic, say: Words) -> str:
    text = _e(
        say("shadows_done").format(
            sent=figures.number(traffic.sent),
            compared=figures.number(traffic.compared),
            held=figures.number(traffic.in_flight + traffic.waiting),
            bytes=f"{traffic.held_bytes / _MEBIBYTE:.1f} MiB",
        )
    )
    if traffic.dropped:
        worst = sorted(traffic.dropped.items(), key=lambda pair: -pair[1])
        reasons = ", ".join(f"{why} {count:,}" for why, count in worst)
        text += f' · <span class="error">{_e(say("shadows_lost").format(reasons=reasons))}</span>'
    return text


def _write_backs(back: WriteBack, say: Words) -> str:
    why = back.why.ja if say.language == "ja" else back.why.en
    if not (back.needed or back.open):
        return f'<span class="dim">{_e(why)}</span>'
    text = _e(
        say("write_backs_done").format(
            agreed=figures.number(back.agreed),
            failed=figures.number(back.failed),
            waiting=figures.number(back.waiting),
        )
    )
    if back.repaired:
        repaired = say("write_backs_repaired").format(repaired=figures.number(back.repaired))
        text += f" · {_e(repaired)}"
    if back.trouble:
        text += f' · <span class="down">{_e(back.trouble)}</span>'
    elif back.open:
        text += f' · <span class="error">{_e(why)}</span>'
    return text


def _e(value: object) -> str:
    return escape(str(value), quote=True)

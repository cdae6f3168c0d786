"""The fleet on a terminal: every replica by name, and who has confirmed a stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from gateway.cli import figures
from gateway.cli.figures import DASH

if TYPE_CHECKING:
    from gateway.cli.texts import Texts

State = dict[str, Any]

_STYLE: Final = {"reporting": "green", "silent": "bold red", "holding": "bold yellow"}
_WIDTHS: Final = (20, 10, 8, 9, 9, 8, 8)


def section(state: State, say: Texts, width: int) -> list[Text]:
    """Show the replicas; nothing for a gateway that stands alone."""
    fleet = state.get("fleet")
    if fleet is None:
        return []
    widths = [*_WIDTHS, max(8, width - sum(_WIDTHS) - 2 * len(_WIDTHS))]
    right = (2, 3, 4, 5, 6)
    title = Text(say("fleet"), style="bold")
    heads = ("replica_state", "replica_version", "to_new", "requests", "replica_share", "heard")
    head = figures.row(
        [title, *((say(key), "dim") for key in heads), ("", "")], widths, right=right
    )
    lines = [head]
    if not fleet["connected"]:
        lines.append(Text(say("fleet_lost", store=fleet["store"]), style="bold yellow"))
    for one in fleet["replicas"]:
        name = Text(one["name"], style="bold" if one["here"] else "")
        if one["decides"]:
            name.append(" *", style="bold cyan")
        version = str(one["version"])
        if one["behind"]:
            version = f"{version} (-{one['behind']})"
        share = one["traffic_share"]
        note = one["note"] or (say("replica_decides") if one["decides"] else "")
        cells: list[Text | tuple[str, str]] = [
            name,
            (say(f"replica_{one['state']}"), _STYLE.get(one["state"], "")),
            (version, "yellow" if one["behind"] else ""),
            (f"{one['weight_percent']:g} %", ""),
            (f"{one['requests_per_s']:,.1f}", ""),
            (DASH if share is None else f"{share:.0%}", ""),
            (say("here") if one["here"] else f"{one['age_s']:.1f} s", "dim"),
            (note, "dim"),
        ]
        lines.append(figures.row(cells, widths, right=right))
    return lines


def confirmations(state: State, say: Texts) -> list[Text]:
    """Say who has confirmed the stop, and who did not answer, by name."""
    said = state.get("confirmations")
    if said is None:
        return []
    lines = []
    if said["confirmed"]:
        names = ", ".join(said["confirmed"])
        waited = f"{said['waited_s']:.1f}"
        lines.append(Text(say("confirmed", names=names, seconds=waited), style="green"))
    if said["missing"]:
        names = ", ".join(said["missing"])
        lines.append(Text(say("not_confirmed", names=names), style="bold red"))
    return lines

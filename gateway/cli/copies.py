"""The part of the status that speaks of copies: what is mirrored, what is written back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from gateway.cli import figures

if TYPE_CHECKING:
    from gateway.cli.texts import Texts

_MEBIBYTE = 1024 * 1024


def copies(state: dict[str, Any], say: Texts, width: int) -> list[Text]:
    """Draw what became of copies; nothing where there never were any."""
    mirror = state["mirror"]
    lines: list[Text] = []
    traffic, back = mirror.get("traffic"), mirror.get("write_back")
    if traffic and (mirror["on"] or traffic["sent"] or traffic["dropped"]):
        lines += _set(say("shadows"), _shadows(traffic, say), width)
    if back and (lines or back["needed"] or back["open"]):
        lines += _set(say("write_backs"), _write_backs(back, say), width)
    if not lines:
        return []
    return [Text(say("copies"), style="bold"), *lines]


def _set(label: str, text: Text, width: int) -> list[Text]:
    return figures.labelled(label, text, width=width, lines=3, indent=12)


def _shadows(traffic: dict[str, Any], say: Texts) -> Text:
    held = traffic["in_flight"] + traffic["waiting"]
    text = Text(
        say(
            "shadows_done",
            sent=figures.plain(traffic["sent"]),
            compared=figures.plain(traffic["compared"]),
            held=figures.plain(held),
            bytes=f"{traffic['held_bytes'] / _MEBIBYTE:.1f} MiB",
        )
    )
    if traffic["dropped"]:
        worst = sorted(traffic["dropped"].items(), key=lambda pair: -pair[1])
        reasons = ", ".join(f"{why} {count:,}" for why, count in worst)
        text.append(f" · {say('shadows_lost', reasons=reasons)}", style="yellow")
    return text


def _write_backs(back: dict[str, Any], say: Texts) -> Text:
    if not (back["needed"] or back["open"]):
        return Text(back["why"][say.language], style="dim")
    counts = {name: figures.plain(back[name]) for name in ("agreed", "failed", "waiting")}
    text = Text(say("write_backs_done", **counts))
    if back["repaired"]:
        repaired = say("write_backs_repaired", repaired=figures.plain(back["repaired"]))
        text.append(f" · {repaired}")
    why = back["trouble"] or (back["why"][say.language] if back["open"] else "")
    if why:
        text.append(f" · {why}", style="bold red" if back["trouble"] else "yellow")
    return text

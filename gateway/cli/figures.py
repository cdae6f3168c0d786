"""
Figures as people read them: every number with its unit, what is not known as a dash.

Pure text; columns are measured in terminal cells, in which a Japanese character takes two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence
DASH: Final = "–"  # noqa: RUF001 - an en dash, as typesetters mark what is absent
_MANY: Final = 100
_SECOND_MS: Final = 1_000

Cell = tuple[str, str]
"""Text and style."""


def ratio(value: float | None) -> str:
    """Say a share in percent, with the digits that matter near zero."""
    if value is None:
        return DASH
    percent = value * 100
    return f"{percent:.2f} %" if percent < 10 else f"{percent:.1f} %"  # noqa: PLR2004 - two digits


def milliseconds(value: float | None) -> str:
    """Say a latency."""
    if value is None:
        return DASH
    if value >= _SECOND_MS:
        return f"{value / _SECOND_MS:.2f} s"
    return f"{value:.1f} ms" if value < _MANY else f"{value:.0f} ms"


def plain(value: float | None) -> str:
    """Say a number."""
    if value is None:
        return DASH
    return f"{value:,.0f}" if abs(value) >= _MANY or value == int(value) else f"{value:.2f}"


def of_gate(value: float | None, gate: dict[str, Any]) -> str:
    """Say a gate's figure in the unit of its metric."""
    metric = gate.get("metric") or ""
    if value is None:
        return DASH
    match gate.get("basis"):
        case "ratio_to_old":
            return f"{value:.2f} x"
        case "excess_over_old":
            return f"{value * 100:+.2f} pt"
    if metric == "sync_seconds_per_1000":
        return f"{value:.1f} s"
    if metric.endswith("_to_old"):
        return f"{value:.2f} x"
    sayings = {"ratio": ratio, "ms": milliseconds}
    return sayings.get(metric.rpartition("_")[2], plain)(value)


def clock(at: str | None) -> str:
    """Say the time of day of an instant, in UTC."""
    return at[11:19] if at else DASH


def bar(share: float, width: int, style: str) -> Text:
    """Draw a bar of `width` cells; anything above nothing shows at least a sliver."""
    share = min(1.0, max(0.0, share))
    eighths = round(share * width * 8)
    if share > 0:
        eighths = max(1, eighths)
    full, part = divmod(eighths, 8)
    drawn = "█" * full + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[part]
    return Text(drawn, style=style) + Text("─" * (width - len(drawn)), style="bright_black")


def row(cells: Sequence[Text | Cell], widths: Sequence[int], *, right: Sequence[int] = ()) -> Text:
    """Set cells into columns of these widths, two spaces apart; `right` are set to the right."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for index, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        text = cell.copy() if isinstance(cell, Text) else Text(cell[0], style=cell[1])
        text.truncate(width, overflow="ellipsis")
        text.align("right" if index in right else "left", width)
        if index:
            line.append("  ")
        line.append_text(text)
    return line


def labelled(label: str, text: Text, *, width: int, lines: int, indent: int) -> list[Text]:
    """Set text beside a label, on at most so many lines."""
    from rich.console import Console  # noqa: PLC0415 - only to wrap at cell width

    room = max(20, width - indent)
    wrapped = list(text.wrap(Console(width=room), room))
    if len(wrapped) > lines:
        wrapped = wrapped[:lines]
        wrapped[-1].rstrip()
        wrapped[-1].truncate(room - 1, overflow="crop")
        wrapped[-1].append("…")
    head = Text(label, style="bold")
    head.align("left", indent)
    result: list[Text] = []
    for number, one in enumerate(wrapped):
        one.rstrip()
        result.append((head if number == 0 else Text(" " * indent)) + one)
    return result


def beside(label: Text, text: Text, *, width: int) -> list[Text]:
    """Set text to the right of a label, going on below itself."""
    from rich.console import Console  # noqa: PLC0415 - only to wrap at cell width

    indent = label.cell_len + 1
    room = max(20, width - indent)
    lines = list(text.wrap(Console(width=room), room)) or [Text()]
    return [
        (label + " " if number == 0 else Text(" " * indent)) + one
        for number, one in enumerate(lines)
    ]

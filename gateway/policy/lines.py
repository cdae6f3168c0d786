"""
Where each key of a TOML file stands: the standard parser does not tell.

A scan of table headers and of the key at the start of each line is enough: what stands inside an
inline table or a long array is reported at the line where that begins.
"""

from __future__ import annotations

import re
from typing import Final

Path = tuple[str | int, ...]

_HEADER: Final = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY: Final = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*[\w-]+)*)\s*=""")


def line_numbers(text: str) -> dict[Path, int]:
    """Map the path of every table and key to its line, counted from 1."""
    lines: dict[Path, int] = {(): 1}
    counts: dict[Path, int] = {}
    here: Path = ()
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        if header:
            names = _names(header[2])
            here = _table(names, counts, array=header[1] == "[[")
            lines.setdefault(here, number)
            continue
        key = _KEY.match(line)
        if key:
            lines.setdefault((*here, *_names(key[1])), number)
    return lines


def _table(names: list[str], counts: dict[Path, int], *, array: bool) -> Path:
    """Resolve a header to a path: a parent that is an array means its newest member."""
    here: Path = ()
    for name in names[:-1]:
        here = (*here, name)
        if here in counts:
            here = (*here, counts[here] - 1)
    here = (*here, names[-1])
    if array:
        counts[here] = counts.get(here, 0) + 1
        return (*here, counts[here] - 1)
    return here


def _names(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]


def line_of(path: Path, lines: dict[Path, int]) -> int:
    """Find the line of a key, or of the nearest thing around it."""
    while path not in lines:
        path = path[:-1]
    return lines[path]

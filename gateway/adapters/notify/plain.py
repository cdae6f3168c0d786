"""
Text from outside, made inert: what a listing, a reason or a report says can hold anything.

What steers a terminal, a mail header or the direction of writing has no business in an alert, so it
goes before any channel sees it; every line break becomes a space where one line is asked for. Each
channel then escapes what its own markup would take for a command.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

ELLIPSIS: Final = "…"

_SPACE: Final = re.compile(r"[ \t\r\n\v\f\x1c-\x1f\x85\u2028\u2029]+")
_BREAK: Final = re.compile(r"\r\n|[\r\n\v\f\x85\u2028\u2029]")
# Marks that turn or hide what follows; joiners stay, for scripts and emoji are written with them.
_STEERING: Final = re.compile(
    "[\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffc\U000e0000-\U000e0fff]"
)
_MOST_MARKS: Final = 4
_GONE: Final = frozenset({"Cc", "Cs", "Cn", "Co"})


def one_line(text: object, limit: int = 500) -> str:
    """Give it as one line of at most `limit` characters without anything that steers."""
    return bounded(_inert(_SPACE.sub(" ", _head(text, limit))).strip(), limit)


def lines(text: object, limit: int = 4_000) -> str:
    r"""Give it with plain `\n` line breaks and nothing else that steers."""
    parts = _BREAK.split(_head(text, limit))
    return bounded("\n".join(_inert(part.replace("\t", " ")).rstrip() for part in parts), limit)


def bounded(text: str, limit: int) -> str:
    """Cut after `limit` characters, with an ellipsis to show for it."""
    if len(text) <= limit:
        return text
    return text[: max(0, limit - len(ELLIPSIS))].rstrip() + ELLIPSIS


def without(text: str, *shown: str | None) -> str:
    """Leave out lines that end in what a channel shows on its own: a command, a link."""
    apart = tuple(each for each in shown if each)
    if not apart:
        return text
    return "\n".join(line for line in text.split("\n") if not line.endswith(apart)).rstrip()


def _head(text: object, limit: int) -> str:
    """Take the beginning only: nobody cleans a megabyte to show a line of it."""
    return str(text)[: limit * 4 + 16]


def _inert(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    kept: list[str] = []
    marks = 0
    for character in _STEERING.sub("", text):
        category = unicodedata.category(character)
        if category in _GONE:
            continue
        # Marks piled on one letter reach into other people's lines.
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if marks <= _MOST_MARKS:
            kept.append(character)
    return "".join(kept)

"""
Where in a JSON value something stands: ``records[3].address``, and patterns over it.

A *path* is exact, a *field* has every list index replaced by ``[*]``: differences are counted,
sampled and forgiven per field. A pattern is written like a field and may also say ``*`` (any one
key or element) and ``**`` (any number of them). Keys that are not plain words stand in brackets and
quotes, ``["a.b"]``, so that every key can be named and no key can pose as a wildcard.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from json import dumps, loads
from typing import Final

Path = tuple[str | int, ...]


class Wild(Enum):
    """What stands for more than itself."""

    INDEX = "[*]"
    ONE = "*"
    DEEP = "**"


Token = str | Wild
Field = tuple[Token, ...]

_WORD: Final = re.compile(r"[^\W\d][\w-]*")
_TOKEN: Final = re.compile(
    r"""\.?(?:(?P<deep>\*\*)|(?P<one>\*)|(?P<word>[^\W\d][\w-]*))|"""
    r"""(?P<index>\[\*\])|\[(?P<quoted>"(?:[^"\\]|\\.)*")\]"""
)


def spelled(path: tuple[str | int | Wild, ...]) -> str:
    """Write a path or field."""
    written = ""
    for step in path:
        if isinstance(step, Wild):
            dot = "." if written and step is not Wild.INDEX else ""
            written += f"{dot}{step.value}"
        elif isinstance(step, int):
            written += f"[{step}]"
        elif _WORD.fullmatch(step):
            written += f".{step}" if written else step
        else:
            written += f"[{_quoted(step)}]"
    return written


def _quoted(key: str) -> str:
    quoted = dumps(key, ensure_ascii=False)
    try:
        quoted.encode()
    except UnicodeEncodeError:  # half a surrogate pair could be stored nowhere
        return dumps(key)
    return quoted


@lru_cache(maxsize=4096)
def parsed(text: str) -> Field:
    """Read a field or pattern; ValueError says what is wrong with it."""
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or (at == 0 and text[0] == "."):
            raise ValueError(f"cannot read the path {text!r} from {text[at : at + 20]!r} on")
        if found["word"] is not None:
            tokens.append(found["word"])
        elif found["quoted"] is not None:
            tokens.append(str(loads(found["quoted"])))
        elif found["index"] is not None:
            tokens.append(Wild.INDEX)
        else:
            tokens.append(Wild.DEEP if found["deep"] else Wild.ONE)
        at = found.end()
        if at < len(text) and text[at] not in ".[":
            raise ValueError(f"cannot read the path {text!r} from {text[at : at + 20]!r} on")
    return tuple(tokens)


def matches(pattern: Field, field: Field, *, below: bool = False) -> bool:
    """Tell whether the pattern names the field, or, with `below`, anything it lies under."""
    places = _past_deep({0}, pattern)  # how far into the pattern one may have come
    for step in field:
        if below and len(pattern) in places:
            return True
        moved = {at for at in places if at < len(pattern) and pattern[at] is Wild.DEEP}
        moved |= {at + 1 for at in places if at < len(pattern) and pattern[at] in (step, Wild.ONE)}
        places = _past_deep(moved, pattern)
    return len(pattern) in places


def _past_deep(places: set[int], pattern: Field) -> set[int]:
    """Add the places reached by letting ``**`` stand for nothing."""
    grown = set(places)
    for place in places:
        at = place
        while at < len(pattern) and pattern[at] is Wild.DEEP:
            at += 1
            grown.add(at)
    return grown

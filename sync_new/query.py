"""
PostgREST's query language, as far as this store speaks it.

A value may hold anything: quotes, commas, parentheses, percent signs, emoji. Inside ``in.(...)`` it
stands in double quotes with backslash escapes; everything is then percent-encoded, byte by byte, so
that no client or proxy on the way finds anything left to interpret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# Proxies in front of PostgREST commonly stop at 8 KiB for the whole request line.
MAX_FILTER_BYTES: Final = 5000
MAX_VALUES: Final = 500


def query(*pairs: tuple[str, str]) -> str:
    """Encode a query string; names and values may be repeated and hold anything."""
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


def equals(value: object) -> str:
    """Filter for one value; what follows the operator is taken as it stands."""
    return f"eq.{value}"


def greater(value: str) -> str:
    """Filter for what comes after a value (keyset pages)."""
    return f"gt.{value}"


def one_of(values: Iterable[str]) -> str:
    """Filter for any of some values."""
    return f"in.({','.join(map(_quoted, values))})"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def slices(values: Sequence[str]) -> Iterator[list[str]]:
    """Cut values so that each slice's filter stays short enough for an address."""
    part: list[str] = []
    size = 0
    for value in values:
        cost = len(quote(_quoted(value), safe="")) + 3
        if part and (size + cost > MAX_FILTER_BYTES or len(part) == MAX_VALUES):
            yield part
            part, size = [], 0
        part.append(value)
        size += cost
    if part:
        yield part

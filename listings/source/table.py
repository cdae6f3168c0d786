"""A feed as it is before anybody reads meaning into it: headings and rows of text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row; `row` is its 1-based line (of a sheet: its row), as an editor would show it."""

    row: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Headings and the rows below them; rows without any text are left out."""

    headings: tuple[str, ...]
    rows: Sequence[TableRow]


class Source(Protocol):
    """Where a table is read from. Raises SourceUnavailable, which says what to do."""

    @property
    def name(self) -> str:
        """What to call the feed in a message: a path, a sheet."""
        ...

    async def read(self) -> Table:
        """Read the whole feed as it is now."""
        ...

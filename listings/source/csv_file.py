"""
A CSV file as Japanese offices write it: UTF-8 with or without a mark, UTF-16 from Excel, or CP932.

The encoding is found by trying, strictest first: text that is valid UTF-8 and was meant as CP932
does not occur in practice. Quoting is read strictly: a quote that is never closed would swallow the
rest of the file into one cell, so it is an error that names its line, not a shorter feed.
"""

from __future__ import annotations

import asyncio
import codecs
import csv
import io
from typing import TYPE_CHECKING, Final

from listings.errors import SourceUnavailable
from listings.source.table import Table, TableRow

if TYPE_CHECKING:
    from pathlib import Path

AUTO: Final = "auto"
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class CsvFile:
    """A Source over one file, read anew each time."""

    def __init__(self, path: Path, *, encoding: str = AUTO, delimiter: str = ",") -> None:
        self._path = path
        self._encoding = encoding
        self._delimiter = delimiter

    @property
    def name(self) -> str:
        """Give the file's path."""
        return str(self._path)

    async def read(self) -> Table:
        """Read the file in a thread, so that a big feed does not hold up other requests."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> Table:
        try:
            data = self._path.read_bytes()
        except OSError as exc:
            raise SourceUnavailable(
                f"The feed {self._path} cannot be read ({exc.strerror}); "
                "check SYNC_SOURCE_FILE or [source] path in SYNC_SOURCE."
            ) from exc
        return read_csv(data, self.name, encoding=self._encoding, delimiter=self._delimiter)


def read_csv(data: bytes, name: str, *, encoding: str = AUTO, delimiter: str = ",") -> Table:
    """Read the bytes of a CSV file; `name` is for messages."""
    text = _decode(data, name, encoding)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[TableRow] = []
    line = 1
    try:
        for cells in reader:
            if any(cells):
                rows.append(TableRow(line, tuple(cells)))
            line = reader.line_num + 1
    except csv.Error as exc:
        raise SourceUnavailable(
            f"The feed {name} is not CSV from line {line} on ({exc}); "
            "look for a quote that is not closed or not doubled there."
        ) from exc
    if not rows:
        raise SourceUnavailable(f"The feed {name} is empty; it has not even headings.")
    return Table(rows[0].cells, rows[1:])


def _decode(data: bytes, name: str, encoding: str) -> str:
    if encoding == AUTO:
        for mark, marked in _MARKS:
            if data.startswith(mark):
                candidates = [marked]
                break
        else:
            candidates = ["utf-8", "cp932"]
    else:
        candidates = [encoding]
    for candidate in candidates:
        try:
            return data.decode(candidate)
        except UnicodeDecodeError as exc:
            where = data.count(b"\n", 0, exc.start) + 1
    raise SourceUnavailable(
        f"The feed {name} is neither of {', '.join(candidates)} (a byte in line {where} does not "
        "fit); save it as UTF-8, or name its encoding in [source] of SYNC_SOURCE."
    )

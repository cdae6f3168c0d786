"""
The feed: a source and its mapping, built from ``source.toml``; all faults of the file at once.

    [source]          kind = "csv" or "google_sheets"; for csv: path (from the file's own folder),
                      encoding = "auto", delimiter = ","
    [google_sheets]   spreadsheet_id, sheet, header_row, page_rows, endpoint
    [key]             columns = ["物件番号"], separator = "-"
    [fields]          field = "heading", or { column = "heading", optional = true }
    [extra]           keep = true, ignore = ["heading", ...]

Credentials are never in the file: GOOGLE_SHEETS_API_KEY, or GOOGLE_APPLICATION_CREDENTIALS with the
path of a service account's key.
"""

from __future__ import annotations

import asyncio
import codecs
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from listings.errors import Fault, InvalidInput, SourceUnavailable
from listings.model import FIELD_BY_NAME
from listings.source.csv_file import AUTO, CsvFile
from listings.source.google_sheets import ENDPOINT, ApiKey, GoogleSheet, ServiceAccount
from listings.source.mapping import Column, ColumnMapping, read_listings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from listings.model import Field
    from listings.source.mapping import FeedContents
    from listings.source.table import Source

_TABLES: Final[Mapping[str, Mapping[str, type]]] = {
    "source": {"kind": str, "path": str, "encoding": str, "delimiter": str},
    "google_sheets": {
        "spreadsheet_id": str,
        "sheet": str,
        "header_row": int,
        "page_rows": int,
        "endpoint": str,
    },
    "key": {"columns": list, "separator": str},
    "extra": {"keep": bool, "ignore": list},
}
_NAMES: Final = {str: "text", int: "a whole number", list: "a list of headings", bool: "true/false"}


@dataclass(frozen=True, slots=True)
class Feed:
    """A source and how to read it."""

    source: Source
    mapping: ColumnMapping

    @property
    def name(self) -> str:
        """What to call the feed in a message."""
        return self.source.name

    async def read(self) -> FeedContents:
        """Read the feed as it is now; making listings of it is kept off the event loop."""
        table = await self.source.read()
        return await asyncio.to_thread(read_listings, table, self.mapping, self.name)


@dataclass(frozen=True, slots=True)
class NoFeed:
    """Stands in for a feed that cannot be set up, and says why whenever it is asked."""

    reason: str

    @property
    def name(self) -> str:
        """What to call the feed in a message."""
        return "feed"

    async def read(self) -> FeedContents:
        """Refuse, with the reason."""
        raise SourceUnavailable(self.reason)


def load_feed(path: Path, *, environ: Mapping[str, str], source_file: Path | None = None) -> Feed:
    """
    Build the feed that ``source.toml`` describes; `source_file` takes the place of its CSV path.

    Raises InvalidInput with one Fault per key that is wrong.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as exc:
        raise InvalidInput(
            f"The mapping {path} cannot be read.",
            Fault("SYNC_SOURCE", "the path of a source.toml", f"{path} ({exc.strerror})"),
        ) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise InvalidInput(
            f"The mapping {path} is not TOML.", Fault(str(path), "TOML", str(exc))
        ) from exc
    faults: list[Fault] = []
    _check_shape(document, faults)
    if faults:
        raise InvalidInput(f"The mapping {path} is wrong.", *faults)
    mapping = _mapping(document, faults)
    source = _source(document, path, environ, source_file, faults)
    if faults or source is None:
        raise InvalidInput(f"The mapping {path} is wrong.", *faults)
    return Feed(source, mapping)


def _check_shape(document: Mapping[str, Any], faults: list[Fault]) -> None:
    for name, table in document.items():
        if name == "fields":
            continue
        if name not in _TABLES or not isinstance(table, dict):
            expected = f"one of [{'], ['.join([*_TABLES, 'fields'])}]"
            faults.append(Fault(name, expected, "a table of another name or no table"))
            continue
        for key, value in table.items():
            kind = _TABLES[name].get(key)
            if kind is None:
                expected = f"one of {', '.join(_TABLES[name])}"
                faults.append(Fault(f"{name}.{key}", expected, "an unknown key"))
            elif type(value) is not kind or (kind is list and not _is_headings(value)):
                faults.append(Fault(f"{name}.{key}", _NAMES[kind], repr(value)))
    if not isinstance(document.get("fields"), dict):
        faults.append(Fault("fields", "a table: field = heading", "nothing"))


def _is_headings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and item.strip() for item in value)


def _mapping(document: Mapping[str, Any], faults: list[Fault]) -> ColumnMapping:
    key = document.get("key", {})
    columns = tuple(key.get("columns", ()))
    if not columns:
        faults.append(Fault("key.columns", "at least one heading, e.g. ['物件番号']", "nothing"))
    mapped: dict[Field, Column] = {}
    for name, said in document["fields"].items():
        place = f"fields.{name}"
        field = FIELD_BY_NAME.get(name)
        if field is None:
            expected = f"one of {', '.join(FIELD_BY_NAME)}"
            faults.append(Fault(place, expected, "an unknown field"))
            continue
        column = _column(said)
        if column is None:
            expected = "a heading, or { column = heading, optional = true }"
            faults.append(Fault(place, expected, repr(said)))
            continue
        mapped[field] = column
    extra = document.get("extra", {})
    return ColumnMapping(
        key=columns,
        columns=mapped,
        separator=key.get("separator", "-"),
        keep_extra=extra.get("keep", True),
        ignore=frozenset(extra.get("ignore", ())),
    )


def _column(said: object) -> Column | None:
    if isinstance(said, str) and said.strip():
        return Column(said)
    if isinstance(said, dict) and set(said) <= {"column", "optional"}:
        heading, optional = said.get("column"), said.get("optional", False)
        if isinstance(heading, str) and heading.strip() and isinstance(optional, bool):
            return Column(heading, optional)
    return None


def _source(
    document: Mapping[str, Any],
    path: Path,
    environ: Mapping[str, str],
    source_file: Path | None,
    faults: list[Fault],
) -> Source | None:
    source = document.get("source", {})
    kind = source.get("kind", "csv")
    if kind == "csv" or source_file is not None:
        return _csv(source, path, source_file, faults)
    if kind == "google_sheets":
        return _google(document.get("google_sheets", {}), environ, faults)
    faults.append(Fault("source.kind", "csv or google_sheets", repr(kind)))
    return None


def _csv(
    source: Mapping[str, Any], path: Path, source_file: Path | None, faults: list[Fault]
) -> Source | None:
    delimiter, encoding = source.get("delimiter", ","), source.get("encoding", AUTO)
    if len(delimiter) != 1:
        faults.append(Fault("source.delimiter", "one character", repr(delimiter)))
    if encoding != AUTO and not _is_encoding(encoding):
        faults.append(Fault("source.encoding", "auto, utf-8, cp932, ...", repr(encoding)))
    if source_file is None and "path" not in source:
        faults.append(Fault("source.path", "the path of the CSV file", "nothing"))
    if faults:
        return None
    file = source_file or path.parent / Path(source["path"]).expanduser()
    return CsvFile(file, encoding=encoding, delimiter=delimiter)


def _is_encoding(name: str) -> bool:
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):
        return False
    return codec._is_text_encoding  # noqa: SLF001 - "hex" and "zlib" are codecs too


def _google(
    table: Mapping[str, Any], environ: Mapping[str, str], faults: list[Fault]
) -> Source | None:
    if not table.get("spreadsheet_id"):
        expected = "the id from the sheet's address (.../spreadsheets/d/<id>/edit)"
        faults.append(Fault("google_sheets.spreadsheet_id", expected, "nothing"))
    faults.extend(
        Fault(f"google_sheets.{key}", "1 or more", repr(table[key]))
        for key in ("header_row", "page_rows")
        if table.get(key, 1) < 1
    )
    api_key = environ.get("GOOGLE_SHEETS_API_KEY")
    key_file = environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if not api_key and not key_file:
        expected = "an API key, or GOOGLE_APPLICATION_CREDENTIALS with a key file's path"
        faults.append(Fault("GOOGLE_SHEETS_API_KEY", expected, "nothing"))
    if faults:
        return None
    try:
        credentials = ApiKey(api_key) if api_key else ServiceAccount(key_file or "")
    except SourceUnavailable as exc:
        faults.append(Fault("GOOGLE_APPLICATION_CREDENTIALS", "a usable key file", str(exc)))
        return None
    return GoogleSheet(
        table["spreadsheet_id"],
        credentials,
        sheet=table.get("sheet"),
        endpoint=table.get("endpoint", ENDPOINT),
        header_row=table.get("header_row", 1),
        page_rows=table.get("page_rows", 1000),
    )

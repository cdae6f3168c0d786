"""
The proof: PostgreSQL read back directly, past every service, and held against the feed.

Each check answers whether it holds and one line a person can follow; nothing here trusts what a
service said about itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.rows import dict_row

from listings.stored import row_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SHOWN: Final = 3
# An entry must begin with the image that the listing's entry before it ended with.
_GAPS: Final = """
select count(*) as gaps from (
  select before, lag(after) over (partition by workspace_id, property_number order by seq) as last
  from listing_journal) entries
where before is distinct from last"""
_LAST: Final = """
select count(*) as strays from listings l
left join lateral (
  select after from listing_journal j
  where (j.workspace_id, j.property_number) = (l.workspace_id, l.property_number)
  order by seq desc limit 1) j on true
where j.after is distinct from to_jsonb(l)"""


@dataclass(frozen=True, slots=True)
class Check:
    """One claim: whether it holds, and by what figures."""

    claim: str
    holds: bool
    figures: str


def prove(
    database_url: str, *, digests: Mapping[str, str], written_by: Mapping[str, str]
) -> list[Check]:
    """Hold the database against the feed's digests, and against who was seen to write what."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        # Timestamps in the journal's images are written in UTC.
        connection.execute("set timezone = 'UTC'")
        rows = connection.execute("select * from listings order by property_number").fetchall()
        writers = connection.execute(
            "select property_number, writer from listing_journal order by seq"
        ).fetchall()
        gaps = _one(connection, _GAPS)
        strays = _one(connection, _LAST)
    return [
        _same_rows(rows, digests),
        _same_writers(rows, written_by),
        _same_digests(rows, digests),
        _whole_journal(rows, writers, gaps=gaps, strays=strays),
    ]


def _same_rows(rows: Sequence[Mapping[str, Any]], digests: Mapping[str, str]) -> Check:
    stored = Counter(row["property_number"] for row in rows)
    missing = digests.keys() - stored.keys()
    extra = stored.keys() - digests.keys()
    twice = [number for number, count in stored.items() if count > 1]
    holds = not (missing or extra or twice)
    figures = f"{len(rows):,} = {len(digests):,}; none missing, none too many, none twice"
    if not holds:
        figures = f"missing {_some(missing)}, too many {_some(extra)}, twice {_some(twice)}"
    return Check("rows in PostgreSQL = feed", holds, figures)


def _same_writers(rows: Sequence[Mapping[str, Any]], written_by: Mapping[str, str]) -> Check:
    wrong = [
        row["property_number"]
        for row in rows
        if row["written_by"] != written_by.get(row["property_number"])
    ]
    counts = Counter(row["written_by"] for row in rows)
    figures = f"old {counts['old']:,} + new {counts['new']:,}, as their answers said"
    if wrong:
        figures = f"written by another than answered: {_some(wrong)}"
    return Check("counts per system", not wrong, figures)


def _same_digests(rows: Sequence[Mapping[str, Any]], digests: Mapping[str, str]) -> Check:
    wrong = [
        row["property_number"]
        for row in rows
        if row_digest(row) != digests.get(row["property_number"])
    ]
    equal = len(rows) - len(wrong)
    share = equal / len(digests) if digests else 0
    figures = f"{equal:,} of {len(digests):,} equal ({share:.0%}), old and new alike"
    if wrong:
        figures += f"; different: {_some(wrong)}"
    return Check("digests: row read back = feed", equal == len(digests), figures)


def _whole_journal(
    rows: Sequence[Mapping[str, Any]],
    writers: Sequence[Mapping[str, Any]],
    *,
    gaps: int,
    strays: int,
) -> Check:
    entries = Counter(entry["property_number"] for entry in writers)
    silent = [row["property_number"] for row in rows if not entries[row["property_number"]]]
    nameless = sum(entry["writer"] not in {"old", "new"} for entry in writers)
    holds = not (silent or nameless or gaps or strays) and len(writers) == len(rows)
    figures = f"{len(writers):,} entries for {len(rows):,} rows; each names its writer, no gap"
    if not holds:
        figures = (
            f"{len(writers):,} entries for {len(rows):,} rows; without entry {_some(silent)}, "
            f"{nameless} without writer, {gaps} gaps, {strays} rows unlike their last image"
        )
    return Check("change journal complete", holds, figures)


def _one(connection: psycopg.Connection[dict[str, Any]], statement: str) -> int:
    (row,) = connection.execute(statement).fetchall()
    (value,) = row.values()
    return int(value)


def _some(numbers: Iterable[str]) -> str:
    listed = sorted(numbers)
    if not listed:
        return "none"
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more

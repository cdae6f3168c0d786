"""
Write-backs that failed, in a SQLite file of their own beside the state.

They are needed until a repair has made both stores equal, so every commit is fsynced. Their number
is bounded: beyond it a failure is added to the newest row of its reason, which then counts several
failures and says when the first and the last of them were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.adapters.sqlite_file import FileKind, SqliteFile
from gateway.ports.write_backs import WriteBackFailure, WriteBackLedger

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from gateway.ports.write_backs import RepairReport

MOST_ROWS: Final = 10_000
_SCHEMA: Final = """
create table facts (name text primary key, value integer) strict;
create table failures (
  seq integer primary key, from_us integer not null, to_us integer not null, reason text not null,
  sync_id text not null, request_id text not null, path text not null, listings integer not null,
  count integer not null
) strict;
create index failures_by_reason on failures (reason, seq);
"""
WRITE_BACKS_FILE: Final = FileKind(
    name="write_backs.sqlite3",
    application_id=0x53594E57,  # "SYNW"
    schema=_SCHEMA,
    unavailable="Failed write-backs cannot be kept in {path}: {problem}.",
    unavailable_todo="Make room on the disk, or move the file away and run `syncgate repair`.",
)
_COLUMNS: Final = "from_us, to_us, reason, sync_id, request_id, path, listings, count"
_LATEST: Final = f"select {_COLUMNS} from failures order by seq desc limit ?"  # noqa: S608 - ours
_INSERT: Final = f"insert into failures ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - ours
_SUM_UP: Final = """
    update failures set from_us = min(from_us, ?), to_us = max(to_us, ?),
      listings = listings + ?, count = count + ?
    where seq = (select max(seq) from failures where reason = ?)
"""


class SqliteWriteBacks:
    """`WriteBackStore` on a file."""

    def __init__(self, directory: Path, *, most_rows: int = MOST_ROWS) -> None:
        self._file = SqliteFile(directory, WRITE_BACKS_FILE)
        self._most_rows = most_rows

    def load(self) -> WriteBackLedger:
        """Read the ledger."""
        with self._file.transaction() as database:
            return _ledger(database)

    def mark(self, since_us: int | None) -> None:
        """Note since when write-backs are on."""
        with self._file.transaction() as database:
            _set(database, "left_open_since_us", since_us)

    def add(self, failures: Sequence[WriteBackFailure]) -> WriteBackLedger:
        """Keep failures."""
        with self._file.transaction() as database:
            (rows,) = database.execute("select count(*) from failures").fetchone()
            for one in failures:
                if (
                    rows >= self._most_rows
                    and database.execute(
                        _SUM_UP, (one.from_us, one.to_us, one.listings, one.count, one.reason)
                    ).rowcount
                ):
                    continue
                rows += 1
                database.execute(
                    _INSERT,
                    (
                        one.from_us, one.to_us, one.reason, one.sync_id, one.request_id, one.path,
                        one.listings, one.count,
                    ),
                )  # fmt: skip
            return _ledger(database)

    def repaired(self, report: RepairReport, *, at_us: int) -> WriteBackLedger:
        """Count a repair, and clear what it has put right."""
        with self._file.transaction() as database:
            facts = dict(database.execute("select name, value from facts"))
            if report.left == 0:
                before = (report.began_us,)
                (cleared,) = database.execute(
                    "select coalesce(sum(count), 0) from failures where to_us < ?", before
                ).fetchone()
                database.execute("delete from failures where to_us < ?", before)
                _set(database, "cleared", (facts.get("cleared") or 0) + cleared)
            _set(database, "repaired_rows", (facts.get("repaired_rows") or 0) + report.repaired)
            _set(database, "repaired_at_us", at_us)
            return _ledger(database)

    def latest(self, limit: int) -> list[WriteBackFailure]:
        """Give open failures, newest first."""
        with self._file.transaction() as database:
            return [WriteBackFailure(*row) for row in database.execute(_LATEST, (limit,))]

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _ledger(database: sqlite3.Connection) -> WriteBackLedger:
    facts = dict(database.execute("select name, value from facts"))
    count, first_us, last_us = database.execute(
        "select coalesce(sum(count), 0), min(from_us), max(to_us) from failures"
    ).fetchone()
    return WriteBackLedger(
        open=count,
        first_us=first_us,
        last_us=last_us,
        cleared=facts.get("cleared") or 0,
        repaired_rows=facts.get("repaired_rows") or 0,
        repaired_at_us=facts.get("repaired_at_us"),
        left_open_since_us=facts.get("left_open_since_us"),
    )


def _set(database: sqlite3.Connection, name: str, value: int | None) -> None:
    database.execute("insert or replace into facts (name, value) values (?, ?)", (name, value))

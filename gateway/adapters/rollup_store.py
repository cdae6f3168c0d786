"""
Roll-ups in SQLite, in a file of their own beside the state: a row per hour, later per day.

A bucket is stored whole, so that storing it again is the same; kill -9 leaves the one before or the
one after. Losing the file costs old reports, never the rollout. Its size is bounded by its writer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from gateway.adapters.sqlite_file import FileKind
from gateway.adapters.sqlite_thread import SqliteThread
from gateway.core import rollup

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from gateway.core.rollup import Bucket

_SCHEMA: Final = """
create table buckets (hour integer primary key, hours integer not null, document blob not null)
  strict;
create table told (kind text primary key, to_hour integer not null) strict, without rowid;
"""
REPORTS_FILE: Final = FileKind(
    name="reports.sqlite3",
    application_id=0x53594E52,  # "SYNR"
    version=1,
    schema=_SCHEMA,
    unavailable="The roll-ups in {path} cannot be used at the moment ({problem}).",
    unavailable_todo="Check the disk of the state directory.",
    unreadable_todo="Restore {path} from a backup, or move it away: reports then begin anew.",
)


class SqliteRollups:
    """`RollupStore` on a file of this node; the state directory's lock guards it."""

    def __init__(self, directory: Path) -> None:
        self._thread = SqliteThread(directory, REPORTS_FILE)

    async def put(self, buckets: Sequence[Bucket]) -> None:
        """Store them in place of what was there."""
        await self._thread.transact(lambda connection: _insert(connection, buckets))

    async def between(self, from_hour: int, to_hour: int) -> list[Bucket]:
        """Read what begins in these hours; a row that is no bucket of ours is unknown, not fatal.

        Another version of the program may have written it: its hours are a gap then.
        """
        return await self._thread.run(
            lambda connection: _read(connection, "hour >= ? and hour < ?", (from_hour, to_hour))
        )

    async def hours(self, before_hour: int) -> list[Bucket]:
        """Read what is not part of a day yet."""
        return await self._thread.run(
            lambda connection: _read(connection, "hour < ? and hours = 1", (before_hour,))
        )

    async def fold(self, day: Bucket) -> None:
        """Keep one row in place of many."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "delete from buckets where hour >= ? and hour < ?", (day.hour, day.end_hour)
            )
            _insert(connection, (day,))

        await self._thread.transact(write)

    async def forget(self, before_hour: int) -> None:
        """Drop what is too old."""
        await self._thread.run(
            lambda connection: connection.execute(
                "delete from buckets where hour < ?", (before_hour,)
            )
        )

    async def last_told(self, kind: str) -> int | None:
        """Say how far the newest report reaches that was told."""
        row = await self._thread.run(
            lambda connection: connection.execute(
                "select to_hour from told where kind = ?", (kind,)
            ).fetchone()
        )
        return None if row is None else int(row[0])

    async def told(self, kind: str, to_hour: int) -> None:
        """Remember it; an older one changes nothing."""
        await self._thread.run(
            lambda connection: connection.execute(
                "insert into told values (?1, ?2) on conflict (kind) do update"
                " set to_hour = max(to_hour, ?2)",
                (kind, to_hour),
            )
        )

    async def close(self) -> None:
        """Finish what is under way, then let go of the file."""
        await self._thread.close()


def _read(connection: sqlite3.Connection, condition: str, values: tuple[int, ...]) -> list[Bucket]:
    """Read and understand them here, on the store's thread: a week is some megabytes."""
    rows = connection.execute(
        f"select document from buckets where {condition} order by hour",  # noqa: S608 - ours
        values,
    )
    return [bucket for (document,) in rows if (bucket := _bucket(document)) is not None]


def _bucket(document: bytes) -> Bucket | None:
    try:
        return rollup.from_json(orjson.loads(document))
    except (orjson.JSONDecodeError, rollup.ForeignBucketError):
        return None


def _insert(connection: sqlite3.Connection, buckets: Iterable[Bucket]) -> None:
    connection.executemany(
        "insert or replace into buckets values (?, ?, ?)",
        [(one.hour, one.hours, orjson.dumps(rollup.to_json(one))) for one in buckets],
    )

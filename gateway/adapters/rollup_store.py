"""
Roll-ups in SQLite, in a file of their own beside the state: a row per hour, later per day.

A bucket is stored whole, so that storing it again is the same; kill -9 leaves the one before or the
one after. Losing the file costs old reports, never the rollout. Its size is bounded by its writer.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

import orjson

from gateway.core import rollup
from gateway.errors import StateUnreadableError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from gateway.core.rollup import Bucket

FILE_NAME: Final = "reports.sqlite3"
_APPLICATION_ID: Final = 0x53594E52  # "SYNR", so that another program's file is recognised
_VERSION: Final = 1
_SCHEMA: Final = """
create table buckets (hour integer primary key, hours integer not null, document blob not null)
  strict;
create table told (kind text primary key, to_hour integer not null) strict, without rowid;
"""

T = TypeVar("T")


class SqliteRollups:
    """`RollupStore` on a file of this node; the state directory's lock guards it."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rollups")
        try:
            self._connection = self._thread.submit(_open, self._path).result()
        except BaseException:
            self._thread.shutdown(wait=False)
            raise

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, work, self._connection
            )
        except sqlite3.Error as error:
            raise StoreUnavailableError(
                f"The roll-ups in {self._path} cannot be used at the moment ({error}).",
                todo="Check the disk of the state directory.",
            ) from error

    async def put(self, buckets: Sequence[Bucket]) -> None:
        """Store them in place of what was there."""

        def write(connection: sqlite3.Connection) -> None:
            with _transaction(connection):
                _insert(connection, buckets)

        await self._run(write)

    async def between(self, from_hour: int, to_hour: int) -> list[Bucket]:
        """Read what begins in these hours; a row that is no bucket of ours is unknown, not fatal.

        Another version of the program may have written it: its hours are a gap then.
        """
        return await self._run(
            lambda connection: _read(connection, "hour >= ? and hour < ?", (from_hour, to_hour))
        )

    async def hours(self, before_hour: int) -> list[Bucket]:
        """Read what is not part of a day yet."""
        return await self._run(
            lambda connection: _read(connection, "hour < ? and hours = 1", (before_hour,))
        )

    async def fold(self, day: Bucket) -> None:
        """Keep one row in place of many."""

        def write(connection: sqlite3.Connection) -> None:
            with _transaction(connection):
                connection.execute(
                    "delete from buckets where hour >= ? and hour < ?", (day.hour, day.end_hour)
                )
                _insert(connection, (day,))

        await self._run(write)

    async def forget(self, before_hour: int) -> None:
        """Drop what is too old."""
        await self._run(
            lambda connection: connection.execute(
                "delete from buckets where hour < ?", (before_hour,)
            )
        )

    async def last_told(self, kind: str) -> int | None:
        """Say how far the newest report reaches that was told."""
        row = await self._run(
            lambda connection: connection.execute(
                "select to_hour from told where kind = ?", (kind,)
            ).fetchone()
        )
        return None if row is None else int(row[0])

    async def told(self, kind: str, to_hour: int) -> None:
        """Remember it; an older one changes nothing."""
        await self._run(
            lambda connection: connection.execute(
                "insert into told values (?1, ?2) on conflict (kind) do update"
                " set to_hour = max(to_hour, ?2)",
                (kind, to_hour),
            )
        )

    async def close(self) -> None:
        """Finish what is under way, then let go of the file."""
        await self._run(sqlite3.Connection.close)
        self._thread.shutdown()


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


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("begin immediate")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        # A failed commit (full disk) may have ended the transaction already.
        if connection.in_transaction:
            connection.execute("rollback")
        raise


def _open(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("pragma busy_timeout = 2000")
        _prepare(connection, path)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
    except sqlite3.Error as error:
        raise _unreadable(path, f"cannot be read ({error})") from error
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("pragma application_id").fetchone()[0]
    version = connection.execute("pragma user_version").fetchone()[0]
    tables = connection.execute("select count(*) from sqlite_schema").fetchone()[0]
    if tables == 0 and application == 0:
        connection.executescript(
            f"begin immediate; {_SCHEMA}"
            f"pragma application_id = {_APPLICATION_ID}; pragma user_version = {_VERSION}; commit;"
        )
    elif application != _APPLICATION_ID:
        raise _unreadable(path, "belongs to another program")
    elif version != _VERSION:
        raise _unreadable(path, f"was written by another version of syncgate (schema {version})")


def _unreadable(path: Path, problem: str) -> StateUnreadableError:
    return StateUnreadableError(
        f"{path} {problem}.",
        todo=f"Restore {path} from a backup, or move it away: reports then begin anew.",
    )

"""A file of ours: known by its mark and version, stored whole or not at all, told in its words."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.adapters.alert_store import ALERTS_FILE
from gateway.adapters.comparison_store import COMPARISONS_FILE
from gateway.adapters.rollup_store import REPORTS_FILE
from gateway.adapters.sqlite_file import FileKind, SqliteFile
from gateway.adapters.sqlite_thread import SqliteThread
from gateway.adapters.state_file import STATE_FILE
from gateway.adapters.write_back_store import WRITE_BACKS_FILE
from gateway.errors import StateError, StateUnreadableError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OURS = (STATE_FILE, ALERTS_FILE, REPORTS_FILE, COMPARISONS_FILE, WRITE_BACKS_FILE)
DISPENSABLE = FileKind(
    name="notes.sqlite3",
    application_id=77,
    version=2,
    schema="create table notes (note text primary key) strict;",
    unavailable="The notes in {path} cannot be used: {problem}.",
    unavailable_todo="Check the disk.",
    upgrades={1: "alter table remarks rename to notes;"},
)
NEEDED = replace(DISPENSABLE, unreadable_todo="Move {path} away.")


def direct(folder: Path, *statements: str) -> list[tuple[object, ...]]:
    """Go to the file behind its back; give what the last statement gives."""
    with closing(sqlite3.connect(folder / DISPENSABLE.name, isolation_level=None)) as database:
        return [database.execute(one).fetchall() for one in statements][-1]


def notes(file: SqliteFile) -> list[str]:
    """What stands in it."""
    with file.database() as database:
        return [note for (note,) in database.execute("select note from notes")]


def insert(file: SqliteFile, *values: str, then: Exception | None = None) -> None:
    """Store notes in one transaction, in which something may happen."""
    with file.transaction() as database:
        database.executemany("insert into notes values (?)", [(value,) for value in values])
        if then is not None:
            raise then


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SqliteFile]:
    """A new file."""
    file = SqliteFile(tmp_path, DISPENSABLE)
    yield file
    file.close()


def test_a_new_file_bears_its_mark_and_is_opened_again(tmp_path: Path, file: SqliteFile) -> None:
    """Nothing is made before the first call; what was stored then is there later."""
    assert not file.path.exists()
    insert(file, "one")
    file.close()
    assert direct(tmp_path, "pragma application_id") == [(77,)]
    assert direct(tmp_path, "pragma user_version") == [(2,)]
    assert direct(tmp_path, "pragma journal_mode") == [("wal",)]
    assert notes(file) == ["one"]


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.name)
@pytest.mark.parametrize(("word", "level"), [("full", 2), ("normal", 1)])
def test_it_is_as_durable_as_its_kind(
    tmp_path: Path, kind: FileKind, word: str, level: int
) -> None:
    """Only what may be lost with the machine is not fsynced with every commit."""
    file = SqliteFile(tmp_path, kind)
    with file.database() as database:
        (synchronous,) = database.execute("pragma synchronous").fetchone()
    file.close()
    assert (synchronous == level) == (kind.synchronous == word)


def test_our_kinds_cannot_be_taken_for_one_another() -> None:
    """Each has a name and a mark of its own."""
    assert len({kind.name for kind in OURS}) == len(OURS)
    assert len({kind.application_id for kind in OURS}) == len(OURS)


@pytest.mark.parametrize(
    ("statements", "needed", "dispensable"),
    [
        (
            ("create table mine (x)",),
            "{path} belongs to another program. Move {path} away.",
            "The notes in {path} cannot be used: it belongs to another program. Check the disk.",
        ),
        (
            ("pragma application_id = 5", "pragma user_version = 2"),
            "{path} belongs to another program. Move {path} away.",
            "The notes in {path} cannot be used: it belongs to another program. Check the disk.",
        ),
        (
            ("create table notes (note)", "pragma application_id = 77", "pragma user_version = 3"),
            "{path} was written by another version of syncgate (schema 3). Move {path} away.",
            "The notes in {path} cannot be used: its schema is version 3. Check the disk.",
        ),
    ],
)
def test_what_is_not_ours_is_refused_and_left_alone(
    tmp_path: Path, statements: tuple[str, ...], needed: str, dispensable: str
) -> None:
    """A file that is needed is told of otherwise than one that the gateway can do without."""
    direct(tmp_path, *statements)
    path = tmp_path / DISPENSABLE.name
    before = path.read_bytes()
    with pytest.raises(StateUnreadableError) as refusal:
        SqliteFile(tmp_path, NEEDED).open()
    assert str(refusal.value) == needed.format(path=path)
    with pytest.raises(StoreUnavailableError) as trouble:
        SqliteFile(tmp_path, DISPENSABLE).open()
    assert str(trouble.value) == dispensable.format(path=path)
    assert path.read_bytes() == before


def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """With what SQLite says of it."""
    path = tmp_path / DISPENSABLE.name
    path.write_bytes(b"my notes" * 1000)
    with pytest.raises(StateUnreadableError, match=r"cannot be read \(file is not a database\)\."):
        SqliteFile(tmp_path, NEEDED).open()
    with pytest.raises(StoreUnavailableError, match=r"cannot be used: file is not a database\."):
        SqliteFile(tmp_path, DISPENSABLE).open()
    assert path.read_bytes() == b"my notes" * 1000


def test_another_version_may_be_an_errand_of_its_own(tmp_path: Path) -> None:
    """Where the version that wrote it should go on, both versions are named."""
    direct(tmp_path, "pragma application_id = 77", "pragma user_version = 3")
    direct(tmp_path, "create table notes (note)")
    kind = replace(NEEDED, version_todo="Start that one.")
    with pytest.raises(StateUnreadableError, match=r"\(schema 3, this one reads 2\)") as refusal:
        SqliteFile(tmp_path, kind).open()
    assert refusal.value.todo == "Start that one."


def test_an_earlier_version_is_brought_up_to_this_one(tmp_path: Path, file: SqliteFile) -> None:
    """Its content stays."""
    direct(tmp_path, "create table remarks (note text primary key) strict")
    direct(tmp_path, "insert into remarks values ('old')")
    direct(tmp_path, "pragma application_id = 77", "pragma user_version = 1")
    assert notes(file) == ["old"]
    assert direct(tmp_path, "pragma user_version") == [(2,)]


def test_an_upgrade_that_fails_changes_nothing(tmp_path: Path) -> None:
    """Neither half of it is stored, so that it can be tried again."""
    direct(tmp_path, "create table remarks (note text primary key) strict")
    direct(tmp_path, "pragma application_id = 77", "pragma user_version = 1")
    kind = replace(DISPENSABLE, upgrades={1: "drop table remarks; no statement;"})
    with pytest.raises(StoreUnavailableError, match="syntax error"):
        SqliteFile(tmp_path, kind).open()
    assert direct(tmp_path, "select name from sqlite_schema where type = 'table'") == [("remarks",)]
    assert notes(SqliteFile(tmp_path, DISPENSABLE)) == []


def test_a_transaction_is_stored_whole_or_not_at_all(file: SqliteFile) -> None:
    """Whatever ends it: an error of ours goes through, SQLite's is told in the file's words."""
    with pytest.raises(RuntimeError, match="ours"):
        insert(file, "a", then=RuntimeError("ours"))
    with pytest.raises(StoreUnavailableError) as trouble:
        insert(file, "a", "b", "a")
    assert f"The notes in {file.path} cannot be used: UNIQUE" in trouble.value.message
    assert isinstance(trouble.value.__cause__, sqlite3.IntegrityError)
    assert notes(file) == []
    insert(file, "a")
    assert notes(file) == ["a"]


async def test_all_calls_run_on_one_thread_in_order(tmp_path: Path) -> None:
    """It is not the event loop's; the file is there from the start, and free after the end."""
    thread = SqliteThread(tmp_path, NEEDED)
    assert thread.file.path.exists()

    def store(database: sqlite3.Connection, note: str) -> int:
        database.execute("insert into notes values (?)", (note,))
        return threading.get_ident()

    idents = await asyncio.gather(
        *(thread.transact(lambda database, n=n: store(database, str(n))) for n in range(20))
    )
    assert len(set(idents)) == 1
    assert threading.get_ident() not in idents
    with pytest.raises(StoreUnavailableError, match="UNIQUE"):
        await thread.transact(lambda database: [store(database, n) for n in ("new", "0")])
    stored = await thread.run(
        lambda database: database.execute("select note from notes order by rowid").fetchall()
    )
    assert stored == [(str(n),) for n in range(20)]
    await thread.close()
    assert direct(tmp_path, "select count(*) from notes") == [(20,)]


def test_what_is_wrong_is_said_at_the_start(tmp_path: Path) -> None:
    """And no thread is left behind."""
    direct(tmp_path, "create table mine (x)")
    with pytest.raises(StateError, match="another program"):
        SqliteThread(tmp_path, NEEDED)
    assert not [one for one in threading.enumerate() if one.name.startswith("notes")]

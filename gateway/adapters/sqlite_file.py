"""
What all SQLite files of a state directory share: how one is recognised, made, used and closed.

A state directory holds several, each of a kind that is described once. A file is known by its mark
(the application id) and by the version of its schema, so that what another program or another
version of this one wrote is neither written to nor misread. It is made or brought up to date in one
transaction: a kill leaves it as it was or as it should be. What SQLite complains of is told in
words of the kind, with the file's path and what to do.
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from gateway.errors import StateUnreadableError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from gateway.errors import StateError

_BUSY_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class FileKind:
    """One kind of file: what it is known by, what stands in it, what people are told of it."""

    name: str
    schema: str
    unavailable: str
    """What is said when it cannot be used, with its `{path}` and the `{problem}`."""
    unavailable_todo: str
    unreadable_todo: str = ""
    """What to do, with the `{path}`, about one that is not ours: nothing starts on it. Empty: the
    gateway goes on without, and such a file is one that cannot be used."""
    version_todo: str = ""
    """What to do about one of another version, where that is something else."""
    application_id: int = 0
    version: int = 0
    upgrades: Mapping[int, str] = field(default_factory=dict)
    """By version: what makes a file of then one of now."""
    synchronous: Literal["full", "normal"] = "full"
    """Full: what is committed outlives the machine. Normal: it outlives the process."""


class SqliteFile:
    """One file of a kind; belongs to one thread, which opens it with its first call."""

    def __init__(self, directory: Path, kind: FileKind) -> None:
        self.path = directory / kind.name
        self._kind = kind
        self._connection: sqlite3.Connection | None = None

    def open(self) -> sqlite3.Connection:
        """Open or create it, once; a StateError if it is something else."""
        if self._connection is None:
            self._connection = self._opened()
        return self._connection

    @contextlib.contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """Give its database, for statements that each stand alone."""
        try:
            yield self.open()
        except sqlite3.Error as error:
            raise self.unavailable(error) from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give its database in a transaction: all of it is stored, or nothing."""
        with self.database() as database:
            database.execute("begin immediate")
            try:
                yield database
                database.execute("commit")
            except BaseException:
                # A failed commit (full disk) may have ended the transaction already.
                if database.in_transaction:
                    database.execute("rollback")
                raise

    def close(self) -> None:
        """Let go of it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def unavailable(self, problem: object) -> StoreUnavailableError:
        """Say that it cannot be used at the moment, and why."""
        kind = self._kind
        return StoreUnavailableError(
            kind.unavailable.format(path=self.path, problem=problem), todo=kind.unavailable_todo
        )

    def unreadable(self, problem: str) -> StateUnreadableError:
        """Say what is wrong with what stands in it."""
        return StateUnreadableError(
            f"{self.path} {problem}.", todo=self._kind.unreadable_todo.format(path=self.path)
        )

    def _opened(self) -> sqlite3.Connection:
        try:
            database = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)
            try:
                self._make_ready(database)
                database.execute("pragma journal_mode = wal")
                database.execute(f"pragma synchronous = {self._kind.synchronous}")
            except BaseException:
                database.close()
                raise
        except sqlite3.Error as error:
            raise self._refusal(f"cannot be read ({error})", str(error)) from error
        return database

    def _make_ready(self, database: sqlite3.Connection) -> None:
        kind = self._kind
        (application,) = database.execute("pragma application_id").fetchone()
        (version,) = database.execute("pragma user_version").fetchone()
        (tables,) = database.execute("select count(*) from sqlite_schema").fetchone()
        if tables == 0 and application == 0:
            self._bring_up(database, kind.schema)
        elif application != kind.application_id:
            raise self._refusal("belongs to another program", "it belongs to another program")
        elif version in kind.upgrades:
            self._bring_up(database, kind.upgrades[version])
        elif version != kind.version:
            raise self._other_version(version)

    def _bring_up(self, database: sqlite3.Connection, script: str) -> None:
        kind = self._kind
        database.executescript(
            f"begin immediate; {script}"
            f"pragma application_id = {kind.application_id}; pragma user_version = {kind.version};"
            "commit;"
        )

    def _other_version(self, version: int) -> StateError:
        kind = self._kind
        if kind.version_todo:
            return StateUnreadableError(
                f"{self.path} was written by another version of syncgate (schema {version}, this "
                f"one reads {kind.version}).",
                todo=kind.version_todo,
            )
        return self._refusal(
            f"was written by another version of syncgate (schema {version})",
            f"its schema is version {version}",
        )

    def _refusal(self, problem: str, in_short: str) -> StateError:
        if self._kind.unreadable_todo:
            return self.unreadable(problem)
        return self.unavailable(in_short)

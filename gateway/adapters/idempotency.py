"""
Idempotency keys in SQLite, one file for all workers of a node.

A key is a row: pending from the claim on (committed before the request is sent), then done with its
answer, or open for another try; `begun` is set once an attempt may have arrived on its side. Claims
of all workers meet in the file, so of a thousand equal requests one wins. Rows expire by age, and
beyond the bound the oldest answers go first.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from threading import Lock
from typing import Final

from gateway.ports.keys import Claim, Verdict

FILE_NAME: Final = "idempotency.sqlite3"
MAX_ROWS: Final = 100_000
_BUSY_S: Final = 2.0
_SCHEMA: Final = """
create table if not exists keys (
  scope blob primary key,
  fingerprint blob not null,
  side text not null,
  state text not null check (state in ('pending', 'open', 'done')),
  claimed_s integer not null,
  expires_s integer not null,
  head blob,
  body blob,
  begun integer not null default 0
) without rowid;
create index if not exists keys_by_age on keys (claimed_s);
"""
_COLUMN_ADDED: Final = "alter table keys add column begun integer not null default 1"
"""For a file of before that column: what is in it may have arrived."""


class SqliteKeys:
    """See the module. Belongs to one thread, which opens the file with its first call.

    Another may close it: that waits for the call under way, and there is none afterwards.
    """

    threads = 1

    def __init__(
        self, path: Path | str, *, max_rows: int = MAX_ROWS, prune_every: int = 500
    ) -> None:
        self._path = Path(path)
        self._max_rows = max_rows
        self._prune_every = prune_every
        self._database: sqlite3.Connection | None = None
        self._claims = 0
        self._lock = Lock()
        self._closed = False

    def _open(self) -> sqlite3.Connection:
        if self._closed:
            raise sqlite3.ProgrammingError("the keys are closed")
        if self._database is None:
            database = sqlite3.connect(
                self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            database.execute("pragma journal_mode=wal")
            database.execute("pragma synchronous=full")
            database.executescript(_SCHEMA)
            database.execute("begin immediate")  # another worker may be doing the same
            if "begun" not in {row[1] for row in database.execute("pragma table_info(keys)")}:
                database.execute(_COLUMN_ADDED)
            database.execute("commit")
            self._database = database
        return self._database

    def claim(
        self, scope: bytes, fingerprint: bytes, *, side: str, now_s: int, lease_s: int, ttl_s: int
    ) -> Claim:
        """Take the key, or say what is known of it."""
        with self._lock:
            database = self._open()
            database.execute("begin immediate")
            try:
                answer = self._claim(database, scope, fingerprint, side, now_s, lease_s, ttl_s)
            except BaseException:
                database.execute("rollback")
                raise
            database.execute("commit")
        return answer

    def _claim(  # noqa: PLR0917 - `claim`, inside its transaction
        self, database: sqlite3.Connection, scope: bytes, fingerprint: bytes, side: str,
        now_s: int, lease_s: int, ttl_s: int,
    ) -> Claim:  # fmt: skip
        self._prune(database, now_s)
        begun = False
        row = database.execute(
            "select fingerprint, side, state, claimed_s, head, body, begun from keys"
            " where scope = ? and expires_s > ?",
            (scope, now_s),
        ).fetchone()
        if row is not None:
            known, side, state, claimed_s, head, body, begun = row
            if known != fingerprint:
                return Claim(Verdict.OTHER_REQUEST, side)
            if state == "done":
                return Claim(Verdict.DONE, side, head, body)
            if state == "pending" and claimed_s + lease_s > now_s:
                return Claim(Verdict.UNDER_WAY, side)
            begun = bool(begun) or state == "pending"  # nobody knows how far one who died got
        database.execute(
            "insert into keys (scope, fingerprint, side, state, claimed_s, expires_s, begun)"
            " values (?, ?, ?, 'pending', ?, ?, ?) on conflict (scope) do update set"
            " fingerprint = excluded.fingerprint, side = excluded.side, state = 'pending',"
            " claimed_s = excluded.claimed_s, expires_s = excluded.expires_s,"
            " head = null, body = null, begun = excluded.begun",
            (scope, fingerprint, side, now_s, now_s + ttl_s, begun),
        )
        return Claim(Verdict.RESUMED if begun else Verdict.CLAIMED, side)

    def finish(self, scope: bytes, *, side: str, head: bytes, body: bytes) -> None:
        """Store the final answer."""
        with self._lock:
            self._open().execute(
                "update keys set state = 'done', side = ?, head = ?, body = ? where scope = ?",
                (side, head, body, scope),
            )

    def reopen(self, scope: bytes, *, side: str, begun: bool) -> None:
        """Let the same request try again on this side; `begun`: part of it may have arrived."""
        with self._lock:
            self._open().execute(
                "update keys set state = 'open', side = ?, begun = begun or ?"
                " where scope = ? and state = 'pending'",
                (side, begun, scope),
            )

    def _prune(self, database: sqlite3.Connection, now_s: int) -> None:
        if self._claims % self._prune_every == 0:
            database.execute("delete from keys where expires_s <= ?", (now_s,))
            database.execute(
                "delete from keys where state <> 'pending' and scope in (select scope from keys"
                " order by claimed_s desc limit -1 offset ?)",
                (self._max_rows,),
            )
        self._claims += 1

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._closed = True
            if self._database is not None:
                self._database.close()
                self._database = None

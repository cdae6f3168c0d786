"""
Idempotency keys in SQLite, one file for all workers of a node.

A key is a row: pending from the claim on (committed before the request is sent), then done with its
answer, or open for another try. Claims of all workers meet in the file, so of a thousand equal
requests one wins. Rows expire by age, and beyond the bound the oldest answers go first.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

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
  body blob
) without rowid;
create index if not exists keys_by_age on keys (claimed_s);
"""


class SqliteKeys:
    """See the module. Belongs to one thread, which opens the file with its first call."""

    threads = 1

    def __init__(
        self, path: Path | str, *, max_rows: int = MAX_ROWS, prune_every: int = 500
    ) -> None:
        self._path = Path(path)
        self._max_rows = max_rows
        self._prune_every = prune_every
        self._database: sqlite3.Connection | None = None
        self._claims = 0

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            database = sqlite3.connect(
                self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            database.execute("pragma journal_mode=wal")
            database.execute("pragma synchronous=full")
            database.executescript(_SCHEMA)
            self._database = database
        return self._database

    def claim(
        self, scope: bytes, fingerprint: bytes, *, side: str, now_s: int, lease_s: int, ttl_s: int
    ) -> tuple[str, str, bytes, bytes]:
        """Take the key, or say what is known of it: (verdict, side, stored head, stored body)."""
        database = self._open()
        database.execute("begin immediate")
        try:
            answer = self._claim(database, scope, fingerprint, side, now_s, lease_s, ttl_s)
        except BaseException:
            database.execute("rollback")
            raise
        database.execute("commit")
        return answer

    def _claim(  # noqa: PLR0917 - as above, inside its transaction
        self, database: sqlite3.Connection, scope: bytes, fingerprint: bytes, side: str,
        now_s: int, lease_s: int, ttl_s: int,
    ) -> tuple[str, str, bytes, bytes]:  # fmt: skip
        self._prune(database, now_s)
        row = database.execute(
            "select fingerprint, side, state, claimed_s, head, body from keys"
            " where scope = ? and expires_s > ?",
            (scope, now_s),
        ).fetchone()
        if row is not None:
            known, first_side, state, claimed_s, head, body = row
            if known != fingerprint:
                return "other_request", first_side, b"", b""
            if state == "done":
                return "done", first_side, head, body
            if state == "pending" and claimed_s + lease_s > now_s:
                return "under_way", first_side, b"", b""
            side = first_side  # what may have been begun there is not begun elsewhere
        database.execute(
            "insert into keys (scope, fingerprint, side, state, claimed_s, expires_s)"
            " values (?, ?, ?, 'pending', ?, ?) on conflict (scope) do update set"
            " fingerprint = excluded.fingerprint, side = excluded.side, state = 'pending',"
            " claimed_s = excluded.claimed_s, expires_s = excluded.expires_s,"
            " head = null, body = null",
            (scope, fingerprint, side, now_s, now_s + ttl_s),
        )
        return "claimed", side, b"", b""

    def finish(self, scope: bytes, *, side: str, head: bytes, body: bytes) -> None:
        """Store the final answer."""
        self._open().execute(
            "update keys set state = 'done', side = ?, head = ?, body = ? where scope = ?",
            (side, head, body, scope),
        )

    def reopen(self, scope: bytes, *, side: str) -> None:
        """Let the same request try again, on the same side."""
        self._open().execute(
            "update keys set state = 'open', side = ? where scope = ? and state = 'pending'",
            (side, scope),
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
        if self._database is not None:
            self._database.close()
            self._database = None

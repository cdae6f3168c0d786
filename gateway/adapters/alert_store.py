"""
One node's alerts in SQLite, in a file of their own: the book, what is on its way, what is over.

The book and what follows from it are stored in one transaction with a full fsync: kill -9 at any
point leaves the step before or the step after, so no alert is lost and no incident begins twice.
What is settled or over is kept in bounded number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.adapters.sqlite_file import FileKind
from gateway.adapters.sqlite_thread import SqliteThread
from gateway.core.analysis import Severity
from gateway.errors import StoreUnavailableError, VersionConflictError
from gateway.ports.alerts import (
    Delivery,
    DeliveryRecord,
    DeliveryState,
    Ended,
    Language,
    Stage,
    StoredBook,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MAX_BOOK_BYTES: Final = 8 * 1024 * 1024
SETTLED_KEPT: Final = 10_000
ENDED_KEPT: Final = 10_000
_PRUNE_EVERY: Final = 200
_SCHEMA: Final = """
create table book (
  id integer primary key check (id = 1), version integer not null, token integer not null,
  document text not null
) strict;
create table deliveries (
  seq integer primary key autoincrement, id text not null unique, incident integer not null,
  channel text not null, level text not null, rank integer not null, stage text not null,
  language text not null, message text not null, figures text not null, made_us integer not null,
  attempts integer not null, next_us integer not null, state text not null, settled_us integer,
  reason text not null
) strict;
create index deliveries_due on deliveries (next_us) where state = 'waiting';
create index deliveries_settled on deliveries (settled_us) where state <> 'waiting';
create index deliveries_of on deliveries (incident);
create table ended (
  seq integer primary key autoincrement, number integer not null, rule text not null, system text,
  level text not null, raised_us integer not null, ended_us integer not null,
  document text not null, unique (number, raised_us)
) strict;
create index ended_by_time on ended (ended_us);
"""
ALERTS_FILE: Final = FileKind(
    name="alerts.sqlite3",
    application_id=0x53594E41,  # "SYNA"
    version=1,
    schema=_SCHEMA,
    unavailable="The alerts in {path} cannot be used at the moment ({problem}).",
    unavailable_todo="Check the disk of the state directory.",
    unreadable_todo="Restore {path} from a backup, or move it away: open alerts are then raised "
    "anew.",
)
_COLUMNS: Final = (
    "id, incident, channel, level, stage, language, message, figures, made_us, attempts, next_us"
)


class SqliteAlertStore:
    """`AlertStore` on a file of this node; the state directory's lock guards it."""

    def __init__(self, directory: Path) -> None:
        self._thread = SqliteThread(directory, ALERTS_FILE)
        self._commits = 0

    async def load(self) -> StoredBook | None:
        """Read the book; refuse what is none."""
        row = await self._thread.run(
            lambda connection: connection.execute("select version, document from book").fetchone()
        )
        if row is None:
            return None
        try:
            document = orjson.loads(row[1])
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise self._thread.file.unreadable("holds no book of incidents")
        return StoredBook(int(row[0]), document)

    async def commit(
        self,
        document: Mapping[str, object],
        *,
        expected_version: int,
        token: int,
        deliveries: Sequence[Delivery] = (),
        ended: Sequence[Ended] = (),
    ) -> int:
        """Store all of it in one durable transaction."""
        text = _text(document)
        if not document or len(text) > MAX_BOOK_BYTES:
            raise StoreUnavailableError(
                f"Refused to store a blank or oversized book of incidents ({len(text)} characters)."
            )

        def write(connection: sqlite3.Connection) -> int:
            version = _advance(connection, text, expected_version, token)
            connection.executemany(
                f"insert or ignore into deliveries ({_COLUMNS}, rank, state, reason)"  # noqa: S608 - names from above
                " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting', '')",
                [_row(delivery) for delivery in deliveries],
            )
            connection.executemany(
                "insert or ignore into ended"
                " (number, rule, system, level, raised_us, ended_us, document)"
                " values (?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        e.number, e.rule, e.system, e.level.value, e.raised_us, e.ended_us,
                        _text(e.document),
                    )
                    for e in ended
                ],
            )  # fmt: skip
            self._prune(connection)
            return version

        return await self._thread.transact(write)

    def _prune(self, connection: sqlite3.Connection) -> None:
        """Keep the newest of what is over."""
        self._commits += 1
        if self._commits % _PRUNE_EVERY:
            return
        connection.execute(
            "delete from ended where seq <= (select max(seq) from ended) - ?", (ENDED_KEPT,)
        )
        connection.execute(
            "delete from deliveries where state <> 'waiting' and seq <= (select seq from deliveries"
            " where state <> 'waiting' order by seq desc limit 1 offset ?)",
            (SETTLED_KEPT,),
        )

    async def due(self, *, now_us: int, limit: int = 100) -> list[Delivery]:
        """Read what is to be sent now: the worst first, then the oldest."""
        rows = await self._thread.run(
            lambda connection: connection.execute(
                f"select {_COLUMNS} from deliveries where state = 'waiting' and next_us <= ?"  # noqa: S608 - names from above
                " order by rank desc, made_us, seq limit ?",
                (now_us, limit),
            ).fetchall()
        )
        return [_delivery(row) for row in rows]

    async def next_due_us(self) -> int | None:
        """Say when the earliest is due."""
        row = await self._thread.run(
            lambda connection: connection.execute(
                "select min(next_us) from deliveries where state = 'waiting'"
            ).fetchone()
        )
        return None if row[0] is None else int(row[0])

    async def delivered(self, delivery_id: str, *, at_us: int) -> None:
        """Note that it arrived."""
        await self._settle(delivery_id, DeliveryState.DELIVERED, at_us=at_us, reason="")

    async def failed(self, delivery_id: str, *, next_us: int, reason: str) -> None:
        """Note one more failed try."""
        await self._thread.run(
            lambda connection: connection.execute(
                "update deliveries set attempts = attempts + 1, next_us = ?, reason = ?"
                " where id = ? and state = 'waiting'",
                (next_us, reason, delivery_id),
            )
        )

    async def dead(self, delivery_id: str, *, at_us: int, reason: str) -> None:
        """Give it up."""
        await self._settle(delivery_id, DeliveryState.DEAD, at_us=at_us, reason=reason)

    async def _settle(
        self, delivery_id: str, state: DeliveryState, *, at_us: int, reason: str
    ) -> None:
        await self._thread.run(
            lambda connection: connection.execute(
                "update deliveries set state = ?, settled_us = ?, reason = ?"
                " where id = ? and state = 'waiting'",
                (state.value, at_us, reason, delivery_id),
            )
        )

    async def revive(self, delivery_id: str, *, next_us: int) -> bool:
        """Let a dead one wait again."""
        cursor = await self._thread.run(
            lambda connection: connection.execute(
                "update deliveries set state = 'waiting', settled_us = null, attempts = 0,"
                " next_us = ? where id = ? and state = 'dead'",
                (next_us, delivery_id),
            )
        )
        return cursor.rowcount == 1

    async def records(
        self,
        *,
        incident: int | None = None,
        state: DeliveryState | None = None,
        limit: int = 100,
    ) -> list[DeliveryRecord]:
        """Read deliveries, newest first."""
        rows = await self._thread.run(
            lambda connection: connection.execute(
                f"select {_COLUMNS}, state, settled_us, reason from deliveries"  # noqa: S608 - names from above
                " where (?1 is null or incident = ?1) and (?2 is null or state = ?2)"
                " order by seq desc limit ?3",
                (incident, None if state is None else state.value, limit),
            ).fetchall()
        )
        return [
            DeliveryRecord(_delivery(row), DeliveryState(row[11]), row[12], row[13]) for row in rows
        ]

    async def counts(self) -> Mapping[DeliveryState, int]:
        """Count deliveries by what became of them."""
        rows = await self._thread.run(
            lambda connection: connection.execute(
                "select state, count(*) from deliveries group by state"
            ).fetchall()
        )
        return dict.fromkeys(DeliveryState, 0) | {DeliveryState(k): n for k, n in rows}

    async def ended(self, *, since_us: int = 0, limit: int = 100) -> list[Ended]:
        """Read what is over, newest first."""
        rows = await self._thread.run(
            lambda connection: connection.execute(
                "select number, rule, system, level, raised_us, ended_us, document from ended"
                " where ended_us >= ? order by ended_us desc, seq desc limit ?",
                (since_us, limit),
            ).fetchall()
        )
        return [
            Ended(r[0], r[1], r[2], Severity(r[3]), r[4], r[5], orjson.loads(r[6])) for r in rows
        ]

    async def close(self) -> None:
        """Finish what is under way, then let go of the file."""
        await self._thread.close()


def _advance(connection: sqlite3.Connection, text: str, expected_version: int, token: int) -> int:
    row = connection.execute("select version, token from book").fetchone()
    current, highest = (int(row[0]), int(row[1])) if row else (0, 0)
    if 0 < token < highest:
        raise VersionConflictError(f"Another gateway decides now (token {highest} after {token}).")
    if current != expected_version:
        raise VersionConflictError(
            f"The book of incidents has moved on to version {current} (this change was made for "
            f"{expected_version})."
        )
    connection.execute(
        "insert or replace into book values (1, ?, ?, ?)", (current + 1, max(token, highest), text)
    )
    return current + 1


def _text(document: Mapping[str, object]) -> str:
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()


def _row(d: Delivery) -> tuple[Any, ...]:
    return (
        d.id, d.incident, d.channel, d.level.value, d.stage.value, d.language.value, d.message,
        _text(d.figures), d.made_us, d.attempts, d.next_us, d.level.rank,
    )  # fmt: skip


def _delivery(row: Sequence[Any]) -> Delivery:
    return Delivery(
        id=row[0], incident=row[1], channel=row[2], level=Severity(row[3]), stage=Stage(row[4]),
        language=Language(row[5]), message=row[6], figures=orjson.loads(row[7]), made_us=row[8],
        attempts=row[9], next_us=row[10],
    )  # fmt: skip

"""
One node's durable record in SQLite: write-ahead log, full fsync, one transaction per transition.

A transition (new state, audit, decision, events) is stored whole or not at all; kill -9 at any
point leaves the step before or the step after, never half. Versions are compared and set in the
transaction: a writer that acts on an old state loses.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from typing import TYPE_CHECKING, Final

import orjson

from gateway.adapters import audit_chain
from gateway.adapters.sqlite_thread import SqliteThread
from gateway.adapters.state_file import STATE_FILE
from gateway.core.model import Variant
from gateway.errors import (
    StateLockedError,
    StateUnreadableError,
    StoreUnavailableError,
    VersionConflictError,
)
from gateway.ports import (
    Actor,
    AuditCheck,
    AuditDraft,
    AuditEntry,
    Committed,
    Decision,
    Document,
    Event,
    EventDraft,
    MeasurementDraft,
    ReportSeverity,
    StoredState,
    Transition,
    UserReport,
)

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

MAX_DOCUMENT_BYTES: Final = 1024 * 1024
_KEPT: Final = {
    "rollout_state": ("version", 200),
    "decisions": ("seq", 10_000),
    "events": ("seq", 50_000),
    "measurements": ("seq", 200_000),
    "reports": ("seq", 10_000),
}
_PRUNE_EVERY: Final = 500


class DirectoryLock:
    """The right to a state directory; the kernel takes it back when the process is gone."""

    def __init__(self, directory: Path) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(directory / "gateway.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StateUnreadableError(
                f"The state directory {directory} cannot be used ({error.strerror}).",
                todo="Make it writable or name another with GATEWAY_STATE_DIR.",
            ) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            raise StateLockedError(
                f"The state directory {directory} is in use by a running gateway "
                f"(process {holder}).",
                todo="Stop that one first, or name another directory with GATEWAY_STATE_DIR.",
            ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let another process have the directory."""
        os.close(self._fd)


class SqliteStore:
    """`StateStore` on a file of this node."""

    def __init__(self, directory: Path) -> None:
        self._lock = DirectoryLock(directory)
        self._commits = 0
        try:
            self._thread = SqliteThread(directory, STATE_FILE)
        except BaseException:
            self._lock.release()
            raise

    async def load(self) -> StoredState | None:
        """Read the newest state; refuse what is blank, oversized or altered."""
        return await self._thread.run(self._load)

    def _load(self, connection: sqlite3.Connection) -> StoredState | None:
        row = connection.execute(
            "select version, document, digest from rollout_state order by version desc limit 1"
        ).fetchone()
        if row is None:
            return None
        version, text, digest = row
        problem = ""
        document: object = None
        if len(text) > MAX_DOCUMENT_BYTES:
            problem = f"is oversized ({len(text)} characters)"
        elif _digest(version, text) != digest:
            problem = "was altered outside the gateway" if text.strip() else "is blank"
        else:
            document = _parsed(text)
            problem = "" if isinstance(document, dict) else "is no state"
        if problem or not isinstance(document, dict):
            path = self._thread.file.path
            raise StateUnreadableError(
                f"The stored state (version {version} in {path}) {problem}.",
                todo=STATE_FILE.unreadable_todo.format(path=path),
            )
        return StoredState(version, document)

    async def commit(self, transition: Transition) -> Committed:
        """Store all of it in one durable transaction."""
        return await self._thread.transact(lambda connection: self._commit(connection, transition))

    def _commit(self, connection: sqlite3.Connection, transition: Transition) -> Committed:
        version = self._advance(connection, transition)
        audit = _append_audit(connection, transition.audit)
        connection.executemany(
            "insert into decisions (at_us, verdict, sentence, inputs, outcome)"
            " values (?, ?, ?, ?, ?)",
            [
                (d.at_us, d.verdict, d.sentence, _text(d.inputs), _text(d.outcome))
                for d in transition.decisions
            ],
        )
        events = tuple(_append_event(connection, draft) for draft in transition.events)
        _append_figures(connection, transition)
        self._commits += 1
        if self._commits % _PRUNE_EVERY == 0:
            _prune(connection)
        return Committed(version=version, audit=audit, events=events)

    def _advance(self, connection: sqlite3.Connection, transition: Transition) -> int:
        row = connection.execute("select max(version) from rollout_state").fetchone()
        current = row[0] or 0
        if transition.document is None:
            return int(current)
        if current != transition.expected_version:
            raise VersionConflictError(
                f"The state has moved on to version {current} (this change was made for "
                f"{transition.expected_version})."
            )
        text = _text(transition.document)
        if not transition.document or len(text) > MAX_DOCUMENT_BYTES:
            raise StoreUnavailableError(
                f"Refused to store a blank or oversized state ({len(text)} characters)."
            )
        version = int(current) + 1
        at_us = transition.audit[0].at_us if transition.audit else 0
        connection.execute(
            "insert into rollout_state values (?, ?, ?, ?)",
            (version, at_us, text, _digest(version, text)),
        )
        return version

    async def audit(self, *, before_seq: int | None = None, limit: int = 100) -> list[AuditEntry]:
        """Read audit entries, newest first."""
        rows = await self._thread.run(
            lambda connection: connection.execute(
                "select * from audit where seq < ? order by seq desc limit ?",
                (_below(before_seq), limit),
            ).fetchall()
        )
        return [_audit_entry(row) for row in rows]

    async def verify_audit(self) -> AuditCheck:
        """Walk the whole chain, row by row."""

        def walk(connection: sqlite3.Connection) -> AuditCheck:
            count, head = _audit_head(connection)
            rows = connection.execute("select * from audit order by seq")
            return audit_chain.verify((_audit_entry(row) for row in rows), count=count, head=head)

        return await self._thread.run(walk)

    async def decisions(self, *, before_seq: int | None = None, limit: int = 100) -> list[Decision]:
        """Read decisions, newest first."""
        rows = await self._thread.run(
            lambda connection: connection.execute(
                "select seq, at_us, verdict, sentence, inputs, outcome from decisions"
                " where seq < ? order by seq desc limit ?",
                (_below(before_seq), limit),
            ).fetchall()
        )
        return [
            Decision(row[0], row[1], row[2], row[3], orjson.loads(row[4]), orjson.loads(row[5]))
            for row in rows
        ]

    async def events(self, *, after_seq: int = 0, limit: int = 100) -> list[Event]:
        """Read events after `after_seq`, oldest first."""
        rows = await self._thread.run(
            lambda connection: connection.execute(
                "select seq, at_us, kind, text, data from events where seq > ? order by seq"
                " limit ?",
                (after_seq, limit),
            ).fetchall()
        )
        return [Event(row[0], row[1], row[2], row[3], orjson.loads(row[4])) for row in rows]

    async def latest_events(self, *, limit: int = 20) -> list[Event]:
        """Read the newest events, oldest of them first."""
        rows = await self._thread.run(
            lambda connection: connection.execute(
                "select seq, at_us, kind, text, data from events order by seq desc limit ?",
                (limit,),
            ).fetchall()
        )
        return [
            Event(row[0], row[1], row[2], row[3], orjson.loads(row[4])) for row in reversed(rows)
        ]

    async def measurements(self, *, since_us: int) -> list[MeasurementDraft]:
        """Read measurements not older than `since_us`, oldest first."""
        rows = await self._thread.run(
            lambda connection: connection.execute(
                "select at_us, metric, value, variant, sample, source from measurements"
                " where at_us >= ? order by seq",
                (since_us,),
            ).fetchall()
        )
        return [
            MeasurementDraft(
                row[0], row[1], row[2], Variant(row[3]) if row[3] else None, row[4], row[5]
            )
            for row in rows
        ]

    async def reports(self, *, since_us: int) -> list[UserReport]:
        """Read user reports not older than `since_us`, oldest first."""
        rows = await self._thread.run(
            lambda connection: connection.execute(
                "select at_us, severity, text, reported_by from reports where at_us >= ?"
                " order by seq",
                (since_us,),
            ).fetchall()
        )
        return [UserReport(row[0], ReportSeverity(row[1]), row[2], row[3]) for row in rows]

    async def close(self) -> None:
        """Finish what is under way, then let go of file and directory."""
        await self._thread.close()
        self._lock.release()


def _text(document: Document) -> str:
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()


def _parsed(text: str) -> object:
    try:
        value: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value


def _digest(version: int, text: str) -> str:
    return hashlib.sha256(f"{version}\n{text}".encode()).hexdigest()


def _below(before_seq: int | None) -> int:
    return 2**63 - 1 if before_seq is None else before_seq


def _audit_head(connection: sqlite3.Connection) -> tuple[int, str]:
    row = connection.execute("select entries, digest from audit_head").fetchone()
    return (row[0], row[1]) if row else (0, audit_chain.GENESIS)


def _append_audit(
    connection: sqlite3.Connection, drafts: tuple[AuditDraft, ...]
) -> tuple[AuditEntry, ...]:
    if not drafts:
        return ()
    count, head = _audit_head(connection)
    entries: list[AuditEntry] = []
    for draft in drafts:
        entry = audit_chain.link(draft, seq=count + 1, previous=head)
        count, head = entry.seq, entry.digest
        entries.append(entry)
    connection.executemany(
        "insert into audit values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                e.seq,
                e.at_us,
                e.actor.name,
                e.actor.ip,
                e.actor.user_agent,
                e.action,
                _text(e.before),
                _text(e.after),
                e.reason,
                e.previous,
                e.digest,
            )
            for e in entries
        ],
    )
    connection.execute("insert or replace into audit_head values (1, ?, ?)", (count, head))
    return tuple(entries)


def _audit_entry(row: tuple[object, ...]) -> AuditEntry:
    seq, at_us, actor, ip, user_agent, action, before, after, reason, previous, digest = row
    return AuditEntry(
        seq=int(str(seq)),
        at_us=int(str(at_us)),
        actor=Actor(
            str(actor),
            None if ip is None else str(ip),
            None if user_agent is None else str(user_agent),
        ),
        action=str(action),
        before=_document(before),
        after=_document(after),
        reason=str(reason),
        previous=str(previous),
        digest=str(digest),
    )


def _document(text: object) -> Document:
    """Read a stored document; what was tampered with is shown as it is, and breaks the digest."""
    value = _parsed(str(text))
    return value if isinstance(value, dict) else {"unreadable": str(text)}


def _append_event(connection: sqlite3.Connection, draft: EventDraft) -> Event:
    cursor = connection.execute(
        "insert into events (at_us, kind, text, data) values (?, ?, ?, ?)",
        (draft.at_us, draft.kind, draft.text, _text(draft.data)),
    )
    return Event(cursor.lastrowid or 0, draft.at_us, draft.kind, draft.text, draft.data)


def _append_figures(connection: sqlite3.Connection, transition: Transition) -> None:
    connection.executemany(
        "insert into measurements (at_us, metric, variant, value, sample, source)"
        " values (?, ?, ?, ?, ?, ?)",
        [
            (m.at_us, m.metric, m.variant.value if m.variant else None, m.value, m.sample, m.source)
            for m in transition.measurements
        ],
    )
    connection.executemany(
        "insert into reports (at_us, severity, text, reported_by) values (?, ?, ?, ?)",
        [(r.at_us, r.severity.value, r.text, r.by) for r in transition.reports],
    )


def _prune(connection: sqlite3.Connection) -> None:
    """Keep the newest rows of what only explains; the audit is kept for good."""
    for table, (key, kept) in _KEPT.items():
        connection.execute(
            f"delete from {table} where {key} <="  # noqa: S608 - names from the table above
            f" (select max({key}) from {table}) - ?",
            (kept,),
        )

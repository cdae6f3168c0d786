"""
The tables of one node's state file, and what tells a good file from a foreign one.

The state keeps its last versions (each with its digest) rather than one row that is overwritten, so
an operator can see what stood before. Audit rows can be neither changed nor deleted through SQL;
the chain (`audit_chain`) finds whoever goes behind SQL's back.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from gateway.errors import StateUnreadableError

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION_ID: Final = 0x53594E43  # "SYNC", so that another program's file is recognised
SCHEMA_VERSION: Final = 1

_SCHEMA: Final = """
create table rollout_state (
  version integer primary key, at_us integer not null, document text not null, digest text not null
) strict;
create table audit (
  seq integer primary key, at_us integer not null, actor text not null, ip text, user_agent text,
  action text not null, before text not null, after text not null, reason text not null,
  previous text not null, digest text not null
) strict;
create table audit_head (
  id integer primary key check (id = 1), entries integer not null, digest text not null
) strict;
create trigger audit_keeps_rows before delete on audit
  begin select raise(abort, 'the audit is append-only'); end;
create trigger audit_keeps_content before update on audit
  begin select raise(abort, 'the audit is append-only'); end;
create table decisions (
  seq integer primary key autoincrement, at_us integer not null, verdict text not null,
  sentence text not null, inputs text not null, outcome text not null
) strict;
create table events (
  seq integer primary key autoincrement, at_us integer not null, kind text not null,
  text text not null, data text not null
) strict;
create table measurements (
  seq integer primary key autoincrement, at_us integer not null, metric text not null,
  variant text, value real not null, sample integer, source text not null
) strict;
create index measurements_by_time on measurements (at_us);
create table reports (
  seq integer primary key autoincrement, at_us integer not null, severity text not null,
  text text not null, reported_by text not null
) strict;
create index reports_by_time on reports (at_us);
"""


def open_database(path: Path) -> sqlite3.Connection:
    """Open or create the file; StateUnreadableError if it is something else."""
    todo = (
        f"Restore {path} from a backup, or move it away to start idle with all traffic on the "
        "old service."
    )
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("pragma busy_timeout = 2000")
        _prepare(connection, path, todo)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
    except sqlite3.DatabaseError as error:
        raise StateUnreadableError(f"{path} cannot be read ({error}).", todo=todo) from error
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, todo: str) -> None:
    application = connection.execute("pragma application_id").fetchone()[0]
    version = connection.execute("pragma user_version").fetchone()[0]
    tables = connection.execute("select count(*) from sqlite_schema").fetchone()[0]
    if tables == 0 and application == 0:
        connection.executescript(
            f"begin immediate; {_SCHEMA}"
            f"pragma application_id = {APPLICATION_ID}; pragma user_version = {SCHEMA_VERSION};"
            "commit;"
        )
        return
    if application != APPLICATION_ID:
        raise StateUnreadableError(f"{path} belongs to another program.", todo=todo)
    if version != SCHEMA_VERSION:
        raise StateUnreadableError(
            f"{path} was written by another version of syncgate (schema {version}, this one "
            f"reads {SCHEMA_VERSION}).",
            todo="Start the version that wrote it.",
        )

"""
One node's state file: its tables, and what is told of it.

The state keeps its last versions (each with its digest) rather than one row that is overwritten, so
an operator can see what stood before. Audit rows can be neither changed nor deleted through SQL;
the chain (`audit_chain`) finds whoever goes behind SQL's back.
"""

from __future__ import annotations

from typing import Final

from gateway.adapters.sqlite_file import FileKind

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

STATE_FILE: Final = FileKind(
    name="state.sqlite3",
    application_id=0x53594E43,  # "SYNC"
    version=1,
    schema=_SCHEMA,
    unavailable="The state in {path} cannot be used at the moment ({problem}).",
    unavailable_todo="Check the disk; the gateway goes on with what it last knew.",
    unreadable_todo="Restore {path} from a backup, or move it away to start idle with all traffic "
    "on the old service.",
    version_todo="Start the version that wrote it.",
)

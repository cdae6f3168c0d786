"""Migrations: re-runnable, recorded, reversible, and clear about what is wrong."""

from __future__ import annotations

import shutil
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest

from listings.errors import StoreRefused, StoreUnavailable
from listings.maintenance.migrate import MIGRATIONS, load, migrate, split

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import Database

NAMES = tuple(migration.name for migration in load())
SHAPE = """
    SELECT 'column', table_name::text, column_name::text, data_type::text
      FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid)
      FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'index', tablename, indexname, indexdef
      FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'policy', tablename, policyname, qual
      FROM pg_policies WHERE schemaname = 'public'
    UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'function', '', oid::regprocedure::text, prosrc
      FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT 'grant', table_name, grantee, privilege_type
      FROM information_schema.role_table_grants WHERE table_schema = 'public'
    ORDER BY 1, 2, 3, 4"""


def quiet(_line: str) -> None:
    """Say nothing."""


def test_applied_once_and_recorded(empty_database: Database) -> None:
    """Each file is applied once, in order, with its checksum; a second run has nothing to do."""
    first = migrate(empty_database.url, report=quiet)
    assert (first.applied, first.already) == (NAMES, ())
    logged = empty_database.fetch(
        "SELECT name, checksum, statements FROM schema_migrations ORDER BY name"
    )
    assert logged == [(m.name, m.checksum, len(m.statements)) for m in load()]
    second = migrate(empty_database.url, report=quiet)
    assert (second.applied, second.already) == ((), NAMES)


def test_every_statement_can_be_run_again(database: Database) -> None:
    """Applied by hand over a finished schema, each statement changes nothing; data stays."""
    shape = database.fetch(SHAPE)
    with database.connect() as connection:
        connection.execute("INSERT INTO listings (property_number) VALUES ('a')")
        for migration in load():
            for statement in migration.statements:
                connection.execute(statement.encode())
    assert database.fetch(SHAPE) == shape
    assert database.fetch("SELECT count(*) FROM listing_journal") == [(1,)]


def test_killed_anywhere_it_is_finished_by_another_run(empty_database: Database) -> None:
    """Whatever prefix of the statements was executed, running it again gives the same schema."""
    everything = [each for migration in load() for each in migration.statements]
    with empty_database.connect() as connection:
        connection.execute(
            'CREATE TABLE schema_migrations (name text COLLATE "C" PRIMARY KEY, checksum text'
            " NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp(), applied_by text"
            " NOT NULL DEFAULT current_user, statements integer NOT NULL)"
        )
        for statement in everything[: len(everything) * 2 // 3]:
            connection.execute(statement.encode())
    assert migrate(empty_database.url, report=quiet).applied == NAMES
    assert migrate(empty_database.url, report=quiet).applied == ()
    half_way = empty_database.fetch(SHAPE)
    migrate(empty_database.url, rollback_to="0000", report=quiet)
    migrate(empty_database.url, report=quiet)
    assert empty_database.fetch(SHAPE) == half_way


def test_back_step_by_step_and_forward(empty_database: Database) -> None:
    """Each rollback undoes its file alone, and twice is harmless; forward again is the same."""
    migrate(empty_database.url, report=quiet)
    shape = empty_database.fetch(SHAPE)
    for keep in reversed(["0000", *NAMES[:-1]]):
        done = migrate(empty_database.url, rollback_to=keep, report=quiet)
        assert len(done.rolled_back) == 1
        assert migrate(empty_database.url, rollback_to=keep, report=quiet).rolled_back == ()
    assert {row[1] for row in empty_database.fetch(SHAPE) if row[0] != "function"} == {
        "schema_migrations"
    }
    with empty_database.connect() as connection:
        for migration in reversed(load()):
            for statement in migration.rollback:
                if "schema_migrations" not in statement and "REVOKE" not in statement:
                    connection.execute(statement.encode())
    migrate(empty_database.url, target="0002", report=quiet)
    assert migrate(empty_database.url, report=quiet).already == NAMES[:2]
    assert empty_database.fetch(SHAPE) == shape


def test_a_dry_run_only_tells(empty_database: Database) -> None:
    """A dry run names what it would do and touches nothing."""
    lines: list[str] = []
    done = migrate(empty_database.url, dry_run=True, report=lines.append)
    assert done.applied == NAMES
    assert all(any(name in line for line in lines) for name in NAMES)
    assert empty_database.fetch(SHAPE) == []


def test_two_at_once_do_not_collide(empty_database: Database) -> None:
    """Runs started together apply each file once between them."""
    done: list = []
    runs = [
        threading.Thread(target=lambda: done.append(migrate(empty_database.url, report=quiet)))
        for _ in range(4)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert sorted(len(each.applied) for each in done) == [0, 0, 0, len(NAMES)]


def test_a_changed_file_is_refused(empty_database: Database, tmp_path: Path) -> None:
    """A file that changed after it was applied, or that nobody knows any more, stops the run."""
    copies = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, copies)
    migrate(empty_database.url, directory=copies, report=quiet)
    changed = copies / f"{NAMES[1]}.sql"
    changed.write_text(changed.read_text() + "\n-- a thought\n")
    with pytest.raises(StoreRefused, match="changed after it was applied") as refused:
        migrate(empty_database.url, directory=copies, report=quiet)
    assert refused.value.code == "changed_migration"
    changed.unlink()
    with pytest.raises(StoreRefused, match="newer"):
        migrate(empty_database.url, directory=copies, report=quiet)


def test_a_file_without_rollback_is_refused(tmp_path: Path) -> None:
    """Every migration has a way back, or it is not applied."""
    (tmp_path / "0001_a.sql").write_text("SELECT 1")
    with pytest.raises(StoreRefused, match=r"0001_a\.rollback\.sql"):
        load(tmp_path)


def test_a_failing_statement_says_what_stands(empty_database: Database, tmp_path: Path) -> None:
    """PostgreSQL's own words reach the person, and the file is not recorded as applied."""
    (tmp_path / "0001_a.sql").write_text("SELECT 1\n--> statement-breakpoint\nSELECT nope\n")
    (tmp_path / "0001_a.rollback.sql").write_text("SELECT 1")
    with pytest.raises(StoreRefused, match='column "nope" does not exist'):
        migrate(empty_database.url, directory=tmp_path, report=quiet)
    assert empty_database.fetch("SELECT name FROM schema_migrations") == []


def test_split_keeps_bodies_whole() -> None:
    """Only the marker splits; semicolons inside bodies do not; comments alone are no statement."""
    body = "DO $$ BEGIN\n  NULL; NULL;\nEND $$;"
    text = f"-- only words\n--> statement-breakpoint\n{body}\n--> statement-breakpoint\nSELECT 1;"
    assert split(text) == (body, "SELECT 1;")


def test_what_is_wrong_with_the_connection_is_said(empty_database: Database) -> None:
    """Nobody there, no such host, database or user, an unreadable URL: each its own advice."""
    host = urlsplit(empty_database.url).netloc
    for url, kind, said in (
        ("postgresql://u:secret@127.0.0.1:1/x", StoreUnavailable, "start PostgreSQL"),
        ("postgresql://u:secret@no-such-host.invalid/x", StoreUnavailable, "does not resolve"),
        (f"postgresql://{host}/no_such_database", StoreRefused, "create the database"),
        (empty_database.url_as("no_such_user"), StoreRefused, "unknown to the server"),
        ("postgres//what", StoreRefused, "postgresql://user:password@host:5432/database"),
    ):
        with pytest.raises(kind, match=said) as failure:
            migrate(url, report=quiet)
        assert "secret" not in str(failure.value)


def test_a_plain_user_is_told_to_use_the_owner(empty_database: Database) -> None:
    """Missing rights are named as such."""
    with empty_database.connect() as connection:
        connection.execute("CREATE ROLE plain_user LOGIN")
    try:
        with pytest.raises(StoreRefused, match="as the database's owner"):
            migrate(empty_database.url_as("plain_user"), report=quiet)
    finally:
        with empty_database.connect() as connection, connection.transaction():
            connection.execute("DROP ROLE plain_user")


def test_a_table_held_by_traffic_is_not_waited_for_forever(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DDL gives up on a held table instead of queueing everybody behind itself."""
    monkeypatch.setattr("listings.maintenance.migrate._DDL_LOCK_WAIT_S", 0.2)
    migrate(database.url, rollback_to="0003", report=quiet)
    with psycopg.connect(database.url) as holder:
        holder.execute("SELECT * FROM listings")
        with pytest.raises(StoreUnavailable, match="run it again"):
            migrate(database.url, rollback_to="0001", report=quiet)
    migrate(database.url, rollback_to="0001", report=quiet)
    migrate(database.url, report=quiet)

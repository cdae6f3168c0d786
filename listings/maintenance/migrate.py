"""
Migrations: SQL files applied one statement at a time, in order, each safe to run again.

A file ``NNNN_name.sql`` is a list of statements split by the line ``--> statement-breakpoint``, so
that ``DO $$`` bodies survive; every statement checks for what it would make, so a run that was
killed half-way is finished by running it again. No statement needs a transaction around several of
them (serverless PostgreSQL offers none). ``NNNN_name.rollback.sql`` undoes the file, re-runnable as
well. What was applied stands in `schema_migrations` with a checksum: a file that changed afterwards
is refused, since nobody could say any more what the database went through.

Two runs at once cannot collide: the second waits for the first's advisory lock.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg

from listings.errors import StoreRefused, StoreUnavailable
from listings.maintenance.connection import connect, where

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MIGRATIONS: Final = Path(__file__).parents[2] / "ops" / "migrations"
BREAKPOINT: Final = "--> statement-breakpoint"
_LOCK_KEY: Final = 0x73796E63  # "sync"
_LOCK_WAIT_S: Final = 60
# A table that traffic holds must not queue everybody else behind our DDL.
_DDL_LOCK_WAIT_S: Final = 10
_NAME: Final = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")

_LOG_TABLE: Final = (
    """
    CREATE TABLE IF NOT EXISTS public.schema_migrations (
        name text COLLATE "C" PRIMARY KEY,
        checksum text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        applied_by text NOT NULL DEFAULT current_user,
        statements integer NOT NULL
    )
    """,
    "ALTER TABLE public.schema_migrations ENABLE ROW LEVEL SECURITY",
    "REVOKE ALL ON public.schema_migrations FROM PUBLIC",
)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file pair; `name` is the file's stem, e.g. ``0002_listings``."""

    name: str
    checksum: str
    statements: tuple[str, ...]
    rollback: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What a run did (or, as a dry run, would do), by migration name."""

    applied: tuple[str, ...]
    rolled_back: tuple[str, ...]
    already: tuple[str, ...]
    dry_run: bool


def migrate(
    database_url: str,
    *,
    target: str | None = None,
    rollback_to: str | None = None,
    dry_run: bool = False,
    report: Callable[[str], None] = print,
    directory: Path = MIGRATIONS,
) -> MigrationReport:
    """Bring the database to the newest migration, to `target`, or back to `rollback_to`.

    `target` and `rollback_to` name the last migration to keep, by number or name (``"0002"``,
    ``"0002_listings"``); ``rollback_to="0000"`` takes everything back. Tests the connection first.
    Raises StoreUnavailable (cannot reach it, somebody else migrates) or StoreRefused (credentials,
    rights, a changed file), both saying what to do.
    """
    migrations = load(directory)
    if target is not None and rollback_to is not None:
        raise StoreRefused("name either a target or a rollback, not both", code="usage")
    with connect(database_url, application_name="syncgate migrate") as connection:
        server = connection.info.server_version
        report(f"connected to {where(database_url)} (PostgreSQL {server // 10_000})")
        try:
            return _run(connection, migrations, target, rollback_to, dry_run=dry_run, report=report)
        except psycopg.errors.LockNotAvailable as exc:
            raise StoreUnavailable(
                "another migration, or traffic holding a table, kept this one waiting too long;"
                " what was done stands, run it again"
            ) from exc
        except psycopg.errors.InsufficientPrivilege as exc:
            raise StoreRefused(
                f"this user may not change the schema: {_said(exc)};"
                " run the migration as the database's owner",
                code="42501",
            ) from exc
        except psycopg.OperationalError as exc:
            raise StoreUnavailable(
                f"the connection broke: {_said(exc)}; what was done stands, run it again"
            ) from exc
        except psycopg.Error as exc:
            raise StoreRefused(
                f"PostgreSQL refused a statement: {_said(exc)}; what was done before it stands",
                code=exc.sqlstate or "unknown",
            ) from exc


def load(directory: Path = MIGRATIONS) -> tuple[Migration, ...]:
    """Read the migration files in order; a file without its rollback is an error."""
    found = []
    for path in sorted(directory.glob("*.sql")):
        if path.name.endswith(".rollback.sql"):
            continue
        if _NAME.match(path.name) is None:
            raise StoreRefused(f"{path.name}: name it NNNN_what_it_does.sql", code="file_name")
        back = path.with_name(f"{path.stem}.rollback.sql")
        if not back.exists():
            raise StoreRefused(f"{path.name} has no {back.name} beside it", code="no_rollback")
        text = path.read_text(encoding="utf-8")
        found.append(
            Migration(
                name=path.stem,
                checksum=hashlib.sha256(text.encode()).hexdigest(),
                statements=split(text),
                rollback=split(back.read_text(encoding="utf-8")),
            )
        )
    if not found:
        raise StoreRefused(f"no migrations in {directory}", code="no_migrations")
    return tuple(found)


def split(text: str) -> tuple[str, ...]:
    """Split a file into its statements; parts that hold only comments are dropped."""
    parts = (part.strip() for part in text.split(BREAKPOINT))
    return tuple(part for part in parts if _has_sql(part))


def _has_sql(part: str) -> bool:
    return any(line.strip() and not line.strip().startswith("--") for line in part.splitlines())


def _run(
    connection: psycopg.Connection[dict[str, Any]],
    migrations: Sequence[Migration],
    target: str | None,
    rollback_to: str | None,
    *,
    dry_run: bool,
    report: Callable[[str], None],
) -> MigrationReport:
    if not dry_run:
        _lock(connection, report)
        for statement in _LOG_TABLE:
            connection.execute(statement)
    applied = _applied(connection)
    _refuse_changed(migrations, applied)
    if rollback_to is not None:
        keep = _upto(migrations, rollback_to)
        undo = [m for m in reversed(migrations) if m.name in applied and m.name not in keep]
        for migration in undo:
            _take_back(connection, migration, dry_run=dry_run, report=report)
        report(f"{len(undo)} migrations {'would be ' if dry_run else ''}taken back")
        return MigrationReport((), tuple(m.name for m in undo), tuple(sorted(keep)), dry_run)
    wanted = _upto(migrations, target) if target else frozenset(m.name for m in migrations)
    due = [m for m in migrations if m.name in wanted and m.name not in applied]
    for migration in due:
        _apply(connection, migration, dry_run=dry_run, report=report)
    already = tuple(m.name for m in migrations if m.name in applied)
    word = "would be " if dry_run else ""
    report(f"{len(due)} migrations {word}applied, {len(already)} were there already")
    return MigrationReport(tuple(m.name for m in due), (), already, dry_run)


def _lock(connection: psycopg.Connection[dict[str, Any]], report: Callable[[str], None]) -> None:
    """Take the one lock of all migrations; it goes with the connection, however that ends."""
    row = connection.execute("SELECT pg_try_advisory_lock(%s) AS got", (_LOCK_KEY,)).fetchone()
    if not (row and row["got"]):
        report("another migration is running; waiting for it")
        connection.execute(f"SET lock_timeout = '{_LOCK_WAIT_S}s'")
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK_KEY,))
    connection.execute(f"SET lock_timeout = '{_DDL_LOCK_WAIT_S}s'")


def _applied(connection: psycopg.Connection[dict[str, Any]]) -> dict[str, str]:
    row = connection.execute("SELECT to_regclass('public.schema_migrations') AS log").fetchone()
    if row is None or row["log"] is None:
        return {}
    rows = connection.execute("SELECT name, checksum FROM public.schema_migrations").fetchall()
    return {row["name"]: row["checksum"] for row in rows}


def _refuse_changed(migrations: Sequence[Migration], applied: dict[str, str]) -> None:
    for migration in migrations:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise StoreRefused(
                f"{migration.name}.sql changed after it was applied: restore the file,"
                " and put the change into a new migration",
                code="changed_migration",
            )
    unknown = sorted(set(applied) - {migration.name for migration in migrations})
    if unknown:
        raise StoreRefused(
            f"the database has {', '.join(unknown)}, which this version does not know:"
            " it was migrated by a newer one; use that",
            code="unknown_migration",
        )


def _upto(migrations: Sequence[Migration], last: str) -> frozenset[str]:
    """Give the names up to and including `last`; "0000" is before the first."""
    number = last.split("_", 1)[0]
    names = [m.name for m in migrations if m.name[:4] <= number]
    known = number == "0000" or any(m.name == last or m.name[:4] == last for m in migrations)
    if not known:
        raise StoreRefused(
            f"there is no migration {last!r}; the last is {migrations[-1].name}", code="usage"
        )
    return frozenset(names)


def _apply(
    connection: psycopg.Connection[dict[str, Any]],
    migration: Migration,
    *,
    dry_run: bool,
    report: Callable[[str], None],
) -> None:
    if dry_run:
        report(f"would apply {migration.name} ({len(migration.statements)} statements)")
        return
    for statement in migration.statements:
        connection.execute(statement.encode())
    connection.execute(
        "INSERT INTO public.schema_migrations (name, checksum, statements) VALUES (%s, %s, %s)"
        " ON CONFLICT (name) DO NOTHING",
        (migration.name, migration.checksum, len(migration.statements)),
    )
    report(f"applied {migration.name} ({len(migration.statements)} statements)")


def _take_back(
    connection: psycopg.Connection[dict[str, Any]],
    migration: Migration,
    *,
    dry_run: bool,
    report: Callable[[str], None],
) -> None:
    if dry_run:
        report(f"would take back {migration.name}")
        return
    for statement in migration.rollback:
        connection.execute(statement.encode())
    connection.execute("DELETE FROM public.schema_migrations WHERE name = %s", (migration.name,))
    report(f"took back {migration.name}")


def _said(exc: psycopg.Error) -> str:
    return exc.diag.message_primary or " ".join(str(exc).split())

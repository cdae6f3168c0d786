"""
Real servers for tests, shared as far as sharing is safe.

One PostgreSQL cluster serves a whole pytest session (or the server that `DATABASE_URL` names);
every test gets a database of its own, copied from a template that was migrated once. Copying costs
some 30 ms, so isolation is cheap enough to never be argued about.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from ops.devstack import postgrest

if TYPE_CHECKING:
    from pathlib import Path

    from ops.devstack.postgres import Postgres
    from ops.devstack.postgrest import Postgrest, Program

JWT_SECRET = "a secret for tests only, long enough for HS256"
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Database:
    """One database of a test's own; `url` is the superuser's."""

    url: str
    name: str

    def url_as(self, role: str) -> str:
        """The URL for another role (the embedded server asks nobody for a password)."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{quote(role)}@{host}"))

    def admits(self, role: str) -> bool:
        """Whether the role may log in as it is; a server of somebody else's may want a password."""
        try:
            psycopg.connect(self.url_as(role), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def connect(self, role: str | None = None) -> psycopg.Connection:
        """A new connection in autocommit mode."""
        return psycopg.connect(self.url_as(role) if role else self.url, autocommit=True)

    def fetch(self, statement: str, *parameters: object) -> list[tuple]:
        """Run one statement and return its rows."""
        with self.connect() as connection:
            return connection.execute(statement, parameters or None).fetchall()


def create_database(server: Postgres, *, template: str = "template0") -> Database:
    """A fresh database, copied from `template`."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    _run(
        server,
        sql.SQL("CREATE DATABASE {} TEMPLATE {} ENCODING 'UTF8'").format(
            sql.Identifier(name), sql.Identifier(template)
        ),
    )
    return Database(server.database_url(name), name)


def drop_database(server: Postgres, database: Database) -> None:
    """Remove it, whoever is still connected."""
    _run(
        server,
        sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database.name)),
    )


def migrated_template(server: Postgres) -> Database:
    """A database on which every migration has run, to copy from."""
    from listings.maintenance.migrate import migrate

    database = create_database(server)
    migrate(database.url)
    return database


def postgrest_program(kind: str) -> Program:
    """What `kind` names: "real" (skips only where it cannot be had), "standin" or "best"."""
    if kind == "standin":
        return postgrest.STANDIN
    if kind == "best":
        return postgrest.find_program()
    if not postgrest.real_is_expected():
        pytest.skip("the stand-in was chosen, or neither postgrest nor npm is on PATH")
    return postgrest.find_real()


class PostgrestFactory:
    """Starts PostgREST on databases; the same question twice gets the same server.

    `start(database, kind="best", user="authenticator", db_tx_end="commit-allow-override")`.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._servers: dict[tuple[object, ...], Postgrest] = {}

    def __call__(
        self,
        database: Database | str,
        *,
        kind: str = "best",
        user: str | None = "authenticator",
        **config: str,
    ) -> Postgrest:
        """A server on `database` (or URL), with settings by PostgREST's names, `_` for `-`."""
        if isinstance(database, str):
            url = database
        else:
            url = database.url_as(user) if user and database.admits(user) else database.url
        key = (url, kind, *sorted(config.items()))
        running = self._servers.get(key)
        if running is None or running.process.exit_code is not None:
            running = postgrest.start(
                postgrest_program(kind),
                database_url=url,
                secret=config.pop("jwt_secret", JWT_SECRET),
                log=self._logs / f"postgrest-{next(_numbers)}.log",
                config={name.replace("_", "-"): value for name, value in config.items()},
            )
            self._servers[key] = running
        return running

    def stop(self) -> None:
        """Stop every server it started."""
        for server in self._servers.values():
            server.stop()


def _run(server: Postgres, statement: sql.Composed) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(statement)

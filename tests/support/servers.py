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
from psycopg import sql

if TYPE_CHECKING:
    from ops.devstack.postgres import Postgres

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


def _run(server: Postgres, statement: sql.Composed) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(statement)

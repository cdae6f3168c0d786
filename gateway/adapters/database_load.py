"""
How much of the database is in use: client connections of those it allows, as a ratio.

One short-lived connection per reading, so that the watcher never holds one of the scarce places it
counts. A database that does not answer is an error, never an idle database.
"""

from __future__ import annotations

import asyncio
from typing import Final

import psycopg

from gateway.errors import UnreachableError

_DEADLINE_S: Final = 5.0
# `pg_stat_database` counts every session, also those whose details this role may not see.
_CONNECTIONS: Final = """
    select greatest(0, sum(numbackends) - 1)::float8
           / greatest(1, current_setting('max_connections')::int
                         - current_setting('superuser_reserved_connections')::int)
    from pg_stat_database
"""


class DatabaseLoad:
    """`FigureSource` of a PostgreSQL; `url` may hold a password, which no error repeats."""

    def __init__(self, url: str, *, deadline_s: float = _DEADLINE_S) -> None:
        self._url = url
        self._deadline_s = deadline_s

    async def read(self) -> float:
        """Give the share of connections in use, 0..1; UnreachableError when it is not known."""
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._ask()
        except TimeoutError as error:
            raise UnreachableError(
                f"The database did not answer within {self._deadline_s:g} s."
            ) from error
        except (psycopg.Error, OSError, ValueError) as error:
            kind = type(error).__name__
            raise UnreachableError(
                f"The database's load cannot be read ({kind}); check DATABASE_URL."
            ) from error

    async def _ask(self) -> float:
        connection = await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, application_name="syncgate-watch"
        )
        async with connection:
            row = await (await connection.execute(_CONNECTIONS)).fetchone()
        if row is None:
            raise ValueError("no row")
        return min(1.0, float(row[0]))

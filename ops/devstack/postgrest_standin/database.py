"""
The database behind the stand-in.

A pool of connections, the schema as last read, and one transaction per request that acts as the
caller's role and ends as the preferences say.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson
import psycopg
import psycopg_pool
from psycopg.sql import SQL, Identifier, Literal

from ops.devstack.postgrest_standin import failures
from ops.devstack.postgrest_standin.schema import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from ops.devstack.postgrest_standin.schema import Schema
    from ops.devstack.postgrest_standin.settings import Settings

_RETRY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and the request as SQL may read it."""

    role: str
    claims: Mapping[str, Any]
    method: str
    path: str
    headers: Mapping[str, str]
    cookies: Mapping[str, str]

    @property
    def authenticated(self) -> bool:
        """Whether a token was shown."""
        return "authorization" in self.headers


class Database:
    """Open between `open` and `close`; until the schema is read, `schema` answers 503."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._schemas: dict[str, Schema] = {}
        self._watcher: asyncio.Task[None] | None = None
        self._pool = psycopg_pool.AsyncConnectionPool(
            settings.db_uri,
            min_size=0,
            max_size=settings.db_pool,
            timeout=settings.db_pool_acquisition_timeout_s,
            open=False,
            # Statements differ by their literals: preparing them would only fill the server.
            kwargs={"prepare_threshold": None},
        )

    async def open(self) -> None:
        """Begin to read the schema; the server may answer before that is done."""
        await self._pool.open()
        self._watcher = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Give every connection back."""
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        await self._pool.close()

    def schema(self, name: str) -> Schema:
        """Return a schema as last read."""
        if not self._schemas:
            raise failures.Failure(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "PGRST002",
                "Could not query the database for the schema cache. Retrying.",
                headers={"Retry-After": "1"},
            )
        return self._schemas[name]

    @asynccontextmanager
    async def transaction(
        self, caller: Caller, *, schema: str, commits: bool, read_only: bool
    ) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """Act as the caller's role; PostgreSQL's errors come out as `Failure`."""
        try:
            async with self._pool.connection() as connection:
                await self._begin(connection, caller, schema=schema, read_only=read_only)
                yield connection
                if commits:
                    await connection.commit()
                else:
                    # A rolled back write fails where the kept one would have failed.
                    await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
                    await connection.rollback()
        except psycopg_pool.PoolTimeout as exc:
            raise await self._why_no_connection() from exc
        except psycopg.Error as exc:
            raise failures.from_database(exc, authenticated=caller.authenticated) from exc

    async def _begin(
        self,
        connection: psycopg.AsyncConnection[Any],
        caller: Caller,
        *,
        schema: str,
        read_only: bool,
    ) -> None:
        if read_only:
            await connection.execute("SET TRANSACTION READ ONLY")
        path = dict.fromkeys([schema, *self._settings.db_extra_search_path])
        settings = {
            "search_path": ", ".join(f'"{name}"' for name in path),
            "request.jwt.claims": orjson.dumps(caller.claims).decode(),
            "request.method": caller.method,
            "request.path": caller.path,
            "request.headers": orjson.dumps(caller.headers).decode(),
            "request.cookies": orjson.dumps(caller.cookies).decode(),
            "role": caller.role,
        }
        calls = SQL(", ").join(
            SQL("set_config({}, {}, true)").format(Literal(name), Literal(value))
            for name, value in settings.items()
        )
        await connection.execute(SQL("SELECT {}").format(calls))
        if self._settings.db_pre_request:
            function = Identifier(*self._settings.db_pre_request.split("."))
            await connection.execute(SQL("SELECT {}()").format(function))

    async def _why_no_connection(self) -> failures.Failure:
        """Tell a full pool from a dead server: the first is 504, the second 503."""
        try:
            probe = await psycopg.AsyncConnection.connect(self._settings.db_uri, connect_timeout=2)
        except psycopg.OperationalError as exc:
            return failures.unreachable(str(exc))
        await probe.close()
        return failures.pool_timeout()

    async def _watch(self) -> None:
        """Read the schema at the start, on ``NOTIFY pgrst``, and after every lost connection."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._settings.db_uri, autocommit=True
                ) as connection:
                    await connection.execute("LISTEN pgrst")
                    await self._load(connection)
                    async for _ in connection.notifies():
                        await self._load(connection)
            except psycopg.Error:
                await asyncio.sleep(_RETRY_S)

    async def _load(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._schemas = {name: await load(connection, name) for name in self._settings.db_schemas}

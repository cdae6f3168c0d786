"""
One request's way: who asks, what is asked, one transaction, the answer.

Answers are written as PostgREST writes them: statuses, Content-Range, Preference-Applied.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ops.devstack.postgrest_standin import (
    answers,
    bodies,
    callers,
    failures,
    pages,
    preferences,
    query,
    statements,
)
from ops.devstack.postgrest_standin.database import Database
from ops.devstack.postgrest_standin.failures import Failure
from ops.devstack.postgrest_standin.query import Filter
from ops.devstack.postgrest_standin.schema import Table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from psycopg.sql import Composed
    from starlette.requests import Request

    from ops.devstack.postgrest_standin.preferences import Preferences
    from ops.devstack.postgrest_standin.query import Query
    from ops.devstack.postgrest_standin.schema import Function, Schema
    from ops.devstack.postgrest_standin.settings import Settings

_METHODS: Final = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"]


def create_app(settings: Settings) -> Starlette:
    """Make the ASGI application."""
    server = _Server(settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await server.database.open()
        yield
        await server.database.close()

    async def failed(request: Request, exc: Exception) -> Response:
        if isinstance(exc, HTTPException):
            exc = _no_such_way(request, exc)
        if not isinstance(exc, Failure):
            raise exc
        return JSONResponse(
            exc.body(),
            exc.status,
            headers=dict(exc.headers),
            media_type=f"{answers.JSON}; charset=utf-8",
        )

    return Starlette(
        routes=[
            Route("/", server.root, methods=["GET", "HEAD"]),
            Route("/rpc/{name}", server.call, methods=["GET", "HEAD", "POST"]),
            Route("/{name}", server.table, methods=_METHODS),
        ],
        exception_handlers={Failure: failed, HTTPException: failed},
        lifespan=lifespan,
    )


class _Server:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings)

    async def root(self, request: Request) -> Response:
        """Say what there is; 503 until the schema is read."""
        schema = self._schema(request)
        return JSONResponse(
            {
                "swagger": "2.0",
                "info": {"title": "PostgREST stand-in", "version": "12.0.2"},
                "paths": {f"/{name}": {} for name in sorted(schema.tables)},
            },
            media_type="application/openapi+json; charset=utf-8",
        )

    async def table(self, request: Request) -> Response:
        """Read or write one table."""
        if request.method == "OPTIONS":
            return Response(headers={"Allow": ",".join(_METHODS)})
        answers.refuse_other_media(request)
        schema = self._schema(request)
        name = request.path_params["name"]
        table = schema.tables.get(name)
        if table is None and request.method in {"POST", "PATCH", "PUT"}:
            raise failures.unknown_address()
        table = table or Table(name, {})  # and let PostgreSQL say that there is none
        wishes = preferences.parse(request.headers.getlist("prefer"))
        asked = query.parse(request.query_params.multi_items())
        act = {
            "POST": self._post,
            "PATCH": self._patch,
            "PUT": self._put,
            "DELETE": self._delete,
        }.get(request.method, self._get)
        return await act(request, schema, table, asked, wishes)

    async def call(self, request: Request) -> Response:
        """Call a function."""
        answers.refuse_other_media(request)
        schema = self._schema(request)
        name = request.path_params["name"]
        wishes = preferences.parse(request.headers.getlist("prefer"))
        parameters = request.query_params.multi_items()
        overloads = schema.functions.get(name, ())
        if request.method == "POST":
            body = (await request.body()) or b"{}"
            given = bodies.json_object(body)
            rest = parameters
        else:
            named = {argument for function in overloads for argument, _ in function.arguments}
            given = {key: value for key, value in parameters if key in named}
            rest = [(key, value) for key, value in parameters if key not in named]
            body = orjson.dumps(given)
        function = _chosen(schema, name, overloads, set(given), posted=request.method == "POST")
        asked = pages.paged(
            query.parse(rest), request.headers.get("range"), self.settings.db_max_rows
        )
        statement = statements.call(schema, function, body.decode(), asked)
        rows, text, _ = await self._run(
            request,
            schema,
            statement,
            wishes,
            read_only=request.method != "POST" or not function.is_volatile,
            singular=answers.wants_one(request) and function.returns_row,
        )
        headers = wishes.applied(("count", "tx", "handling"), self.settings.db_tx_end)
        headers["Content-Range"] = pages.content_range(
            asked.offset or 0, rows, rows if wishes.get("count") else None
        )
        if function.returns_void:
            return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
        if answers.wants_one(request) or not function.returns_set:
            text = answers.first(text)
        return answers.answer(request, text, HTTPStatus.OK, headers)

    async def _get(
        self, request: Request, schema: Schema, table: Table, asked: Query, wishes: Preferences
    ) -> Response:
        asked = pages.paged(asked, request.headers.get("range"), self.settings.db_max_rows)
        counted = wishes.get("count") is not None
        statement = statements.read(schema, table, asked, counted=counted)
        rows, text, total = await self._run(
            request, schema, statement, wishes, read_only=True, singular=answers.wants_one(request)
        )
        offset = asked.offset or 0
        if total is not None and offset > total:
            raise failures.range_not_satisfiable(
                f"An offset of {offset} was requested, but there are only {total} rows.",
                {
                    **wishes.applied(("count", "tx", "handling"), self.settings.db_tx_end),
                    "Content-Range": f"*/{total}",
                },
            )
        status = HTTPStatus.OK
        if total is not None and rows < total:
            status = HTTPStatus.PARTIAL_CONTENT
        headers = wishes.applied(("count", "tx", "handling"), self.settings.db_tx_end)
        headers["Content-Range"] = pages.content_range(offset, rows, total)
        return answers.answer(request, answers.shaped(request, text), status, headers)

    async def _post(
        self, request: Request, schema: Schema, table: Table, asked: Query, wishes: Preferences
    ) -> Response:
        body, keys = bodies.rows(await request.body(), asked.columns)
        target = asked.on_conflict or table.primary_key
        resolution = wishes.get("resolution") if target else None
        statement = statements.insert(
            schema,
            table,
            asked,
            body=body,
            columns=keys,
            defaults=wishes.get("missing") == "default",
            on_conflict=target,
            resolution=resolution,
            returning=wishes.returns_rows or wishes.get("return") == "headers-only",
        )
        rows, text, inserted = await self._run(
            request,
            schema,
            statement,
            wishes,
            singular=wishes.returns_rows and answers.wants_one(request),
        )
        merged = resolution == "merge-duplicates" and not inserted
        names = {"missing", "return", "count", "tx", "handling"}
        headers = wishes.applied(
            names | ({"resolution"} if resolution else set()), self.settings.db_tx_end
        )
        headers["Content-Range"] = f"*/{rows if wishes.get('count') else '*'}"
        if wishes.get("return") == "headers-only" and table.primary_key and rows == 1:
            headers["Location"] = answers.location(table, text)
        status = HTTPStatus.OK if merged else HTTPStatus.CREATED
        return self._wrote(request, wishes, text, status, headers, empty=status)

    async def _patch(
        self, request: Request, schema: Schema, table: Table, asked: Query, wishes: Preferences
    ) -> Response:
        body, keys = bodies.rows(await request.body(), asked.columns)
        statement = statements.update(
            schema,
            table,
            asked,
            body=body,
            columns=keys,
            defaults=wishes.get("missing") == "default",
            returning=wishes.returns_rows,
        )
        rows, text, _ = await self._run(
            request,
            schema,
            statement,
            wishes,
            singular=wishes.returns_rows and answers.wants_one(request),
        )
        headers = wishes.applied(
            ("missing", "return", "count", "tx", "handling"), self.settings.db_tx_end
        )
        total = rows if wishes.get("count") else None
        headers["Content-Range"] = pages.content_range(0, rows, total)
        return self._wrote(
            request, wishes, text, HTTPStatus.OK, headers, empty=HTTPStatus.NO_CONTENT
        )

    async def _delete(
        self, request: Request, schema: Schema, table: Table, asked: Query, wishes: Preferences
    ) -> Response:
        statement = statements.delete(schema, table, asked, returning=wishes.returns_rows)
        rows, text, _ = await self._run(
            request,
            schema,
            statement,
            wishes,
            singular=wishes.returns_rows and answers.wants_one(request),
        )
        headers = wishes.applied(("return", "count", "tx", "handling"), self.settings.db_tx_end)
        headers["Content-Range"] = f"*/{rows if wishes.get('count') else '*'}"
        return self._wrote(
            request, wishes, text, HTTPStatus.OK, headers, empty=HTTPStatus.NO_CONTENT
        )

    async def _put(
        self, request: Request, schema: Schema, table: Table, asked: Query, wishes: Preferences
    ) -> Response:
        if asked.limit is not None or asked.offset is not None:
            raise Failure(
                HTTPStatus.BAD_REQUEST,
                "PGRST114",
                "limit/offset querystring parameters are not allowed for PUT",
            )
        if not _names_the_key(asked, table):
            raise Failure(
                HTTPStatus.METHOD_NOT_ALLOWED,
                "PGRST105",
                "Filters must include all and only primary key columns with 'eq' operators",
            )
        body, keys = bodies.rows(await request.body(), asked.columns)
        statement = statements.insert(
            schema,
            table,
            replace(asked, conditions=()),
            body=body,
            columns=keys,
            defaults=False,
            on_conflict=table.primary_key,
            resolution="merge-duplicates",
            only=asked.conditions,
            returning=wishes.returns_rows,
        )
        _, text, inserted = await self._run(request, schema, statement, wishes, exactly_one=True)
        headers = wishes.applied(("return", "count", "tx", "handling"), self.settings.db_tx_end)
        status = HTTPStatus.CREATED if inserted else HTTPStatus.OK
        return self._wrote(request, wishes, text, status, headers, empty=HTTPStatus.NO_CONTENT)

    async def _run(
        self,
        request: Request,
        schema: Schema,
        statement: Composed,
        wishes: Preferences,
        *,
        read_only: bool = False,
        singular: bool = False,
        exactly_one: bool = False,
    ) -> tuple[int, str, int | None]:
        """Run one statement in one transaction; a wrong number of rows undoes it."""
        async with self.database.transaction(
            callers.caller(request, self.settings),
            schema=schema.name,
            commits=wishes.commits(self.settings.db_tx_end),
            read_only=read_only,
        ) as connection:
            cursor = await connection.execute(statement)
            row = await cursor.fetchone()
            if row is None:
                raise RuntimeError("an aggregate answers one row")
            count, text, third = row
            if singular and count != 1:
                raise failures.not_one_row(count)
            if exactly_one and count != 1:
                raise Failure(
                    HTTPStatus.BAD_REQUEST,
                    "PGRST115",
                    "Payload values do not match URL in primary key column(s)",
                )
        return count, text, third

    def _schema(self, request: Request) -> Schema:
        profile = request.headers.get(
            "accept-profile" if request.method in {"GET", "HEAD"} else "content-profile"
        )
        name = profile or self.settings.db_schemas[0]
        if name not in self.settings.db_schemas:
            exposed = ", ".join(self.settings.db_schemas)
            raise Failure(
                HTTPStatus.NOT_ACCEPTABLE,
                "PGRST106",
                f"The schema must be one of the following: {exposed}",
            )
        return self.database.schema(name)

    def _wrote(
        self,
        request: Request,
        wishes: Preferences,
        text: str,
        status: int,
        headers: dict[str, str],
        *,
        empty: int,
    ) -> Response:
        if not wishes.returns_rows:
            return Response(status_code=empty, headers=headers)
        return answers.answer(request, answers.shaped(request, text), status, headers)


def _chosen(
    schema: Schema, name: str, overloads: Iterable[Function], given: set[str], *, posted: bool
) -> Function:
    fitting = [function for function in overloads if function.accepts(given)]
    if not fitting:
        raise failures.unknown_function(schema.name, name, list(given), posted=posted)
    return min(fitting, key=lambda function: len(function.arguments))


def _names_the_key(asked: Query, table: Table) -> bool:
    columns = [
        condition.field.name
        for condition in asked.conditions
        if isinstance(condition, Filter)
        and condition.operator == "eq"
        and not condition.negated
        and not condition.field.path
    ]
    return (
        bool(table.primary_key)
        and len(columns) == len(asked.conditions)
        and sorted(columns) == sorted(table.primary_key)
    )


def _no_such_way(request: Request, exc: HTTPException) -> Failure:
    """Put the router's own refusals into PostgREST's words."""
    if exc.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
        return failures.unknown_address()
    if request.url.path.startswith("/rpc/"):
        return Failure(
            exc.status_code, "PGRST101", f"Cannot use the {request.method} method on RPC"
        )
    return Failure(exc.status_code, "PGRST117", f"Unsupported HTTP method: {request.method}")

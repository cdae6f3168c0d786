"""
One request's way: who asks, what is asked, one transaction, the answer.

Answers are written as PostgREST writes them: statuses, Content-Range, Preference-Applied.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ops.devstack import tokens
from ops.devstack.postgrest_standin import (
    answers,
    bodies,
    failures,
    preferences,
    query,
    statements,
)
from ops.devstack.postgrest_standin.database import Caller, Database
from ops.devstack.postgrest_standin.failures import Failure
from ops.devstack.postgrest_standin.query import Filter
from ops.devstack.postgrest_standin.schema import Table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from psycopg.sql import Composed
    from starlette.requests import Request

    from ops.devstack.postgrest_standin.preferences import Preferences
    from ops.devstack.postgrest_standin.query import Query
    from ops.devstack.postgrest_standin.schema import Function, Schema
    from ops.devstack.postgrest_standin.settings import Settings

_METHODS: Final = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"]


def create_app(settings: Settings) -> Starlette:
    """Make the ASGI application."""
    server = _Server(settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await server.database.open()
        yield
        await server.database.close()

    async def failed(_: Request, exc: Exception) -> Response:
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
        exception_handlers={Failure: failed},
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
        schema = self._schema(request)
        name = request.path_params["name"]
        table = schema.tables.get(name) or Table(name, {})
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
        function = _chosen(schema, name, overloads, set(given))
        asked = self._limited(query.parse(rest))
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
        if function.returns_void:
            return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
        headers["Content-Range"] = answers.content_range(0, rows, None)
        if answers.wants_one(request) or not function.returns_set:
            text = answers.first(text)
        return answers.answer(request, text, HTTPStatus.OK, headers)

    async def _get(
        self, request: Request, schema: Schema, table: Table, asked: Query, wishes: Preferences
    ) -> Response:
        asked = self._limited(_ranged(asked, request.headers.get("range")))
        counted = wishes.get("count") is not None
        statement = statements.read(schema, table, asked, counted=counted)
        rows, text, total = await self._run(
            request, schema, statement, wishes, read_only=True, singular=answers.wants_one(request)
        )
        offset = asked.offset or 0
        if total is not None and offset > total:
            raise failures.range_not_satisfiable(offset, total)
        status = HTTPStatus.OK
        if total is not None and rows < total:
            status = HTTPStatus.PARTIAL_CONTENT
        headers = wishes.applied(("count", "tx", "handling"), self.settings.db_tx_end)
        headers["Content-Range"] = answers.content_range(offset, rows, total)
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
            schema, table, asked, body=body, columns=keys, returning=wishes.returns_rows
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
        headers["Content-Range"] = answers.content_range(0, rows, total)
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
            self._caller(request),
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

    def _caller(self, request: Request) -> Caller:
        claims = self._claims(request)
        role = claims.get("role") or self.settings.db_anon_role
        if role is None:
            raise Failure(
                HTTPStatus.UNAUTHORIZED,
                "PGRST302",
                "Anonymous access is disabled",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return Caller(
            str(role),
            {**claims, "role": role},
            request.method,
            request.url.path,
            dict(request.headers),
            dict(request.cookies),
        )

    def _claims(self, request: Request) -> Mapping[str, Any]:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return {}
        if self.settings.jwt_secret is None:
            raise Failure(HTTPStatus.INTERNAL_SERVER_ERROR, "PGRST300", "Server lacks JWT secret")
        try:
            claims = tokens.verify(token.strip(), self.settings.jwt_secret)
        except tokens.TokenError as exc:
            raise failures.bad_token("JWSError JWSInvalidSignature") from exc
        expires = claims.get("exp")
        if isinstance(expires, int | float) and expires < time.time():
            raise failures.bad_token("JWT expired")
        return claims

    def _limited(self, asked: Query) -> Query:
        most = self.settings.db_max_rows
        if most is None or (asked.limit is not None and asked.limit <= most):
            return asked
        return replace(asked, limit=most)

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


def _chosen(schema: Schema, name: str, overloads: Iterable[Function], given: set[str]) -> Function:
    fitting = [function for function in overloads if function.accepts(given)]
    if not fitting:
        raise failures.unknown_function(schema.name, name, list(given))
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


def _ranged(asked: Query, header: str | None) -> Query:
    """Let a Range header page, where the URL does not."""
    first, dash, last = (header or "").removeprefix("items=").partition("-")
    if not dash or not first.isdigit() or asked.limit is not None or asked.offset is not None:
        return asked
    limit = int(last) - int(first) + 1 if last.isdigit() else None
    if limit is not None and limit <= 0:
        raise Failure(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            "PGRST103",
            "Requested range not satisfiable",
            details="The lower boundary must be lower than or equal to the upper boundary in the "
            "Range header.",
        )
    return replace(asked, offset=int(first), limit=limit)

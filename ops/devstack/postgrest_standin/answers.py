"""Answers as PostgREST writes them: one object or an array, Content-Range, Location."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson
from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.requests import Request

    from ops.devstack.postgrest_standin.schema import Table

JSON: Final = "application/json"
SINGULAR: Final = "application/vnd.pgrst.object+json"


def wants_one(request: Request) -> bool:
    """Whether the client asks for one object instead of an array."""
    return SINGULAR in request.headers.get("accept", "")


def shaped(request: Request, text: str) -> str:
    """Return the array, or its one element where that was asked for."""
    return first(text) if wants_one(request) else text


def first(text: str) -> str:
    """Cut the one element out of a JSON array as it is written: no number is read and rewritten."""
    return text.strip()[1:-1].strip() or "null"


def content_range(offset: int, rows: int, total: int | None) -> str:
    """Write Content-Range: which rows these are, of how many."""
    shown = f"{offset}-{offset + rows - 1}" if rows and total != 0 else "*"
    return f"{shown}/{'*' if total is None else total}"


def location(table: Table, text: str) -> str:
    """Write where the one new row can be read."""
    (row,) = orjson.loads(text)
    return f"/{table.name}?" + "&".join(f"{name}=eq.{row[name]}" for name in table.primary_key)


def answer(request: Request, text: str, status: int, headers: dict[str, str]) -> Response:
    """Answer with JSON that the database wrote."""
    media = SINGULAR if wants_one(request) else JSON
    return Response(
        None if request.method == "HEAD" else text,
        status,
        headers={**headers, "Content-Type": f"{media}; charset=utf-8"},
    )

"""Answers as PostgREST writes them: one object or an array, Content-Range, Location."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import orjson
from starlette.responses import Response

from ops.devstack.postgrest_standin.failures import Failure, bad_body

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


def location(table: Table, text: str) -> str:
    """Write where the one new row can be read."""
    (row,) = orjson.loads(text)
    return f"/{table.name}?" + "&".join(f"{name}=eq.{row[name]}" for name in table.primary_key)


def refuse_other_media(request: Request) -> None:
    """Refuse what cannot be written, or cannot be read."""
    accepted = [
        part.partition(";")[0].strip() for part in request.headers.get("accept", "*/*").split(",")
    ]
    if not {"*/*", "application/*", JSON, SINGULAR} & set(accepted):
        raise Failure(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "PGRST107",
            f"None of these media types are available: {', '.join(accepted)}",
        )
    sent = request.headers.get("content-type", JSON).partition(";")[0].strip()
    if request.method in {"POST", "PATCH", "PUT"} and sent != JSON:
        raise bad_body(f"Content-Type not acceptable: {sent}")


def answer(request: Request, text: str, status: int, headers: dict[str, str]) -> Response:
    """Answer with JSON that the database wrote."""
    media = SINGULAR if wants_one(request) else JSON
    return Response(
        None if request.method == "HEAD" else text,
        status,
        headers={**headers, "Content-Type": f"{media}; charset=utf-8"},
    )

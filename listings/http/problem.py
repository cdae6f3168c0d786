"""
Error answers as RFC 9457 problem+json: what happened, and what to do about it.

`type` is a URN of this project (``urn:syncgate:problem:<slug>``): stable for programs, and no
promise of a page. `detail` is a sentence for people.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.responses import Response

from listings.http.headers import PROBLEM_JSON

if TYPE_CHECKING:
    from collections.abc import Mapping

TITLES: Final[Mapping[int, str]] = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Refused as things stand",
    413: "Too large",
    415: "Unsupported media type",
    429: "Too many requests",
    500: "Internal error",
    501: "Not implemented",
    502: "Bad gateway",
    503: "Unavailable",
    504: "Timed out",
}


def problem_body(status: int, slug: str, detail: str, **members: Any) -> bytes:
    """Write the document alone, for callers that make their own response."""
    document = {
        "type": f"urn:syncgate:problem:{slug}",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        **members,
    }
    return orjson.dumps(document, default=str)


def problem(
    status: int,
    slug: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Response:
    """Make the response; `members` are further members of the document."""
    return Response(
        problem_body(status, slug, detail, **members),
        status,
        headers=dict(headers or {}),
        media_type=PROBLEM_JSON,
    )

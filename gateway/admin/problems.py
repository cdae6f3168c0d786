"""
Every refusal of the admin port as RFC 9457 problem+json: what is wrong and what to do about it.

A problem never repeats what was sent in a credential and never shows the inside of a crash: what
was not foreseen is logged whole and answered as a bare 500.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.admin.view import gates_of
from gateway.errors import (
    ConfigurationError,
    ForbiddenError,
    InvalidRequestError,
    RefusedError,
    SyncgateError,
    VersionConflictError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from gateway.admin.models import Gate

MEDIA_TYPE: Final = "application/problem+json"
NO_STORE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

_TITLES: Final = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Refused",
    413: "Too large",
    422: "Not as expected",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available",
}

_FAMILIES: Final[tuple[tuple[type[SyncgateError], int, str], ...]] = (
    (VersionConflictError, 409, "version-conflict"),
    (ForbiddenError, 403, "forbidden"),
    (ConfigurationError, 422, "configuration"),
)

_log = structlog.get_logger("gateway.admin")


class ProblemError(Exception):
    """A refusal by the admin port itself, before any use case is asked."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        fix: str | None = None,
        errors: Sequence[Mapping[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
        detail_ja: str = "",
        fix_ja: str = "",
    ) -> None:
        super().__init__(detail)
        self.japanese = {"detail_ja": detail_ja, "fix_ja": fix_ja}
        self.status = status
        self.kind = kind
        self.detail = detail
        self.fix = fix
        self.errors = errors
        self.headers = headers


def problem(
    status: int,
    kind: str,
    detail: str,
    *,
    fix: str | None = None,
    errors: Sequence[Mapping[str, str]] | None = None,
    gates: Sequence[Gate] | None = None,
    more: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Build the answer."""
    body: dict[str, Any] = {
        "type": f"urn:syncgate:problem:{kind}",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
    }
    if fix:
        body["fix"] = fix
    if errors:
        body["errors"] = list(errors)
    if gates:
        body["gates"] = [gate.model_dump() for gate in gates]
    body.update({key: value for key, value in (more or {}).items() if value})
    return Response(
        orjson.dumps(body),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers={**NO_STORE, **(headers or {})},
    )


def from_problem(_: Request, error: Exception) -> Response:
    """Answer a `ProblemError`."""
    assert isinstance(error, ProblemError)
    return problem(
        error.status,
        error.kind,
        error.detail,
        fix=error.fix,
        errors=error.errors,
        more=error.japanese,
        headers=error.headers,
    )


def from_http(request: Request, error: Exception) -> Response:
    """Answer the framework's own refusals (no such path, no such method)."""
    assert isinstance(error, HTTPException)
    match error.status_code:
        case 404:
            detail = f"There is nothing at {request.url.path!r}."
            return problem(
                404, "not-found", detail, fix="GET /openapi.json lists what there is.",
                more={
                    "detail_ja": f"{request.url.path!r} には何もありません。",
                    "fix_ja": "GET /openapi.json で一覧を確認できます。",
                },
            )  # fmt: skip
        case 405:
            allow = (error.headers or {}).get("Allow", "")
            detail = f"{request.method} does not work here; {allow} does."
            more = {
                "detail_ja": f"ここでは {request.method} は使えません。使えるのは {allow} です。"
            }
            return problem(405, "method-not-allowed", detail, headers=error.headers, more=more)
    return problem(error.status_code, "http", error.detail, headers=error.headers)


def from_domain(_: Request, error: Exception) -> Response:
    """Answer what the rollout, the store or the rules said no to."""
    assert isinstance(error, SyncgateError)
    fix = error.todo or None
    if isinstance(error, RefusedError):
        kind = "gates-not-passed" if error.gates else "refused"
        return problem(
            409,
            kind,
            error.message,
            fix=fix,
            gates=gates_of(error.gates),
            more={"code": error.code, "detail_ja": error.message_ja, "fix_ja": error.todo_ja},
        )
    if isinstance(error, InvalidRequestError):
        errors = [
            {"field": fault.where, "expected": fault.expected or fault.problem}
            for fault in error.faults
        ]
        more = {"detail_ja": error.message_ja}
        return problem(422, "invalid", error.message, fix=fix, errors=errors, more=more)
    for family, status, kind in _FAMILIES:
        if isinstance(error, family):
            more = {"detail_ja": error.message_ja, "fix_ja": error.todo_ja}
            return problem(status, kind, error.message, fix=fix, more=more)
    headers = {"Retry-After": "1"}
    return problem(503, "unavailable", error.message, fix=fix, headers=headers)


def from_missing(_: Request, error: Exception) -> Response:
    """Answer that the thing named in the address is not there."""
    more = {name: getattr(error, name, "") for name in ("detail_ja", "fix_ja")}
    return problem(404, "not-found", str(error), fix=getattr(error, "todo", None), more=more)


def from_crash(request: Request, error: Exception) -> Response:
    """Answer what nobody foresaw, after writing it down."""
    _log.error("admin_request_failed", path=request.url.path, exc_info=error)
    return problem(
        500, "internal", "Something went wrong inside.", fix="The gateway's log says what."
    )

"""Every error this package raises, as the problem answer a client gets."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import structlog
from starlette.exceptions import HTTPException

from listings.errors import (
    InvalidInput,
    ListingsError,
    SourceUnavailable,
    StoreRefused,
    StoreUnavailable,
)
from listings.http import headers
from listings.http.problem import problem
from listings.store import SyncStatus
from listings.sync import SyncFailed
from listings.sync.plan import SyncConflict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

DEFAULT_RETRY_AFTER_S: Final = 5
_SLUGS: Final = {
    400: "bad-request",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
}

_log = structlog.get_logger("listings.api")


async def _http(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    slug = _SLUGS.get(exc.status_code, "refused")
    return problem(exc.status_code, slug, exc.detail, headers=exc.headers)


async def _invalid(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, InvalidInput)
    errors = [
        {"field": fault.field, "expected": fault.expected, "got": fault.got}
        | ({"row": fault.row} if fault.row is not None else {})
        for fault in exc.faults
    ]
    return problem(400, "invalid-input", exc.detail, errors=errors)


async def _conflict(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, SyncConflict)
    return problem(409, exc.slug, exc.detail)


async def _failed(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, SyncFailed)
    sync_id = str(exc.sync_id)
    failed = {headers.SYNC_ID: sync_id, headers.SYNC_STATUS: SyncStatus.FAILED.value}
    return _outside(exc.cause, failed, syncId=sync_id, syncStatus=SyncStatus.FAILED.value)


async def _not_ours(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, ListingsError)
    return _outside(exc, {})


async def _unexpected(_request: Request, exc: Exception) -> Response:
    _log.error("unexpected_error", exc_info=exc)
    return problem(500, "internal", "Something unforeseen happened; the log has the details.")


def _outside(cause: ListingsError, extra: Mapping[str, str], **members: Any) -> Response:
    if isinstance(cause, StoreUnavailable):
        wait_s = math.ceil(cause.retry_after_s or DEFAULT_RETRY_AFTER_S)
        retry = {headers.RETRY_AFTER: str(max(1, wait_s))}
        return problem(
            503, "store-unavailable", cause.detail, headers={**extra, **retry}, **members
        )
    if isinstance(cause, StoreRefused):
        return problem(
            502, "store-refused", cause.detail, headers=extra, code=cause.code, **members
        )
    slug = "source-unavailable" if isinstance(cause, SourceUnavailable) else "refused"
    return problem(502, slug, str(cause), headers=extra, **members)


HANDLERS: Final[Mapping[Any, Callable[..., Any]]] = {
    HTTPException: _http,
    InvalidInput: _invalid,
    SyncConflict: _conflict,
    SyncFailed: _failed,
    ListingsError: _not_ours,
    Exception: _unexpected,
}

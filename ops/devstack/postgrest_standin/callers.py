"""Who asks: the role and claims of the token, or the anonymous role."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from ops.devstack import tokens
from ops.devstack.postgrest_standin.database import Caller
from ops.devstack.postgrest_standin.failures import Failure, bad_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from ops.devstack.postgrest_standin.settings import Settings

_CLOCK_SKEW_S: Final = 30


def caller(request: Request, settings: Settings) -> Caller:
    """Return who asks; a token that does not hold is an error, never anonymous."""
    claims = _claims(request, settings.jwt_secret)
    role = claims.get("role") or settings.db_anon_role
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


def _claims(request: Request, secret: str | None) -> Mapping[str, Any]:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return {}
    if secret is None:
        raise Failure(HTTPStatus.INTERNAL_SERVER_ERROR, "PGRST300", "Server lacks JWT secret")
    try:
        claims = tokens.verify(token.strip(), secret)
    except tokens.TokenError as exc:
        raise bad_token("JWSError JWSInvalidSignature") from exc
    if reason := _untimely(claims, time.time()):
        raise bad_token(reason)
    return claims


def _untimely(claims: Mapping[str, Any], now: float) -> str | None:
    times = {
        name: at
        for name in ("exp", "nbf", "iat")
        if isinstance(at := claims.get(name), int | float)
    }
    if times.get("exp", now) < now - _CLOCK_SKEW_S:
        return "JWT expired"
    if times.get("nbf", now) > now + _CLOCK_SKEW_S:
        return "JWTNotYetValid"
    if times.get("iat", now) > now + _CLOCK_SKEW_S:
        return "JWTIssuedAtFuture"
    return None

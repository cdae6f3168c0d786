"""
JSON Web Tokens signed with HS256, as Supabase's API keys are.

Small on purpose: one algorithm, and a token that names another one is refused, so that nobody gets
to choose "none".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEADER: Final = {"alg": "HS256", "typ": "JWT"}
_PARTS: Final = 3


class TokenError(ValueError):
    """The token is malformed, or its signature is not ours."""


def sign(claims: Mapping[str, Any], secret: str) -> str:
    """Make a token of the claims."""
    signed = f"{_encode(_dump(_HEADER))}.{_encode(_dump(claims))}"
    return f"{signed}.{_encode(_signature(signed, secret))}"


def verify(token: str, secret: str) -> dict[str, Any]:
    """Return the claims; time claims are the caller's business."""
    parts = token.split(".")
    if len(parts) != _PARTS:
        raise TokenError("a token has three parts")
    header, payload, signature = parts
    try:
        if json.loads(_decode(header)).get("alg") != "HS256":
            raise TokenError("only HS256 is accepted")
        if not hmac.compare_digest(_decode(signature), _signature(f"{header}.{payload}", secret)):
            raise TokenError("the signature does not fit")
        claims = json.loads(_decode(payload))
    except (binascii.Error, UnicodeDecodeError, json.JSONDecodeError, AttributeError) as exc:
        raise TokenError("not base64url of JSON") from exc
    if not isinstance(claims, dict):
        raise TokenError("the claims are no object")
    return claims


def _signature(signed: str, secret: str) -> bytes:
    return hmac.digest(secret.encode(), signed.encode(), hashlib.sha256)


def _dump(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

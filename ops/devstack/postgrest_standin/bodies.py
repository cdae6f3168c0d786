"""What a request's body holds: rows to write, or the arguments of a function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from ops.devstack.postgrest_standin import failures

if TYPE_CHECKING:
    from collections.abc import Sequence


def rows(body: bytes, columns: Sequence[str] | None) -> tuple[str, Sequence[str]]:
    """Return the body as text, and the columns it sets."""
    if columns is not None:  # the client says which; the database reads the body
        return _text(body), columns
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise failures.bad_body("Empty or invalid json") from exc
    found = value if isinstance(value, list) else [value]
    if not all(isinstance(row, dict) for row in found) or len({frozenset(r) for r in found}) > 1:
        raise failures.bad_body("All object keys must match")
    return _text(body), list(found[0]) if found else []


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as exc:
        raise failures.bad_body("Empty or invalid json") from exc


def json_object(body: bytes) -> dict[str, Any]:
    """Return the body as one object."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise failures.bad_body("Empty or invalid json") from exc
    if not isinstance(value, dict):
        raise failures.bad_body("All object keys must match")
    return value

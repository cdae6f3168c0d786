"""
Error answers: PostgREST's own codes, and PostgreSQL's errors with the status each one becomes.

The body is always ``{"code", "details", "hint", "message"}``.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import psycopg

if TYPE_CHECKING:
    from collections.abc import Mapping


class Failure(Exception):  # noqa: N818 - it is an answer as much as an error
    """An answer that is an error."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: str | None = None,
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.hint = hint
        self.headers = headers or {}

    def body(self) -> dict[str, str | None]:
        """Return what the client reads; an unknown address gets an empty object."""
        if not self.code:
            return {}
        return {
            "code": self.code,
            "details": self.details,
            "hint": self.hint,
            "message": self.message,
        }


# Longest prefix wins; anything else is 400.
_STATUS_BY_SQLSTATE: Final[Mapping[str, int]] = {
    "08": 503,
    "09": 500,
    "0L": 403,
    "0P": 403,
    "23503": 409,
    "23505": 409,
    "25": 500,
    "25006": 405,
    "28": 403,
    "2D": 500,
    "38": 500,
    "39": 500,
    "3B": 500,
    "40": 500,
    "42883": 404,
    "42P01": 404,
    "42P17": 500,
    "53": 503,
    "53400": 500,
    "54": 413,
    "55": 500,
    "57": 500,
    "57P01": 503,
    "58": 500,
    "F0": 500,
    "HV": 500,
    "P0": 500,
    "P0001": 400,
    "XX": 500,
}


def from_database(error: psycopg.Error, *, authenticated: bool) -> Failure:
    """Translate what PostgreSQL said."""
    code = error.sqlstate
    if code is None and isinstance(error, psycopg.OperationalError):
        return unreachable(str(error))
    if code is None:  # never sent: the driver would not write it (a NUL in a text)
        return Failure(HTTPStatus.BAD_REQUEST, "22021", str(error))
    diagnosis = error.diag
    return Failure(
        _status(code, authenticated=authenticated),
        code,
        diagnosis.message_primary or str(error),
        details=diagnosis.message_detail,
        hint=diagnosis.message_hint,
        headers={} if authenticated or code != "42501" else {"WWW-Authenticate": "Bearer"},
    )


def _status(code: str, *, authenticated: bool) -> int:
    if code == "42501":
        return HTTPStatus.FORBIDDEN if authenticated else HTTPStatus.UNAUTHORIZED
    if code.startswith("PT") and code[2:].isdigit():
        return int(code[2:])
    for prefix in (code, code[:2]):
        if prefix in _STATUS_BY_SQLSTATE:
            return _STATUS_BY_SQLSTATE[prefix]
    return HTTPStatus.BAD_REQUEST


def unreachable(reason: str) -> Failure:
    """Say that there is no connection to the database."""
    return Failure(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "PGRST000",
        "Database connection error. Retrying the connection.",
        details=reason,
        headers={"Retry-After": "1"},
    )


def pool_timeout() -> Failure:
    """Say that every connection of the pool was busy for too long."""
    return Failure(
        HTTPStatus.GATEWAY_TIMEOUT,
        "PGRST003",
        "Timed out acquiring connection from connection pool.",
    )


def unknown_address() -> Failure:
    """Say that there is no such table or path."""
    return Failure(HTTPStatus.NOT_FOUND, "", "")


def bad_query(kind: str, value: str) -> Failure:
    """Say that a query parameter cannot be read."""
    return Failure(
        HTTPStatus.BAD_REQUEST,
        "PGRST100",
        f'"failed to parse {kind} ({value})" (line 1, column 1)',
        details=f"unexpected input in {kind}",
    )


def bad_body(message: str) -> Failure:
    """Say that the body cannot be used."""
    return Failure(HTTPStatus.BAD_REQUEST, "PGRST102", message)


def unknown_column(table: str, column: str) -> Failure:
    """Say that the table does not have the column."""
    return Failure(
        HTTPStatus.BAD_REQUEST,
        "PGRST204",
        f"Column '{column}' of relation '{table}' does not exist",
    )


def unknown_relation(table: str, other: str, schema: str) -> Failure:
    """Say that no foreign key joins the two tables."""
    return Failure(
        HTTPStatus.BAD_REQUEST,
        "PGRST200",
        f"Could not find a relationship between '{table}' and '{other}' in the schema cache",
        details=f"Searched for a foreign key relationship between '{table}' and '{other}' in the "
        f"schema '{schema}', but no matches were found.",
    )


def unknown_function(schema: str, name: str, arguments: list[str], *, posted: bool) -> Failure:
    """Say that there is no function with these arguments."""
    given = ", ".join(sorted(arguments))
    plural = "s" if len(arguments) > 1 else ""
    with_given = f"with parameter{plural} {given}" if given else "without parameters"
    single = " or with a single unnamed json/jsonb parameter" if posted else ""
    signature = f"{schema}.{name}({given})" if given else f"{schema}.{name} without parameters"
    return Failure(
        HTTPStatus.NOT_FOUND,
        "PGRST202",
        f"Could not find the function {signature} in the schema cache",
        details=f"Searched for the function {schema}.{name} {with_given}{single}, but no matches "
        "were found in the schema cache.",
    )


def not_one_row(count: int) -> Failure:
    """Say that one object was asked for and there are more, or none."""
    return Failure(
        HTTPStatus.NOT_ACCEPTABLE,
        "PGRST116",
        "JSON object requested, multiple (or no) rows returned",
        details=f"The result contains {count} rows",
    )


def range_not_satisfiable(details: str, headers: Mapping[str, str] | None = None) -> Failure:
    """Say that there is no such page."""
    return Failure(
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        "PGRST103",
        "Requested range not satisfiable",
        details=details,
        headers=headers,
    )


def bad_token(reason: str) -> Failure:
    """Say why the JWT was not accepted."""
    return Failure(
        HTTPStatus.UNAUTHORIZED,
        "PGRST301",
        reason,
        headers={"WWW-Authenticate": f'Bearer error="invalid_token", error_description="{reason}"'},
    )

"""
Direct connections for maintenance, and what to do when one cannot be had.

libpq's own words are for programmers; a person at a terminal needs to know which setting to look
at. `explain` reads the cause out of the failure and says what to do about it; the password never
shows.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import conninfo
from psycopg.rows import dict_row

from listings.errors import StoreRefused, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from listings.errors import ListingsError

CONNECT_TIMEOUT_S: Final = 5

# What libpq or the server says -> (our code, what to do); matched in order, in lower case.
_CAUSES: Final[tuple[tuple[str, str, str], ...]] = (
    ("password authentication failed", "auth", "check user and password in DATABASE_URL"),
    ("no password supplied", "auth", "DATABASE_URL names no password, and the server wants one"),
    (
        "no pg_hba.conf entry",
        "auth",
        "the server does not let this user in from here (pg_hba.conf)",
    ),
    (
        'role "',
        "auth",
        "the user in DATABASE_URL is unknown to the server; create it or use another",
    ),
    ('database "', "database", "create the database, or correct its name in DATABASE_URL"),
    ("ssl", "tls", "check sslmode in DATABASE_URL against what the server offers"),
    ("name or service not known", "host", "the host name in DATABASE_URL does not resolve"),
    ("failed to resolve host", "host", "the host name in DATABASE_URL does not resolve"),
    ("could not translate host", "host", "the host name in DATABASE_URL does not resolve"),
    ("connection refused", "host", "nothing listens there: start PostgreSQL, or correct the port"),
    ("timeout", "host", "no answer: check host, port and firewall"),
    ("starting up", "starting", "the server is starting; try again in a moment"),
    ("too many", "full", "the server has no connection left; lower DB_POOL_MAX or raise its limit"),
)
# Only a person can change these; the rest may pass by itself.
_REFUSED: Final = frozenset({"auth", "database", "tls"})


def where(database_url: str) -> str:
    """Say where a connection string leads, without its password: ``user@host:port/database``."""
    try:
        parts = conninfo.conninfo_to_dict(database_url)
    except psycopg.ProgrammingError:
        return "an unreadable DATABASE_URL"
    user = parts.get("user") or "(default user)"
    host = parts.get("host") or parts.get("hostaddr") or "localhost"
    return f"{user}@{host}:{parts.get('port') or 5432}/{parts.get('dbname') or user}"


def explain(exc: psycopg.Error, database_url: str) -> ListingsError:
    """Turn a failure to connect into what is wrong and what to do."""
    if isinstance(exc, psycopg.ProgrammingError):
        return StoreRefused(
            "DATABASE_URL cannot be read as a connection string;"
            " it looks like postgresql://user:password@host:5432/database",
            code="database_url",
        )
    said = " ".join(str(exc).split())
    lowered = said.lower()
    for needle, code, advice in _CAUSES:
        if needle in lowered:
            detail = f"cannot connect to {where(database_url)}: {advice} ({said})"
            return StoreRefused(detail, code=code) if code in _REFUSED else StoreUnavailable(detail)
    return StoreUnavailable(f"cannot connect to {where(database_url)}: {said}")


def connect(
    database_url: str, *, application_name: str = "syncgate"
) -> psycopg.Connection[dict[str, Any]]:
    """Open one autocommit connection with rows as dicts, or say why not and what to do."""
    try:
        return psycopg.connect(
            database_url,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name=application_name,
            row_factory=dict_row,
        )
    except psycopg.Error as exc:
        raise explain(exc, database_url) from exc


@contextmanager
def translated() -> Iterator[None]:
    """Give what PostgreSQL complains of in the words of `listings.errors`."""
    try:
        yield
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction) as exc:
        raise StoreRefused(
            f"PostgreSQL refused: {exc.diag.message_primary}; run `syncgate migrate`",
            code=exc.sqlstate or "unknown",
        ) from exc
    except psycopg.errors.InsufficientPrivilege as exc:
        raise StoreRefused(
            f"PostgreSQL refused: {exc.diag.message_primary}; maintenance needs a login that sees"
            " every row (the owner with BYPASSRLS, or a superuser) in DATABASE_URL",
            code=exc.sqlstate or "unknown",
        ) from exc
    except psycopg.OperationalError as exc:
        said = " ".join(str(exc).split())
        raise StoreUnavailable(f"the connection to PostgreSQL broke: {said}") from exc
    except psycopg.Error as exc:
        said = exc.diag.message_primary or " ".join(str(exc).split())
        raise StoreRefused(f"PostgreSQL refused: {said}", code=exc.sqlstate or "unknown") from exc

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

# What libpq or the server says -> (our code, what to do in both languages); matched in order, in
# lower case.
_UNKNOWN_HOST: Final = (
    "host",
    "the host name in DATABASE_URL does not resolve",
    "DATABASE_URL のホスト名を解決できません",
)
_CAUSES: Final[tuple[tuple[str, tuple[str, str, str]], ...]] = (
    (
        "password authentication failed",
        (
            "auth",
            "check user and password in DATABASE_URL",
            "DATABASE_URL のユーザーとパスワードを確認してください",
        ),
    ),
    (
        "no password supplied",
        (
            "auth",
            "DATABASE_URL names no password, and the server wants one",
            "サーバーがパスワードを求めていますが、DATABASE_URL にありません",
        ),
    ),
    (
        "no pg_hba.conf entry",
        (
            "auth",
            "the server does not let this user in from here (pg_hba.conf)",
            "サーバーがここからのこのユーザーの接続を許可していません(pg_hba.conf)",
        ),
    ),
    (
        'role "',
        (
            "auth",
            "the user in DATABASE_URL is unknown to the server; create it or use another",
            "DATABASE_URL のユーザーがサーバーにありません。作成するか別のユーザーを使ってください",
        ),
    ),
    (
        'database "',
        (
            "database",
            "create the database, or correct its name in DATABASE_URL",
            "データベースを作成するか、DATABASE_URL の名前を修正してください",
        ),
    ),
    (
        "ssl",
        (
            "tls",
            "check sslmode in DATABASE_URL against what the server offers",
            "DATABASE_URL の sslmode とサーバーの設定を確認してください",
        ),
    ),
    ("name or service not known", _UNKNOWN_HOST),
    ("failed to resolve host", _UNKNOWN_HOST),
    ("could not translate host", _UNKNOWN_HOST),
    (
        "connection refused",
        (
            "host",
            "nothing listens there: start PostgreSQL, or correct the port",
            "接続先で待ち受けていません。PostgreSQL を起動するか、ポートを修正してください",
        ),
    ),
    (
        "timeout",
        (
            "host",
            "no answer: check host, port and firewall",
            "応答がありません。ホスト、ポート、ファイアウォールを確認してください",
        ),
    ),
    (
        "starting up",
        (
            "starting",
            "the server is starting; try again in a moment",
            "サーバーは起動中です。少し待って再実行してください",
        ),
    ),
    (
        "too many",
        (
            "full",
            "the server has no connection left; lower DB_POOL_MAX or raise its limit",
            "サーバーの接続数が上限です。DB_POOL_MAX を下げるか、上限を上げてください",
        ),
    ),
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
    place = where(database_url)
    for needle, (code, advice, advice_ja) in _CAUSES:
        if needle in lowered:
            detail = f"cannot connect to {place}: {advice} ({said})"
            detail_ja = f"{place} に接続できません: {advice_ja} ({said})"
            if code in _REFUSED:
                return StoreRefused(detail, code=code, detail_ja=detail_ja)
            return StoreUnavailable(detail, detail_ja=detail_ja)
    return StoreUnavailable(
        f"cannot connect to {place}: {said}", detail_ja=f"{place} に接続できません: {said}"
    )


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
        said = exc.diag.message_primary
        raise StoreRefused(
            f"PostgreSQL refused: {said}; run `syncgate migrate`",
            code=exc.sqlstate or "unknown",
            detail_ja=f"PostgreSQL が拒否しました: {said}。`syncgate migrate` を実行してください",
        ) from exc
    except psycopg.errors.InsufficientPrivilege as exc:
        said = exc.diag.message_primary
        raise StoreRefused(
            f"PostgreSQL refused: {said}; maintenance needs a login that sees"
            " every row (the owner with BYPASSRLS, or a superuser) in DATABASE_URL",
            code=exc.sqlstate or "unknown",
            detail_ja=f"PostgreSQL が拒否しました: {said}。DATABASE_URL には全行が見えるユーザー"
            "(BYPASSRLS を持つ所有者、またはスーパーユーザー)が必要です",
        ) from exc
    except psycopg.OperationalError as exc:
        said = " ".join(str(exc).split())
        raise StoreUnavailable(
            f"the connection to PostgreSQL broke: {said}",
            detail_ja=f"PostgreSQL との接続が切れました: {said}",
        ) from exc
    except psycopg.Error as exc:
        said = exc.diag.message_primary or " ".join(str(exc).split())
        raise StoreRefused(
            f"PostgreSQL refused: {said}",
            code=exc.sqlstate or "unknown",
            detail_ja=f"PostgreSQL が拒否しました: {said}",
        ) from exc

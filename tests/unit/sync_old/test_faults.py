"""Whose fault a PostgreSQL error is."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from listings.errors import StoreRefused, StoreUnavailable
from sync_old.faults import Blame, blame, translate


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("23514", Blame.ROW),
        ("23502", Blame.ROW),
        ("22003", Blame.ROW),
        ("22P02", Blame.ROW),
        ("54000", Blame.ROW),
        ("P0001", Blame.ROW),
        ("XX000", Blame.ROW),
        ("40001", Blame.REPEAT),
        ("40P01", Blame.REPEAT),
        ("55P03", Blame.REPEAT),
        ("57014", Blame.REPEAT),
        ("08006", Blame.CONNECTION),
        ("57P01", Blame.CONNECTION),
        ("53300", Blame.CONNECTION),
        ("25006", Blame.CONNECTION),
        ("42501", Blame.SETUP),
        ("42P01", Blame.SETUP),
        ("42703", Blame.SETUP),
        ("28P01", Blame.SETUP),
    ],
)
def test_the_state_decides(state: str, expected: Blame) -> None:
    """Each SQLSTATE is blamed on the one who can do something about it."""
    try:
        kind = errors.lookup(state)
    except KeyError:
        kind = type("Unknown", (psycopg.Error,), {"sqlstate": state})
    assert blame(kind()) is expected


def test_without_a_state() -> None:
    """The driver's own refusal is the row's fault; a broken connection is the connection's."""
    assert blame(psycopg.DataError("NUL")) is Blame.ROW
    assert blame(psycopg.OperationalError("server closed the connection")) is Blame.CONNECTION


def test_translation_says_what_to_do() -> None:
    """A missing table asks for the migration, missing rights for other credentials."""
    missing = translate(errors.UndefinedTable("no table"))
    assert isinstance(missing, StoreRefused)
    assert "syncgate migrate" in missing.detail
    rights = translate(errors.InsufficientPrivilege("no"))
    assert isinstance(rights, StoreRefused)
    assert "DATABASE_URL" in rights.detail
    assert isinstance(translate(psycopg.OperationalError("gone")), StoreUnavailable)

"""
What a PostgreSQL error means to the old service: one row is bad, try again, or the store fails.

The SQLSTATE decides, never the text: texts are translated and reworded, states are a contract.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import psycopg

from listings.errors import StoreRefused, StoreUnavailable


class ConnectionLost(StoreUnavailable):
    """A connection we had broke; the next one may live."""


class Blame(Enum):
    """Whose fault an error is, and so what to do about it."""

    ROW = "this listing cannot be stored; the others can"
    REPEAT = "two writers met; the same statement will work"
    CONNECTION = "the server or the way to it is gone"
    SETUP = "nothing will work until somebody changes something"


_BY_STATE: Final = {
    "55P03": Blame.REPEAT,  # lock timeout
    "57014": Blame.REPEAT,  # statement timeout, cancelled
    "42501": Blame.SETUP,  # insufficient privilege, row-level security, the wrong workspace
    "25006": Blame.CONNECTION,  # read-only: a standby; the pool must find the primary
}
_BY_CLASS: Final = {
    "40": Blame.REPEAT,  # serialization failure, deadlock
    "08": Blame.CONNECTION,
    "53": Blame.CONNECTION,  # out of connections, memory, disk
    "57": Blame.CONNECTION,  # shutting down
    "58": Blame.CONNECTION,
    "28": Blame.SETUP,
    "3D": Blame.SETUP,
    "42": Blame.SETUP,  # no such table, column or function
}


def blame(exc: psycopg.Error) -> Blame:
    """Say whose fault an error is."""
    state = exc.sqlstate
    if state is None:
        # Refused by the driver before the server saw it (NUL in a text), or no server at all.
        return Blame.ROW if isinstance(exc, psycopg.DataError) else Blame.CONNECTION
    return _BY_STATE.get(state) or _BY_CLASS.get(state[:2], Blame.ROW)


def said(exc: psycopg.Error) -> str:
    """Give PostgreSQL's own sentence, in one line."""
    return exc.diag.message_primary or " ".join(str(exc).split())


def translate(exc: psycopg.Error) -> StoreUnavailable | StoreRefused:
    """Turn an error that is not one row's into the words of the port."""
    if blame(exc) is Blame.SETUP:
        advice = (
            "run `syncgate migrate`"
            if (exc.sqlstate or "").startswith("42") and exc.sqlstate != "42501"
            else "check the rights of the user in DATABASE_URL"
        )
        return StoreRefused(f"PostgreSQL refused: {said(exc)}; {advice}", code=exc.sqlstate or "")
    return StoreUnavailable(f"PostgreSQL is not available: {said(exc)}")

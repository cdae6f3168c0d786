"""What the commands on the database share: its address, and how they end when it says no."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from gateway.cli.client import look_up
from gateway.cli.session import Exit

if TYPE_CHECKING:
    from gateway.cli.session import Session
    from gateway.cli.texts import Texts
    from listings.errors import ListingsError

_UNREADABLE = "database_url"


def address(session: Session, given: str | None) -> str:
    """Find the database's address, or end."""
    found = given or look_up("DATABASE_URL")
    if found is None:
        session.fail(Exit.USAGE, session.say("no_database"), fix=session.say("no_database_fix"))
    return found


def fail(session: Session, error: ListingsError, *, fix: str | None = None) -> NoReturn:
    """End: an address that is none is wrong usage, one that nobody answers at is 3."""
    from listings.errors import StoreRefused, StoreUnavailable  # noqa: PLC0415 - loads slowly

    detail = in_words(session.say, error)
    if isinstance(error, StoreUnavailable):
        session.fail(Exit.UNREACHABLE, detail, fix=fix)
    if isinstance(error, StoreRefused) and error.code == _UNREADABLE:
        session.fail(Exit.USAGE, session.say("bad_database"), fix=session.say("no_database_fix"))
    session.fail(Exit.REFUSED, detail)


def in_words(say: Texts, error: ListingsError) -> str:
    """Say what the database said no with, in the operator's language where that is known."""
    japanese = getattr(error, "detail_ja", "")
    return japanese if japanese and say.language == "ja" else str(error)

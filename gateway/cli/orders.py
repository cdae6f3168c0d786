"""
Orders to a running gateway: what would happen, a question where it matters, what resulted.

Going forward asks first (start, promote, a higher weight, leaving the emergency stop); going back
does not, because nobody wants a question between them and a rollback. Where there is no terminal to
ask on, an order with its reason is clear enough, except one past failing gates: it wants `--yes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from gateway.cli.session import Exit

if TYPE_CHECKING:
    from gateway.cli.session import Session


@dataclass(frozen=True, slots=True)
class Order:
    """One order: where it is posted, with what, and what it means in words."""

    path: str
    what: str
    body: dict[str, Any]
    forward: bool = False
    """Moves traffic to the new system: asked about on a terminal."""
    dangerous: bool = False
    """Overrides a safeguard: needs `--yes` where nobody can be asked."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What the operator said on the command line."""

    reason: str | None
    yes: bool
    dry_run: bool


def give(session: Session, order: Order, consent: Consent) -> None:
    """Carry an order through."""
    if consent.dry_run:
        _only_show(session, order)
        return
    reason = _reason(session, consent)
    _confirm(session, order, consent)
    state = session.post(order.path, {**order.body, "reason": reason})
    if session.as_json:
        session.show_json(state)
        return
    from gateway.cli.screen import headline  # noqa: PLC0415 - rich is only needed to show

    session.out.print(headline(state, session.say))


def _only_show(session: Session, order: Order) -> None:
    if session.as_json:
        session.show_json({"dry_run": True, "path": order.path, "body": order.body})
    else:
        session.out.print(session.say("would_do", what=order.what), markup=False)


def _reason(session: Session, consent: Consent) -> str:
    reason = consent.reason
    if reason is None and session.interactive:
        reason = str(typer.prompt(session.say("ask_reason"), err=True))
    if reason is None or not reason.strip():
        session.fail(Exit.USAGE, session.say("need_reason"))
    return reason


def _confirm(session: Session, order: Order, consent: Consent) -> None:
    if consent.yes or not (order.forward or order.dangerous):
        return
    if not session.interactive:
        if order.dangerous:
            session.fail(Exit.REFUSED, session.say("need_yes"))
        return
    if not typer.confirm(session.say("sure", what=order.what), err=True):
        session.fail(Exit.REFUSED, session.say("aborted"))


def parse_percent(session: Session, text: str) -> float:
    """Read a weight; the same rule as the API's, said before anything is sent."""
    from decimal import Decimal, InvalidOperation  # noqa: PLC0415 - one command needs it

    try:
        value = Decimal(text.strip().removesuffix("%").strip())
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or not 0 <= value <= 100 or value % Decimal("0.01"):  # noqa: PLR2004 - percent
        session.fail(Exit.USAGE, session.say("bad_percent", value=text))
    return float(value)

"""
Orders to a running gateway: what would happen, a question where it matters, what resulted.

Going forward asks first (start, promote, a higher weight, leaving the emergency stop); going back
does not, because nobody wants a question between them and a rollback. Where there is no terminal to
ask on, an order with its reason is clear enough, except one past failing gates: it wants `--yes`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.cli.consent import confirm, only_show, reason_given
from gateway.cli.session import Exit

if TYPE_CHECKING:
    from gateway.cli.consent import Consent
    from gateway.cli.session import Session


@dataclass(frozen=True, slots=True)
class Order:
    """One order: where it is posted, with what, and what it means in words."""

    path: str
    what: str
    body: dict[str, Any] = field(default_factory=dict)
    forward: bool = False
    """Moves traffic to the new system: asked about on a terminal."""
    dangerous: bool = False
    """Overrides a safeguard: needs `--yes` where nobody can be asked."""


def give(session: Session, order: Order, consent: Consent) -> None:
    """Carry an order through."""
    if consent.dry_run:
        only_show(session, order.what, path=order.path, body=order.body)
        return
    reason = reason_given(session, consent.reason)
    asks = order.dangerous or (order.forward and session.interactive)
    if asks and not consent.yes:
        confirm(session, order.what)
    state = session.post(order.path, {**order.body, "reason": reason})
    if session.as_json:
        session.show_json(state)
        return
    from gateway.cli.screen import headline  # noqa: PLC0415 - rich is only needed to show

    session.out.print(headline(state, session.say))


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

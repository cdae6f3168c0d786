"""
Orders to a running gateway: what would happen, a question where it matters, what resulted.

Going forward asks first (start, promote, a higher weight, leaving the emergency stop); going back
does not, because nobody wants a question between them and a rollback. Where there is no terminal to
ask on, an order with its reason is clear enough, except one past failing gates: it wants `--yes`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from gateway.cli.consent import confirm, only_show, reason_given
from gateway.cli.session import Exit

if TYPE_CHECKING:
    from gateway.cli.consent import Consent
    from gateway.cli.session import Session
    from gateway.cli.texts import Texts

ROLLOUT: Final = "/api/v1/rollout"


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
    decision: int | None = None
    """The one that is answered."""

    @property
    def name(self) -> str:
        """What the transition table calls it."""
        if self.decision is not None:
            return "hold"
        return self.path.rpartition("/")[2].removeprefix("emergency-")


def rehearse(session: Session, order: Order) -> None:
    """End as the order itself would where it can be seen that it would be refused."""
    state = session.get(ROLLOUT)
    obstacle = _obstacle(order, state, session.say)
    if obstacle:
        session.fail(Exit.REFUSED, session.say("would_refuse", what=obstacle), dry_run=True)


def _obstacle(order: Order, state: dict[str, Any], say: Texts) -> str | None:
    """Say what stands in the way; None: nothing that can be seen from here."""
    from gateway.core.rollout import TRANSITIONS  # noqa: PLC0415 - only a dry run needs it

    moves = {(before.value, event) for before, event, _ in TRANSITIONS}
    waiting = [one for one in state["decisions"] if one["state"] == "open"]
    status, name = state["status"], order.name
    if name == "hold":
        wanted = order.decision
        known = wanted in {one["id"] for one in waiting}
        return None if known else say("no_decision", id=wanted)
    if (status, name) not in moves:
        return say("would_misfit", order=name, status=say(status))
    if name == "promote" and not order.dangerous:
        reason = "reason_ja" if say.language == "ja" else "reason"
        failing = [gate for gate in state["gates"] if gate["verdict"] != "pass"]
        listed = "".join(f"\n  {gate['name']}: {gate[reason]}" for gate in failing)
        return say("would_wait") + listed if failing else None
    high = next((one["id"] for one in waiting if one["severity"] == "high"), None)
    if name == "resume" and status == "paused" and high is not None:
        return say("would_decision", id=high)
    return None


def give(session: Session, order: Order, consent: Consent) -> None:
    """Carry an order through."""
    if consent.dry_run:
        rehearse(session, order)
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

"""The orders to a running gateway, and what each of them takes; `orders` carries them out."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.consent import Consent
from gateway.cli.options import ordering
from gateway.cli.orders import ROLLOUT, Order, give, parse_percent
from gateway.cli.session import Session


@ordering
def start(session: Session, consent: Consent) -> None:
    """Enter the first phase."""
    give(session, Order(f"{ROLLOUT}/start", session.say("order_start"), forward=True), consent)


@ordering
def promote(
    session: Session,
    consent: Consent,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Although gates do not pass (admin scope).")
    ] = False,
) -> None:
    """Go on to the next phase; refused while a gate does not pass."""
    following = session.get(ROLLOUT)["next_phase"] or "-"
    order = Order(
        f"{ROLLOUT}/promote",
        session.say("order_promote_force" if force else "order_promote", phase=following),
        {"force": True} if force else {},
        forward=True,
        dangerous=force,
    )
    give(session, order, consent)


@ordering
def pause(session: Session, consent: Consent) -> None:
    """Keep the weight and stop the phase's clock; the guard stays on."""
    give(session, Order(f"{ROLLOUT}/pause", session.say("order_pause")), consent)


@ordering
def resume(session: Session, consent: Consent) -> None:
    """Go on after a pause, or leave a rollback (at weight 0)."""
    give(session, Order(f"{ROLLOUT}/resume", session.say("order_resume")), consent)


@ordering
def weight(
    session: Session,
    consent: Consent,
    percent: Annotated[str, typer.Argument(help="0 to 100 in steps of 0.01.")],
) -> None:
    """Send this share of traffic to the new system."""
    wanted = parse_percent(session, percent)
    now = session.get(ROLLOUT)["weight_percent"]
    order = Order(
        f"{ROLLOUT}/weight",
        session.say("order_weight", percent=f"{wanted:g}", now=f"{now:g}"),
        {"percent": wanted},
        forward=wanted > now,
    )
    give(session, order, consent)


@ordering
def rollback(session: Session, consent: Consent) -> None:
    """Take all traffic back to the old system, now."""
    give(session, Order(f"{ROLLOUT}/rollback", session.say("order_rollback")), consent)


@ordering
def stop(session: Session, consent: Consent) -> None:
    """Emergency stop: the new system gets nothing until `release`."""
    give(session, Order(f"{ROLLOUT}/emergency-stop", session.say("order_stop")), consent)


@ordering
def release(session: Session, consent: Consent) -> None:
    """Leave the emergency stop, at weight 0."""
    give(session, Order(f"{ROLLOUT}/release", session.say("order_release"), forward=True), consent)


@ordering
def hold(
    session: Session,
    consent: Consent,
    decision: Annotated[int, typer.Argument(min=1, help="Number of the decision, see status.")],
) -> None:
    """Answer a decision: nothing moves at its deadline."""
    path = f"/api/v1/decisions/{decision}/hold"
    give(session, Order(path, session.say("order_hold", id=decision), decision=decision), consent)

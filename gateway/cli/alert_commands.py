"""What the commands about alerts take; declarations only, as in `app`."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.consent import Consent
from gateway.cli.options import (
    Reason,
    looking,
    ordering,
)
from gateway.cli.session import Session


@looking
def alerts(
    session: Session,
    *,
    level: Annotated[
        str | None, typer.Option(help="Only critical, high, medium or low ones.")
    ] = None,
    state: Annotated[
        str | None, typer.Option(help="Only open, acknowledged, silenced or resolved ones.")
    ] = None,
    rule: Annotated[str | None, typer.Option(help="Only those of this rule.")] = None,
    hours: Annotated[int, typer.Option(min=1, help="Ended within so many hours.")] = 24,
    messages: Annotated[
        bool, typer.Option("--messages", help="What was sent, and what could not be.")
    ] = False,
    resend: Annotated[
        str | None, typer.Option(metavar="ID", help="Send a message that was given up after all.")
    ] = None,
    reason: Reason = None,
) -> None:
    """Show what is wrong now, who has it, and what was lately."""
    from gateway.cli import alerting  # noqa: PLC0415 - see `app`

    if resend is not None:
        alerting.resend(session, resend, reason)
    elif messages:
        alerting.messages(session)
    else:
        asked = {"level": level, "state": state, "rule": rule, "hours": hours}
        alerting.show(session, {key: value for key, value in asked.items() if value is not None})


@ordering
def ack(
    session: Session,
    consent: Consent,
    alert: Annotated[int, typer.Argument(min=1, help="Number of the alert, see alerts.")],
) -> None:
    """Answer for an alert: nobody else is called."""
    from gateway.cli import alerting  # noqa: PLC0415 - see `app`

    alerting.acknowledge(session, alert, consent)


@ordering
def silence(
    session: Session,
    consent: Consent,
    rule: Annotated[
        str | None, typer.Argument(help="A rule's name, or all; none: list silences.")
    ] = None,
    *,
    span: Annotated[
        str, typer.Option("--for", metavar="SPAN", help="How long: 45m, 2h, 1d.")
    ] = "1h",
    system: Annotated[str | None, typer.Option(help="Only of old or new.")] = None,
    end: Annotated[int | None, typer.Option(metavar="ID", help="End this silence now.")] = None,
) -> None:
    """
    Tell nothing of a rule for a while.

    What still stands at the end is told then.
    """
    from gateway.cli import alerting  # noqa: PLC0415 - see `app`

    if end is not None:
        alerting.lift(session, end, consent)
    elif rule is None:
        alerting.silences(session)
    else:
        alerting.silence(session, alerting.Wish(rule, span, system), consent)


@ordering
def reload(session: Session, consent: Consent) -> None:
    """
    Read policy and alerts again.

    A file with a mistake leaves the old one in force.
    """
    from gateway.cli import alerting  # noqa: PLC0415 - see `app`

    alerting.reload(session, consent)

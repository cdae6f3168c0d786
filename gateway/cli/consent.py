"""
What an operator has to say before something changes: why, and where it matters, yes.

A question is only asked where somebody can answer it. Where nobody can, a missing reason is a usage
error; whether a missing yes is a refusal depends on what it is for, so that is the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from gateway.cli.session import Exit

if TYPE_CHECKING:
    from gateway.cli.session import Session


@dataclass(frozen=True, slots=True)
class Consent:
    """What was said on the command line."""

    reason: str | None
    yes: bool
    dry_run: bool


def reason_given(session: Session, reason: str | None) -> str:
    """Give the reason, asking for it if need be, or end."""
    if reason is None and session.interactive:
        reason = str(typer.prompt(session.say("ask_reason"), err=True))
    if reason is None or not reason.strip():
        session.fail(Exit.USAGE, session.say("need_reason"))
    return reason


def confirm(session: Session, what: str) -> None:
    """Ask whether the operator is sure, or end; where nobody can answer, `--yes` was needed."""
    if not session.interactive:
        session.fail(Exit.REFUSED, session.say("need_yes"))
    if not typer.confirm(session.say("sure", what=what), err=True):
        session.fail(Exit.REFUSED, session.say("aborted"))


def only_show(
    session: Session, what: str, *, path: str, body: dict[str, Any], method: str = "POST"
) -> None:
    """Say what would be asked of the gateway (`--dry-run`)."""
    if session.as_json:
        session.show_json({"dry_run": True, "method": method, "path": path, "body": body})
    else:
        session.out.print(session.say("would_do", what=what), markup=False)

"""
Options that many commands share, and what a command is given in their place.

Most commands talk to a gateway, so all of these take the same four options to say which one and how
to answer; an order takes three more. They are declared here once: `looking` and `ordering` add them
to what a command declares for itself, and give it a `Session`, and an order its `Consent`.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.consent import Consent
from gateway.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

Url = Annotated[str | None, typer.Option("--url", help="Admin address, http://host:port.")]
Token = Annotated[str | None, typer.Option("--token", help="Bearer token.")]
Lang = Annotated[str | None, typer.Option("--lang", help="ja or en.")]
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
Reason = Annotated[
    str | None, typer.Option("--reason", "-r", help="Why; kept in the audit for good.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would happen.")]
DatabaseUrl = Annotated[str | None, typer.Option("--database-url", help="Default: DATABASE_URL.")]


def _option(name: str, annotation: Any, default: object) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


_SESSION = (
    _option("url", Url, None),
    _option("token", Token, None),
    _option("lang", Lang, None),
    _option("as_json", Json, default=False),
)
_CONSENT = (
    _option("reason", Reason, None),
    _option("yes", Yes, default=False),
    _option("dry_run", DryRun, default=False),
)


def looking(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command of a function that wants a session first."""

    def run(**given: Any) -> None:
        session = Session(**_taken(given, _SESSION))
        command(session, **given)

    return _declared(run, command, added=_SESSION)


def ordering(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command of a function that wants a session and the operator's consent first."""

    def run(**given: Any) -> None:
        session, consent = Session(**_taken(given, _SESSION)), Consent(**_taken(given, _CONSENT))
        command(session, consent, **given)

    return _declared(run, command, added=_CONSENT + _SESSION)


def _taken(given: dict[str, Any], options: tuple[inspect.Parameter, ...]) -> dict[str, Any]:
    """Take those options out of all that were given."""
    return {option.name: given.pop(option.name) for option in options}


def _declared(
    run: Callable[..., None], command: Callable[..., None], *, added: tuple[inspect.Parameter, ...]
) -> Callable[..., None]:
    """Let typer read `run` as `command`, with the added options in place of what it is given."""
    declared = inspect.signature(command, eval_str=True).parameters.values()
    own = [each for each in declared if each.annotation not in {Session, Consent}]
    signature = inspect.Signature([*own, *added])
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {each.name: each.annotation for each in signature.parameters.values()}
    vars(run)["__signature__"] = signature
    return run

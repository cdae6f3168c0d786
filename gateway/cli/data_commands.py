"""What commands on the data take; declarations only, as in `app`."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.options import (  # noqa: TC001 - typer reads the annotations at run time
    DryRun,
    Json,
    Lang,
    Reason,
    Token,
    Url,
    Yes,
)
from gateway.cli.session import Session


def repair(
    *,
    database_url: Annotated[
        str | None, typer.Option("--database-url", help="New's. Default: DATABASE_URL.")
    ] = None,
    old_database_url: Annotated[
        str | None, typer.Option("--old-database-url", help="Old's. Default: OLD_DATABASE_URL.")
    ] = None,
    into: Annotated[str, typer.Option(help="Which store is brought up: old or new.")] = "old",
    workspace: Annotated[
        list[str] | None, typer.Option(help="Only this one (may be repeated). Default: all.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="The other store wins every conflict.")
    ] = False,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    url: Url = None,
    token: Token = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Make two stores equal again, from their change journals (where old has its own)."""
    from gateway.cli import repair as repairing  # noqa: PLC0415 - see `app`

    wish = repairing.Wish(
        database_url, old_database_url, into, tuple(workspace or ()), overwrite=overwrite,
        dry_run=dry_run, yes=yes, reason=reason,
    )  # fmt: skip
    repairing.run(Session(url, token, lang, as_json), wish)


def register(app: typer.Typer) -> None:
    """Add them to the command."""
    app.command()(repair)

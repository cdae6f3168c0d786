"""What `syncgate report` takes, declared as in `app`."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations at run time
from typing import Annotated

import typer

from gateway.cli.options import (  # noqa: TC001 - typer reads the annotations at run time
    Json,
    Lang,
    Token,
    Url,
)
from gateway.cli.session import Session


def report(
    kind: Annotated[str, typer.Argument(help="daily or weekly.")] = "daily",
    *,
    at: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="A past day, or the week that holds it: 2026-11-20."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the page there.")
    ] = None,
    url: Url = None,
    token: Token = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Report a day or a week against the one before."""
    from gateway.cli import reporting  # noqa: PLC0415 - see `app`

    if kind not in {"daily", "weekly"}:
        raise typer.BadParameter("daily or weekly", param_hint="KIND")
    session = Session(url, token, lang, as_json)
    if html is not None:
        reporting.write_page(session, kind, at, html)
    else:
        reporting.show(session, kind, at)


def register(app: typer.Typer) -> None:
    """Add it to the command."""
    app.command()(report)

"""Options that many commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Url = Annotated[str | None, typer.Option("--url", help="Admin address, http://host:port.")]
Token = Annotated[str | None, typer.Option("--token", help="Bearer token.")]
Lang = Annotated[str | None, typer.Option("--lang", help="ja or en.")]
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
Reason = Annotated[
    str | None, typer.Option("--reason", "-r", help="Why; kept in the audit for good.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would happen.")]

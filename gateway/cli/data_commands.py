"""What commands on the data take; declarations only, as in `app`."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations at run time
from typing import Annotated

import typer

from gateway.cli.consent import Consent
from gateway.cli.options import (
    DatabaseUrl,
    DryRun,
    Json,
    Lang,
    Yes,
    ordering,
)
from gateway.cli.session import Session


def migrate(
    *,
    database_url: DatabaseUrl = None,
    target: Annotated[str | None, typer.Option(help="Last migration to apply.")] = None,
    rollback_to: Annotated[
        str | None, typer.Option(help="Undo all after this one (0000: everything).")
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """
    Bring the database's tables up to date.

    The connection is tested first.
    """
    from gateway.cli import data  # noqa: PLC0415 - see `app`

    session = Session(lang=lang, as_json=as_json)
    wish = data.Migration(database_url, target, rollback_to, dry_run=dry_run, yes=yes)
    data.migrate(session, wish)


def verify(
    *,
    database_url: DatabaseUrl = None,
    workspace: Annotated[str, typer.Option(help="Whose listings.")] = "default",
    mapping: Annotated[
        Path | None, typer.Option(help="A source.toml: compare with its feed, too.")
    ] = None,
    feed: Annotated[
        Path | None, typer.Option(help="A CSV file in place of the one in --mapping.")
    ] = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """
    Check the data: duplicates, losses, differences.

    Against the change journal and, with --mapping, against the feed.
    """
    from gateway.cli import verify as checking  # noqa: PLC0415 - see `app`

    checking.run(
        Session(lang=lang, as_json=as_json), checking.Wish(database_url, workspace, mapping, feed)
    )


@ordering
def repair(
    session: Session,
    consent: Consent,
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
) -> None:
    """
    Make two stores equal again, where old has its own.

    Works from their change journals.
    """
    from gateway.cli import repair as repairing  # noqa: PLC0415 - see `app`

    wish = repairing.Wish(
        database_url, old_database_url, into, tuple(workspace or ()), overwrite=overwrite,
        dry_run=consent.dry_run, yes=consent.yes, reason=consent.reason,
    )  # fmt: skip
    repairing.run(session, wish)

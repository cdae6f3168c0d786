"""What the commands take that only look; declarations only, as in `app`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import Reason, looking
from gateway.cli.session import Session


@looking
def status(
    session: Session,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay and show it live.")] = False,
    interval: Annotated[float, typer.Option(min=0.2, max=60, help="Seconds between looks.")] = 1.0,
) -> None:
    """Show what is happening, why, and the one command to run."""
    from gateway.cli import looks  # noqa: PLC0415 - see `app`

    if watch:
        looks.watch(session, interval_s=interval)
    else:
        looks.status(session)


@looking
def audit(
    session: Session,
    *,
    verify: Annotated[bool, typer.Option("--verify", help="Walk the hash chain.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many, newest first.")] = 20,
) -> None:
    """
    Show who changed what, when and why.

    With --verify: check that nothing was altered.
    """
    from gateway.cli import looks  # noqa: PLC0415 - see `app`

    if verify:
        looks.verify_audit(session)
    else:
        looks.audit(session, limit=limit)


@looking
def compare(
    session: Session,
    *,
    accept: Annotated[
        str | None, typer.Option("--accept", metavar="PATH", help="Accept differences there.")
    ] = None,
    how: Annotated[str, typer.Option(help="With --accept: ignore, unordered or mask.")] = "ignore",
    tolerance: Annotated[
        float | None, typer.Option(min=0, help="With --accept: numbers may differ by so much.")
    ] = None,
    fixed: Annotated[
        str | None, typer.Option("--fixed", metavar="PATH", help="Put right: count anew; ** all.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write all kept differences: .csv or .json.")
    ] = None,
    reason: Reason = None,
) -> None:
    """Show whether old and new agree, how surely, and where not, why."""
    from gateway.cli import compare as comparing  # noqa: PLC0415 - see `app`

    if how not in {"ignore", "unordered", "mask"}:
        raise typer.BadParameter("ignore, unordered or mask", param_hint="--how")
    if export is not None and export.suffix.lower() not in {".csv", ".json"}:
        raise typer.BadParameter("a file that ends in .csv or .json", param_hint="--export")
    if accept is not None:
        comparing.accept(session, comparing.Acceptance(accept, how, tolerance, reason))
    elif fixed is not None:
        comparing.put_right(session, fixed, reason)
    elif export is not None:
        comparing.export(session, export)
    else:
        comparing.show(session)


@looking
def report(
    session: Session,
    kind: Annotated[str, typer.Argument(help="daily or weekly.")] = "daily",
    *,
    at: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="A past day, or the week that holds it: 2026-11-20."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the page there.")
    ] = None,
) -> None:
    """Report a day or a week against the one before."""
    from gateway.cli import reporting  # noqa: PLC0415 - see `app`

    if kind not in {"daily", "weekly"}:
        raise typer.BadParameter("daily or weekly", param_hint="KIND")
    if html is not None:
        reporting.write_page(session, kind, at, html)
    else:
        reporting.show(session, kind, at)

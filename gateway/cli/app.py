"""
The `syncgate` command: its table of contents.

Commands declare here, and in the `*_commands` modules, only what they take. What they need is
imported when they run, so that `--help` and a single call to the gateway do not pay for the
machinery of all others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import alert_commands, data_commands, look_commands, order_commands
from gateway.cli.options import (
    DryRun,
    Lang,
    Token,
    Url,
    Yes,
    looking,
)
from gateway.cli.session import Session
from gateway.cli.usage import Commands

app = typer.Typer(
    name="syncgate",
    cls=Commands,
    help="Move live traffic from an old service to a new one, watch it, and take it back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - as above

    try:
        number = version("syncgate")
    except PackageNotFoundError:
        number = "0"
    typer.echo(f"syncgate {number}")
    raise typer.Exit


@app.callback()
def everywhere(
    *,
    url: Url = None,
    token: Token = None,
    lang: Lang = None,
    version: Annotated[  # noqa: ARG001 - its callback ends
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Say which this is."),
    ] = False,
) -> None:
    """Move live traffic from an old service to a new one, watch it, and take it back."""
    Session.preset = {"url": url, "token": token, "lang": lang}


def serve() -> None:
    """Run the gateway (settings from the environment or .env)."""
    from gateway.cli.serve import serve as run  # noqa: PLC0415 - see the module's docstring

    run()


@looking
def simulate(
    session: Session,
    scenario: Annotated[
        str | None, typer.Argument(help="Name of a scenario, or a file; none: list them.")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All scenarios that ship.")] = False,
    policy: Annotated[Path | None, typer.Option(help="Another policy file.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another draw of the same world.")] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Take stored decisions again under --policy.")
    ] = False,
) -> None:
    """Run the real rules on a fake clock: weeks in seconds."""
    from gateway.cli import simulate as simulation  # noqa: PLC0415 - see the module's docstring

    simulation.run(session, simulation.Wish(scenario, every, policy, seed, replay))


@looking
def doctor(session: Session, *, yes: Yes = False, dry_run: DryRun = False) -> None:
    """
    Check settings, files, ports, services and alert channels.

    A test message goes through each channel, if you agree.
    """
    from gateway.cli import doctor as checks  # noqa: PLC0415 - see the module's docstring

    checks.run(session, yes=yes, dry_run=dry_run)


COMMANDS = (
    serve, look_commands.status, order_commands.start, order_commands.promote,
    order_commands.weight, order_commands.pause, order_commands.resume, order_commands.rollback,
    order_commands.stop, order_commands.release, order_commands.hold, look_commands.audit,
    alert_commands.alerts, alert_commands.ack, alert_commands.silence, look_commands.compare,
    look_commands.report, simulate, data_commands.verify, data_commands.repair,
    data_commands.migrate, alert_commands.reload, doctor,
)  # fmt: skip
"""In the order in which `--help` lists them: by how an operator comes to need them."""

for command in COMMANDS:
    # A negative weight is a mistake to be told of, not an option nobody knows.
    negative = {"ignore_unknown_options": command is order_commands.weight}
    app.command(context_settings=negative)(command)

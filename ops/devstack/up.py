"""`make up`: the whole system, kept up until Ctrl-C, with what is worth knowing about it."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from ops.devstack.process import StartError
from ops.devstack.sample_feed import write_feed
from ops.devstack.stack import FOLDER, Options, Stack

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from ops.devstack.stack import Part

_POLL_S: Final = 0.25
_FULL_SYNC: Final = """-H 'Content-Type: application/json' -d '{"mode":"full"}'"""
_WIDTH_WITHOUT_TERMINAL: Final = 100


class Stopped(Exception):  # noqa: N818 - it is an order, not an error
    """Somebody asked us to stop."""


def console() -> Console:
    """Return where to print: as wide as the terminal, and readable where there is none."""
    found = Console(highlight=False)
    if not found.is_terminal:
        found = Console(highlight=False, width=_WIDTH_WITHOUT_TERMINAL)
    return found


def stop_on_signals() -> None:
    """Turn SIGTERM, SIGHUP and Ctrl-C into `Stopped`, once: a second one must not cut the stop."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)


def up() -> int:
    """Start, show, wait, stop."""
    out = console()
    stop_on_signals()
    stack: Stack | None = None
    try:
        began = time.monotonic()
        with out.status("Starting …") as status:

            def report(part: Part) -> None:
                status.update(f"Starting … [green]{part.name}[/green] is ready")

            stack = Stack(Options(feed=_feed()), report)
            stack.start()
        _show(out, stack, time.monotonic() - began)
        _watch(out, stack)
    except Stopped:
        out.print("\nStopping …")
        if stack is not None:
            stack.stop()
        out.print("Stopped. Logs stay in .devstack/logs.")
    except StartError as exc:
        out.print(f"[red]✗[/red] {escape(str(exc))}")
        return 1
    return 0


def _show(out: Console, stack: Stack, took_s: float) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("part", "address", "from", "what it is for"):
        table.add_column(heading, overflow="fold")
    for part in stack.parts:
        table.add_row(part.name, part.url, escape(part.source), part.purpose)
        if part.name == "gateway":
            table.add_row("", stack.env["GATEWAY_ADMIN_URL"], "", "dashboard and admin API")
    out.print(Panel(table, title=f"[green]✓[/green] up in {took_s:.1f} s", title_align="left"))
    gateway = stack.env["GATEWAY_URL"]
    out.print(
        "[dim]Addresses and the admin token are in [/dim].devstack/env[dim]; "
        "logs in [/dim].devstack/logs[dim]. Try, in another terminal:[/dim]\n"
    )
    for command, why in (
        (f"curl -s {gateway}/api/property-listings/sync/status", "who answers: old, so far"),
        (".venv/bin/syncgate status", "the rollout"),
        (".venv/bin/syncgate weight 25 --reason trying", "a quarter of the traffic to new"),
        (
            f"curl -s -X POST {gateway}/api/property-listings/sync {_FULL_SYNC}",
            "sync the sample feed, .devstack/feed.csv",
        ),
        (".venv/bin/syncgate rollback --reason enough", "and back"),
    ):
        out.print(f"  [bold]{escape(command)}[/bold]  [dim]# {why}[/dim]", soft_wrap=True)
    out.print("\n[dim]Ctrl-C stops everything.[/dim]")


def _feed() -> Path:
    path = FOLDER / "feed.csv"
    write_feed(path)
    return path


def _watch(out: Console, stack: Stack) -> None:
    """Say it when a part dies; the others go on: to survive that is what the gateway is for."""
    told: set[str] = set()
    while True:
        for part in stack.dead():
            if part.name not in told and part.process is not None:
                told.add(part.name)
                out.print(
                    Panel(
                        f"{escape(part.process.log_tail(12))}\n\n"
                        f"[dim]All of it: {part.process.command.log}. The other parts go on; "
                        "Ctrl-C and `make up` start afresh.[/dim]",
                        title=f"[red]✗ {part.name} ended[/red] "
                        f"(exit code {part.process.exit_code})",
                        title_align="left",
                        border_style="red",
                    )
                )
        time.sleep(_POLL_S)

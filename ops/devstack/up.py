"""`make up`: the whole system, kept up until Ctrl-C, with what is worth knowing about it."""

from __future__ import annotations

import time
from signal import Signals
from typing import TYPE_CHECKING, Final

from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from ops.devstack.process import StartError
from ops.devstack.sample_feed import write_feed
from ops.devstack.stack import Options, Stack, folder_of_this_stack, short
from ops.devstack.terminal import Stopped, console, stop_on_signals

if TYPE_CHECKING:
    from rich.console import Console

    from ops.devstack.stack import Part

_POLL_S: Final = 0.25
_WIDE: Final = 118  # what the table with every column needs
_FULL_SYNC: Final = """-H 'Content-Type: application/json' -d '{"mode":"full","confirm":true}'"""
"""Confirmed, because listings that were pushed before make the feed a change of the count."""


def up() -> int:
    """Start, show, wait, stop."""
    out = console(width=_WIDE)
    stop_on_signals()
    stack: Stack | None = None
    try:
        began = time.monotonic()
        with out.status("Starting …") as status:

            def report(part: Part) -> None:
                status.update(f"Starting … [green]{part.name}[/green] is ready")

            folder = folder_of_this_stack()
            feed = folder / "feed.csv"
            write_feed(feed)
            stack = Stack(Options(folder=folder, feed=feed), report)
            stack.start()
        _show(out, stack, time.monotonic() - began)
        _watch(out, stack)
    except Stopped:
        out.print("\nStopping …")
        if stack is not None:
            stack.stop()
            out.print(f"Stopped. Logs stay in {short(stack.logs)}.")
    except StartError as exc:
        out.print(f"[red]✗[/red] {escape(str(exc))}")
        return 1
    return 0


def _show(out: Console, stack: Stack, took_s: float) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    headings = (("part", 10), ("address", 21), ("from", 12), ("what it is for", None))
    shown = 4 if out.width >= _WIDE else 3
    for heading, least in headings[:shown]:
        table.add_column(heading, no_wrap=True, min_width=least)
    for part in stack.parts:
        row = (part.name, part.url, escape(part.source), part.purpose)
        table.add_row(*row[:shown])
        if part.name == "gateway":
            row = ("· admin", stack.env["GATEWAY_ADMIN_URL"], "ours", "dashboard and admin API")
            table.add_row(*row[:shown])
    out.print(Panel(table, title=f"[green]✓[/green] up in {took_s:.1f} s", title_align="left"))
    gateway = stack.env["GATEWAY_URL"]
    out.print(
        f"Addresses and the admin token are in {short(stack.env_file)}, logs in "
        f"{short(stack.logs)}.\nTry, in another terminal:\n",
        soft_wrap=True,
    )
    sync = f"curl -s -X POST {gateway}/api/property-listings/sync"
    for why, command in (
        ("who answers? old, so far", f"curl -s {gateway}/api/property-listings/sync/status"),
        ("how the rollout stands", ".venv/bin/syncgate status"),
        ("a quarter of the traffic to new", ".venv/bin/syncgate weight 25 --reason trying"),
        ("sync the sample feed of 2,000 messy listings", f"{sync} {_FULL_SYNC}"),
        ("and all traffic back to old", ".venv/bin/syncgate rollback --reason enough --yes"),
        ("who was told, and what", f"curl -s {stack.env['ALERT_SINK_URL']}/deliveries"),
    ):
        out.print(f"  [dim]# {why}[/dim]\n  [bold]{escape(command)}[/bold]", soft_wrap=True)
    out.print("\n[dim]Ctrl-C stops everything.[/dim]")


def _ending(exit_code: int) -> str:
    return f"exit code {exit_code}" if exit_code >= 0 else Signals(-exit_code).name


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
                        f"({_ending(part.process.exit_code or 0)})",
                        title_align="left",
                        border_style="red",
                    )
                )
        time.sleep(_POLL_S)

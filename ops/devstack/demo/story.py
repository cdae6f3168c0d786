"""
The story, told on the screen while it happens.

Servers, a messy feed, the traffic moved from old to new in three steps, the same feed once more,
the proof. Each chapter says what was done, with its figures, and why anybody should care.
"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any, Final

from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from ops.devstack.demo import feed as demo_feed
from ops.devstack.demo.client import DemoClient, DemoFailed, Tally
from ops.devstack.demo.proof import prove
from ops.devstack.process import StartError
from ops.devstack.sample_feed import DEFAULT_COUNT, write_feed
from ops.devstack.stack import Options, Stack, folder_of_this_stack
from ops.devstack.terminal import Stopped, console, stop_on_signals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from ops.devstack.demo.feed import DemoFeed
    from ops.devstack.stack import Part

_STATUS_CALLS: Final = 100
_SYNCS: Final = 20
# Weight to new, and up to where in the feed that step syncs.
_STEPS: Final = ((10, 0.35), (50, 0.7), (100, 1.0))
_BAR: Final = 40
_NARROW_BAR: Final = 20
_WIDE: Final = 100
# The demo is one client in a hurry; both are settings that a production gateway keeps low.
_HURRY: Final = {"SYNC_RATE_LIMIT_PER_SECOND": "500", "GATEWAY_RATE_LIMIT_PER_SECOND": "5000"}


def demo(count: int = DEFAULT_COUNT) -> int:
    """Tell it with a feed of that many listings; 0 if everything held."""
    out = console()
    stop_on_signals()
    began = time.monotonic()
    folder = folder_of_this_stack() / "demo"
    feed_file = folder / "feed.csv"
    stack: Stack | None = None
    try:
        write_feed(feed_file, count)
        _title(out)
        _chapter(out, 1, "Real servers", "nothing is mocked; all of it on this machine")
        options = Options(
            folder=folder, preferred_ports=False, scratch=True, feed=feed_file, extra=_HURRY
        )
        since = _Since()
        stack = Stack(options, lambda part: _part(out, part, since()))
        stack.start()
        holds = _story(out, stack, demo_feed.read(feed_file))
    except (DemoFailed, StartError) as exc:
        out.print(f"\n[bold red]✗ The demo failed:[/bold red] {escape(str(exc))}")
        out.print(f"[dim]Logs: {folder / 'logs'}[/dim]")
        return 1
    except Stopped:
        out.print("\nStopped.")
        return 130
    finally:
        if stack is not None:
            stack.stop()
        shutil.rmtree(folder / "state", ignore_errors=True)
    _end(out, count, time.monotonic() - began, holds=holds)
    return 0 if holds else 1


def _story(out: Console, stack: Stack, feed: DemoFeed) -> bool:
    client = DemoClient(stack.env)
    try:
        _chapter(out, 2, f"A feed of {len(feed.pushed):,} listings", "as offices really write them")
        _mess(out, feed)
        _chapter(out, 3, "From old to new", "clients call one address and notice nothing")
        written_by = _move(out, client, feed)
        _chapter(
            out, 4, "The same feed once more, half by each", "what did not change is not written"
        )
        _again(out, client, feed)
        _chapter(out, 5, "The proof", "PostgreSQL read back directly, past every service")
        checks = prove(stack.env["DATABASE_URL"], digests=feed.digests, written_by=written_by)
    finally:
        client.close()
    table = _grid()
    for check in checks:
        mark = "[green]✓[/green]" if check.holds else "[bold red]✗[/bold red]"
        table.add_row(mark, check.claim, escape(check.figures))
    out.print(Padding(table, (0, 0, 0, 3)))
    return all(check.holds for check in checks)


def _move(out: Console, client: DemoClient, feed: DemoFeed) -> Mapping[str, str]:
    """Three weights, each with its split counted and its part of the feed synced."""
    written_by: dict[str, str] = {}
    done = 0
    for percent, up_to in _STEPS:
        client.set_weight(percent)
        counts = client.who_answers(_STATUS_CALLS)
        if counts["new"] != percent:
            raise DemoFailed(f"at {percent} % new answered {counts['new']} of {_STATUS_CALLS}")
        until = round(len(feed.pushed) * up_to)
        tally = Tally()
        _push(out, client, feed.pushed[done:until], feed.digests, tally)
        written_by |= tally.written_by
        bar = _BAR if out.width >= _WIDE else _NARROW_BAR
        new = "▒" * round(bar * percent / 100)
        out.print(
            f"   [bold]{percent:>3} %[/bold] to new  [cyan]{'█' * (bar - len(new))}[/cyan]"
            f"[magenta]{new}[/magenta]  {_STATUS_CALLS} status calls: "
            f"[cyan]old {counts['old']}[/cyan], [magenta]new {counts['new']}[/magenta] "
            "[green]✓[/green] exact"
        )
        out.print(
            f"                 {until - done:,} listings in {sum(tally.syncs.values())} syncs: "
            f"[cyan]old {tally.syncs['old']}[/cyan], [magenta]new {tally.syncs['new']}[/magenta]; "
            f"{_actions(tally)}"
        )
        done = until
    return written_by


def _again(out: Console, client: DemoClient, feed: DemoFeed) -> None:
    """Whatever one system wrote, the other must recognise as unchanged."""
    client.set_weight(50)
    tally = Tally()
    _push(out, client, feed.pushed, feed.digests, tally)
    if tally.actions["unchanged"] != len(feed.pushed):
        raise DemoFailed(f"the second time something was written: {dict(tally.actions)}")
    out.print(
        f"   [green]✓[/green] {_actions(tally)}: each system recognises what the other wrote, "
        "and writes nothing"
    )


def _push(
    out: Console,
    client: DemoClient,
    listings: Sequence[Mapping[str, Any]],
    digests: Mapping[str, str],
    tally: Tally,
) -> None:
    columns = (TextColumn("   syncing"), BarColumn(_BAR), MofNCompleteColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        task = progress.add_task("", total=len(listings))
        for count in client.push(listings, syncs=_SYNCS, digests=digests, tally=tally):
            progress.advance(task, count)


def _actions(tally: Tally) -> str:
    return ", ".join(f"{count:,} {action}" for action, count in sorted(tally.actions.items()))


class _Since:
    """Seconds since it was last asked."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self) -> float:
        last, self._last = self._last, time.monotonic()
        return self._last - last


def _part(out: Console, part: Part, took_s: float) -> None:
    out.print(
        f"   [green]✓[/green] {part.name:<11} [dim]{part.purpose:<35} "
        f"{escape(part.source):<13} {took_s:>4.1f} s[/dim]",
        soft_wrap=True,
    )


def _mess(out: Console, feed: DemoFeed) -> None:
    table = _grid()
    for _ in range(4):
        table.add_column(no_wrap=True)
    for heading, written, read in feed.examples:
        table.add_row(f"[dim]{heading}[/dim]", escape(written), "[dim]→[/dim]", escape(read))
    out.print(Padding(table, (0, 0, 0, 3)))


def _grid() -> Table:
    return Table.grid(padding=(0, 2))


def _title(out: Console) -> None:
    out.print(
        Panel(
            "Live writes move from an [cyan]old[/cyan] system to a [magenta]new[/magenta] one, "
            "a share at a time,\nand every step is proven.",
            title="[bold]syncgate[/bold]",
            title_align="left",
        )
    )


def _chapter(out: Console, number: int, title: str, why: str) -> None:
    out.print(f"\n[bold]{number}  {title}[/bold] [dim]· {why}[/dim]")


def _end(out: Console, count: int, took_s: float, *, holds: bool) -> None:
    if not holds:
        out.print("\n[bold red]✗ The proof failed; see the lines above.[/bold red]")
        return
    out.print(
        Panel(
            f"[green]✓[/green] {count:,} listings went through the gateway by both ways "
            f"and stand in PostgreSQL exactly as the feed says. ({took_s:.0f} s)\n\n"
            "[dim]Next:[/dim]\n"
            "  [bold]make up[/bold]                        [dim]the same system, kept up[/dim]\n"
            "  [bold].venv/bin/syncgate status -w[/bold]   [dim]watch the rollout live[/dim]\n"
            "  [bold].venv/bin/syncgate start[/bold]       "
            "[dim]begin phase 1: mirror everything, store nothing[/dim]\n"
            "  [bold]make test[/bold]                      [dim]every claim, on real servers[/dim]",
            title_align="left",
        )
    )

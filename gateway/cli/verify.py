"""`syncgate verify`: whether the data is whole, against its journal and, if asked, the feed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from gateway.cli import database
from gateway.cli.session import Exit

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gateway.cli.session import Session
    from listings.maintenance.verify import Verification
    from listings.model import Listing

_QUESTIONS: Final = ("duplicates", "missing", "extra", "different")


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for."""

    database_url: str | None
    workspace: str
    mapping: Path | None
    feed: Path | None


def run(session: Session, wish: Wish) -> None:
    """Check, show, and end with 1 when something is wrong."""
    from listings.errors import ListingsError  # noqa: PLC0415 - loads slowly
    from listings.maintenance.verify import verify  # noqa: PLC0415 - as above

    if wish.feed is not None and wish.mapping is None:
        session.fail(Exit.USAGE, session.say("feed_unmapped"), fix=session.say("feed_unmapped_fix"))
    database_url = database.address(session, wish.database_url)
    try:
        expected = _feed(session, wish)
        found = verify(database_url, workspace_id=wish.workspace, feed=expected)
    except ListingsError as error:
        database.fail(session, error)
    if _nothing_there(found):
        text = session.say("verify_nothing", workspace=wish.workspace)
        session.fail(
            Exit.REFUSED, text, fix=session.say("verify_nothing_fix"), verification=found.as_json()
        )
    if session.as_json:
        session.show_json(found.as_json())
    else:
        _show(session, found)
    if found.mismatches:
        raise SystemExit(int(Exit.REFUSED))


def _nothing_there(found: Verification) -> bool:
    """Whether there was nothing to look at; what was not looked at is not known to be whole."""
    return not (found.rows or found.entries or found.feed_listings)


def _feed(session: Session, wish: Wish) -> Iterable[Listing] | None:
    """Read what should stand there, if a feed was named."""
    if wish.mapping is None:
        return None
    import asyncio  # noqa: PLC0415 - only with a feed

    from listings.source.feed import load_feed  # noqa: PLC0415 - as above

    contents = asyncio.run(
        load_feed(wish.mapping, environ=os.environ, source_file=wish.feed).read()
    )
    if contents.failures:
        session.note(session.say("feed_failures", count=len(contents.failures)))
    return [row.listing for row in contents.listings]


def _show(session: Session, found: Verification) -> None:
    say, out, figures = session.say, session.out, found.as_json()
    whole = not found.mismatches
    line = Text("✓ " if whole else "✗ ", style="green" if whole else "bold red")
    line.append(say("verify_whole" if whole else "verify_broken", count=found.mismatches))
    out.print(line)
    per_system = ", ".join(f"{name} {count:,}" for name, count in found.per_system.items())
    out.print(f"  {say('verify_rows', count=f'{found.rows:,}', per_system=per_system)}")
    against = say(f"against_{figures['against']}")
    for name in _QUESTIONS:
        count = figures[name]
        style = "bold red" if count else "green"
        label = Text(f"  {say(name)} ", style="")
        label.append(f"{count:,}", style=style)
        if name != "duplicates":
            label.append(f"  ({against})", style="dim")
        out.print(label)
        _examples(session, name, figures["examples"][name])
    journal = figures["journal"]
    tail = say("verify_journal", entries=f"{journal['entries']:,}", gaps=journal["gaps"])
    out.print(f"  {tail}")


def _examples(session: Session, name: str, examples: list[Any]) -> None:
    for example in examples[:5]:
        if name == "different":
            text = "{propertyNumber}: {field} {expected} -> {found}".format(**example)
        else:
            text = ", ".join(example) if isinstance(example, list) else str(example)
        session.out.print(Text(f"    {text}", style="dim"))

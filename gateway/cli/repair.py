"""`syncgate repair`: bring one store up to what the other holds, and report that to the gateway."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.text import Text

from gateway.cli import database
from gateway.cli.client import UnreachableError, look_up
from gateway.cli.consent import confirm
from gateway.cli.session import Exit

if TYPE_CHECKING:
    from gateway.cli.session import Session
    from listings.maintenance.repair import Repair

_SIDES: Final = ("old", "new")
_TELL_EVERY_S: Final = 1.0
_CLOCKS_APART: Final = timedelta(seconds=1)
"""Failures so shortly before the repair began stay open: clocks differ."""
_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for."""

    new_url: str | None
    old_url: str | None
    into: str
    workspaces: tuple[str, ...]
    overwrite: bool
    dry_run: bool
    yes: bool
    reason: str | None


def run(session: Session, wish: Wish) -> None:
    """Repair, show, tell the gateway; end with 1 when rows still differ."""
    from listings.errors import ListingsError  # noqa: PLC0415 - loads slowly
    from listings.maintenance.repair import same_store  # noqa: PLC0415 - as above

    if wish.into not in _SIDES:
        session.fail(Exit.USAGE, session.say("bad_side", value=wish.into))
    new_url = database.address(session, wish.new_url)
    old_url = wish.old_url or look_up("OLD_DATABASE_URL")
    try:
        if old_url is None or same_store(new_url, old_url):
            _not_needed(session)
            return
        urls = (new_url, old_url) if wish.into == "old" else (old_url, new_url)
        began = datetime.now(UTC)
        done = _repair(session, wish, *urls)
    except ListingsError as error:
        database.fail(session, error, fix=session.say("repair_again"))
    told = None
    if wish.into == "old" and not wish.dry_run and not wish.workspaces:
        told = _tell(session, wish, done, min(began, done.began_at or began))
    _show(session, done, told)


def _not_needed(session: Session) -> None:
    if session.as_json:
        detail = session.say("repair_not_needed")
        session.show_json({"needed": False, "detail": detail, "repaired": 0, "left": 0})
    else:
        session.out.print(Text(session.say("repair_not_needed"), style="green"))


def _repair(session: Session, wish: Wish, source_url: str, target_url: str) -> Repair:
    from listings.maintenance import repair as repairing  # noqa: PLC0415 - loads slowly
    from listings.maintenance.connection import where  # noqa: PLC0415 - as above

    places = {"source": where(source_url), "target": where(target_url)}
    if not wish.dry_run and not wish.yes:
        confirm(session, session.say("order_repair", **places))
    session.note(session.say("repair_from", **places))
    told_at = time.monotonic()

    def progress(totals: Repair) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= _TELL_EVERY_S:
            told_at = time.monotonic()
            figures = {"checked": f"{totals.checked:,}", "repaired": f"{totals.repaired:,}"}
            session.note(session.say("repair_progress", **figures))

    asked = repairing.Wish(wish.workspaces, dry_run=wish.dry_run, overwrite=wish.overwrite)
    return repairing.repair(source_url, target_url, wish=asked, progress=progress)


def _tell(session: Session, wish: Wish, done: Repair, began: datetime) -> dict[str, Any]:
    """Tell the gateway; not reaching it is said and changes nothing."""
    body = {
        "reason": wish.reason or "syncgate repair",
        "began_at": (began - _CLOCKS_APART).isoformat(),
        "repaired": done.repaired,
        "left": done.left,
    }
    try:
        answer = session.gateway.post("/api/v1/write-backs/repairs", body)
    except UnreachableError as error:
        return {"told": False, "cause": str(error)}
    if not answer.ok:
        said = answer.body.get("detail") if isinstance(answer.body, dict) else None
        return {"told": False, "cause": str(said or f"HTTP {answer.status}")}
    return {"told": True, "open": answer.body["write_back"]["open"]}


def _show(session: Session, done: Repair, told: dict[str, Any] | None) -> None:
    failed = bool(done.left) and not done.dry_run
    if session.as_json:
        session.show_json({**done.as_json(), "gateway": told})
    else:
        _in_words(session, done, told)
    if failed:
        raise typer.Exit(Exit.REFUSED)


def _in_words(session: Session, done: Repair, told: dict[str, Any] | None) -> None:
    say, out, found = session.say, session.out, done.as_json()
    figures = {name: f"{found[name]:,}" for name in ("checked", "repaired", "left", "workspaces")}
    key = "repair_would" if done.dry_run else "repair_left" if done.left else "repair_agrees"
    line = Text("✗ " if key == "repair_left" else "✓ ")
    line.append(say(key, **figures))
    line.stylize("bold red" if key == "repair_left" else "green")
    out.print(line)
    out.print(Text("  " + say("repair_counts", **found), style="dim"))
    if any(found["conflicts"].values()):
        out.print(Text("  " + say("repair_conflicts", **found["conflicts"]), style="yellow"))
    for each in found["examples"][:_SHOWN]:
        more = each["detail"] or ", ".join(each["fields"])
        text = "    {what}  {workspace}/{propertyNumber}".format(**each)
        out.print(Text(f"{text}  {more}", style="dim"))
    if key == "repair_left":
        session.note(say("fix", fix=say("repair_left_fix")))
    if told is None:
        return
    if not told["told"]:
        session.note(say("repair_not_told", cause=told["cause"]))
    elif not done.left:
        out.print(Text("  " + say("repair_cleared", open=f"{told['open']:,}")))

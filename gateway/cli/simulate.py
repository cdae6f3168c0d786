"""
`syncgate simulate`: what would have happened, from the real core on a fake clock.

A scenario whose expectations are not met ends with 1, so that the library is a regression suite for
policies too: change a threshold, simulate all, and see what would go differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from gateway.cli import figures
from gateway.cli.session import Exit
from gateway.errors import SyncgateError

if TYPE_CHECKING:
    from rich.console import Console

    from gateway.cli.session import Session
    from gateway.core.rollout import Plan
    from gateway.simulation import Result

_PROJECT: Final = Path(__file__).resolve().parents[2]
_PIPE_WIDTH: Final = 120
_PAGE: Final = 200
_STYLE: Final = {
    "rolled_back": "bold red",
    "stopped": "bold red",
    "decision_opened": "yellow",
    "decision_escalated": "yellow",
    "phase_moved": "green",
    "completed": "bold green",
    "started": "green",
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for."""

    scenario: str | None
    every: bool
    policy: Path | None
    seed: int | None
    replay: bool


def run(session: Session, wish: Wish) -> None:
    """Simulate one scenario, all of them, or take stored decisions again."""
    plan = _policy(session, wish.policy)
    if wish.replay:
        _replay(session, wish, plan)
    elif wish.every:
        _every(session, wish, plan)
    elif wish.scenario is None:
        _list(session)
    else:
        _one(session, wish, plan)


def _policy(session: Session, path: Path | None) -> Plan | None:
    if path is None:
        return None
    from gateway.bootstrap import read_policy  # noqa: PLC0415 - a look need not load the gateway

    try:
        return read_policy(path)
    except SyncgateError as error:
        session.fail(Exit.USAGE, str(error))


def _library() -> Path:
    """Find the scenarios that ship: here, else beside the program."""
    from gateway.simulation import LIBRARY  # noqa: PLC0415 - as above

    return LIBRARY if LIBRARY.is_dir() else _PROJECT / LIBRARY


def _simulated(session: Session, name: str, wish: Wish, plan: Plan | None) -> Result:
    from gateway.policy import PolicyError  # noqa: PLC0415 - as above
    from gateway.simulation import ScenarioError, run_scenario  # noqa: PLC0415 - as above

    try:
        return run_scenario(name, plan, wish.seed, folder=_library())
    except (ScenarioError, PolicyError, OSError) as error:
        session.fail(Exit.USAGE, str(error))


def _list(session: Session) -> None:
    from gateway.simulation import library  # noqa: PLC0415 - as above

    names = list(library(_library()))
    if session.as_json:
        session.show_json({"scenarios": names})
        return
    session.out.print(session.say("scenarios"), style="bold")
    for name in names:
        session.out.print(f"  syncgate simulate {name}", markup=False)
    session.out.print("  syncgate simulate --all")


def _one(session: Session, wish: Wish, plan: Plan | None) -> None:
    assert wish.scenario is not None
    result = _simulated(session, wish.scenario, wish, plan)
    if session.as_json:
        session.show_json(result.to_json())
    else:
        _show(session, result)
    if result.unmet:
        raise SystemExit(int(Exit.REFUSED))


def _show(session: Session, result: Result) -> None:
    out, say = session.out, session.say
    width = _width(out)
    heading = Text(result.scenario, style="bold")
    heading.append(f"  {result.policy} · seed {result.seed}", style="not bold dim")
    out.print(heading)
    for moment in result.timeline:
        text = moment.text_ja if say.language == "ja" and moment.text_ja else moment.text
        label = Text.assemble(
            (f"{moment.at[:19].replace('T', ' ')} ", "dim"),
            (f"{moment.weight_percent:>5g} %  ", "cyan"),
            (f"{moment.event:<18}", _STYLE.get(moment.event, "")),
        )
        lines = figures.beside(label, Text(text), width=width)
        for line in lines:
            _line(out, line)
    out.print(_ending(session, result))


def _ending(session: Session, result: Result) -> Text:
    say = session.say
    line = Text("✗ " if result.unmet else "✓ ", style="bold red" if result.unmet else "green")
    line.append(f"{say(result.status)}, {result.weight_percent:g} %", style="bold")
    line.append(f"  ({say('looks', count=f'{result.looks:,}')})", style="not bold dim")
    for missing in result.unmet:
        line.append(f"\n  {say('unmet', what=missing)}", style="red")
    return line


def _every(session: Session, wish: Wish, plan: Plan | None) -> None:
    from gateway.simulation import library  # noqa: PLC0415 - as above

    results: list[Result] = []
    for name in library(_library()):
        result = _simulated(session, name, wish, plan)
        results.append(result)
        if not session.as_json:
            session.out.print(Text(f"{name:<28}") + _ending(session, result))
    if session.as_json:
        session.show_json({"scenarios": [result.to_json() for result in results]})
    if any(result.unmet for result in results):
        raise SystemExit(int(Exit.REFUSED))


def _replay(session: Session, wish: Wish, plan: Plan | None) -> None:
    """Take the gateway's stored decisions again, oldest first, under this policy."""
    from gateway.simulation import replay  # noqa: PLC0415 - as above

    if plan is None:
        plan = _policy(session, _PROJECT / "config" / "rollout.toml")
        assert plan is not None
    stored = _stored(session) if wish.scenario is None else _from_file(session, wish.scenario)
    replayed = replay(stored, plan)
    different = [one for one in replayed if not one.same]
    if session.as_json:
        body = {"decisions": [one.to_json() for one in replayed], "different": len(different)}
        session.show_json(body)
        return
    say, out = session.say, session.out
    out.print(say("replayed", count=len(replayed), different=len(different)), style="bold")
    for one in different:
        at = datetime.fromtimestamp(one.at_us / 1_000_000).astimezone().isoformat(" ", "seconds")
        line = Text(f"{at}  ", style="dim")
        if one.fault:
            line.append(one.fault, style="yellow")
        else:
            line.append(f"{one.then_status} {one.then_weight_percent:g} % -> ")
            line.append(f"{one.now_status} {one.now_weight_percent:g} %", style="bold")
            line.append(f"  {one.why_ja if say.language == 'ja' else one.why}", style="dim")
        out.print(line)


def _stored(session: Session) -> list[dict[str, Any]]:
    """Read all decisions of the running gateway, page by page; oldest first."""
    found: list[dict[str, Any]] = []
    before = ""
    while True:
        page = session.get(f"/api/v1/decisions?limit={_PAGE}{before}")
        found += page["items"]
        if page["next"] is None:
            return [_with_instant(one) for one in reversed(found)]
        before = f"&before={page['next']}"


def _from_file(session: Session, name: str) -> list[dict[str, Any]]:
    """Read decisions that were kept: a page of `GET /decisions`, or a list of its items."""
    import json  # noqa: PLC0415 - this branch alone needs it

    try:
        raw = json.loads(Path(name).read_text(encoding="utf-8"))
        items = raw["items"] if isinstance(raw, dict) else raw
        return sorted((_with_instant(one) for one in items), key=lambda one: int(one["at_us"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        session.fail(Exit.USAGE, session.say("not_decisions", name=name, cause=error))


def _with_instant(item: dict[str, Any]) -> dict[str, Any]:
    if "at_us" in item:
        return item
    return {**item, "at_us": round(datetime.fromisoformat(item["at"]).timestamp() * 1_000_000)}


def _width(out: Console) -> int:
    return out.width if out.is_terminal else _PIPE_WIDTH


def _line(out: Console, text: Text) -> None:
    text.rstrip()
    out.print(text, no_wrap=True, overflow="ignore", crop=False)

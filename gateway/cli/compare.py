"""
`syncgate compare`: whether old and new agree, how surely, where not and why, and how to accept it.

Side by side means: the listing, what old has, what new would have. A difference is never accepted
by looking at it: the command that would accept it is shown, and wants a reason.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from gateway.cli import figures
from gateway.cli.consent import reason_given
from gateway.cli.session import Exit
from gateway.core import vocabulary
from gateway.core.comparison import percent

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.cli.session import Session
    from gateway.cli.texts import Texts

COMPARISONS: Final = "/api/v1/comparisons"
_PAGE: Final = 200
_FIELDS_SHOWN: Final = 12
_FIELDS_WITH_EXAMPLES: Final = 4
_PIPE_WIDTH: Final = 110
_ID_CELLS: Final = 32
_FIXES_SHOWN: Final = 3
_LEAST_SHOWN: Final = 0.001
_COLUMNS: Final = ("listings", "old_itself", "verdict", "field", "kind", "cause")


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A decision about the differences at one path."""

    path: str
    how: str
    tolerance: float | None
    reason: str | None


def show(session: Session) -> None:
    """Show the rate, what differs, and examples."""
    found = session.get(COMPARISONS)
    if session.as_json:
        session.show_json(found)
        return
    status = session.get("/api/v1/rollout")["status"]
    out = session.out
    width = session.width(_PIPE_WIDTH)
    for line in lines(found, session.say, width=width, status=status):
        line.rstrip()
        out.print(line, no_wrap=True, overflow="ignore", crop=False)


def lines(found: dict[str, Any], say: Texts, *, width: int, status: str = "running") -> list[Text]:
    """Draw the whole screen; `status` is the rollout's, which says why nothing is mirrored."""
    drawn = [Text(_sentence(found, say), style=_style(found)), Text()]
    drawn += [_fact(say("cmp_mirror"), _mirroring(found, say, status))]
    drawn += [_fact(say("cmp_control"), _control(found["control"], say))]
    drawn += _lost(found["coverage"], say)
    drawn += _fixes(found, say)
    if found["answers_differed"] > found["answers_opened"]:
        figures_ = {"opened": found["answers_opened"], "all": found["answers_differed"]}
        drawn.append(_fact(say("cmp_opened"), Text(say("cmp_opened_of", **figures_))))
    drawn.append(_fact(say("per_1000"), _pace(found["pace"], say)))
    if found["trouble"]:
        drawn.append(_fact(say("cmp_trouble"), Text(found["trouble"], style="red")))
    differences = found["differences"]
    if not differences:
        return [
            *drawn,
            Text(),
            Text(say("cmp_nothing"), style="green" if found["listings"] else ""),
        ]
    drawn += [Text(), *_table(differences, say, width=width)]
    for each in [each for each in differences if each["examples"]][:_FIELDS_WITH_EXAMPLES]:
        drawn += [Text(), *_examples(each, say, width=width)]
    return drawn


def _sentence(found: dict[str, Any], say: Texts) -> str:
    if found["match_rate"] is None:
        return say("nothing_compared")
    if say.language == "en":
        return str(found["sentence"])
    return say(
        "agree",
        listings=f"{found['listings']:,}",
        rate=percent(found["match_rate"]),
        lower=percent(found["lower_bound"]),
        confidence=f"{found['confidence'] * 100:g}",
    )


def _style(found: dict[str, Any]) -> str:
    if found["match_rate"] is None:
        return "bold"
    counted = any(each["counts"] for each in found["differences"])
    return "bold yellow" if counted else "bold green"


def _fact(name: str, value: Text) -> Text:
    return figures.row([(name, "dim")], [16]) + Text("  ") + value


_NOT_NOW: Final = {
    "idle": "cmp_not_started",
    "rolled_back": "cmp_rolled_back",
    "emergency_stopped": "cmp_stopped",
}


def _mirroring(found: dict[str, Any], say: Texts, status: str) -> Text:
    if found["mirror_off"]:
        return Text(say("cmp_off", why=found["mirror_off"]), style="red")
    used = ", ".join(found["dry_run_means"]) or found["means"]
    if not found["mirroring"]:
        return Text(say(_NOT_NOW.get(status, "cmp_not_now")))
    means = say(f"means_{used}") if used in {"transaction", "rollback", "raise", "plan"} else used
    return Text(say("cmp_on", means=means or figures.DASH))


def _pace(pace: dict[str, Any], say: Texts) -> Text:
    def seconds(value: float | None) -> str:
        return figures.DASH if value is None else f"{value:.1f} s"

    text = say("cmp_pace", old=seconds(pace["old_s"]), new=seconds(pace["new_s"]))
    faster = pace["improvement_percent"]
    if faster is None:
        return Text(text)
    key, values = vocabulary.pace(faster)
    return Text(f"{text} ({say(key, **values)})")


def _table(differences: list[dict[str, Any]], say: Texts, *, width: int) -> list[Text]:
    names = [say(name) for name in _COLUMNS]
    longest = max(len(each["path"]) for each in differences[:_FIELDS_SHOWN])
    widths = [10, 10, 18, max(10, min(longest, width - 82)), 10, 24]
    drawn = [figures.row([(name, "dim") for name in names], widths, right=(0, 1))]
    for each in differences[:_FIELDS_SHOWN]:
        style = "" if each["counts"] else "dim"
        cells = [
            (f"{each['count']:,}", "bold" if each["counts"] else "dim"),
            (f"{each['control_count']:,}", style),
            (_verdict(each, say), "yellow" if each["counts"] else "dim"),
            (each["path"], style),
            (say(f"kind_{each['kind']}"), style),
            (say(f"cause_{each['cause']}"), style),
        ]
        drawn.append(figures.row(cells, widths, right=(0, 1)))
    if len(differences) > _FIELDS_SHOWN:
        drawn.append(Text(say("more", count=len(differences) - _FIELDS_SHOWN), style="dim"))
    return drawn


def _verdict(each: dict[str, Any], say: Texts) -> str:
    said = say(f"verdict_{each['verdict']}")
    probable = each["p_value"]
    if probable is None or each["verdict"] == "harmless":
        return said
    return f"{said} (p {'< 0.001' if probable < _LEAST_SHOWN else f'{probable:.3f}'})"


def _control(control: dict[str, Any], say: Texts) -> Text:
    if control["off"]:
        return Text(say("cmp_control_off", why=control["off"]), style="yellow")
    if not control["rate"] and not control["listings"]:
        return Text(say("cmp_control_none"))
    listings = f"{control['listings']:,}"
    if not control["rate"]:
        return Text(say("cmp_control_past", listings=listings))
    rate = f"{control['rate'] * 100:g}"
    return Text(say("cmp_control_on", rate=rate, listings=listings))


def _lost(coverage: dict[str, Any], say: Texts) -> list[Text]:
    """Say what could not be compared; silence would look like agreement."""
    if not coverage["lost"]:
        return []
    by_count = sorted(coverage["lost"].items(), key=lambda each: -each[1])
    said = say(
        "cmp_lost_of",
        lost=f"{sum(coverage['lost'].values()):,}",
        due=f"{coverage['due']:,}",
        listings=f"{coverage['listings_lost']:,}",
        reasons=", ".join(f"{reason.replace('_', ' ')} {count:,}" for reason, count in by_count),
    )
    return [_fact(say("cmp_lost"), Text(said, style="yellow"))]


def _fixes(found: dict[str, Any], say: Texts) -> list[Text]:
    drawn = []
    for fix in found["fixes"][:_FIXES_SHOWN]:
        path = fix["path"] or say("cmp_everything")
        what = f"{fix['at'][:19].replace('T', ' ')}  {path}  ({fix['by']}: {fix['reason']})"
        drawn.append(_fact(say("cmp_since"), Text(what)))
    if found["fixes"] and found["overall_listings"] != found["listings"]:
        overall = found["overall_rate"]
        rate = figures.DASH if overall is None else percent(overall)
        said = say("cmp_overall", rate=rate, listings=f"{found['overall_listings']:,}")
        drawn.append(_fact("", Text(said, style="dim")))
    return drawn


def _examples(each: dict[str, Any], say: Texts, *, width: int) -> list[Text]:
    title = Text(each["path"], style="bold")
    title.append(f"  {say('kind_' + each['kind'])}, {say('cause_' + each['cause'])}", style="dim")
    number_cells = max(14, *(len(str(one["property_number"] or "")) for one in each["examples"]))
    number_cells = min(number_cells, 24)
    side = max(10, (width - number_cells - _ID_CELLS - 8) // 2)
    widths = [number_cells, side, side, _ID_CELLS]
    names = ["  " + say("cmp_listing"), say("cmp_old"), say("cmp_new"), say("cmp_request")]
    drawn = [title, figures.row([(name, "dim") for name in names], widths)]
    for one in each["examples"]:
        cells = [
            ("  " + (one["property_number"] or figures.DASH), ""),
            (_value(one["old"]), "red"),
            (_value(one["new"]), "green"),
            (one["request_id"], "dim"),
        ]
        drawn.append(figures.row(cells, widths))
    if each["counts"]:
        command = f"syncgate compare --accept {shlex.quote(each['path'])} --reason '...'"
        accept = Text(f"  {say('cmp_accept')} ", style="dim")
        accept.append(command, style="cyan")
        drawn.append(accept)
        fixed = Text(f"  {say('cmp_fixed_how')} ", style="dim")
        fixed.append(command.replace("--accept", "--fixed"), style="cyan")
        drawn.append(fixed)
    return drawn


def _value(value: Any) -> str:
    return figures.DASH if value is None else json.dumps(value, ensure_ascii=False)


def accept(session: Session, wish: Acceptance) -> None:
    """Put a rule in force; it wants a reason."""
    body: dict[str, Any] = {"path": wish.path, "reason": reason_given(session, wish.reason)}
    if wish.tolerance is not None:
        body["tolerance"] = wish.tolerance
    else:
        body[wish.how] = True
    found = session.post(f"{COMPARISONS}/rules", body)
    if session.as_json:
        session.show_json(found)
    else:
        session.out.print(Text(session.say("cmp_accepted", path=wish.path)))
        session.out.print(Text(_sentence(found, session.say), style=_style(found)))


def put_right(session: Session, path: str, reason: str | None) -> None:
    """Close what differs at a path (** everything); it wants a reason."""
    body = {"path": path, "reason": reason_given(session, reason)}
    found = session.post(f"{COMPARISONS}/fixes", body)
    if session.as_json:
        session.show_json(found)
    else:
        session.out.print(Text(session.say("cmp_fixed", path=path)))
        session.out.print(Text(_sentence(found, session.say), style=_style(found)))


def export(session: Session, path: Path) -> None:
    """Write every kept difference to a file: CSV by its ending, else JSON."""
    items: list[dict[str, Any]] = []
    before: int | None = None
    while True:
        cursor = f"&before={before}" if before is not None else ""
        page = session.get(f"{COMPARISONS}/differences?limit={_PAGE}{cursor}")
        items += page["items"]
        before = page["next"]
        if before is None:
            break
    try:
        _write(path, items)
    except OSError as error:
        session.fail(Exit.REFUSED, f"{path}: {error.strerror}")
    if session.as_json:
        session.show_json({"written": len(items), "file": str(path)})
    else:
        session.out.print(Text(session.say("cmp_written", count=len(items), path=path)))


def _write(path: Path, items: list[dict[str, Any]]) -> None:
    if path.suffix.lower() != ".csv":
        path.write_text(json.dumps(items, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        return
    import csv  # noqa: PLC0415 - one ending of one option needs it

    from gateway.admin.compared import DifferenceExample  # noqa: PLC0415 - as above

    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        names = list(items[0]) if items else list(DifferenceExample.model_fields)
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        for item in items:
            writer.writerow({name: _harmless(value) for name, value in item.items()})


def _harmless(value: Any) -> Any:
    """Keep a spreadsheet from taking text for a formula."""
    formula = isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t"}
    return f"'{value}" if formula else value

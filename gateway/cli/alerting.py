"""Alerts on the command line: what is wrong, who has it, taking it, keeping silence for a while."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from gateway.cli.consent import only_show, reason_given
from gateway.cli.session import Exit

if TYPE_CHECKING:
    from rich.text import Text

    from gateway.cli.consent import Consent
    from gateway.cli.session import Session

_STYLES: Final = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}
_SPAN: Final = re.compile(r"(\d{1,6})\s*(m|min|h|d)?")
_MINUTES: Final = {None: 1, "m": 1, "min": 1, "h": 60, "d": 1_440}
_RESOLVED: Final = "resolved"


@dataclass(frozen=True, slots=True)
class Wish:
    """A silence as it was typed."""

    rule: str
    span: str
    system: str | None


def show(session: Session, asked: dict[str, Any]) -> None:
    """Show what is wrong now, worst first, then what was lately."""
    found = session.get(f"/api/v1/alerts?{urlencode(asked)}")
    if session.as_json:
        session.show_json(found)
        return
    from rich.text import Text  # noqa: PLC0415 - `--json` need not wait for it

    say, out = session.say, session.out
    if not found["items"] and asked.get("state") != _RESOLVED:
        out.print(_none(session, asked))
    for alert in found["items"]:
        _one(session, alert)
    if found["recent"]:
        out.print(Text(say("alerts_recent"), style="dim"))
        for alert in found["recent"]:
            lasted = say("alerts_lasted", span=say.span(alert["lasted_s"]))
            line = Text(f"  #{alert['id']} {_at(alert['ended_at'])}  ", style="dim")
            line.append(say(alert["level"]), style=_STYLES.get(alert["level"], ""))
            line.append(f"  {alert['title'][say.language]}{_of(alert)}  ")
            line.append(lasted, style="dim")
            out.print(line)
    if found["silences"]:
        _silences(session, found["silences"])
    if not found["stored"]:
        session.note(say("alerts_unstored"))


def _none(session: Session, asked: dict[str, Any]) -> Text:
    """Say that there is none; of those that were not asked for, how many there are."""
    from rich.text import Text  # noqa: PLC0415 - as above

    say = session.say
    if asked.keys() <= {"hours"}:
        return Text(say("alerts_none"), style="green")
    others = len(session.get("/api/v1/alerts?limit=500")["items"])
    if not others:
        return Text(say("alerts_none_matching"), style="green")
    return Text(say("alerts_others", count=others), style="yellow")


def _one(session: Session, alert: dict[str, Any]) -> None:
    from rich.text import Text  # noqa: PLC0415 - as above

    say, out = session.say, session.out
    head = Text(f"#{alert['id']} ", style="bold")
    head.append(say(alert["level"]), style=_STYLES.get(alert["level"], ""))
    head.append(f"  {alert['title'][say.language]}{_of(alert)}", style="bold")
    span = say("alerts_since", at=_at(alert["raised_at"]), span=say.span(alert["lasted_s"]))
    head.append(f"  {span}", style="dim")
    out.print(head)
    out.print(Text(f"   {alert['text'][say.language]}"))
    taken = alert["acknowledged"]
    if taken:
        stands = say("alerts_taken", who=taken["by"], reason=taken["reason"])
        todo = alert["todo"]
    else:
        names = ", ".join(alert["asked"])
        stands = say("alerts_asked", names=names)
        if alert["answer_by"]:
            stands += say("alerts_until", at=_at(alert["answer_by"]))
        if alert["state"] == "silenced":
            stands = say("alerts_silenced")
        todo = f"syncgate ack {alert['id']} --reason ..."
    out.print(Text(f"   {stands}", style="dim"))
    line = Text(f"   {say('do')}  ", style="dim")
    line.append(todo, style="cyan")
    out.print(line)


def messages(session: Session) -> None:
    """Show what was sent, newest first."""
    found = session.get("/api/v1/alerts/messages")
    if session.as_json:
        session.show_json(found)
        return
    from rich.text import Text  # noqa: PLC0415 - as above

    say, out = session.say, session.out
    if not found["items"]:
        out.print(say("messages_none"))
    styles = {"dead": "red", "waiting": "yellow"}
    for one in found["items"]:
        line = Text(f"{_at(one['made_at'])}  ", style="dim")
        line.append(say(f"message_{one['state']}"), style=styles.get(one["state"], "green"))
        line.append(f"  {one['channel']} ({one['language']})  {one['title']}  ")
        line.append(f"{one['stage']}  {one['id']}", style="dim")
        out.print(line)
        if one["reason"]:
            out.print(Text(f"   {one['attempts']}: {one['reason']}", style="dim"))


def resend(session: Session, message: str, reason: str | None) -> None:
    """Send a message that was given up after all."""
    body = {"id": message, "reason": reason_given(session, reason)}
    found = session.post("/api/v1/alerts/messages/resend", body)
    _done(session, found, session.say("message_again", id=message))


def acknowledge(session: Session, number: int, consent: Consent) -> None:
    """Answer for an alert."""
    path = f"/api/v1/alerts/{number}/ack"
    if consent.dry_run:
        only_show(session, session.say("would_ack", id=number), path=path, body={})
        return
    taken = session.post(path, {"reason": reason_given(session, consent.reason)})
    title = taken["title"][session.say.language]
    _done(session, taken, session.say("acked", id=number, title=title))


def silence(session: Session, wish: Wish, consent: Consent) -> None:
    """Tell nothing of a rule for a while."""
    minutes = _minutes(session, wish.span)
    rule = "*" if wish.rule in {"all", "*"} else wish.rule
    body: dict[str, Any] = {"rule": rule, "minutes": minutes}
    if wish.system is not None:
        body["system"] = wish.system
    span = session.say.span(minutes * 60)
    path = "/api/v1/alerts/silences"
    if consent.dry_run:
        what = session.say("would_silence", rule=rule, span=span)
        only_show(session, what, path=path, body=body)
        return
    made = session.post(path, {**body, "reason": reason_given(session, consent.reason)})
    text = session.say("silenced", id=made["id"], rule=made["rule"], at=_at(made["until"]))
    _done(session, made, text)


def lift(session: Session, silence_id: int, consent: Consent) -> None:
    """End a silence now."""
    path = f"/api/v1/alerts/silences/{silence_id}"
    if consent.dry_run:
        what = session.say("would_lift", id=silence_id)
        only_show(session, what, path=path, body={}, method="DELETE")
        return
    ended = session.delete(path, {"reason": reason_given(session, consent.reason)})
    _done(session, ended, session.say("lifted", id=silence_id))


def silences(session: Session) -> None:
    """List what is silenced."""
    found = session.get("/api/v1/alerts")["silences"]
    if session.as_json:
        session.show_json({"silences": found})
    elif found:
        _silences(session, found)
    else:
        session.out.print(session.say("silences_none"))


def reload(session: Session, consent: Consent) -> None:
    """Read policy and alerts again."""
    path = "/api/v1/policy/reload"
    if consent.dry_run:
        only_show(session, session.say("would_reload"), path=path, body={})
        return
    state = session.post(path, {"reason": reason_given(session, consent.reason)})
    _done(session, state, session.say("reloaded", policy=state["policy"]))


def _silences(session: Session, found: list[dict[str, Any]]) -> None:
    from rich.text import Text  # noqa: PLC0415 - as above

    for one in found:
        rule = session.say("everything") if one["rule"] == "*" else quote(one["rule"], safe=":_.-")
        until = session.say("silence_until", at=_at(one["until"]))
        line = Text(f"{session.say('silence')} {one['id']}  ", style="yellow")
        line.append(f"{rule}{_of(one)}  {until}  {one['by']}: {one['reason']}")
        session.out.print(line)


def _of(one: dict[str, Any]) -> str:
    return f" ({one['system']})" if one["system"] else ""


def _at(instant: str) -> str:
    return instant[:16].replace("T", " ")


def _minutes(session: Session, span: str) -> int:
    found = _SPAN.fullmatch(span.strip())
    minutes = int(found[1]) * _MINUTES[found[2]] if found else 0
    if minutes < 1:
        session.fail(Exit.USAGE, session.say("bad_span", value=span))
    return minutes


def _done(session: Session, answer: Any, text: str) -> None:
    if session.as_json:
        session.show_json(answer)
    else:
        session.out.print(text, markup=False)

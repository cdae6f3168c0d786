"""Commands that only look: status, once or live, and the audit."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from typing import TYPE_CHECKING, Any, Final

from rich.console import Group
from rich.live import Live
from rich.text import Text

from gateway.cli import figures
from gateway.cli.client import UnreachableError
from gateway.cli.screen import screen
from gateway.cli.session import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from gateway.cli.session import Session

ROLLOUT: Final = "/api/v1/rollout"
_OPEN_ALERTS: Final = "/api/v1/alerts?hours=1&limit=500"
_PIPE_WIDTH: Final = 120
_ROOMY: Final = 100
"""From this width on, the audit shows whole instants and where a change came from."""


def status(session: Session) -> None:
    """Show the state once."""
    state = session.get(ROLLOUT)
    if session.as_json:
        session.show_json(state)
        return
    out = session.out
    alerts = _open_alerts(session)
    for line in screen(state, session.say, width=session.width(_PIPE_WIDTH), alerts=alerts):
        line.rstrip()
        out.print(line, no_wrap=True, overflow="ignore", crop=False)


def _open_alerts(session: Session) -> list[dict[str, Any]] | None:
    """Ask for the open alerts, worst first; None: they are not known, which ends nothing."""
    try:
        answer = session.gateway.get(_OPEN_ALERTS)
    except UnreachableError:
        return None
    return list(answer.body["items"]) if answer.ok else None


def watch(session: Session, *, interval_s: float) -> None:
    """Show the state live, through outages of the gateway, until Ctrl-C."""
    if session.as_json:
        _watch_lines(session, interval_s)
        return
    out = session.out
    if not out.is_terminal:
        session.fail(Exit.USAGE, "status -w needs a terminal; --json writes one line per look.")
    seen = _Seen(session)
    with Live(console=out, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
        for _ in _turns(interval_s):
            seen.look()
            live.update(Group(*seen.lines(out)), refresh=True)


def _turns(interval_s: float) -> Iterator[None]:
    """Give a turn every so often until Ctrl-C, which ends it between two turns.

    Raised wherever the signal falls, KeyboardInterrupt is lost where Python ignores exceptions (a
    finaliser, a callback of a library), and the view would stay. A second Ctrl-C does not wait.
    """
    woken, wakes = os.pipe()
    before = signal.getsignal(signal.SIGINT)

    def leave(*_: object) -> None:
        os.write(wakes, b"\0")
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, leave)
    try:
        yield
        while not select.select([woken], [], [], interval_s)[0]:
            yield
    finally:
        signal.signal(signal.SIGINT, before)
        os.close(woken)
        os.close(wakes)


def _watch_lines(session: Session, interval_s: float) -> None:
    """Write one JSON document per look and line, for programs that follow."""
    import json  # noqa: PLC0415 - this branch alone needs it

    with contextlib.suppress(BrokenPipeError):
        for _ in _turns(interval_s):
            print(json.dumps(session.get(ROLLOUT), ensure_ascii=False), flush=True)  # noqa: T201 - the answer


class _Seen:
    """The last state that was had, and since when there is none."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._state: dict[str, Any] | None = None
        self._alerts: list[dict[str, Any]] | None = None
        self._gone_since: float | None = None
        self._cause = ""

    def look(self) -> None:
        """Ask once; a refusal (a wrong token) ends, silence does not."""
        try:
            answer = self._session.gateway.get(ROLLOUT)
        except UnreachableError as error:
            self._cause = str(error)
            if self._gone_since is None:
                self._gone_since = time.time()
            return
        if not answer.ok and answer.status < 500:  # noqa: PLR2004 - the gateway is there and says no
            self._session.get(ROLLOUT)
        if answer.ok:
            self._state, self._gone_since = answer.body, None
            self._alerts = _open_alerts(self._session)
            return
        self._cause = f"HTTP {answer.status}"
        self._gone_since = self._gone_since or time.time()

    def lines(self, out: Console) -> list[Text]:
        """Draw what is known, in the size the window has now."""
        say = self._session.say
        if self._state is None:
            url = self._session.gateway.target.url
            return [Text(say("trying", url=url, cause=self._cause), style="yellow")]
        away = None
        if self._gone_since is not None:
            at = time.strftime("%H:%M:%S", time.gmtime(self._gone_since)) + " UTC"
            span = say.span(time.time() - self._gone_since)
            away = say("gone", at=at, span=span, cause=self._cause)
        width, height = out.size
        lines = screen(
            self._state, say, width=width, height=height - 1, away=away, alerts=self._alerts
        )
        lines += [Text()] * (height - 1 - len(lines))
        return [*lines[: height - 1], Text(say("watching"), style="dim", no_wrap=True)]


def audit(session: Session, *, limit: int) -> None:
    """Show the newest changes."""
    page = session.get(f"/api/v1/audit?limit={limit}")
    if session.as_json:
        session.show_json(page)
        return
    say, out = session.say, session.out
    if not page["items"]:
        out.print(say("audit_empty"))
        return
    width = session.width(_PIPE_WIDTH)
    roomy = width >= _ROOMY
    widths = [5, 19 if roomy else 11, 12, 14]
    titles = ["#", say("at"), say("who"), say("did"), say("reason")]
    room = width - sum(widths) - 2 * len(widths)
    widths.append(max(12, room - 17 if roomy else room))
    if roomy:
        widths.append(15)
        titles.append(say("from"))
    _line(out, figures.row([(title, "dim") for title in titles], widths, right=(0,)))
    for entry in page["items"]:
        at = entry["at"][:19] if roomy else entry["at"][5:16]
        cells = [
            (str(entry["id"]), "dim"),
            (at.replace("T", " "), ""),
            (entry["actor"], "cyan"),
            (entry["action"], "bold"),
            (entry["reason"], ""),
            (entry["ip"] or figures.DASH, "dim"),
        ]
        _line(out, figures.row(cells[: len(widths)], widths, right=(0,)))


def _line(out: Console, text: Text) -> None:
    text.rstrip()
    out.print(text, no_wrap=True, overflow="ignore", crop=False)


def verify_audit(session: Session) -> None:
    """Walk the hash chain; a broken one is a refusal that names the rows."""
    check = session.get("/api/v1/audit/verification")
    if check["intact"]:
        if session.as_json:
            session.show_json(check)
            return
        head = check["head"][:16] or session.say("none")
        text = session.say("audit_intact", entries=check["entries"], head=head)
        session.out.print(Text(text, style="green"))
        return
    listed = "".join(f"\n  {fault}" for fault in check["faults"])
    say = session.say
    session.fail(
        Exit.REFUSED, say("audit_broken") + listed, fix=say("audit_broken_fix"), verification=check
    )

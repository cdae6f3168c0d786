"""
`syncgate doctor`: is everything there that the gateway needs? Each check says what to do.

A check that does not apply (no database configured) is `todo`, never `pass`: what was not looked at
is not known to be well.
"""

from __future__ import annotations

import os
import socket
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from rich.text import Text

from gateway.cli import channels, database, sources
from gateway.cli.client import Gateway, Target, UnreachableError, here, places_of
from gateway.cli.serve import read
from gateway.cli.session import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gateway.cli.session import Session
    from gateway.cli.texts import Texts
    from gateway.settings import Settings

_MARK: Final = {"pass": ("✓", "green"), "fail": ("✗", "bold red"), "todo": ("·", "yellow")}
_WIDTH: Final = 20
_TIMEOUT_S: Final = 3.0
_HAS_TABLES: Final = "SELECT to_regclass('public.listings') IS NOT NULL AS there"


@dataclass(frozen=True, slots=True)
class Check:
    """One answer; `about`: the gateway that answers, or the settings found here."""

    name: str
    status: str
    detail: str
    fix: str = ""
    about: str = "here"


def run(session: Session, *, yes: bool = False, dry_run: bool = False) -> None:
    """Look at everything; end with 1 when something must be done.

    `yes`: send test messages without asking; `dry_run`: send none.
    """
    for _, pairs in places_of(*here()):
        for name, value in pairs.items():
            os.environ.setdefault(name, value)
    checks: list[Check] = []
    about = ""
    for check in _checks(session, yes=yes, dry_run=dry_run):
        checks.append(check)
        if session.as_json:
            continue
        if check.about != about:
            session.out.print(Text(session.say(f"dr_{check.about}"), style="bold underline"))
        about = check.about
        _show(session, check)
    if session.as_json:
        session.show_json({"checks": [asdict(check) for check in checks]})
    if any(check.status == "fail" for check in checks):
        raise SystemExit(int(Exit.REFUSED))


def _show(session: Session, check: Check) -> None:
    mark, style = _MARK[check.status]
    line = Text(f"{mark} ", style=style)
    line.append(f"{check.name:<{_WIDTH}}", style="bold")
    line.append(check.detail)
    session.out.print(line)
    if check.fix:
        session.out.print(Text(f"  → {check.fix}", style="cyan"))


def _checks(session: Session, *, yes: bool, dry_run: bool) -> Iterator[Check]:
    running, of_gateway = _admin(session)
    yield from of_gateway
    settings, policy, mistakes = read()
    say = session.say
    if settings is None:
        yield Check("settings", "fail", mistakes[0], say("dr_settings_fix"))
    else:
        yield Check("settings", "pass", say("dr_understood"))
        yield _tokens(say, settings)
    if policy is None:
        yield Check("policy", "fail", mistakes[-1], say("dr_policy_fix"))
    else:
        detail = say("dr_policy", name=policy.name, count=len(policy.phases))
        yield Check("policy", "pass", detail)
    if settings is None:
        return
    yield _state_dir(say, settings.state_dir)
    yield _port(say, "port", (settings.host, settings.port), running=running)
    yield _port(say, "admin port", (settings.admin_host, settings.admin_port), running=running)
    yield _service(say, "old", settings.old_url)
    yield _service(say, "new", settings.new_url)
    yield _database(say, settings)
    yield _redis(say, settings)
    if policy is not None:
        for outcome in sources.outcomes(say, settings):
            yield Check(*outcome)
    for outcome in channels.outcomes(session, settings, yes=yes, dry_run=dry_run):
        yield Check(*outcome)


def _tokens(say: Texts, settings: Settings) -> Check:
    if settings.admin_tokens:
        names = ", ".join(f"{one.name} ({one.scope.name.lower()})" for one in settings.admin_tokens)
        return Check("tokens", "pass", names)
    return Check("tokens", "todo", say("dr_no_tokens"), say("dr_no_tokens_fix"))


def _state_dir(say: Texts, path: Path) -> Check:
    nearest = path
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    shown = path.absolute()
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        return Check("state", "pass", say("dr_state", path=shown))
    return Check("state", "fail", say("dr_no_state", path=shown), say("dr_state_fix"))


def _port(say: Texts, name: str, place: tuple[str, int], *, running: bool) -> Check:
    host, port = place
    if port == 0:
        return Check(name, "pass", say("dr_any_port"))
    where = f"{host}:{port}"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if running:
                return Check(name, "pass", say("dr_port_used", where=where))
            cause = (error.strerror or str(error)).lower()
            variable = "GATEWAY_PORT" if name == "port" else "GATEWAY_ADMIN_PORT"
            detail = say("dr_port_taken", where=where, cause=cause)
            return Check(name, "fail", detail, say("dr_port_fix", variable=variable))
    return Check(name, "pass", say("dr_port_free", where=where))


def _service(say: Texts, name: str, url: str) -> Check:
    try:
        answer = Gateway(Target(url, None, "settings"), timeout_s=_TIMEOUT_S).get("/health")
    except UnreachableError as error:
        fix = say("dr_no_service_fix", name=name, variable=f"SYNC_{name.upper()}_URL")
        return Check(name, "fail", f"{url}: {error}", fix)
    if answer.ok:
        return Check(name, "pass", say("dr_healthy", url=url))
    detail = say("dr_answers", url=f"{url}/health", status=answer.status)
    return Check(name, "fail", detail, say("dr_service_fix", name=name))


def _database(say: Texts, settings: Settings) -> Check:
    if settings.database_url is None:
        return Check("database", "todo", say("dr_no_database"), say("dr_no_database_fix"))
    from listings.errors import ListingsError  # noqa: PLC0415 - psycopg loads slowly
    from listings.maintenance.connection import connect, where  # noqa: PLC0415 - as above

    url = settings.database_url.get_secret_value()
    try:
        with connect(url, application_name="syncgate doctor") as connection:
            row = connection.execute(_HAS_TABLES).fetchone()
    except ListingsError as error:
        detail = database.in_words(say, error)
        return Check("database", "fail", detail, say("dr_database_fix"))
    if row is None or not row["there"]:
        detail = say("dr_no_tables", where=where(url))
        return Check("database", "fail", detail, say("dr_no_tables_fix"))
    return Check("database", "pass", say("dr_tables", where=where(url)))


def _redis(say: Texts, settings: Settings) -> Check:
    if settings.redis_url is None:
        return Check("redis", "pass", say("dr_no_redis"))
    parts = urlsplit(settings.redis_url.get_secret_value())
    where = f"{parts.hostname}:{parts.port or 6379}"
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 6379), _TIMEOUT_S):
            return Check("redis", "pass", say("dr_redis", where=where))
    except OSError as error:
        detail = f"{where}: {(error.strerror or str(error)).lower()}"
        return Check("redis", "fail", detail, say("dr_redis_fix"))


def _admin(session: Session) -> tuple[bool, list[Check]]:
    """Whether a gateway is running, and whether we may read it."""
    target, say = session.gateway.target, session.say

    def check(status: str, detail: str, fix: str = "", *, name: str = "gateway") -> Check:
        return Check(name, status, detail, fix, about="gateway")

    try:
        alive = session.gateway.get("/healthz")
        answer = session.gateway.get("/api/v1/rollout") if alive.ok else alive
    except UnreachableError as error:
        detail = say("dr_not_running", url=target.url, cause=error)
        return False, [check("todo", detail, say("dr_not_running_fix"))]
    if answer.status in {401, 403}:
        detail = say("dr_refused", url=target.url)
        return True, [check("fail", detail, say("dr_refused_fix"))]
    if not answer.ok:
        detail = say("dr_answers", url=target.url, status=answer.status)
        return True, [check("fail", detail, say("dr_answers_fix"))]
    state = answer.body
    percent = f"{state['weight_percent']:g}"
    detail = say("dr_runs", url=target.url, status=say(state["status"]), percent=percent)
    token = check("pass", say("dr_token_taken"), name="token")
    if target.token is None:
        token = check("todo", say("dr_no_token"), say("dr_no_token_fix"), name="token")
    return True, [check("pass", detail), token]

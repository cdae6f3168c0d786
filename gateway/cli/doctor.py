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

from gateway.cli import channels, sources
from gateway.cli.client import Gateway, Target, UnreachableError, here, places_of
from gateway.cli.serve import read
from gateway.cli.session import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gateway.cli.session import Session
    from gateway.settings import Settings

_MARK: Final = {"pass": ("✓", "green"), "fail": ("✗", "bold red"), "todo": ("·", "yellow")}
_WIDTH: Final = 20
_TIMEOUT_S: Final = 3.0
_HAS_TABLES: Final = "SELECT to_regclass('public.listings') IS NOT NULL AS there"


@dataclass(frozen=True, slots=True)
class Check:
    """One answer."""

    name: str
    status: str
    detail: str
    fix: str = ""


def run(session: Session, *, yes: bool = False, dry_run: bool = False) -> None:
    """Look at everything; end with 1 when something must be done.

    `yes`: send test messages without asking; `dry_run`: send none.
    """
    for _, pairs in places_of(*here()):
        for name, value in pairs.items():
            os.environ.setdefault(name, value)
    checks: list[Check] = []
    for check in _checks(session, yes=yes, dry_run=dry_run):
        checks.append(check)
        if not session.as_json:
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
    settings, policy, mistakes = read()
    if settings is None:
        yield Check("settings", "fail", mistakes[0], "Correct them in the environment or .env.")
    else:
        yield Check("settings", "pass", "understood")
        yield from _tokens(settings)
    if policy is None:
        detail = mistakes[-1]
        yield Check("policy", "fail", detail, "Correct the file; `syncgate serve` needs all of it.")
    else:
        yield Check("policy", "pass", f"{policy.name}: {len(policy.phases)} phases")
    running, admin = _admin(session)
    if settings is not None:
        yield _state_dir(settings.state_dir)
        yield _port("port", settings.host, settings.port, running=running)
        yield _port("admin port", settings.admin_host, settings.admin_port, running=running)
        yield _service("old", settings.old_url)
        yield _service("new", settings.new_url)
        yield _database(settings)
        yield _redis(settings)
        if policy is not None:
            for outcome in sources.outcomes(settings):
                yield Check(*outcome)
    yield admin
    if settings is not None:
        for outcome in channels.outcomes(session, settings, yes=yes, dry_run=dry_run):
            yield Check(*outcome)


def _tokens(settings: Settings) -> Iterator[Check]:
    if settings.admin_tokens:
        names = ", ".join(f"{one.name} ({one.scope.name.lower()})" for one in settings.admin_tokens)
        yield Check("tokens", "pass", names)
    else:
        fix = "Set GATEWAY_ADMIN_TOKENS=name:scope:token to be able to change anything."
        yield Check("tokens", "todo", "none set: the admin port only reads, from here only", fix)


def _state_dir(path: Path) -> Check:
    nearest = path
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        return Check("state", "pass", f"{path.absolute()} can be written")
    fix = "Give the user write access to it, or set GATEWAY_STATE_DIR."
    return Check("state", "fail", f"{path.absolute()} cannot be written", fix)


def _port(name: str, host: str, port: int, *, running: bool) -> Check:
    if port == 0:
        return Check(name, "pass", "0: a free one will be taken")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if running:
                return Check(name, "pass", f"{host}:{port} is in use, and a gateway is running")
            detail = f"{host}:{port} cannot be taken: {(error.strerror or str(error)).lower()}"
            variable = "GATEWAY_PORT" if name == "port" else "GATEWAY_ADMIN_PORT"
            return Check(name, "fail", detail, f"Stop what uses it, or set {variable}.")
    return Check(name, "pass", f"{host}:{port} is free")


def _service(name: str, url: str) -> Check:
    try:
        answer = Gateway(Target(url, None, "settings"), timeout_s=_TIMEOUT_S).get("/health")
    except UnreachableError as error:
        fix = f"Start the {name} service, or set SYNC_{name.upper()}_URL."
        return Check(name, "fail", f"{url}: {error}", fix)
    if answer.ok:
        return Check(name, "pass", f"{url} is healthy")
    fix = f"Look at the {name} service's log."
    return Check(name, "fail", f"{url}/health answers {answer.status}", fix)


def _database(settings: Settings) -> Check:
    if settings.database_url is None:
        fix = "Only the data commands (migrate, verify) need DATABASE_URL."
        return Check("database", "todo", "DATABASE_URL is not set", fix)
    from listings.errors import ListingsError  # noqa: PLC0415 - psycopg loads slowly
    from listings.maintenance.connection import connect, where  # noqa: PLC0415 - as above

    url = settings.database_url.get_secret_value()
    try:
        with connect(url, application_name="syncgate doctor") as connection:
            row = connection.execute(_HAS_TABLES).fetchone()
    except ListingsError as error:
        return Check("database", "fail", str(error), "Correct DATABASE_URL or start PostgreSQL.")
    if row is None or not row["there"]:
        return Check(
            "database", "fail", f"{where(url)} has no tables yet", "Run `syncgate migrate`."
        )
    return Check("database", "pass", f"{where(url)} answers and has its tables")


def _redis(settings: Settings) -> Check:
    if settings.redis_url is None:
        return Check("redis", "pass", "not used: one node, state in SQLite")
    parts = urlsplit(settings.redis_url.get_secret_value())
    where = f"{parts.hostname}:{parts.port or 6379}"
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 6379), _TIMEOUT_S):
            return Check("redis", "pass", f"{where} accepts connections")
    except OSError as error:
        detail = f"{where}: {(error.strerror or str(error)).lower()}"
        return Check("redis", "fail", detail, "Start Redis, or unset REDIS_URL.")


def _admin(session: Session) -> tuple[bool, Check]:
    """Whether a gateway is running, and whether we may read it."""
    target = session.gateway.target
    try:
        alive = session.gateway.get("/healthz")
        answer = session.gateway.get("/api/v1/rollout") if alive.ok else alive
    except UnreachableError as error:
        fix = "Start it with `syncgate serve`; another address with --url."
        return False, Check("gateway", "todo", f"{target.url}: {error}", fix)
    if answer.status in {401, 403}:
        fix = "Give a valid token with --token or GATEWAY_TOKEN."
        return True, Check("gateway", "fail", f"{target.url} runs, but refuses our token", fix)
    if not answer.ok:
        return True, Check(
            "gateway", "fail", f"{target.url} answers {answer.status}", "See its log."
        )
    state = answer.body
    detail = f"{target.url} runs: {state['status']}, {state['weight_percent']:g} % to new"
    return True, Check("gateway", "pass", detail)

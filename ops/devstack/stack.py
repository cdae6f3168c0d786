"""
The whole system as one object: start it, look at it, stop it.

Every part is a child of this process. What each part needs to know goes in by its environment,
under the names that operators use; what people and tools need to know comes out as
``.devstack/env``, written when all is ready and removed at the stop.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import secrets
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import psycopg
from psycopg import sql

from ops.devstack import postgres, postgrest, valkey
from ops.devstack.ports import LOOPBACK, free_port
from ops.devstack.process import Command, Process, StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT: Final = postgrest.ROOT
FOLDER: Final = ROOT / ".devstack"
_DATABASE: Final = "syncgate"
_POSTGREST_SETTINGS: Final = {
    # A dry run may ask for a rollback; and answers are cut where Supabase cuts them.
    "db-tx-end": "commit-allow-override",
    "db-max-rows": "1000",
}
# Whatever proxy the machine uses, 127.0.0.1 is not behind it.
_DIRECT: Final = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
_SCOPES: Final = ("viewer", "operator", "admin")


@dataclass(frozen=True, slots=True)
class Part:
    """One running part, as people see it."""

    name: str
    purpose: str
    url: str
    source: str
    process: Process | None


@dataclass(frozen=True, slots=True)
class Options:
    """What a stack is asked to be.

    `extra` goes into the environment of services and gateway. With `scratch`, nothing is kept: the
    server of DATABASE_URL is used, but not the database that it names.
    """

    folder: Path = FOLDER
    preferred_ports: bool = True
    scratch: bool = False
    feed: Path | None = None
    extra: Mapping[str, str] | None = None


def folder_of_this_stack() -> Path:
    """Return where logs, state and addresses go: ``.devstack``, or SYNCGATE_DEVSTACK_FOLDER."""
    return Path(os.environ.get("SYNCGATE_DEVSTACK_FOLDER") or FOLDER)


class Stack:
    """Start with `start`, which calls `report` for each part as it gets ready; end with `stop`."""

    def __init__(self, options: Options, report: Callable[[Part], None]) -> None:
        self.options = options
        self.parts: list[Part] = []
        self.env: dict[str, str] = {}
        self.alerts: dict[str, str] = {}
        self.tokens = {scope: secrets.token_urlsafe(24) for scope in _SCOPES}
        self._report = report
        self._stops: list[Callable[[], None]] = []
        self._lock: TextIO | None = None

    def start(self) -> None:
        """Start everything; if one part fails, stop the others and raise StartError."""
        folder = self.options.folder
        folder.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        try:
            self._prepare(folder)
            self._start_parts()
        except BaseException:
            self.stop()
            raise
        if not self.options.scratch:
            self._write_env()

    def stop(self) -> None:
        """Stop the parts, the last started first."""
        if not self.options.scratch and self._lock is not None:
            self.env_file.unlink(missing_ok=True)
            self.alerts_file.unlink(missing_ok=True)
        while self._stops:
            self._stops.pop()()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def env_file(self) -> Path:
        """Where the addresses stand while the stack is up."""
        return self.options.folder / "env"

    @property
    def alerts_file(self) -> Path:
        """Where the settings of the gateway's alert channels stand meanwhile."""
        return self.options.folder / "alerts.env"

    @property
    def logs(self) -> Path:
        """Where every part writes its log."""
        return self.options.folder / "logs"

    def dead(self) -> list[Part]:
        """Return the parts that ended by themselves."""
        return [part for part in self.parts if part.process and part.process.exit_code is not None]

    def _take_lock(self) -> None:
        """One stack per folder; the kernel lets go of the lock however the holder dies."""
        lock = (self.options.folder / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            lock.close()
            raise StartError(
                f"a stack is already up in this folder (process {owner}). Its addresses are in "
                f"{short(self.env_file)}; `.venv/bin/syncgate status` talks to it. To start "
                f"another one, stop it first: Ctrl-C in its terminal, or `kill {owner}`."
            ) from exc
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _prepare(self, folder: Path) -> None:
        self.env_file.unlink(missing_ok=True)
        for log in self.logs.glob("*.log"):
            log.replace(log.with_suffix(".log.previous"))
        self.logs.mkdir(exist_ok=True)
        if self.options.scratch or "DATABASE_URL" not in os.environ:
            # State speaks of a database that is new each time; with DATABASE_URL both are kept.
            shutil.rmtree(folder / "state", ignore_errors=True)
        (folder / "state").mkdir(exist_ok=True)

    def _start_parts(self) -> None:
        self._start_database()
        self._start_valkey()
        sink = self._launch_alert_sink()
        self._start_rest()
        old = self._launch_service("sync_old", "SYNC_OLD", self._port(3001))
        new = self._launch_service("sync_new", "SYNC_NEW", self._port(3002))
        gateway = self._launch_gateway()
        for part in (sink, old, new, gateway):
            self._await(part)
        self.env["GATEWAY_TOKEN"] = self.tokens["admin"]

    def _start_database(self) -> None:
        server = postgres.start(log=self.logs / "postgresql.log")
        self._stops.append(server.stop)
        if server.process is not None:
            url = _create_database(server, _DATABASE)
        elif self.options.scratch:
            name = f"{_DATABASE}_{os.getpid()}"
            url = _create_database(server, name)
            self._stops.append(lambda: _drop_database(server, name))
        else:
            url = server.url
        from listings.maintenance.migrate import migrate  # noqa: PLC0415 - the stack's first need

        with (self.logs / "migrate.log").open("w") as log:
            migrate(url, report=lambda line: print(line, file=log))
        self.env["DATABASE_URL"] = url
        self._add("PostgreSQL", "listings, their change journal", url, server)
        self._rest_url = _rest_login(server, url)

    def _start_valkey(self) -> None:
        server = valkey.start(log=self.logs / "valkey.log")
        self._stops.append(server.stop)
        self.env["REDIS_URL"] = server.url
        self._add("Valkey", "for a fleet of gateways", server.url, server)

    def _start_rest(self) -> None:
        server = postgrest.start(
            postgrest.find_program(),
            database_url=self._rest_url,
            secret=secrets.token_urlsafe(48),
            log=self.logs / "postgrest.log",
            config=_POSTGREST_SETTINGS,
        )
        self._stops.append(server.stop)
        self.env["SUPABASE_REST_URL"] = server.url
        self._keys = {
            "SUPABASE_ANON_KEY": server.token("anon"),
            "SUPABASE_SERVICE_ROLE_KEY": server.token("service_role"),
        }
        part = Part("PostgREST", "what Supabase calls REST", server.url, "", server.process)
        self._ready(part, server.program.source)

    def _launch_alert_sink(self) -> Part:
        port, smtp_port = free_port(), free_port()
        self._smtp_port = smtp_port
        url = f"http://{LOOPBACK}:{port}"
        self.env["ALERT_SINK_URL"] = url
        arguments = ["--port", str(port), "--smtp-port", str(smtp_port)]
        process = self._spawn("alert_sink", ["-m", "ops.devstack.alert_sink", *arguments], {})
        return Part("alert sink", "records what people would be told", url, "ours", process)

    def _launch_service(self, module: str, prefix: str, port: int) -> Part:
        url = f"http://{LOOPBACK}:{port}"
        self.env[f"{prefix}_URL"] = url
        environment = {
            "DATABASE_URL": self.env["DATABASE_URL"],
            "SUPABASE_REST_URL": self.env["SUPABASE_REST_URL"],
            **self._keys,
            f"{prefix}_PORT": str(port),
            "SYNC_HOST": LOOPBACK,
        }
        if self.options.feed is not None:
            environment["SYNC_SOURCE_FILE"] = str(self.options.feed)
        process = self._spawn(module, ["-m", module], environment)
        ways = {
            "sync_old": "writes PostgreSQL, row by row",
            "sync_new": "writes through REST, in batches",
        }
        return Part(module, ways[module], url, "ours", process)

    def _launch_gateway(self) -> Part:
        port, admin_port = self._port(8080), self._port(8090)
        self.alerts = self._alert_channels()
        self.env["GATEWAY_URL"] = f"http://{LOOPBACK}:{port}"
        self.env["GATEWAY_ADMIN_URL"] = f"http://{LOOPBACK}:{admin_port}"
        environment = {
            "GATEWAY_HOST": LOOPBACK,
            "GATEWAY_PORT": str(port),
            "GATEWAY_ADMIN_HOST": LOOPBACK,
            "GATEWAY_ADMIN_PORT": str(admin_port),
            "GATEWAY_STATE_DIR": str(self.options.folder / "state"),
            "GATEWAY_ADMIN_TOKENS": ",".join(
                f"{scope}:{scope}:{token}" for scope, token in self.tokens.items()
            ),
            "SYNC_OLD_URL": self.env["SYNC_OLD_URL"],
            "SYNC_NEW_URL": self.env["SYNC_NEW_URL"],
            "DATABASE_URL": self.env["DATABASE_URL"],
            **self.alerts,
        }
        process = self._spawn("gateway", ["-m", "gateway", "serve"], environment)
        purpose = "splits traffic between the two"
        return Part("gateway", purpose, self.env["GATEWAY_URL"], "ours", process)

    def _alert_channels(self) -> dict[str, str]:
        """Point every channel at the sink: nobody is woken by a trial."""
        sink = self.env["ALERT_SINK_URL"]
        levels = ("critical", "high", "medium", "low")
        return {
            **{f"ALERT_SLACK_{name.upper()}_URL": f"{sink}/slack/{name}-alerts" for name in levels},
            "ALERT_SMTP_URL": f"smtp://{LOOPBACK}:{self._smtp_port}",
            "ALERT_EMAIL_FROM": "syncgate@example.com",
            "ALERT_EMAIL_TO": "sync-team@example.com",
            "ALERT_EMAIL_STAKEHOLDERS_TO": "stakeholders@example.com",
            "ALERT_TWILIO_URL": sink,
            "ALERT_TWILIO_ACCOUNT_SID": "AC00000000000000000000000000000000",
            "ALERT_TWILIO_AUTH_TOKEN": secrets.token_urlsafe(16),
            "ALERT_TWILIO_FROM": "+15005550006",
            "ALERT_SMS_TO": "+819000000000",
            "ALERT_WEBHOOK_URL": f"{sink}/webhook",
            "ALERT_WEBHOOK_SECRET": secrets.token_urlsafe(24),
            "ALERT_ALERTMANAGER_URL": "",
            "ALERT_ALLOWED_HOSTS": LOOPBACK,
            "ALERT_ALLOW_PRIVATE": "true",
        }

    def _spawn(self, name: str, arguments: list[str], environment: dict[str, str]) -> Process:
        process = Process(
            Command(
                name=name,
                argv=[sys.executable, *arguments],
                log=self.logs / f"{name}.log",
                env={**_DIRECT, **environment, **(self.options.extra or {})},
                cwd=ROOT,
            )
        )
        self._stops.append(process.stop)
        return process

    def _await(self, part: Part) -> None:
        if part.process is None:
            raise RuntimeError(f"{part.name} is not ours to wait for")
        urls = [f"{part.url}/health"]
        if part.name == "gateway":
            urls = [f"{part.url}/readyz", f"{self.env['GATEWAY_ADMIN_URL']}/readyz"]
        for url in urls:
            part.process.wait_until(lambda url=url: _answers_ok(url))  # type: ignore[misc]
        self._ready(part, part.source)

    def _add(
        self, name: str, purpose: str, url: str, server: postgres.Postgres | valkey.Valkey
    ) -> None:
        self._ready(Part(name, purpose, url, "", server.process), server.source)

    def _ready(self, part: Part, source: str) -> None:
        part = Part(part.name, part.purpose, part.url, source, part.process)
        self.parts.append(part)
        self._report(part)

    def _port(self, preferred: int) -> int:
        return free_port(preferred if self.options.preferred_ports else None)

    def _write_env(self) -> None:
        """Appear whole or not at all, readable by its owner only: it holds a token."""
        names = (
            *("GATEWAY_URL", "GATEWAY_ADMIN_URL", "GATEWAY_TOKEN", "SYNC_OLD_URL", "SYNC_NEW_URL"),
            *("DATABASE_URL", "REDIS_URL", "SUPABASE_REST_URL", "ALERT_SINK_URL"),
        )
        # So that `syncgate doctor` tries the very channels that this gateway has.
        _write_pairs(self.alerts_file, {name: text for name, text in self.alerts.items() if text})
        _write_pairs(self.env_file, {name: self.env[name] for name in names})


def _write_pairs(path: Path, pairs: Mapping[str, str]) -> None:
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.writelines(f"{name}={text}\n" for name, text in pairs.items())
    draft.replace(path)


def _create_database(server: postgres.Postgres, name: str) -> str:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return server.database_url(name)


def _drop_database(server: postgres.Postgres, name: str) -> None:
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(drop)


def _rest_login(server: postgres.Postgres, url: str) -> str:
    """PostgREST connects as `authenticator`, where that role may log in without a password."""
    name = psycopg.conninfo.conninfo_to_dict(url).get("dbname")
    candidate = server.database_url(str(name), user="authenticator")
    with contextlib.suppress(psycopg.OperationalError):
        psycopg.connect(candidate, connect_timeout=5).close()
        return candidate
    return url


def _answers_ok(url: str) -> bool:
    address, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", f"/{path}")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def short(path: Path) -> str:
    """Write a path as somebody here would."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)

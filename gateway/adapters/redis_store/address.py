"""
`REDIS_URL`, read: where Redis is, who we are there, and under which prefix.

| URL | what |
|---|---|
| `redis://user:password@host:6379/0` | one server |
| `rediss://...` | the same over TLS (so are `rediss+sentinel://`, `rediss+cluster://`) |
| `unix://user:password@/path/to/socket?db=0` | one server on this machine |
| `redis+sentinel://user:password@host:26379,host2/service/0` | the primary that sentinels name |
| `redis+cluster://user:password@host:6379,host2:6379` | a cluster |

Options after `?`: `prefix`, `timeout_ms`, `db` (unix), `ssl_ca_certs`, `ssl_certfile`,
`ssl_keyfile`, `ssl_check_hostname`, `sentinel_username`, `sentinel_password`. Whatever is wrong is
said at once, by name, and never with a password in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote

from gateway.adapters.redis_store.keys import DEFAULT_PREFIX, Keys
from gateway.errors import Fault, SettingsError

VARIABLE: Final = "REDIS_URL"
DEFAULT_TIMEOUT_MS: Final = 300
_MAX_TIMEOUT_MS: Final = 10_000
_MAX_PORT: Final = 65_535
_MAX_DATABASE: Final = 65_535
_REDIS_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_FORMS: Final = (
    "redis://, rediss://, unix://, redis+sentinel://, rediss+sentinel://, redis+cluster:// or "
    "rediss+cluster://"
)
_HOST: Final = re.compile(r"\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_.-]+")
_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_OPTIONS: Final = frozenset(
    {
        "prefix",
        "timeout_ms",
        "db",
        "ssl_check_hostname",
        "sentinel_username",
        "sentinel_password",
        *_FILES,
    }
)


class Way(StrEnum):
    """How the server is found."""

    DIRECT = "direct"
    SOCKET = "socket"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


_SCHEMES: Final = {
    "redis": (Way.DIRECT, False),
    "rediss": (Way.DIRECT, True),
    "unix": (Way.SOCKET, False),
    "redis+sentinel": (Way.SENTINEL, False),
    "rediss+sentinel": (Way.SENTINEL, True),
    "redis+cluster": (Way.CLUSTER, False),
    "rediss+cluster": (Way.CLUSTER, True),
}


@dataclass(frozen=True, slots=True)
class Tls:
    """What a TLS connection is made with; files as paths."""

    ca_certificates: str | None = None
    certificate: str | None = None
    key: str | None = None
    check_hostname: bool = True


@dataclass(frozen=True, slots=True)
class Address:
    """One `REDIS_URL`, read and checked; secrets stay out of its representation."""

    way: Way
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    tls: Tls | None = None
    prefix: str = DEFAULT_PREFIX
    timeout_s: float = DEFAULT_TIMEOUT_MS / 1_000

    def __str__(self) -> str:
        """Where it is, fit for messages: no user, no password."""
        if self.way is Way.SOCKET:
            return self.path
        places = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{self.service} ({places})" if self.service else places


def read_address(url: str, *, variable: str = VARIABLE) -> Address:
    """Read the URL, or raise SettingsError with everything that is wrong with it."""
    return _Reading(url, variable).address()


class _Reading:
    """One pass over a URL that collects every fault; `urlsplit` knows no list of hosts."""

    def __init__(self, url: str, variable: str) -> None:
        self._variable = variable
        self._faults: list[Fault] = []
        scheme, separator, rest = url.strip().partition("://")
        self._known = bool(separator) and scheme.lower() in _SCHEMES
        self._way, self._encrypted = _SCHEMES.get(scheme.lower(), (Way.DIRECT, False))
        rest, _, query = rest.partition("?")
        self._options = self._read_options(query)
        self._place, slash, self._path = rest.partition("/")
        if self._way is Way.SOCKET:
            self._path = slash + self._path

    def _fault(self, problem: str, expected: str = "") -> None:
        self._faults.append(Fault(self._variable, problem, expected))

    def address(self) -> Address:
        """Give what was read, or every fault."""
        if not self._known:
            self._fault("the URL does not begin as it must", _FORMS)
        else:
            username, password, places = self._credentials()
            hosts = self._hosts(places)
            service, database = self._service_and_database()
            address = Address(
                way=self._way,
                hosts=hosts,
                path=unquote(self._path) if self._way is Way.SOCKET else "",
                service=service,
                database=database,
                username=username,
                password=password,
                sentinel_username=self._options.get("sentinel_username"),
                sentinel_password=self._options.get("sentinel_password"),
                tls=self._tls(),
                prefix=self._prefix(),
                timeout_s=self._number("timeout_ms", DEFAULT_TIMEOUT_MS, _MAX_TIMEOUT_MS) / 1_000,
            )
            if not self._faults:
                return address
        raise SettingsError(
            "Settings", tuple(self._faults), todo="Correct REDIS_URL and start again."
        )

    def _read_options(self, query: str) -> dict[str, str]:
        options: dict[str, str] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name not in _OPTIONS:
                # The name may be the tail of a password with a bare "?" in it.
                self._fault("an option after ? is not known", ", ".join(sorted(_OPTIONS)))
            elif name in options:
                self._fault(f"{name} stands twice")
            else:
                options[name] = value
        return options

    def _credentials(self) -> tuple[str | None, str | None, str]:
        credentials, at, places = self._place.rpartition("@")
        if not at:
            return None, None, places
        username, colon, password = credentials.partition(":")
        if "@" in credentials or not colon:
            self._fault(
                "user and password cannot be told apart",
                "user:password@host, with special characters percent-encoded",
            )
        return unquote(username) or None, unquote(password) or None, places

    def _hosts(self, places: str) -> tuple[tuple[str, int], ...]:
        if self._way is Way.SOCKET:
            if places or not self._path.strip("/"):
                self._fault("a socket needs its whole path", "unix:///path/to/socket")
            return ()
        default = _SENTINEL_PORT if self._way is Way.SENTINEL else _REDIS_PORT
        hosts = [self._host(place.strip(), default) for place in places.split(",")]
        if self._way is Way.DIRECT and len(hosts) > 1:
            self._fault("several hosts need redis+sentinel:// or redis+cluster://")
        return tuple(hosts)

    def _host(self, place: str, default: int) -> tuple[str, int]:
        host, colon, port = place.rpartition(":")
        if not colon or place.endswith("]"):
            host, port = place, str(default)
        if not _HOST.fullmatch(host):
            self._fault("the host is missing or malformed", "host:port")
        if not (port.isascii() and port.isdigit() and 0 < int(port) <= _MAX_PORT):
            self._fault("the port is no number from 1 to 65535", "host:port")
            return host, default
        return host.strip("[]"), int(port)

    def _service_and_database(self) -> tuple[str, int]:
        if self._way is Way.SOCKET:
            return "", self._number("db", 0, _MAX_DATABASE)
        if "db" in self._options:
            self._fault("db is for unix:// only", "the number at the end: redis://host:6379/0")
        parts = [unquote(part) for part in self._path.split("/")] if self._path else []
        service = ""
        if self._way is Way.SENTINEL:
            service = parts.pop(0) if parts else ""
            if not service:
                self._fault(
                    "the name of the service is missing", "redis+sentinel://host:26379/service"
                )
        number = "/".join(parts) or "0"
        if not (number.isascii() and number.isdigit() and int(number) <= _MAX_DATABASE):
            self._fault("the database is no number", "redis://host:6379/0")
            return service, 0
        if self._way is Way.CLUSTER and int(number) != 0:
            self._fault("a cluster has only database 0")
        return service, int(number)

    def _number(self, name: str, default: int, highest: int) -> int:
        text = self._options.get(name, str(default))
        if (
            text.isascii()
            and text.isdigit()
            and int(text) <= highest
            and (text != "0" or not default)
        ):
            return int(text)
        self._fault(f"{name} is no number", f"{int(bool(default))} to {highest}")
        return default

    def _prefix(self) -> str:
        prefix = self._options.get("prefix", DEFAULT_PREFIX)
        try:
            Keys(prefix)
        except SettingsError as error:
            self._faults.extend(error.faults)
        return prefix

    def _tls(self) -> Tls | None:
        given = [name for name in (*_FILES, "ssl_check_hostname") if name in self._options]
        if not self._encrypted:
            if given:
                self._fault(f"{given[0]} needs rediss://")
            return None
        for name in _FILES:
            if name in self._options and not Path(self._options[name]).is_file():
                self._fault(f"the file of {name} is not there")
        if ("ssl_certfile" in self._options) is not ("ssl_keyfile" in self._options):
            self._fault("ssl_certfile and ssl_keyfile belong together")
        answer = self._options.get("ssl_check_hostname", "true").lower()
        if answer not in {"true", "false"}:
            self._fault("ssl_check_hostname is neither", "true or false")
        return Tls(
            ca_certificates=self._options.get("ssl_ca_certs"),
            certificate=self._options.get("ssl_certfile"),
            key=self._options.get("ssl_keyfile"),
            check_hostname=answer == "true",
        )

"""
Settings: the environment (or `.env`) read once, checked whole, frozen.

Every fault is reported at once under the variable's own name with what was expected, because fixing
a deployment one restart per mistake is misery. Secrets are held as digests or `SecretStr` and never
appear in a message. Names are the outside contract; field names carry their units.
"""

from __future__ import annotations

import hashlib
import os
import re
import ssl
from collections.abc import Mapping  # noqa: TC003 - a dataclass field
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    FilePath,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from gateway.errors import Fault, SettingsError

_PROJECT: Final = Path(__file__).resolve().parent.parent
_MIN_TOKEN_CHARACTERS: Final = 8
_MIN_TOKEN_VARIETY: Final = 4
_MIN_LINK_SECRET: Final = 32
_SHA256_HEX: Final = re.compile(r"[0-9a-f]{64}")
_HOST: Final = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f.]*:[0-9a-f:.]+")
_FLEET_NAME: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_TOKEN_NAME: Final = re.compile(r"[A-Za-z0-9._@-]{1,64}")


class Scope(IntEnum):
    """What a token may do; each scope includes the lower ones."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class AdminToken:
    """A bearer token as its SHA-256, so that the token itself is never held nor shown."""

    name: str
    scope: Scope
    sha256: bytes
    last_day: date | None = None
    """The last day (UTC) it is accepted; written `;until=2026-12-31` after the token."""

    @property
    def may_force_a_side(self) -> bool:
        """Whether a request that carries it may choose its system (`Sync-Operator-Token`)."""
        return self.scope >= Scope.OPERATOR

    def __str__(self) -> str:
        """Give the form of the environment variable."""
        until = f";until={self.last_day.isoformat()}" if self.last_day else ""
        return f"{self.name}:{self.scope.name.lower()}:sha256:{self.sha256.hex()}{until}"


def _token(entry: str, position: int) -> AdminToken:
    """One `name:scope:token` entry; a complaint never repeats the token."""
    parts = entry.split(":", 2)
    if len(parts) != 3:  # noqa: PLR2004 - name, scope and token
        raise ValueError(f"entry {position} is not name:scope:token")
    name, scope, secret = (part.strip() for part in parts)
    if not _TOKEN_NAME.fullmatch(name):
        raise ValueError(f"entry {position}: the name must be letters, digits and . _ @ -")
    if scope.upper() not in Scope.__members__:
        raise ValueError(f"entry {position} ({name}): the scope must be viewer, operator or admin")
    secret, until = _split_expiry(secret, f"entry {position} ({name})")
    if secret.startswith("sha256:"):
        digest = secret.removeprefix("sha256:").lower()
        if not _SHA256_HEX.fullmatch(digest):
            raise ValueError(f"entry {position} ({name}): sha256: needs 64 hexadecimal digits")
        return AdminToken(name, Scope[scope.upper()], bytes.fromhex(digest), until)
    if len(secret) < _MIN_TOKEN_CHARACTERS or len(set(secret)) < _MIN_TOKEN_VARIETY:
        raise ValueError(
            f"entry {position} ({name}): the token is too weak; use at least "
            f"{_MIN_TOKEN_CHARACTERS} characters that are not all alike"
        )
    return AdminToken(name, Scope[scope.upper()], hashlib.sha256(secret.encode()).digest(), until)


def _split_expiry(secret: str, where: str) -> tuple[str, date | None]:
    """Take `;until=YYYY-MM-DD` off the end of a token."""
    token, separator, suffix = secret.partition(";until=")
    if not separator:
        return secret, None
    try:
        return token, date.fromisoformat(suffix)
    except ValueError:
        raise ValueError(f"{where}: until= needs a day such as 2026-12-31") from None


def _tokens(value: object) -> tuple[AdminToken, ...]:
    if isinstance(value, tuple):
        return value
    entries = [entry.strip() for entry in str(value).split(",") if entry.strip()]
    tokens = tuple(_token(entry, position) for position, entry in enumerate(entries, start=1))
    names = [token.name for token in tokens]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"the name {twice[0]} stands twice")
    if len({token.sha256 for token in tokens}) < len(tokens):
        raise ValueError("two names share one token")
    return tokens


def _service_url(value: str) -> str:
    """`http://host[:port]`: the gateway adds the path itself."""
    parts = urlsplit(value)
    if parts.scheme != "http" or not parts.hostname or parts.path not in {"", "/"}:
        raise ValueError("not of the form http://host:port")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("not of the form http://host:port")
    if parts.port == 0:
        raise ValueError("port 0 cannot be called")
    return value.rstrip("/")


def _public_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("not of the form https://host[:port]")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("not of the form https://host[:port]")
    return value.rstrip("/")


def _prometheus_url(value: str) -> str:
    """`http(s)://host[:port][/prefix]`: the gateway adds the path of the query itself."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("not of the form http://host:port")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("not of the form http://host:port; a token is GATEWAY_PROMETHEUS_TOKEN")
    return value.rstrip("/")


def _collector_url(value: str) -> str:
    """Check the address, and that what speaks to it is installed: it would trace nothing."""
    try:
        there = find_spec("opentelemetry.exporter.otlp.proto.http")
    except ModuleNotFoundError:
        there = None
    if there is None:
        raise ValueError("needs an extra that is not installed: pip install 'syncgate[otel]'")
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("not of the form http://collector:4318")
    return value.rstrip("/") + ("/v1/traces" if parts.path in {"", "/"} else "")


def _link_secret(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < _MIN_LINK_SECRET:
        raise ValueError(f"too short; use at least {_MIN_LINK_SECRET} random characters")
    return value


def _webhook_url(value: SecretStr) -> SecretStr:
    parts = urlsplit(value.get_secret_value())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("not an http or https URL")
    return value


def _hosts(value: object) -> frozenset[str]:
    """Read `a.example.com, *.example.org, 10.0.0.5`: names and addresses, nothing else."""
    if isinstance(value, frozenset):
        return value
    hosts = [entry.strip().rstrip(".").lower() for entry in str(value).split(",")]
    for position, host in enumerate((one for one in hosts if one), start=1):
        if not _HOST.fullmatch(host):
            raise ValueError(f"entry {position} is not a host name such as mail.example.com")
    return frozenset(host for host in hosts if host)


def _fleet_name(value: str) -> str:
    if not _FLEET_NAME.fullmatch(value):
        raise ValueError("must be 1 to 64 letters, digits and . _ : -")
    return value


Port = Annotated[int, Field(ge=0, le=65_535)]
Rate = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Milliseconds = Annotated[int, Field(ge=1, le=86_400_000)]
ServiceUrl = Annotated[str, AfterValidator(_service_url)]
CollectorUrl = Annotated[str, AfterValidator(_collector_url)]


class Settings(BaseSettings):
    """All the gateway is told from outside. Port 0 takes a free one and says which."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    # Clients call from anywhere; people only from this machine unless told otherwise.
    host: str = Field("0.0.0.0", alias="GATEWAY_HOST", min_length=1)  # noqa: S104 - a public port
    port: Port = Field(8080, alias="GATEWAY_PORT")
    admin_host: str = Field("127.0.0.1", alias="GATEWAY_ADMIN_HOST", min_length=1)
    admin_port: Port = Field(8090, alias="GATEWAY_ADMIN_PORT")
    admin_tokens: Annotated[tuple[AdminToken, ...], NoDecode, BeforeValidator(_tokens)] = Field(
        (), alias="GATEWAY_ADMIN_TOKENS"
    )
    workers: int = Field(1, alias="GATEWAY_WORKERS", ge=1, le=64)
    policy_path: Path = Field(_PROJECT / "config" / "rollout.toml", alias="GATEWAY_POLICY")
    state_dir: Path = Field(Path(".syncgate"), alias="GATEWAY_STATE_DIR")

    old_url: ServiceUrl = Field("http://127.0.0.1:3001", alias="SYNC_OLD_URL")
    new_url: ServiceUrl = Field("http://127.0.0.1:3002", alias="SYNC_NEW_URL")
    redis_url: SecretStr | None = Field(None, alias="REDIS_URL")
    database_url: SecretStr | None = Field(None, alias="DATABASE_URL")
    # Old's own, where it has one (policy `stores = "two"`); only `syncgate repair` goes there.
    old_database_url: SecretStr | None = Field(None, alias="OLD_DATABASE_URL")

    # Links in messages: the address under which people reach the admin port, and what signs them.
    public_url: Annotated[str, AfterValidator(_public_url)] | None = Field(
        None, alias="GATEWAY_PUBLIC_URL"
    )
    link_secret: Annotated[SecretStr, AfterValidator(_link_secret)] | None = Field(
        None, alias="GATEWAY_LINK_SECRET"
    )

    # A fleet (REDIS_URL set): how this replica is called there, and for how long one decides.
    replica_name: Annotated[str, AfterValidator(_fleet_name)] | None = Field(
        None, alias="GATEWAY_REPLICA_NAME"
    )
    lease_ms: int = Field(5_000, alias="GATEWAY_LEASE_TIME", ge=1_000, le=60_000)
    redis_prefix: Annotated[str, AfterValidator(_fleet_name)] | None = Field(
        None, alias="GATEWAY_REDIS_PREFIX"
    )

    # Limits; 0 switches one off.
    rate_limit_per_second: Rate = Field(100.0, alias="GATEWAY_RATE_LIMIT_PER_SECOND")
    rate_limit_burst: int = Field(200, alias="GATEWAY_RATE_LIMIT_BURST", ge=0, le=1_000_000)
    upstream_limit_per_second: Rate = Field(0.0, alias="GATEWAY_UPSTREAM_LIMIT_PER_SECOND")
    connections_per_address: int = Field(
        1024, alias="GATEWAY_CONNECTIONS_PER_ADDRESS", ge=0, le=1_000_000
    )

    upstream_connections: int = Field(1_024, alias="GATEWAY_UPSTREAM_CONNECTIONS", ge=1, le=10_000)
    breaker_threshold: int = Field(5, alias="GATEWAY_BREAKER_THRESHOLD", ge=1, le=10_000)
    breaker_timeout_ms: Milliseconds = Field(60_000, alias="GATEWAY_BREAKER_TIMEOUT")

    # Deadlines of the data plane.
    header_timeout_ms: Milliseconds = Field(10_000, alias="GATEWAY_HEADER_TIMEOUT")
    body_timeout_ms: Milliseconds = Field(30_000, alias="GATEWAY_BODY_TIMEOUT")
    connect_timeout_ms: Milliseconds = Field(2_000, alias="GATEWAY_CONNECT_TIMEOUT")
    read_timeout_ms: Milliseconds = Field(30_000, alias="GATEWAY_READ_TIMEOUT")
    sync_timeout_ms: Milliseconds = Field(600_000, alias="GATEWAY_SYNC_TIMEOUT")
    idle_timeout_ms: Milliseconds = Field(75_000, alias="GATEWAY_IDLE_TIMEOUT")
    drain_timeout_ms: Milliseconds = Field(30_000, alias="GATEWAY_DRAIN_TIMEOUT")
    max_body_bytes: int = Field(16 * 1024 * 1024, alias="GATEWAY_MAX_BODY_BYTES", ge=1, le=2**31)

    # TLS on the data port (both or none); one request in so many is logged (0: none).
    tls_certificate: FilePath | None = Field(None, alias="GATEWAY_TLS_CERTIFICATE")
    tls_key: FilePath | None = Field(None, alias="GATEWAY_TLS_KEY")
    access_log_every: int = Field(0, alias="GATEWAY_ACCESS_LOG_EVERY", ge=0)
    otlp_url: CollectorUrl | None = Field(None, alias="GATEWAY_OTLP_URL")
    trace_ratio: float = Field(0.01, alias="GATEWAY_TRACE_RATIO", ge=0, le=1)

    # Watching.
    monitoring_enabled: bool = Field(True, alias="MONITORING_ENABLED")  # noqa: FBT003 - a default
    monitoring_interval_ms: Milliseconds = Field(60_000, alias="MONITORING_INTERVAL")
    probe_interval_ms: Milliseconds = Field(1_000, alias="GATEWAY_PROBE_INTERVAL")
    probe_timeout_ms: Milliseconds = Field(1_000, alias="GATEWAY_PROBE_TIMEOUT")
    prometheus_url: Annotated[str, AfterValidator(_prometheus_url)] | None = Field(
        None, alias="GATEWAY_PROMETHEUS_URL"
    )
    prometheus_token: SecretStr | None = Field(None, alias="GATEWAY_PROMETHEUS_TOKEN")
    network_capacity_mbit: Rate = Field(0.0, alias="GATEWAY_NETWORK_CAPACITY_MBIT")
    alert_webhook_url: Annotated[SecretStr, AfterValidator(_webhook_url)] | None = Field(
        None, alias="ALERT_WEBHOOK_URL"
    )
    # Whom alerts may go to, besides the hosts of Slack and Twilio; channels are in alerts.toml.
    alert_allowed_hosts: Annotated[frozenset[str], NoDecode, BeforeValidator(_hosts)] = Field(
        frozenset(), alias="ALERT_ALLOWED_HOSTS"
    )
    alert_allow_private: bool = Field(False, alias="ALERT_ALLOW_PRIVATE")  # noqa: FBT003 - as above
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", alias="LOG_LEVEL")
    log_file_path: Path | None = Field(None, alias="LOG_FILE_PATH")

    @property
    def fleet_url(self) -> str:
        """Give `REDIS_URL` with the prefix of the keys in it; empty when it is not set."""
        if self.redis_url is None:
            return ""
        url = self.redis_url.get_secret_value()
        if self.redis_prefix is None:
            return url
        return f"{url}{'&' if '?' in url else '?'}prefix={self.redis_prefix}"

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Settings:
        if (self.tls_certificate is None) is not (self.tls_key is None):
            raise ValueError("GATEWAY_TLS_CERTIFICATE and GATEWAY_TLS_KEY belong together")
        if self.tls_certificate is not None and self.tls_key is not None:
            _try_certificate(self.tls_certificate, self.tls_key)
        return self


@dataclass(frozen=True, slots=True)
class Secrets:
    """Variables that config files name; looked up by name, never listed nor shown."""

    _values: Mapping[str, str] = field(repr=False)

    def get(self, variable: str) -> str | None:
        """Give its value; None if it is not set or empty."""
        return self._values.get(variable, "").strip() or None


def _try_certificate(certificate: Path, key: Path) -> None:
    """Find out here, once, what every worker would die of again and again."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password="")  # never ask a terminal for one
    except OSError as error:
        raise ValueError(
            "GATEWAY_TLS_CERTIFICATE and GATEWAY_TLS_KEY must be a PEM certificate and the"
            f" unencrypted key of it: {error.strerror or error}"
        ) from error


def load_secrets(*, env_file: Path | None = Path(".env")) -> Secrets:
    """Read environment and `.env` as `load_settings` does; the environment wins."""
    filed = dotenv_values(env_file) if env_file is not None and env_file.is_file() else {}
    return Secrets({**{name: text for name, text in filed.items() if text}, **os.environ})


def load_settings(*, env_file: Path | None = Path(".env")) -> Settings:
    """Read environment and `.env`; raise SettingsError with every fault."""
    try:
        return Settings(_env_file=env_file)  # type: ignore[call-arg]  # unseen without the plugin
    except ValidationError as error:
        faults = tuple(_fault(detail) for detail in error.errors(include_url=False))
        raise SettingsError(
            "Settings", faults, todo="Correct these in the environment or .env and start again."
        ) from None


def _fault(detail: Any) -> Fault:
    """Put a pydantic complaint in our words; the input is left out, for it may be a secret."""
    where = str(detail["loc"][0]) if detail["loc"] else "settings"
    if detail["type"] == "value_error":
        return Fault(where, str(detail["ctx"]["error"]))
    return Fault(where, str(detail["msg"]))

"""
Settings of a sync service, read once from the environment (or `.env`) and then passed as values.

The names are those operators know from the old service's documentation. Every fault is reported at
once, by the name to change; a secret's value never appears in a message, a repr or a log.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from listings.model import DEFAULT_WORKSPACE, PROOF_WORKSPACE, System

if TYPE_CHECKING:
    from collections.abc import Callable

WORKSPACE_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_PORT_NAME: Final = {System.OLD: "SYNC_OLD_PORT", System.NEW: "SYNC_NEW_PORT"}
_Port = Annotated[int, Field(ge=0, le=65_535)]


class SettingsFault(Exception):  # noqa: N818 - the project calls what is wrong with an input a fault
    """The environment cannot be used; `faults` names every variable and what it must be."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class ServiceSettings(BaseSettings):
    """What a sync service needs to know; field aliases are the environment names."""

    model_config = SettingsConfigDict(
        env_file=".env",
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    host: str = Field("127.0.0.1", alias="SYNC_HOST")
    old_port: _Port = Field(3001, alias="SYNC_OLD_PORT")
    new_port: _Port = Field(3002, alias="SYNC_NEW_PORT")
    workspace_id: str = Field(
        DEFAULT_WORKSPACE, alias="SYNC_WORKSPACE_ID", pattern=WORKSPACE_PATTERN
    )
    source: Path = Field(Path("config/source.toml"), alias="SYNC_SOURCE")
    # Takes the place of the feed file that source.toml names; the mapping stays.
    source_file: Path | None = Field(None, alias="SYNC_SOURCE_FILE")

    batch_size: int = Field(100, alias="SYNC_BATCH_SIZE", ge=1, le=1000)
    # REST calls per second of sync_new, and what api usage is measured against; 0 switches it off.
    rate_limit_per_second: float = Field(10, alias="SYNC_RATE_LIMIT_PER_SECOND", ge=0, le=100_000)
    circuit_breaker_threshold: int = Field(5, alias="SYNC_CIRCUIT_BREAKER_THRESHOLD", ge=1, le=1000)
    circuit_breaker_timeout_ms: int = Field(
        60_000, alias="SYNC_CIRCUIT_BREAKER_TIMEOUT", ge=1, le=86_400_000
    )
    request_timeout_ms: int = Field(10_000, alias="SYNC_REQUEST_TIMEOUT", ge=1, le=3_600_000)

    database_url: SecretStr | None = Field(None, alias="DATABASE_URL")
    db_pool_min: int = Field(2, alias="DB_POOL_MIN", ge=0, le=1000)
    db_pool_max: int = Field(20, alias="DB_POOL_MAX", ge=1, le=1000)

    supabase_url: str | None = Field(None, alias="SUPABASE_URL", pattern=r"^https?://")
    supabase_rest_url: str | None = Field(None, alias="SUPABASE_REST_URL", pattern=r"^https?://")
    supabase_anon_key: SecretStr | None = Field(None, alias="SUPABASE_ANON_KEY")
    supabase_service_role_key: SecretStr | None = Field(None, alias="SUPABASE_SERVICE_ROLE_KEY")
    supabase_rest_headers_apikey: SecretStr | None = Field(
        None, alias="SUPABASE_REST_HEADERS_APIKEY"
    )
    supabase_rest_headers_authorization: SecretStr | None = Field(
        None, alias="SUPABASE_REST_HEADERS_AUTHORIZATION"
    )
    # Where replicas of sync_new share their call budget; unset: the budget is this process's own.
    redis_url: SecretStr | None = Field(None, alias="REDIS_URL")

    monitoring_enabled: bool = Field(default=True, alias="MONITORING_ENABLED")
    monitoring_interval_ms: int = Field(60_000, alias="MONITORING_INTERVAL", ge=100, le=86_400_000)
    alert_webhook_url: SecretStr | None = Field(None, alias="ALERT_WEBHOOK_URL")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", alias="LOG_LEVEL")
    log_file_path: Path | None = Field(None, alias="LOG_FILE_PATH")

    def port(self, system: System) -> int:
        """Return the port this service listens on."""
        return self.old_port if system is System.OLD else self.new_port

    @property
    def rest_url(self) -> str | None:
        """PostgREST's base address, no slash at its end: given, or derived from SUPABASE_URL."""
        if self.supabase_rest_url:
            return self.supabase_rest_url.rstrip("/")
        return f"{self.supabase_url.rstrip('/')}/rest/v1" if self.supabase_url else None

    @property
    def rest_apikey(self) -> SecretStr | None:
        """What goes into the `apikey` header."""
        return (
            self.supabase_rest_headers_apikey
            or self.supabase_anon_key
            or self.supabase_service_role_key
        )

    @property
    def rest_authorization(self) -> SecretStr | None:
        """What goes into the `Authorization` header, scheme included."""
        if self.supabase_rest_headers_authorization:
            return self.supabase_rest_headers_authorization
        key = self.supabase_service_role_key
        return SecretStr(f"Bearer {key.get_secret_value()}") if key else None


def load_settings(system: System, *, env_file: Path | str | None = ".env") -> ServiceSettings:
    """Read the settings one service needs, or raise SettingsFault naming everything wrong."""
    read: Callable[..., ServiceSettings] = ServiceSettings
    try:
        settings = read(_env_file=env_file)
    except ValidationError as exc:
        # What is missing is told together with what is wrong: the wrong ones get their defaults.
        wrong = {str(error["loc"][0]) for error in exc.errors()}
        defaults = {
            field.alias: field.default
            for field in ServiceSettings.model_fields.values()
            if field.alias in wrong
        }
        rest = read(_env_file=env_file, **defaults)
        faults = [*_sentences(exc), *_missing(rest, system)]
        raise SettingsFault(tuple(faults)) from exc
    if missing := _missing(settings, system):
        raise SettingsFault(tuple(missing))
    return settings


def _sentences(exc: ValidationError) -> list[str]:
    secret = {
        field.alias
        for field in ServiceSettings.model_fields.values()
        if "SecretStr" in str(field.annotation)
    }
    sentences = []
    for error in exc.errors():
        name = str(error["loc"][0])
        got = "" if name in secret else f", got {error['input']!r}"
        sentences.append(f"{name}: {error['msg']}{got}")
    return sentences


def _missing(settings: ServiceSettings, system: System) -> list[str]:
    faults = []
    if settings.workspace_id == PROOF_WORKSPACE:
        faults.append(
            f"SYNC_WORKSPACE_ID: {PROOF_WORKSPACE!r} is kept for proving dry runs; "
            "choose another name"
        )
    if settings.db_pool_min > settings.db_pool_max:
        faults.append(
            f"DB_POOL_MIN: must not be above DB_POOL_MAX ({settings.db_pool_max}), "
            f"got {settings.db_pool_min}"
        )
    if system is System.OLD and settings.database_url is None:
        faults.append(
            "DATABASE_URL: missing; the old service writes straight to PostgreSQL "
            "(postgresql://user:password@host:port/database)"
        )
    if system is System.NEW:
        faults += _missing_rest(settings)
    return faults


def _missing_rest(settings: ServiceSettings) -> list[str]:
    faults = []
    if settings.rest_url is None:
        faults.append(
            "SUPABASE_REST_URL: missing, and no SUPABASE_URL to derive it from; the new service "
            "writes through PostgREST (https://project.supabase.co/rest/v1)"
        )
    key = settings.supabase_service_role_key
    if settings.rest_authorization is None:
        faults.append(
            "SUPABASE_SERVICE_ROLE_KEY: missing; copy the service_role key of the project "
            "(or give SUPABASE_REST_HEADERS_AUTHORIZATION)"
        )
    elif key is not None and key == settings.supabase_anon_key:
        faults.append(
            "SUPABASE_SERVICE_ROLE_KEY: is the same as SUPABASE_ANON_KEY; "
            "the anon key may not write listings, copy the service_role key"
        )
    authorization = settings.supabase_rest_headers_authorization
    if authorization is not None and not authorization.get_secret_value().startswith("Bearer "):
        faults.append("SUPABASE_REST_HEADERS_AUTHORIZATION: must start with 'Bearer '")
    return faults


def port_name(system: System) -> str:
    """Name the variable to change when the port is taken."""
    return _PORT_NAME[system]

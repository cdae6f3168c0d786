"""The stand-in's settings: the ``PGRST_*`` variables that the real server reads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class TxEnd(Enum):
    """How a transaction ends; the second word is whether the client may override it."""

    COMMIT = "commit"
    COMMIT_ALLOW_OVERRIDE = "commit-allow-override"
    ROLLBACK = "rollback"
    ROLLBACK_ALLOW_OVERRIDE = "rollback-allow-override"

    @property
    def allows_override(self) -> bool:
        """Whether ``Prefer: tx=`` is listened to."""
        return self.value.endswith("allow-override")

    @property
    def commits(self) -> bool:
        """What happens when the client says nothing."""
        return self.value.startswith("commit")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the stand-in needs to know; names as in PostgREST's documentation."""

    db_uri: str
    db_schemas: tuple[str, ...] = ("public",)
    db_extra_search_path: tuple[str, ...] = ("public",)
    db_anon_role: str | None = None
    db_tx_end: TxEnd = TxEnd.COMMIT
    db_max_rows: int | None = None
    db_pool: int = 10
    db_pool_acquisition_timeout_s: int = 10
    db_pre_request: str | None = None
    jwt_secret: str | None = None
    host: str = "127.0.0.1"
    port: int = 3000


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings; a value that means nothing raises ValueError with its name."""

    def get(name: str, default: str = "") -> str:
        return environment.get(f"PGRST_{name}", "").strip() or default

    def names(name: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in get(name, "public").split(",") if part.strip())

    return Settings(
        db_uri=get("DB_URI", "postgresql://"),
        db_schemas=names("DB_SCHEMAS"),
        db_extra_search_path=names("DB_EXTRA_SEARCH_PATH"),
        db_anon_role=get("DB_ANON_ROLE") or None,
        db_tx_end=TxEnd(get("DB_TX_END", "commit")),
        db_max_rows=int(get("DB_MAX_ROWS", "0")) or None,
        db_pool=int(get("DB_POOL", "10")),
        db_pool_acquisition_timeout_s=int(get("DB_POOL_ACQUISITION_TIMEOUT", "10")),
        db_pre_request=get("DB_PRE_REQUEST") or None,
        jwt_secret=get("JWT_SECRET") or None,
        host=get("SERVER_HOST", "127.0.0.1"),
        port=int(get("SERVER_PORT", "3000")),
    )

"""What a data-plane worker is told when it starts, and what of our environment it may see."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gateway.proxy.configuration import DataPlaneSettings, OperatorToken
from gateway.proxy.worker import SETTINGS_VARIABLE

if TYPE_CHECKING:
    from gateway.settings import Settings


def data_plane(settings: Settings) -> DataPlaneSettings:
    """Give a worker what it needs to know, and no more."""
    store, where = _key_store(settings)
    return DataPlaneSettings(
        old_url=settings.old_url,
        new_url=settings.new_url,
        operator_tokens=tuple(
            OperatorToken(
                token.sha256.hex(), token.last_day.isoformat() if token.last_day else None
            )
            for token in settings.admin_tokens
            if token.may_force_a_side
        ),
        rate_limit_per_second=settings.rate_limit_per_second,
        rate_limit_burst=settings.rate_limit_burst,
        upstream_limit_per_second=settings.upstream_limit_per_second,
        fleet=settings.redis_url is not None,
        connections_per_address=settings.connections_per_address,
        upstream_connections=settings.upstream_connections,
        breaker_threshold=settings.breaker_threshold,
        breaker_timeout_ms=settings.breaker_timeout_ms,
        header_timeout_ms=settings.header_timeout_ms,
        body_timeout_ms=settings.body_timeout_ms,
        idle_timeout_ms=settings.idle_timeout_ms,
        connect_timeout_ms=settings.connect_timeout_ms,
        read_timeout_ms=settings.read_timeout_ms,
        sync_timeout_ms=settings.sync_timeout_ms,
        drain_timeout_ms=settings.drain_timeout_ms,
        max_body_bytes=settings.max_body_bytes,
        access_log_every=settings.access_log_every,
        span_exporter="gateway.adapters.otlp_spans:OtlpSpans" if settings.otlp_url else None,
        span_endpoint=settings.otlp_url or "",
        span_share=settings.trace_ratio,
        tls_certificate=str(settings.tls_certificate) if settings.tls_certificate else None,
        tls_key=str(settings.tls_key) if settings.tls_key else None,
        key_store=store,
        key_store_path=where,
    )


def _key_store(settings: Settings) -> tuple[str, str]:
    """Name the store of idempotency keys: a fleet's is where its state is."""
    if settings.redis_url is not None:
        return "gateway.adapters.redis_store.idempotency:RedisKeys", settings.fleet_url
    return "gateway.adapters.idempotency:SqliteKeys", str(
        settings.state_dir.resolve() / "idempotency.sqlite3"
    )


def worker_environment(settings: Settings) -> dict[str, str]:
    """Give a worker the environment without what is ours alone: tokens, database, webhook."""
    ours = {str(field.alias) for field in type(settings).model_fields.values()}
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith(("SUPABASE_", "ALERT_"))
    }
    return {**inherited, SETTINGS_VARIABLE: data_plane(settings).to_json()}

"""
What a data-plane worker is told when it starts: one frozen value, filled by bootstrap.

Nothing here changes while a worker lives; what does change (weights, phase, mirror) travels as
`gateway.link.Routing`. The value goes to the worker process as JSON, so that a worker can be
started by anything that can start a process.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson

from gateway.core.limiter import Quota

MEBIBYTE: Final = 1024 * 1024
CLIENT: Final = "client"
UPSTREAM: Final = "upstream"


@dataclass(frozen=True, slots=True)
class OperatorToken:
    """A token that may force a side until the end of a UTC day, as its hexadecimal digest."""

    sha256: str
    last_day: str | None = None
    """ISO 8601; None: it does not expire."""


@dataclass(frozen=True, slots=True)
class DataPlaneSettings:
    """Addresses, limits and deadlines of the data plane; a limit of 0 is off.

    `operator_tokens` may force a side with `Sync-System`. `prefix` is what is forwarded: the path
    itself and everything below it. `sync_timeout_ms` is the total deadline of a write,
    `read_timeout_ms` the one of a read.
    """

    old_url: str
    new_url: str
    prefix: str = "/api/property-listings"
    operator_tokens: tuple[OperatorToken, ...] = ()

    rate_limit_per_second: float = 100.0
    rate_limit_burst: int = 200
    upstream_limit_per_second: float = 0.0
    fleet: bool = False
    """Limits and probes hold over a fleet, whose parent hands out the shares."""
    connections: int = 16_384
    connections_per_address: int = 1_024
    connections_refused: int = 256
    """How many beyond a limit are being answered so at a time; the rest is reset."""
    in_flight: int = 2_048
    upstream_connections: int = 1_024

    breaker_threshold: int = 5
    breaker_timeout_ms: int = 60_000

    header_timeout_ms: int = 10_000
    body_timeout_ms: int = 30_000
    write_timeout_ms: int = 30_000
    idle_timeout_ms: int = 75_000
    connect_timeout_ms: int = 2_000
    read_timeout_ms: int = 30_000
    sync_timeout_ms: int = 600_000
    drain_timeout_ms: int = 30_000
    drain_idle_ms: int = 2_000
    upstream_idle_ms: int = 4_000
    upstream_rest_ms: int = 1_000

    max_headers: int = 100
    max_header_bytes: int = 64 * 1024
    max_target_bytes: int = 8 * 1024
    max_body_bytes: int = 16 * MEBIBYTE
    max_answer_bytes: int = 64 * MEBIBYTE

    mirror_in_flight: int = 64
    mirror_queue: int = 256
    mirror_queue_bytes: int = 64 * MEBIBYTE
    mirror_answer_bytes: int = 8 * MEBIBYTE
    mirror_timeout_ms: int = 60_000
    write_back_queue: int = 1_024
    write_back_queue_bytes: int = 64 * MEBIBYTE
    mirror_opened_bytes_per_s: int = MEBIBYTE // 4
    mirror_opened_burst_bytes: int = 32 * MEBIBYTE

    # `module:class`, named by the composition root, called with the path; none = keys mean nothing.
    key_store: str | None = None
    key_store_path: str = ""
    idempotency_ttl_s: int = 86_400
    access_log_every: int = 0

    # `module:class` as above, called with the collector's URL; none = no request is traced.
    span_exporter: str | None = None
    span_endpoint: str = ""
    span_share: float = 0.0

    tls_certificate: str | None = None
    tls_key: str | None = None

    def quotas(self) -> dict[str, Quota]:
        """Give the limits by their scope; what is off is not there."""
        rate, burst = self.rate_limit_per_second, self.rate_limit_burst
        upstream = self.upstream_limit_per_second
        quotas = {}
        if rate > 0 and burst > 0:
            quotas[CLIENT] = Quota.per_second(rate, burst)
        if upstream > 0:
            quotas[UPSTREAM] = Quota.per_second(upstream, max(1, int(upstream)))
        return quotas

    def to_json(self) -> str:
        """Give the value as it travels to a worker process."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> DataPlaneSettings:
        """Read what `to_json` wrote; a foreign field raises TypeError."""
        raw: dict[str, Any] = orjson.loads(text)
        tokens = tuple(OperatorToken(**token) for token in raw.pop("operator_tokens", ()))
        return cls(operator_tokens=tokens, **raw)

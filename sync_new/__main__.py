"""
`python -m sync_new`: the new sync service as a process.

Settings, feed, socket, store, in this order; each that cannot be had ends the process with a
message that says what to do. One thing is forgiven: a PostgREST that does not answer. It may come
up later than we do, and until then every answer is a 503 that says so, while `/health` says that
the process lives. A wrong key or a missing migration does not mend itself, so it ends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from listings.model import System
from listings.service import run
from sync_new.postgrest import RestSettings
from sync_new.redis_budget import RedisTat
from sync_new.rest_store import RestStore

if TYPE_CHECKING:
    from listings.settings import ServiceSettings


def make_store(settings: ServiceSettings) -> RestStore:
    """Make the store that these settings describe; it connects when first used."""
    url, apikey, authorization = (
        settings.rest_url,
        settings.rest_apikey,
        settings.rest_authorization,
    )
    assert url is not None, "load_settings refuses to start the new service without an address"
    assert authorization is not None, "and without a key"
    # Supabase wants an apikey as well; where only the header is configured, its token serves.
    token = authorization.get_secret_value().removeprefix("Bearer ")
    return RestStore(
        RestSettings(
            url=url,
            apikey=apikey.get_secret_value() if apikey else token,
            authorization=authorization.get_secret_value(),
            batch_size=settings.batch_size,
            calls_per_second=settings.rate_limit_per_second,
            breaker_threshold=settings.circuit_breaker_threshold,
            breaker_timeout_s=settings.circuit_breaker_timeout_ms / 1000,
            request_timeout_s=settings.request_timeout_ms / 1000,
        ),
        shared=RedisTat(settings.redis_url.get_secret_value()) if settings.redis_url else None,
    )


if __name__ == "__main__":
    raise SystemExit(run(System.NEW, make_store))

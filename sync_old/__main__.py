"""
`python -m sync_old`: the old sync service as a process.

Settings, feed, socket, store, in this order; each that cannot be had ends the process with a
message that says what to do. One thing is forgiven: a PostgreSQL that does not answer. It may come
up later than we do, and until then every answer is a 503 that says so, while `/health` says that
the process lives. Wrong credentials or a missing migration do not mend themselves, so they end it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from listings.model import System
from listings.service import run
from sync_old.postgres_store import PoolSize, PostgresStore

if TYPE_CHECKING:
    from listings.settings import ServiceSettings


def make_store(settings: ServiceSettings) -> PostgresStore:
    """Make the store that these settings describe; it connects when first used."""
    url = settings.database_url
    assert url is not None, "load_settings refuses to start the old service without DATABASE_URL"
    pool = PoolSize(
        settings.db_pool_min, settings.db_pool_max, answer_s=settings.request_timeout_ms / 1000
    )
    return PostgresStore(url.get_secret_value(), pool=pool)


if __name__ == "__main__":
    raise SystemExit(run(System.OLD, make_store))

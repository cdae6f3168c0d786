"""Fixtures that give tests real servers; see tests/support/servers.py for how they are shared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from ops.devstack import postgres
from ops.devstack import valkey as valkey_server
from tests.support.redis_servers import KINDS, RedisFactory
from tests.support.servers import (
    PostgrestFactory,
    create_database,
    drop_database,
    migrated_template,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ops.devstack.postgres import Postgres
    from ops.devstack.valkey import Valkey
    from tests.support.redis_servers import RedisServer
    from tests.support.servers import Database


# Machines are shared and noisy: how long one example takes says nothing about the code.
settings.register_profile(
    "syncgate", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("syncgate")


@pytest.fixture(scope="session")
def server_logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the servers of this session write their logs."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def postgres_server(server_logs: Path) -> Iterator[Postgres]:
    """One real PostgreSQL for the session; `.url` is a superuser's."""
    server = postgres.start(log=server_logs / "postgresql.log")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _template(postgres_server: Postgres) -> Iterator[Database]:
    template = migrated_template(postgres_server)
    yield template
    drop_database(postgres_server, template)


@pytest.fixture
def database(postgres_server: Postgres, _template: Database) -> Iterator[Database]:
    """A migrated database of the test's own; `.url`, `.url_as(role)`, `.connect()`, `.fetch()`."""
    fresh = create_database(postgres_server, template=_template.name)
    yield fresh
    drop_database(postgres_server, fresh)


@pytest.fixture(scope="module")
def module_database(postgres_server: Postgres, _template: Database) -> Iterator[Database]:
    """A migrated database shared by the tests of one file."""
    fresh = create_database(postgres_server, template=_template.name)
    yield fresh
    drop_database(postgres_server, fresh)


@pytest.fixture
def empty_database(postgres_server: Postgres) -> Iterator[Database]:
    """A database of the test's own with nothing in it."""
    fresh = create_database(postgres_server)
    yield fresh
    drop_database(postgres_server, fresh)


@pytest.fixture
def postgrest(server_logs: Path) -> Iterator[PostgrestFactory]:
    """Starts PostgREST on a database: `postgrest(database, kind="real", db_tx_end="commit")`.

    What it returns has `.url` and `.token(role, **claims)`.
    """
    factory = PostgrestFactory(server_logs)
    yield factory
    factory.stop()


@pytest.fixture(scope="module")
def module_postgrest(server_logs: Path) -> Iterator[PostgrestFactory]:
    """The same, its servers shared by the tests of one file."""
    factory = PostgrestFactory(server_logs)
    yield factory
    factory.stop()


@pytest.fixture(scope="session")
def valkey(server_logs: Path) -> Iterator[Valkey]:
    """One real Valkey (or Redis) for the session; `.url`. Prefix your keys: it is shared."""
    server = valkey_server.start(log=server_logs / "valkey.log")
    yield server
    server.stop()


@pytest.fixture
def redis_factory() -> Iterator[RedisFactory]:
    """Starts servers of the test's own: `redis_factory("redis", "--maxmemory", "2mb")`."""
    factory = RedisFactory()
    yield factory
    factory.stop()


@pytest.fixture(scope="session")
def _shared_redis() -> Iterator[RedisFactory]:
    factory = RedisFactory()
    yield factory
    factory.stop()


@pytest.fixture(scope="session", params=KINDS)
def redis_server(request: pytest.FixtureRequest, _shared_redis: RedisFactory) -> RedisServer:
    """The test runs on Valkey 9 and on PATH's Redis; shared, so take a prefix of your own."""
    return _shared_redis(request.param)

"""
One contract, every store.

The old one on PostgreSQL, the new one on the real PostgREST and on the stand-in, on one database,
each test in a workspace of its own.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from listings.codec import digest, merge
from listings.model import Listing
from listings.store import WriteContext
from sync_new.postgrest import RestSettings, World
from sync_new.rest_store import RestStore
from sync_old.postgres_store import PoolSize, PostgresStore
from tests.support.memory_store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from listings.model import StoredListing
    from listings.store import ListingStore, UpsertResult
    from tests.support.servers import Database, PostgrestFactory

# Port 1 is nobody's.
NOWHERE_SQL = "postgresql://nobody@127.0.0.1:1/nothing"
NOWHERE_HTTP = "http://127.0.0.1:1"
KINDS = ("old", "new-real", "new-standin")
_workspaces = itertools.count(1)


def rest_settings(server: Any, **changes: Any) -> RestSettings:
    """Settings for a server of the test's, without a budget to wait for unless asked."""
    key = server.token("service_role")
    given = {"calls_per_second": 0.0, **changes}
    return RestSettings(server.url, apikey=key, authorization=f"Bearer {key}", **given)


@dataclass
class Harness:
    """A store under test in its own workspace, and the database behind it to look at."""

    store: ListingStore
    database: Database
    workspace: str

    @property
    def system(self) -> str:
        """The store's name on the wire."""
        return self.store.system.value

    def context(
        self, *, dry_run: bool = False, shadow_of: UUID | None = None, sync_id: UUID | None = None
    ) -> WriteContext:
        """Who writes."""
        return WriteContext(self.workspace, sync_id or uuid4(), dry_run, shadow_of)

    async def write(self, *listings: Listing, **context: Any) -> UpsertResult:
        """Upsert in this workspace."""
        return await self.store.upsert(listings, self.context(**context))

    async def standing(self) -> dict[str, StoredListing]:
        """Every listing of the workspace, by property number."""
        rows = await self.store.page(self.workspace, limit=100_000)
        return {row.property_number: row for row in rows}

    def rows(self) -> list[dict[str, Any]]:
        """Every row as the database holds it, system columns and images included."""
        return self._fetch(
            "SELECT xmin::text AS xmin, l.* FROM listings l WHERE workspace_id = %s"
            " ORDER BY property_number"
        )

    def journal(self) -> list[dict[str, Any]]:
        """Every journal entry of the workspace, in order."""
        return self._fetch("SELECT * FROM listing_journal WHERE workspace_id = %s ORDER BY seq")

    def _fetch(self, statement: str) -> list[dict[str, Any]]:
        with self.database.connect() as connection:
            cursor = connection.execute(statement, (self.workspace,))
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def listing(number: str, extra: dict[str, Any] | None = None, /, **fields: Any) -> Listing:
    """What a source said."""
    return Listing(number, fields, extra)


def planned(said: Listing, stood: StoredListing | None = None) -> str:
    """The digest that must come out of writing `said` over `stood`."""
    row = merge(stood, said)
    return digest(said.property_number, row.fields, row.extra)


def by_number(result: UpsertResult) -> dict[str, Any]:
    """Records by property number; insists on order and on one record each."""
    numbers = [record.property_number for record in result.records]
    assert numbers == sorted(set(numbers))
    return {record.property_number: record for record in result.records}


def assert_continuous(entries: Sequence[dict[str, Any]]) -> None:
    """Each before image equals the previous after image of that listing."""
    last: dict[str, Any] = {}
    for entry in entries:
        number = entry["property_number"]
        assert entry["before"] == last.get(number), f"a gap at entry {entry['seq']}"
        last[number] = entry["after"]


async def _no_sleep(_seconds: float) -> None:
    """Repeats are what is tested, not the waiting between them."""


@pytest_asyncio.fixture
async def make_store(
    module_postgrest: PostgrestFactory,
) -> AsyncIterator[Callable[..., Any]]:
    """Makes a store of a kind on a database ("-gone": where nobody listens), closed at the end."""
    opened: list[ListingStore] = []

    async def make(
        kind: str, database: Database, *, world: World | None = None, **changes: Any
    ) -> ListingStore:
        system, _, server_kind = kind.partition("-")
        if system == "old":
            url = database.url if server_kind != "gone" else NOWHERE_SQL
            store: ListingStore = PostgresStore(url, pool=PoolSize(1, 4))
        elif server_kind == "gone":
            settings = RestSettings(NOWHERE_HTTP, "key", "Bearer key", 100, 0, 1000)
            store = RestStore(settings, world=World(sleep=_no_sleep))
        else:
            server = module_postgrest(database, kind=server_kind)
            store = RestStore(rest_settings(server, **changes), world=world)
        opened.append(store)
        return store

    yield make
    for store in opened:
        await store.close()


@pytest.fixture
def open_store(make_store: Callable[..., Any], module_database: Database) -> Callable[..., Any]:
    """Makes stores on the file's database."""
    return partial(_make_on, make_store, module_database)


async def _make_on(
    make: Callable[..., Any], database: Database, kind: str, **changes: Any
) -> ListingStore:
    return await make(kind, database, **changes)


@pytest.fixture
def workspace() -> str:
    """A workspace nobody else uses."""
    return f"ws{next(_workspaces)}"


@pytest_asyncio.fixture(params=KINDS)
async def under_test(
    request: pytest.FixtureRequest,
    open_store: Callable[..., Any],
    module_database: Database,
    workspace: str,
) -> Harness:
    """Each store with a database behind it, in turn."""
    return Harness(await open_store(request.param), module_database, workspace)


@pytest_asyncio.fixture(params=[*KINDS, "memory"])
async def any_store(
    request: pytest.FixtureRequest,
    open_store: Callable[..., Any],
    module_database: Database,
    workspace: str,
) -> Harness:
    """Each store in turn, the in-memory one that other tests use included."""
    if request.param == "memory":
        return Harness(MemoryStore(), module_database, workspace)
    return Harness(await open_store(request.param), module_database, workspace)

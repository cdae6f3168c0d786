"""The old store in trouble: lost connections, held rows, a pool that is used up."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest

from listings.errors import StoreRefused, StoreUnavailable
from listings.model import Listing
from listings.store import Action, WriteContext
from sync_old.postgres_store import PoolSize, PostgresStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.servers import Database


KILL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = 'sync_old' AND datname = current_database()"
)


def context(**changes: object) -> WriteContext:
    """Who writes."""
    return WriteContext("default", uuid4(), **changes)


@pytest.fixture
async def store(database: Database) -> AsyncIterator[PostgresStore]:
    """A store with few connections and little patience."""
    store = PostgresStore(database.url, pool=PoolSize(1, 2, wait_s=0.3))
    yield store
    await store.close()


async def test_lost_connections_lose_no_row(database: Database) -> None:
    """Connections killed again and again in the middle of a sync: every row is stored."""
    store = PostgresStore(database.url, pool=PoolSize(1, 2))
    said = [Listing(f"p{i:03}", {"floors": i % 300}) for i in range(400)]
    with database.connect() as killer:

        async def kill() -> int:
            killed, due = 0, 40
            while not writing.done():
                await asyncio.sleep(0.005)
                (stored,) = killer.execute("SELECT count(*) FROM listings").fetchone()
                if stored >= due:
                    due = stored + 40
                    killed += len(killer.execute(KILL).fetchall())
            return killed

        writing = asyncio.create_task(store.upsert(said, context()))
        killed = await kill()
        records = (await writing).records
    assert killed > 2
    assert [record.property_number for record in records] == [s.property_number for s in said]
    assert [record.error for record in records if record.error] == []
    assert len(await store.property_numbers("default")) == 400
    await store.close()


class Relay:
    """A way to the server that can go silent without breaking."""

    def __init__(self, database: Database) -> None:
        self._target = urlsplit(database.url)
        self._open = asyncio.Event()
        self._open.set()
        self.silence, self.speak = self._open.clear, self._open.set

    async def start(self) -> str:
        """Listen; return the database's URL by this way."""
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        user = self._target.netloc.rpartition("@")[0]
        return urlunsplit(self._target._replace(netloc=f"{user}@127.0.0.1:{port}"))

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far = await asyncio.open_connection(self._target.hostname, self._target.port)
        await asyncio.gather(self._pass(reader, far[1]), self._pass(far[0], writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._open.wait()
                writer.write(data)
        writer.close()


async def test_a_silent_server_holds_nobody_for_ever(database: Database) -> None:
    """A server that neither answers nor breaks is told as unavailable, and used again later."""
    relay = Relay(database)
    store = PostgresStore(await relay.start(), pool=PoolSize(1, 2, wait_s=5, answer_s=0.3))
    await store.upsert([Listing("a", {})], context())
    relay.silence()
    with pytest.raises(StoreUnavailable):
        await store.upsert([Listing("b", {})], context())
    relay.speak()
    answer = await store.upsert([Listing("b", {})], context())
    assert [record.error for record in answer.records] == [None]
    assert await store.property_numbers("default") == {"a", "b"}
    await store.close()


async def test_a_row_held_for_ever_fails_with_the_reason(
    store: PostgresStore, database: Database
) -> None:
    """A write that waits for somebody's lock is given up after its time, and says so."""
    await store.upsert([Listing("a", {})], context())
    hasty = PostgresStore(database.url, pool=PoolSize(1, 2, answer_s=0.1))
    with database.connect() as holder, holder.transaction():
        holder.execute("UPDATE listings SET floors = 1")
        with pytest.raises(StoreUnavailable, match=r"did not answer in 0\.1 s"):
            await hasty.upsert([Listing("a", {"floors": 2})], context())
    await hasty.close()


async def test_a_dry_run_gives_way_to_a_held_row(store: PostgresStore, database: Database) -> None:
    """A row that somebody holds makes the dry run give up, and say that it is worth a repeat."""
    await store.upsert([Listing("a", {})], context())
    with database.connect() as holder, holder.transaction():
        holder.execute("SELECT * FROM listings FOR UPDATE")
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            await store.upsert([Listing("a", {"floors": 1})], context(dry_run=True))


async def test_a_pool_in_use_says_so(store: PostgresStore, database: Database) -> None:
    """No connection free: the message has the pool's figures, and the gauges show it."""
    await store.upsert([Listing("a", {}), Listing("b", {})], context())
    with database.connect() as holder:
        with holder.transaction():
            holder.execute("SELECT * FROM listings FOR UPDATE")
            held = [
                asyncio.create_task(store.upsert([Listing(n, {"floors": 2})], context()))
                for n in ("a", "b")
            ]
            while store.gauges()["db_pool_total"] < 2 or store.gauges()["db_pool_idle"]:
                await asyncio.sleep(0.01)
            with pytest.raises(StoreUnavailable, match=r"total 2, idle 0.*DB_POOL_MAX"):
                await store.get("default", "a")
        for result in await asyncio.gather(*held):
            assert result.records[0].action is Action.UPDATED


async def test_two_writers_in_a_deadlock_both_get_through(
    store: PostgresStore, database: Database
) -> None:
    """A deadlock with somebody who keeps no order is repeated until it works."""
    await store.upsert([Listing("a", {})], context())
    with database.connect() as connection:
        connection.execute(
            "CREATE FUNCTION meet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF NEW.floors = 1 THEN RAISE EXCEPTION USING ERRCODE = 'deadlock_detected'; END IF;"
            " RETURN NEW; END $$"
        )
        connection.execute(
            "CREATE TRIGGER meet BEFORE UPDATE ON listings FOR EACH ROW EXECUTE FUNCTION meet()"
        )
        writing = asyncio.create_task(store.upsert([Listing("a", {"floors": 1})], context()))
        await asyncio.sleep(0.03)
        connection.execute("DROP TRIGGER meet ON listings")
        assert (await writing).records[0].action is Action.UPDATED


async def test_wrong_credentials_are_refused(database: Database) -> None:
    """An unknown user is not something that passes by waiting."""
    store = PostgresStore(database.url_as("nobody_we_know"), pool=PoolSize(0, 1, wait_s=0.3))
    with pytest.raises(StoreRefused, match="unknown to the server"):
        await store.check()
    await store.close()


async def test_it_steps_down_to_its_role(store: PostgresStore, database: Database) -> None:
    """A superuser's login writes as sync_old, so that row-level security binds it."""
    with database.connect() as connection:
        connection.execute(
            "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " NEW.title := current_user; RETURN NEW; END $$"
        )
        connection.execute(
            "CREATE TRIGGER tell BEFORE INSERT ON listings FOR EACH ROW EXECUTE FUNCTION tell()"
        )
    await store.upsert([Listing("a", {})], context())
    assert (await store.get("default", "a")).fields["title"] == "sync_old"


async def test_a_login_without_the_role_still_writes(database: Database) -> None:
    """Where the login may not become sync_old, it writes as itself."""
    with database.connect() as connection:
        connection.execute("CREATE ROLE plain_writer LOGIN BYPASSRLS")
        connection.execute("GRANT SELECT, INSERT, UPDATE ON listings TO plain_writer")
    store = PostgresStore(database.url_as("plain_writer"), pool=PoolSize(0, 1))
    try:
        result = await store.upsert([Listing("a", {"floors": 1})], context())
        assert result.records[0].action is Action.CREATED
    finally:
        await store.close()
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute("DROP OWNED BY plain_writer; DROP ROLE plain_writer")


async def test_text_the_database_cannot_hold_fails_alone(store: PostgresStore) -> None:
    """NUL and lone surrogates are the row's fault, not the store's."""
    said = [Listing("a", {"title": "x\0y"}), Listing("b", {"title": "\ud800"}), Listing("c", {})]
    records = (await store.upsert(said, context())).records
    assert [record.action for record in records] == [
        Action.FAILED, Action.FAILED, Action.CREATED,
    ]  # fmt: skip
    again = (await store.upsert(said, context(dry_run=True))).records
    assert [record.action for record in again] == [
        Action.FAILED, Action.FAILED, Action.UNCHANGED,
    ]  # fmt: skip

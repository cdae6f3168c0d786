"""The Redis store under the contract, on Valkey 9 and on Redis 7, and what only servers suffer."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.adapters.redis_store.address import read_address
from gateway.adapters.redis_store.server import Server
from gateway.adapters.redis_store.state import RedisStore
from gateway.errors import FencedError, StateUnreadableError, VersionConflictError
from gateway.ports import EventDraft, StateStore, StoredState, Transition
from tests.contract.state_store.contract import StateStoreContract, audit, step
from tests.support.redis_servers import fresh_prefix

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import redis

    from tests.support.redis_servers import RedisServer


@asynccontextmanager
async def opened(server: RedisServer, prefix: str | None = None):
    """A store on the server, under a prefix of the test's own; patient, for busy machines."""
    address = replace(read_address(server.url), prefix=prefix or fresh_prefix(), timeout_s=5.0)
    connections = Server(address)
    yield RedisStore(connections)
    await connections.close()


class TestRedisStore(StateStoreContract):
    """Every test of the contract on a server."""

    @pytest.fixture
    async def store(self, redis_server: RedisServer) -> AsyncIterator[StateStore]:
        """A store under a prefix of its own."""
        async with opened(redis_server) as store:
            yield store

    @pytest.fixture
    async def reopened(self, redis_server: RedisServer) -> AsyncIterator[StateStore]:
        """A second store, after a first one stored a step and went."""
        prefix = fresh_prefix()
        async with opened(redis_server, prefix) as first:
            await first.commit(step(0, 1))
        async with opened(redis_server, prefix) as second:
            yield second


def _damaged(direct: redis.Redis, tag: str, statement: tuple[object, ...]) -> None:
    command, key, *rest = statement
    direct.execute_command(command, f"{tag}{key}", *rest)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (("HSET", "state", "document", ""), "is blank"),
        (("HSET", "state", "document", "x" * 2_000_000), "is oversized"),
        (("HSET", "state", "document", '{"number":3}'), "was altered"),
        (("HSET", "state", "version", "13"), "was altered"),
        (("HSET", "state", "version", "many"), "was altered"),
        (("HDEL", "state", "document"), "is blank"),
        (("HSET", "state", "format", "theirs"), "another program"),
        (("HDEL", "state", "format"), "another program"),
        (("SET", "state", "a string"), "another program"),
    ],
)
async def test_a_damaged_state_is_refused_with_what_to_do(
    redis_server: RedisServer, statement: tuple[object, ...], words: str
) -> None:
    """Blank, oversized, altered or foreign: said, and left as it is."""
    async with opened(redis_server) as store:
        for number in range(3):
            await store.commit(step(number, number))
        with redis_server.direct() as direct:
            _damaged(direct, store._keys.state.removesuffix("state"), statement)
        with pytest.raises(StateUnreadableError, match=words) as refusal:
            await store.load()
    assert "prefix" in refusal.value.todo


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (("XDEL", "audit", "2-0"), "entry 2 is missing"),
        (("XDEL", "audit", "1-0"), "entry 1 is missing"),
        (("XDEL", "audit", "3-0"), "the last entries are missing (3 to 3)"),
        (("DEL", "audit"), "the last entries are missing (1 to 3)"),
        (("XADD", "audit", "9-0", "row", "[]"), "entry 4 to 8 is missing"),
        (("HSET", "heads", "digest", "f" * 64), "entry 3 is not the recorded head"),
        (("HSET", "heads", "audit", "2"), "entries after 2 were added past the recorded head"),
    ],
)
async def test_a_tampered_audit_names_the_row(
    redis_server: RedisServer, damage: tuple[object, ...], fault: str
) -> None:
    """Whoever goes behind the scripts' back is found, and where."""
    async with opened(redis_server) as store:
        for number in range(3):
            await store.commit(step(number, number))
        with redis_server.direct() as direct:
            _damaged(direct, store._keys.state.removesuffix("state"), damage)
        assert (await store.verify_audit()).faults[0] == fault


@pytest.mark.parametrize("row", ['[1,["alice",null,null],"step-1",{},{},"other","a","b"]', "x"])
async def test_an_altered_audit_row_is_named(redis_server: RedisServer, row: str) -> None:
    """A row that was written anew, well-formed or not, breaks its digest."""
    async with opened(redis_server) as store:
        for number in range(3):
            await store.commit(step(number, number))
        with redis_server.direct() as direct:
            key = store._keys.audit
            rest = direct.xrange(key, "(1-0")
            direct.xtrim(key, maxlen=1)
            direct.delete(key)
            direct.xadd(key, {"row": row}, "1-0")
            for identifier, fields in rest:
                direct.xadd(key, fields, identifier)
        check = await store.verify_audit()
    assert "entry 1 was altered" in check.faults
    assert check.entries == 3


FOREIGN = [
    ("state", lambda direct, key: direct.hset(key, "name", "theirs")),
    ("state", lambda direct, key: direct.set(key, "theirs")),
    ("heads", lambda direct, key: direct.hset(key, "name", "theirs")),
    ("audit", lambda direct, key: direct.rpush(key, "theirs")),
    ("audit", lambda direct, key: direct.xadd(key, {"name": "theirs"}, "5-0")),
    ("events", lambda direct, key: direct.set(key, "theirs")),
    ("measurements", lambda direct, key: direct.set(key, "theirs")),
    ("fence", lambda direct, key: direct.set(key, "theirs")),
    ("commits", lambda direct, key: direct.hset(key, "name", "theirs")),
]


@pytest.mark.parametrize(("name", "put"), FOREIGN)
async def test_another_programs_keys_are_left_alone(
    redis_server: RedisServer, name: str, put: Callable[[redis.Redis, str], object]
) -> None:
    """Foreign keys under our names: nothing is stored, nothing of theirs is changed."""
    async with opened(redis_server) as store:
        key = getattr(store._keys, name)
        with redis_server.direct() as direct:
            put(direct, key)
            before = direct.dump(key)
            with pytest.raises(StateUnreadableError, match="not the gateway's") as refusal:
                await store.commit(step(0, 1))
            assert direct.dump(key) == before
            assert direct.keys(f"{{{store._keys.prefix}}}*") == [key.encode()]
    assert "prefix" in refusal.value.todo


async def test_a_lower_fencing_token_loses(redis_server: RedisServer) -> None:
    """Who held the lease before cannot store; a person's order needs no token, only the version."""
    async with opened(redis_server) as store:
        await store.commit(replace(step(0, 1), token=7))
        await store.commit(replace(step(1, 2), token=8))
        with pytest.raises(FencedError):
            await store.commit(replace(step(2, 3), token=7))
        with pytest.raises(FencedError):
            await store.commit(Transition(0, events=(EventDraft(1, "late", "word"),), token=7))
        assert (await store.commit(step(2, 4))).version == 3
        with pytest.raises(FencedError):
            await store.commit(replace(step(3, 5), token=7))
        assert len(await store.audit()) == 3


async def test_two_writers_share_one_chain(redis_server: RedisServer) -> None:
    """Who finds the chain longer than he knew links anew; nothing forks, nothing is lost."""
    prefix = fresh_prefix()
    async with opened(redis_server, prefix) as one, opened(redis_server, prefix) as other:
        for number in range(6):
            store = one if number % 2 else other
            await store.commit(Transition(0, audit=(audit(f"a{number}"), audit(f"b{number}"))))
        check = await one.verify_audit()
        assert (check.entries, check.faults) == (12, ())


async def test_a_new_version_is_published(redis_server: RedisServer) -> None:
    """Who listens hears of it in the moment it is stored."""
    async with opened(redis_server) as store, store._server.client.pubsub() as listening:
        await listening.subscribe(store._keys.channel)
        await listening.get_message(timeout=5)
        await store.commit(step(0, 1))
        message = await listening.get_message(timeout=5)
        assert message is not None
        assert message["data"] == b"state 1"


async def test_what_only_explains_is_bounded(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest stay, the numbers go on; the audit keeps every entry."""
    kept = {"decisions": 100, "events": 100, "measurements": 5, "reports": 5}
    monkeypatch.setattr("gateway.adapters.redis_store.state.KEPT", kept)
    async with opened(redis_server) as store:
        for number in range(5):
            events = tuple(EventDraft(number, "kind", str(one)) for one in range(100))
            await store.commit(Transition(0, events=events, audit=(audit("more"),)))
        found = await store.events(limit=1_000)
        assert 100 <= len(found) < 300
        assert found[-1].seq == 500
        assert len(await store.audit(limit=1_000)) == 5


async def test_a_server_that_came_back_empty_is_seeded(redis_server: RedisServer) -> None:
    """The highest version known wins; what is there and as new is never replaced."""
    async with opened(redis_server) as store:
        assert await store.seed(StoredState(41, {"number": 41}), token=7) == 41
        assert await store.seed(StoredState(40, {"number": 40}), token=7) == 41
        assert await store.seed(StoredState(42, {"number": 42}), token=7) == 42
        loaded = await store.load()
        assert loaded == StoredState(42, {"number": 42})
        with pytest.raises(VersionConflictError):
            await store.commit(step(41, 1))
        assert (await store.commit(step(42, 1))).version == 43

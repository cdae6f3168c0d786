"""A fleet's lease, board, ledger and probes on Valkey 9 and on Redis 7."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.adapters.redis_store.address import read_address
from gateway.adapters.redis_store.board import RedisBoard
from gateway.adapters.redis_store.lease import RedisLease
from gateway.adapters.redis_store.ledger import RedisLedger, account_of
from gateway.adapters.redis_store.probes import RedisProbes
from gateway.adapters.redis_store.server import Server
from gateway.adapters.redis_store.state import RedisStore
from gateway.errors import FencedError, StateUnreadableError, StoreUnavailableError
from gateway.ports import StoredState
from gateway.ports.fleet import HolderAsk
from tests.contract.fleet.contract import (
    MARGIN_MS,
    QUOTA,
    TERM_MS,
    BoardContract,
    LeaseContract,
    LedgerContract,
    ProbesContract,
    ask,
)
from tests.contract.state_store.contract import step
from tests.support.redis_servers import fresh_prefix
from tests.support.share_ledger import MemoryLedger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from gateway.ports.fleet import Board, FleetLease, Ledger, ProbePermits
    from tests.support.redis_servers import RedisServer


@pytest.fixture
async def server(redis_server: RedisServer) -> AsyncIterator[Server]:
    """Connections under a prefix of the test's own."""
    address = replace(read_address(redis_server.url), prefix=fresh_prefix(), timeout_s=5.0)
    connections = Server(address)
    yield connections
    await connections.close()


@pytest.fixture
def passes() -> Callable[[float], Awaitable[None]]:
    """A server's time is everybody's."""
    return asyncio.sleep


async def aged(server: Server, ledger: RedisLedger) -> RedisLedger:
    """Let the ledger have begun long ago: a new one gives no bursts."""
    await ledger.exchange([HolderAsk("w", "client", QUOTA, ask("-"))], holders=1)
    for key in server.keys.shares:
        if await server.client.exists(key):
            await server.client.hset(key, "=born", 1)
            await server.client.hdel(key, account_of("client", "-"))
    return ledger


class TestRedisLease(LeaseContract):
    """The lease's contract."""

    @pytest.fixture
    def claimants(self, server: Server) -> Callable[[str], FleetLease]:
        """Leases of one fleet."""
        return lambda name: RedisLease(server, name, ttl_ms=TERM_MS, margin_ms=MARGIN_MS)


class TestRedisBoard(BoardContract):
    """The board's contract."""

    @pytest.fixture
    def boards(self, server: Server) -> Callable[[str], Board]:
        """Boards of one fleet."""
        return lambda name: RedisBoard(server, name)


class TestRedisLedger(LedgerContract):
    """The ledger's contract."""

    @pytest.fixture
    async def ledger(self, server: Server) -> Ledger:
        """A ledger of its own, begun long ago."""
        return await aged(server, RedisLedger(server))


class TestMemoryLedger(LedgerContract):
    """The same on the one that property tests and simulations use."""

    @pytest.fixture
    def now(self) -> list[int]:
        """Its clock."""
        return [1_000_000_000]

    @pytest.fixture
    def ledger(self, now: list[int]) -> Ledger:
        """A ledger of its own."""
        return MemoryLedger(lambda: now[0])

    @pytest.fixture
    def passes(self, now: list[int]) -> Callable[[float], Awaitable[None]]:
        """Its time is ours."""

        async def passes(seconds: float) -> None:
            now[0] += int(seconds * 1e6)

        return passes


class TestRedisProbes(ProbesContract):
    """The probes' contract."""

    @pytest.fixture
    def probes(self, server: Server) -> ProbePermits:
        """Probes of its own."""
        return RedisProbes(server)


async def test_a_stale_holder_cannot_store(server: Server) -> None:
    """Its successor has a higher token, even before that one stored anything."""
    one = RedisLease(server, "one", ttl_ms=60_000)
    other = RedisLease(server, "other")
    store = RedisStore(server)
    await one.renew()
    await store.commit(replace(step(0, 1), token=one.fencing_token))
    await server.client.delete(server.keys.lease)  # its term is over, and it does not know
    await other.renew()
    assert one.held
    with pytest.raises(FencedError):
        await store.commit(replace(step(1, 2), token=one.fencing_token))
    await store.commit(replace(step(1, 3), token=other.fencing_token))


async def test_a_seeded_counter_ends_a_term_of_an_earlier_count(server: Server) -> None:
    """A server came back empty, somebody took the lease as number one, then it was seeded."""
    lease, store = RedisLease(server, "one"), RedisStore(server)
    await lease.renew()
    assert lease.fencing_token == 1
    await store.seed(StoredState(9, {"number": 9}), token=41)
    assert await lease.renew()
    assert lease.fencing_token == 42
    await store.commit(replace(step(9, 1), token=42))


async def test_the_board_tells_the_version(server: Server) -> None:
    """So a lost message heals with the next reading."""
    await RedisStore(server).commit(step(0, 1))
    assert (await RedisBoard(server, "one").post({})).version == 1


async def test_news_are_heard_until_cancelled(server: Server) -> None:
    """First that some may have been missed, then every new version; a broken line is mended."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    listening = asyncio.create_task(RedisBoard(server, "one").listen(heard.put_nowait))
    assert await asyncio.wait_for(heard.get(), 10) == ""
    await RedisStore(server).commit(step(0, 1))
    assert await asyncio.wait_for(heard.get(), 10) == "state 1"
    for client in await server.client.client_list(_type="pubsub"):
        await server.client.client_kill_filter(_id=client["id"])
    assert await asyncio.wait_for(heard.get(), 10) == ""
    await RedisStore(server).commit(step(1, 2))
    assert await asyncio.wait_for(heard.get(), 10) == "state 2"
    listening.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await listening


async def test_a_silent_replica_is_forgotten_in_the_end(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long after it was named as silent; a fleet is not endless either."""
    monkeypatch.setattr("gateway.adapters.redis_store.board.MAX_REPLICAS", 2)
    for name in ("one", "two"):
        await RedisBoard(server, name).post({})
    with pytest.raises(StoreUnavailableError, match="2 replicas"):
        await RedisBoard(server, "three").post({})
    monkeypatch.setattr("gateway.adapters.redis_store.board.FORGET_US", 1_000)
    await asyncio.sleep(0.01)
    reading = await RedisBoard(server, "three").post({})
    assert [posting.replica for posting in reading.postings] == ["three"]
    assert await server.client.hlen(server.keys.board) == 1


async def test_accounts_are_bounded(server: Server) -> None:
    """One more than there is room for is left to everybody's own part."""
    ledger = await aged(server, RedisLedger(server, max_accounts=2))
    asks = [HolderAsk("w", "client", QUOTA, ask(str(one), want=5)) for one in range(4)]
    grants = await ledger.exchange(asks, holders=2)
    assert [grant.credit for grant in grants] == [25, 25, -1, -1]
    grants = await ledger.exchange(asks[:1], holders=2)
    assert grants[0].credit == 25


async def test_a_new_ledger_gives_no_burst(server: Server) -> None:
    """Whatever was used before it began, nobody knows: it fills from empty, at the rate."""
    ledger = RedisLedger(server)
    asks = [HolderAsk("w", "client", QUOTA, ask("k", want=100))]
    [first] = await ledger.exchange(asks, holders=2)
    assert (first.granted, first.credit) == (0, 25)
    assert first.ahead_us > 1_900_000
    await asyncio.sleep(0.2)
    [second] = await ledger.exchange(asks, holders=2)
    assert 15 <= second.granted <= 50


async def test_no_account_tells_its_key(server: Server) -> None:
    """A client's key may be its API key."""
    secret = "hunter2-hunter2"
    await RedisLedger(server).exchange(
        [HolderAsk("w", "client", QUOTA, ask(secret, want=5))], holders=1
    )
    dump = b""
    for key in server.keys.shares:
        dump += repr(await server.client.hgetall(key)).encode()
    assert b"=turn" in dump
    assert secret.encode() not in dump


CALLS = {
    "lease": lambda server: RedisLease(server, "one").renew(),
    "fence": lambda server: RedisLease(server, "one").renew(),
    "board": lambda server: RedisBoard(server, "one").post({}),
    "probes": lambda server: RedisProbes(server).probe("new", permits=1, window_ms=1),
    "shares": lambda server: RedisLedger(server).exchange(
        [HolderAsk("w", "client", QUOTA, ask("k"))], holders=1
    ),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("kind", ["list", "own"])
async def test_another_programs_keys_are_left_alone(server: Server, name: str, kind: str) -> None:
    """Another type, or the right type with another's content."""
    key = getattr(server.keys, name)
    client = server.client
    if kind == "list" or name == "shares":
        for one in key if isinstance(key, tuple) else (key,):
            await client.rpush(one, "theirs")
    elif name in {"board", "probes"}:
        await client.hset(key, "new", "theirs")
    else:
        await client.set(key, "theirs")
    before = await client.keys(f"{{{server.keys.prefix}}}*")
    with pytest.raises(StateUnreadableError, match="not the gateway's"):
        await CALLS[name](server)
    assert await client.keys(f"{{{server.keys.prefix}}}*") == before

"""The alerts in Redis under the contract, on Valkey 9 and Redis 7, and what servers suffer."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.adapters.redis_store.address import read_address
from gateway.adapters.redis_store.alerts import RedisAlertStore
from gateway.adapters.redis_store.server import Server
from gateway.errors import StateUnreadableError, VersionConflictError
from gateway.ports.alerts import AlertStore, DeliveryState
from tests.contract.alert_store.contract import BOOK, AlertStoreContract, delivery, over
from tests.support.redis_servers import fresh_prefix

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.redis_servers import RedisServer


@asynccontextmanager
async def opened(server: RedisServer, prefix: str | None = None):
    """A store on the server, under a prefix of the test's own; patient, for busy machines."""
    address = replace(read_address(server.url), prefix=prefix or fresh_prefix(), timeout_s=5.0)
    connections = Server(address)
    yield RedisAlertStore(connections)
    await connections.close()


class TestRedisAlertStore(AlertStoreContract):
    """Every test of the contract on a server."""

    @pytest.fixture
    async def store(self, redis_server: RedisServer) -> AsyncIterator[AlertStore]:
        """A store under a prefix of its own."""
        async with opened(redis_server) as store:
            yield store

    @pytest.fixture
    async def reopened(self, redis_server: RedisServer) -> AsyncIterator[AlertStore]:
        """A second store, after a first one stored a book and went."""
        prefix = fresh_prefix()
        async with opened(redis_server, prefix) as first:
            await first.commit(BOOK, expected_version=0, token=1, deliveries=(delivery("kept"),))
        async with opened(redis_server, prefix) as second:
            yield second


async def test_the_newest_of_what_is_over_stay(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is never dropped."""
    monkeypatch.setattr("gateway.adapters.redis_store.alerts.SETTLED_KEPT", 3)
    monkeypatch.setattr("gateway.adapters.redis_store.alerts.ENDED_KEPT", 2)
    async with opened(redis_server) as store:
        many = tuple(delivery(f"d{number}") for number in range(8))
        await store.commit(BOOK, expected_version=0, token=1, deliveries=many)
        for number in range(1, 7):
            await (
                store.dead(f"d{number}", at_us=1, reason="no")
                if number % 2
                else store.delivered(f"d{number}", at_us=1)
            )
        ends = tuple(over(number, number) for number in range(1, 6))
        await store.commit(BOOK, expected_version=1, token=1, ended=ends)
        kept = [record.delivery.id for record in await store.records()]
        assert kept == ["d7", "d6", "d5", "d4", "d0"]
        assert [one.number for one in await store.ended()] == [5, 4]
        assert sum((await store.counts()).values()) == 5


async def test_who_lost_the_lease_stores_no_book(redis_server: RedisServer) -> None:
    """Its successor has a higher token, even before that one stored a book."""
    async with opened(redis_server) as store:
        await store.commit(BOOK, expected_version=0, token=1)
        await store._server.client.set(store._keys.fence, 2)
        with pytest.raises(VersionConflictError, match="Another gateway decides"):
            await store.commit(BOOK, expected_version=1, token=1)


async def test_reasons_are_kept_as_they_are(redis_server: RedisServer) -> None:
    """Spaces, line breaks and other alphabets; ids too."""
    async with opened(redis_server) as store:
        name = "a b\n日本"
        await store.commit(BOOK, expected_version=0, token=1, deliveries=(delivery(name),))
        await store.failed(name, next_us=5, reason="no\nroom  日本 ")
        await store.dead(name, at_us=9, reason=" gone\n")
        [record] = await store.records(state=DeliveryState.DEAD)
        assert (record.delivery.id, record.reason) == (name, " gone\n")
        assert await store.revive(name, next_us=7)
        [again] = await store.records()
        assert (again.reason, again.settled_us) == (" gone\n", None)


@pytest.mark.parametrize("command", [("SET", "theirs"), ("HSET", "name", "theirs")])
async def test_another_programs_book_is_left_alone(
    redis_server: RedisServer, command: tuple[str, ...]
) -> None:
    """It is refused, and nothing is written over it."""
    async with opened(redis_server) as store:
        word, *rest = command
        await store._server.client.execute_command(word, store._keys.alerts, *rest)
        with pytest.raises(StateUnreadableError):
            await store.load()
        with pytest.raises(StateUnreadableError):
            await store.commit(BOOK, expected_version=0, token=1)

"""The keys in Redis under the contract, on Valkey 9 and Redis 7, and what only a server suffers."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

import pytest

from gateway.adapters.redis_store.idempotency import RedisKeys
from gateway.errors import StoreUnavailableError
from tests.contract.key_store.contract import PRINT, KeyStoreContract, scope
from tests.support.redis_servers import fresh_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.ports.keys import KeyStore
    from tests.support.redis_servers import RedisFactory, RedisServer

__all__ = ["scope"]


def patient(server: RedisServer, prefix: str | None = None) -> str:
    """The server's URL, with a prefix and for busy machines."""
    return f"{server.url}?prefix={prefix or fresh_prefix()}&timeout_ms=5000"


class TestRedisKeys(KeyStoreContract):
    """Every test of the contract on a server; the caller's clock is an hour off and not asked."""

    @pytest.fixture
    def store(self, redis_server: RedisServer) -> Iterator[KeyStore]:
        """Keys under a prefix of the test's own."""
        keys = RedisKeys(patient(redis_server))
        yield keys
        keys.close()

    @pytest.fixture
    def clock(self) -> Callable[[], int]:
        """An hour off."""
        return lambda: int(time.time()) + 3_600

    @pytest.fixture
    def passes(self) -> Callable[[float], None]:
        """The server's time is everybody's."""
        return time.sleep


def _claim(keys: RedisKeys, scope: bytes, ttl_s: int = 60) -> str:
    return keys.claim(scope, PRINT, side="old", now_s=0, lease_s=30, ttl_s=ttl_s)[0]


def test_the_oldest_answers_go_first(redis_server: RedisServer) -> None:
    """By number and by size; what is pending stays."""
    keys = RedisKeys(patient(redis_server), max_rows=16 * 10, max_bytes=16 * 100_000)
    scopes = [b"\x00" + secrets.token_bytes(23) for _ in range(30)]
    for number, one in enumerate(scopes):
        _claim(keys, one)
        if number:
            keys.finish(one, side="old", head=b"", body=b"x")
    known = [_claim(keys, one) for one in scopes[-9:]]
    assert known == ["done"] * 9
    assert _claim(keys, scopes[0]) == "under_way"
    assert _claim(keys, scopes[1]) == "claimed"
    big = [b"\x01" + secrets.token_bytes(23) for _ in range(6)]
    for one in big:
        _claim(keys, one)
        keys.finish(one, side="old", head=b"", body=b"x" * 40_000)
    assert [_claim(keys, one) for one in big[-2:]] == ["done"] * 2
    assert _claim(keys, big[0]) == "claimed"
    keys.close()


def test_what_expired_is_counted_no_more(redis_server: RedisServer) -> None:
    """Index and sizes follow the keys."""
    keys = RedisKeys(patient(redis_server))
    one, other = (b"\x02" + secrets.token_bytes(23) for _ in range(2))
    _claim(keys, one, ttl_s=1)
    keys.finish(one, side="old", head=b"", body=b"x" * 1_000)
    time.sleep(1.2)
    _claim(keys, other, ttl_s=1)
    _, index, sizes = keys._keys.idempotency(other)
    assert keys._client.zcard(index) == 1
    assert keys._client.hget(sizes, "=total") == b"0"
    keys.close()


def test_a_claim_nobody_heard_of_is_opened_again(redis_factory: RedisFactory) -> None:
    """Redis stood still, and stored it when it went on: nothing was sent under it."""
    server = redis_factory("redis")
    keys = RedisKeys(f"{server.url}?timeout_ms=200")
    assert _claim(keys, b"\x03" * 24) == "claimed"
    with server.held(), pytest.raises(StoreUnavailableError):
        _claim(keys, b"\x04" * 24)
    other = RedisKeys(f"{server.url}?timeout_ms=5000")
    assert _claim(other, b"\x04" * 24) == "under_way"
    assert _claim(keys, b"\x05" * 24) == "claimed"
    assert _claim(other, b"\x04" * 24) == "claimed"
    keys.close()
    other.close()


def test_a_server_that_was_replaced_is_used_at_once(redis_factory: RedisFactory) -> None:
    """A dead connection in the pool costs no request."""
    server = redis_factory("valkey")
    keys = RedisKeys(f"{server.url}?timeout_ms=5000")
    assert _claim(keys, b"\x03" * 24) == "claimed"
    server.kill()
    with pytest.raises(StoreUnavailableError):
        _claim(keys, b"\x04" * 24)
    server.start()
    assert _claim(keys, b"\x04" * 24) == "claimed"
    keys.close()

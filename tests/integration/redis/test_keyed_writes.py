"""Writes with a key over several gateways that share one Redis: done once, whichever is asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from tests.support.dataplane import (
    OK,
    UNREACHABLE,
    DataPlane,
    Received,
    RecordingUpstream,
    routing,
    unlimited,
)
from tests.support.redis_servers import fresh_prefix
from tests.support.scale import scale
from tests.support.workers import fleet

if TYPE_CHECKING:
    from tests.support.redis_servers import RedisFactory, RedisServer

SYNC = "/api/property-listings/sync"
STORE = "gateway.adapters.redis_store.idempotency:RedisKeys"


async def _gateways(stack: AsyncExitStack, count: int, upstream: str, url: str) -> list[DataPlane]:
    """So many worker processes, each on a port of its own."""
    settings = unlimited(
        upstream, UNREACHABLE, drain_idle_ms=100, key_store=STORE, key_store_path=url
    )
    planes = []
    for _ in range(count):
        workers = await stack.enter_async_context(fleet(settings, routing()))
        await workers.start()
        planes.append(DataPlane(None, workers.port))  # type: ignore[arg-type]  # another process
    return planes


async def test_of_a_thousand_at_three_gateways_one_is_executed(redis_server: RedisServer) -> None:
    """The others are told that it is under way; afterwards everybody gives its answer."""

    async def slowly(_: Received) -> bytes:
        await asyncio.sleep(0.3)
        return OK

    url = f"{redis_server.url}?prefix={fresh_prefix()}&timeout_ms=10000"
    count = scale(full=1_000, quick=150)
    async with RecordingUpstream(slowly) as old, AsyncExitStack() as stack:
        gateways = await _gateways(stack, 3, old.url, url)
        key = {"Idempotency-Key": "k-1", "apikey": "one client"}
        answers = await asyncio.gather(
            *(gateways[n % 3].ask(SYNC, "POST", key, b"{}") for n in range(count))
        )
        assert set(Counter(answer.status for answer in answers)) <= {200, 409}
        for gateway in gateways:
            again = await gateway.ask(SYNC, "POST", key, b"{}")
            assert (again.status, again.headers["idempotency-replayed"]) == (200, "true")
        assert len(old.requests) == 1


async def test_without_redis_a_keyed_write_is_not_sent(redis_factory: RedisFactory) -> None:
    """503 in a moment, killed or standing still; writes without a key go on; then all is well."""
    server = redis_factory("redis")
    async with RecordingUpstream() as old, AsyncExitStack() as stack:
        [gateway] = await _gateways(stack, 1, old.url, f"{server.url}?timeout_ms=200")
        with server.held():
            refused = await gateway.ask(SYNC, "POST", {"Idempotency-Key": "a"}, b"{}")
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            assert (await gateway.ask(SYNC, "POST", body=b"{}")).status == 200
        server.kill()
        assert (await gateway.ask(SYNC, "POST", {"Idempotency-Key": "a"}, b"{}")).status == 503
        assert len(old.requests) == 1
        server.start()
        assert (await gateway.ask(SYNC, "POST", {"Idempotency-Key": "a"}, b"{}")).status == 200
        assert len(old.requests) == 2

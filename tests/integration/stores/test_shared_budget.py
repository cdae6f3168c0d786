"""Replicas of the new service share one call budget through Redis, and can do without."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import redis.asyncio

from sync_new.limiter import CallBudget, Gcra
from sync_new.redis_address import open_redis
from sync_new.redis_budget import RedisTat

if TYPE_CHECKING:
    from tests.support.redis_servers import RedisFactory, RedisServer


async def test_replicas_draw_on_one_budget(redis_server: RedisServer) -> None:
    """Three replicas that ask in turn wait as one that asks three times as often."""
    name = f"test-{uuid4()}"
    replicas = [RedisTat(redis_server.url, name=name) for _ in range(3)]
    rule = Gcra.per_second(2)  # slow enough that the test's own time does not show
    waits = [await replicas[n % 3].reserve(rule) for n in range(9)]
    for replica in replicas:
        await replica.close()
    assert waits[0] == 0
    steps = [later - earlier for earlier, later in pairwise(waits[1:])]
    assert all(0 < step <= rule.interval_us for step in steps)
    assert waits[-1] > 4 * rule.interval_us
    assert [replica.replicas for replica in replicas] == [3, 3, 3]


async def test_a_rested_budget_is_forgotten(redis_server: RedisServer) -> None:
    """The keys expire by themselves once the budget is whole: nothing is left behind."""
    tat = RedisTat(redis_server.url, name=f"test-{uuid4()}")
    await tat.reserve(Gcra.per_second(1000))
    left_ms = [await tat._redis.pttl(key) for key in tat.keys]
    await tat.close()
    assert all(0 < left <= 10_000 for left in left_ms)


async def test_a_clock_that_was_set_back_stops_nobody(redis_server: RedisServer) -> None:
    """What was written an hour ahead is pulled back to a full burst."""
    tat = RedisTat(redis_server.url, name=f"test-{uuid4()}")
    seconds, _ = await tat._redis.time()
    await tat._redis.set(tat.keys[0], (seconds + 3_600) * 1_000_000)
    wait_us = await tat.reserve(Gcra.per_second(10))
    await tat.close()
    assert wait_us is not None
    assert wait_us <= 1_000_000


async def test_without_redis_each_keeps_to_the_rate() -> None:
    """Nobody there ever: the local rule holds, and Redis is not asked again at every call."""
    now_s = 100.0
    tat = RedisTat("redis://127.0.0.1:1/0", clock_s=lambda: now_s)
    budget = CallBudget(10, shared=tat)
    waits = [await budget.reserve(0) for _ in range(7)]
    assert waits == [0] * 5 + [100_000, 200_000]
    assert tat._away_until_s == 101.0
    await budget.close()


async def test_when_redis_goes_each_keeps_to_its_part(redis_factory: RedisFactory) -> None:
    """Two replicas, ten calls a second: five each, and no second burst; then one budget again."""
    server = redis_factory("valkey")
    now_s = 100.0
    tats = [RedisTat(server.url, clock_s=lambda: now_s) for _ in range(2)]
    budgets = [CallBudget(10, shared=tat) for tat in tats]
    for _ in range(2):
        for budget in budgets:
            await budget.reserve(0)
    server.kill()
    waits = [await budgets[0].reserve(0) for _ in range(3)]
    assert waits == [200_000, 400_000, 600_000]
    now_s += 2
    server.start()
    assert await budgets[0].reserve(0) == 0
    for budget in budgets:
        await budget.close()


@pytest.mark.parametrize(
    ("url", "kind", "prefix"),
    [
        ("redis://me:p%40w@host:7000/2", redis.asyncio.Redis, "syncgate"),
        ("redis://host?prefix=team&timeout_ms=100", redis.asyncio.Redis, "team"),
        ("rediss://host?ssl_check_hostname=false", redis.asyncio.Redis, "syncgate"),
        ("unix:///run/redis.sock?db=1", redis.asyncio.Redis, "syncgate"),
        ("redis+sentinel://me:pw@a,b:26380/main/1", redis.asyncio.Redis, "syncgate"),
        ("rediss+cluster://:pw@a,[::1]:7000?prefix=t", redis.asyncio.RedisCluster, "t"),
    ],
)
async def test_every_form_of_the_url_is_taken(url: str, kind: type, prefix: str) -> None:
    """The service is told the same REDIS_URL as the gateway."""
    client, found = open_redis(url)
    assert (type(client), found) == (kind, prefix)
    await client.aclose()


async def test_a_url_of_no_form_is_refused() -> None:
    """Without its password in the complaint."""
    for url in ("redis+else://me:hunter2@host", "http://me:hunter2@host"):
        with pytest.raises(ValueError) as refusal:
            open_redis(url)
        assert "hunter2" not in str(refusal.value)

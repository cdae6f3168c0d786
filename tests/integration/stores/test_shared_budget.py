"""Replicas of the new service share one call budget through Redis, and can do without."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING
from uuid import uuid4

from sync_new.limiter import CallBudget, Gcra
from sync_new.redis_budget import RedisTat

if TYPE_CHECKING:
    from ops.devstack.valkey import Valkey


async def test_replicas_draw_on_one_budget(valkey: Valkey) -> None:
    """Three replicas that ask in turn wait as one that asks three times as often."""
    key = f"test:{uuid4()}"
    replicas = [RedisTat(valkey.url, key=key) for _ in range(3)]
    rule = Gcra.per_second(2)  # slow enough that the test's own time does not show
    waits = [await replicas[n % 3].reserve(rule) for n in range(9)]
    for replica in replicas:
        await replica.close()
    assert waits[0] == 0
    steps = [later - earlier for earlier, later in pairwise(waits[1:])]
    assert all(0 < step <= rule.interval_us for step in steps)
    assert waits[-1] > 4 * rule.interval_us


async def test_a_rested_budget_is_forgotten(valkey: Valkey) -> None:
    """The key expires by itself once the budget is whole: nothing is left behind."""
    key = f"test:{uuid4()}"
    tat = RedisTat(valkey.url, key=key)
    await tat.reserve(Gcra.per_second(1000))
    left_ms = await tat._redis.pttl(key)
    await tat.close()
    assert 0 < left_ms <= 2000


async def test_without_redis_each_keeps_to_the_rate() -> None:
    """Nobody there: the local rule holds, and Redis is not asked again at every call."""
    now_s = 100.0
    tat = RedisTat("redis://127.0.0.1:1/0", clock_s=lambda: now_s)
    budget = CallBudget(10, shared=tat)
    waits = [await budget.reserve(0) for _ in range(7)]
    assert waits == [0] * 5 + [100_000, 200_000]
    assert tat._away_until_s == 101.0
    await budget.close()

"""
One call budget for all replicas of the new service, kept in Redis.

The rule is the limiter's own (GCRA), run inside Redis on Redis's clock, so that replicas whose
clocks differ still share one budget. Redis also counts the replicas that called lately: when it is
away each keeps to its part of the rate, and together they still keep to the whole.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

import structlog
from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from sync_new.redis_address import open_redis

if TYPE_CHECKING:
    from collections.abc import Callable

    from sync_new.limiter import Gcra

_REST_S: Final = 1.0
# KEYS 1 tat (us)  2 replicas (sorted set: name -> when it called)
# ARGV 1 interval_us  2 burst  3 replica. Answer: {us to wait, replicas of the last ten seconds}
# Doubles hold microseconds exactly for a long time yet, but Lua would print them as 1.7e+15.
_SCRIPT: Final = """#!lua
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local start = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
-- Nobody queues for a minute: this was written on a clock that has been set back since.
if start > now + burst * interval + 60000000 then start = now + burst * interval end
local tat = start + interval
redis.call('SET', KEYS[1], string.format('%.0f', tat), 'PX',
           math.ceil((tat - now) / 1000) + 1000)
redis.call('ZADD', KEYS[2], now, ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - 10000000)
redis.call('PEXPIRE', KEYS[2], 10000)
return {math.max(0, start - (burst - 1) * interval - now), redis.call('ZCARD', KEYS[2])}
"""

_SHA1: Final = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()

_log = structlog.get_logger("sync_new.budget")


class RedisTat:
    """The common `tat`, behind one script."""

    def __init__(
        self, url: str, *, name: str = "sync_new", clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._redis, prefix = open_redis(url)
        # One tag: a cluster keeps what one script touches on one node.
        self.keys = (f"{{{prefix}:{name}}}:tat", f"{{{prefix}:{name}}}:replicas")
        self._replica = secrets.token_hex(8)
        self._clock_s = clock_s
        self._away_until_s = 0.0
        self.replicas = 1

    async def reserve(self, rule: Gcra) -> int | None:
        """Take one call of the common budget; None while Redis is away."""
        if self._clock_s() < self._away_until_s:
            return None
        try:
            wait_us, self.replicas = await self._run(rule.interval_us, rule.burst, self._replica)
        except (RedisError, RedisClusterException, OSError) as exc:
            self._away_until_s = self._clock_s() + _REST_S
            _log.warning("shared_budget_unreachable", error=str(exc), replicas=self.replicas)
            return None
        return int(wait_us)

    async def _run(self, *arguments: int | str) -> Any:
        try:
            return await self._redis.evalsha(_SHA1, len(self.keys), *self.keys, *arguments)
        except NoScriptError:
            return await self._redis.eval(_SCRIPT, len(self.keys), *self.keys, *arguments)

    async def close(self) -> None:
        """Close the connection."""
        await self._redis.aclose()

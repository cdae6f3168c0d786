"""
One call budget for all replicas of the new service, kept in Redis.

The rule is the limiter's own (GCRA), run inside Redis on Redis's clock, so that replicas whose
clocks differ still share one budget. Redis being away is no reason not to sync: the caller keeps to
the rate by itself, and Redis is asked again after a moment.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import redis.asyncio
import structlog
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sync_new.limiter import Gcra

KEY: Final = "syncgate:sync_new:tat"
_REST_S: Final = 1.0
_TIMEOUT_S: Final = 0.25
# Doubles hold microseconds exactly for a long time yet, but Lua would print them as 1.7e+15.
_SCRIPT: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local start = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local tat = start + interval
redis.call('SET', KEYS[1], string.format('%.0f', tat), 'PX',
           math.ceil((tat - now) / 1000) + 1000)
return math.max(0, start - (burst - 1) * interval - now)
"""

_log = structlog.get_logger("sync_new.budget")


class RedisTat:
    """The common `tat`, behind one script."""

    def __init__(
        self, url: str, *, key: str = KEY, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._redis = redis.asyncio.Redis.from_url(
            url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
        )
        self._script = self._redis.register_script(_SCRIPT)
        self._key = key
        self._clock_s = clock_s
        self._away_until_s = 0.0

    async def reserve(self, rule: Gcra) -> int | None:
        """Take one call of the common budget; None while Redis is away."""
        if self._clock_s() < self._away_until_s:
            return None
        try:
            return int(await self._script(keys=[self._key], args=[rule.interval_us, rule.burst]))
        except (RedisError, OSError) as exc:
            self._away_until_s = self._clock_s() + _REST_S
            _log.warning("shared_budget_unreachable", error=str(exc))
            return None

    async def close(self) -> None:
        """Close the connection."""
        await self._redis.aclose()

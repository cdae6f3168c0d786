"""Half-open probes of circuit breakers, counted over the fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.adapters.redis_store.foreign import foreign
from gateway.adapters.redis_store.scripts import Script

if TYPE_CHECKING:
    from gateway.adapters.redis_store.server import Server

_PROBE: Final = Script.read("probe")


class RedisProbes:
    """`ProbePermits` in Redis."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def probe(self, upstream: str, *, permits: int, window_ms: int) -> bool:
        """Take one of the probes of this window; False when all are taken."""
        answer = await self._server.run(
            _PROBE, [self._server.keys.probes], [upstream, permits, window_ms * 1_000]
        )
        if isinstance(answer, list):
            raise foreign(answer[1], self._server.address)
        return bool(answer)

    async def succeeded(self, upstream: str) -> None:
        """Take note that a probe went well: the next need not wait for another window."""
        server = self._server
        await server.call(server.client.hdel(server.keys.probes, upstream))

"""
The right to decide, kept in Redis: one holder, a term that ends by itself, a token that only grows.

The term is measured twice, and the shorter one counts. Redis forgets the lease after `ttl`. The
holder counts from before it asked, on a clock that is never set, and stops `margin` earlier: a
process that slept through its term finds, on waking, that `held` is false.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.adapters.redis_store.foreign import foreign
from gateway.adapters.redis_store.scripts import Script
from gateway.adapters.redis_store.transition import steady_us

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.adapters.redis_store.server import Server

TTL_MS: Final = 3_000
MARGIN_MS: Final = 500
_LEASE: Final = Script.read("lease")
_RELEASE: Final = Script.read("release")


class RedisLease:
    """`FleetLease` of one process; `holder` names this life of it, `now_us` is a steady clock."""

    def __init__(
        self,
        server: Server,
        holder: str,
        *,
        ttl_ms: int = TTL_MS,
        margin_ms: int = MARGIN_MS,
        now_us: Callable[[], int] = steady_us,
    ) -> None:
        if not holder or any(character.isspace() for character in holder):
            raise ValueError("a holder's name has no spaces")
        self._server = server
        self._name = holder
        self._ttl_ms = ttl_ms
        self._margin_ms = margin_ms
        self._now_us = now_us
        self._token = 0
        self._until_us = 0
        self._holder = ""

    @property
    def held(self) -> bool:
        """Whether this process decides now."""
        return self._now_us() < self._until_us

    @property
    def fencing_token(self) -> int:
        """The token of this process's last term; 0 if it never had one."""
        return self._token

    @property
    def holder(self) -> str:
        """Who has it, as far as was last heard; empty if nobody knows."""
        return self._name if self.held else self._holder

    async def renew(self, *, floor: int = 0) -> bool:
        """Take it if nobody has it, keep it if we have it; say whether we hold it.

        `floor` is the highest fencing token the caller knows of. StoreUnavailableError when Redis
        cannot be asked: what is held then runs out by itself.
        """
        asked_us = self._now_us()
        keys = self._server.keys
        answer = await self._server.run(
            _LEASE,
            [keys.lease, keys.fence],
            [self._name, self._ttl_ms, max(floor, self._token)],
        )
        if answer[0] == b"foreign":
            raise foreign(answer[1], self._server.address)
        if answer[0] == b"held":
            self._token = int(answer[1])
            self._until_us = asked_us + (self._ttl_ms - self._margin_ms) * 1_000
            return self.held
        self._until_us = 0
        self._holder = answer[3].decode(errors="replace")
        return False

    async def release(self) -> None:
        """Let another take over at once; what cannot be given back runs out."""
        held_until_us, self._until_us = self._until_us, 0
        if held_until_us:
            await self._server.run(_RELEASE, [self._server.keys.lease], [self._name, self._token])

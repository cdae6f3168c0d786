"""
The ledger of a fleet's limits: what every holder used and wants goes up, permits come down.

One script call carries up to `MOST_PER_CALL` keys of all workers of a replica. Keys are digested
before they leave this process: a client's key may be its API key. Each call has a deadline on the
server's clock: a server that stood still would else charge, one after the other, for all that was
asked meanwhile and given up.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from gateway.adapters.redis_store.foreign import foreign
from gateway.adapters.redis_store.scripts import Argument, Script
from gateway.adapters.redis_store.transition import steady_us
from gateway.core.shares import LEASE_US, Grant
from gateway.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.adapters.redis_store.server import Server
    from gateway.ports.fleet import HolderAsk

MAX_ACCOUNTS: Final = 100_000
MOST_PER_CALL: Final = 500
_PER_ANSWER: Final = 3
_TRIES: Final = 2
"""A server that took over has a clock of its own, by which the first call may come too late."""
_LEDGER: Final = Script.read("ledger")


class RedisLedger:
    """`Ledger` in Redis."""

    def __init__(self, server: Server, *, max_accounts: int = MAX_ACCOUNTS) -> None:
        self._server = server
        self._max_accounts = max_accounts
        self._patience_us = int(server.address.timeout_s * 1e6)
        self._clock_ahead_us: int | None = None

    async def exchange(self, asks: Sequence[HolderAsk], *, holders: int) -> list[Grant]:
        """Charge what was used, hand out what is there: one `Grant` per ask, in order.

        `holders` is how many workers of how many replicas share the budget now.
        StoreUnavailableError when Redis cannot be asked: then nothing is handed out, and what was
        used has to be told again.
        """
        grants: list[Grant] = []
        for begin in range(0, len(asks), MOST_PER_CALL):
            grants += await self._exchange(asks[begin : begin + MOST_PER_CALL], holders)
        return grants

    async def _exchange(self, asks: Sequence[HolderAsk], holders: int) -> list[Grant]:
        quotas = list(dict.fromkeys(one.quota for one in asks))
        arguments: list[Argument] = [len(quotas)]
        for quota in quotas:
            arguments += [quota.requests, quota.period_us, quota.burst]
        for one in asks:
            ask = one.ask
            arguments += [
                account_of(one.scope, ask.key),
                quotas.index(one.quota) + 1,
                _name(one.holder),
                ask.used,
                ask.hand,
                ask.ahead_us,
                ask.want,
            ]
        answer = await self._in_time([holders, LEASE_US, self._max_accounts], arguments)
        return [
            Grant(one.ask.key, *map(int, answer[at : at + _PER_ANSWER]))
            for one, at in zip(asks, range(1, len(answer), _PER_ANSWER), strict=True)
        ]

    async def _in_time(self, first: list[Argument], rest: list[Argument]) -> list[Any]:
        for _ in range(_TRIES):
            ahead = self._clock_ahead_us
            deadline = 0 if ahead is None else steady_us() + ahead + self._patience_us
            answer = await self._server.run(
                _LEDGER, self._server.keys.shares, [*first, deadline, *rest]
            )
            if answer[0] == b"foreign":
                raise foreign(answer[1], self._server.address)
            late = answer[0] == b"late"
            self._clock_ahead_us = int(answer[late]) - steady_us()
            if not late:
                return list(answer)
        raise StoreUnavailableError(
            f"Redis at {self._server.address} stood still; nothing of it was charged."
        )


def account_of(scope: str, key: str | bytes) -> str:
    """Name a key's account without telling the key."""
    whole = key.encode(errors="surrogateescape") if isinstance(key, str) else key
    return blake2b(whole, digest_size=12, person=scope.encode()[:16]).hexdigest()


def _name(holder: str) -> str:
    return blake2b(holder.encode(), digest_size=6).hexdigest()

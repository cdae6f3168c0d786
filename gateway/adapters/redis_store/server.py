"""One Redis as the adapters see it: scripts and commands with a deadline, errors in our words."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from gateway.adapters.redis_store.client import open_client
from gateway.adapters.redis_store.failures import translated
from gateway.adapters.redis_store.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from gateway.adapters.redis_store.address import Address
    from gateway.adapters.redis_store.client import Client
    from gateway.adapters.redis_store.scripts import Argument, Script

_READS_PER_CALL: Final = 4
"""A call on a new connection reads this often: sign in, choose the database, ask, ask again."""


class Server:
    """The connections of one process; shared by its store, lease, board and shares."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.keys = Keys(address.prefix)
        self.client: Client = open_client(address)
        self._deadline_s = address.timeout_s * _READS_PER_CALL

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run a script, or raise StoreUnavailableError (or one of its kinds)."""
        return await self.call(script.run(self.client, keys, args))

    async def call(self, work: Awaitable[Any]) -> Any:
        """Await one call to Redis, with its deadline and its errors in our words."""
        with translated(str(self.address)):
            async with asyncio.timeout(self._deadline_s):
                return await work

    async def close(self) -> None:
        """Let go of every connection."""
        await self.client.aclose()

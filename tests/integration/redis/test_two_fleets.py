"""Two fleets on one server, told apart by their prefix alone: neither sees the other."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from gateway.adapters.redis_store.address import read_address
from gateway.adapters.redis_store.alerts import RedisAlertStore
from gateway.adapters.redis_store.board import RedisBoard
from gateway.adapters.redis_store.idempotency import RedisKeys
from gateway.adapters.redis_store.lease import RedisLease
from gateway.adapters.redis_store.ledger import RedisLedger
from gateway.adapters.redis_store.probes import RedisProbes
from gateway.adapters.redis_store.server import Server
from gateway.adapters.redis_store.state import RedisStore
from gateway.ports.fleet import HolderAsk
from gateway.settings import Settings
from tests.contract.fleet.contract import QUOTA, ask
from tests.contract.state_store.contract import step
from tests.support.redis_servers import fresh_prefix

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.redis_servers import RedisServer

SCOPE = bytes(24)


class Fleet:
    """All that one fleet keeps in Redis, as one of its replicas sees it."""

    def __init__(self, url: str) -> None:
        self.server = Server(read_address(url))
        self.lease = RedisLease(self.server, "a@boot")
        self.store = RedisStore(self.server)
        self.board = RedisBoard(self.server, "a")
        self.ledger = RedisLedger(self.server)
        self.probes = RedisProbes(self.server)
        self.alerts = RedisAlertStore(self.server)
        self.keys = RedisKeys(url)
        self.heard: asyncio.Queue[str] = asyncio.Queue()

    async def ahead_us(self) -> int:
        """How far the one client's account is ahead."""
        asked = HolderAsk("w", "client", QUOTA, ask("k"))
        [grant] = await self.ledger.exchange([asked], holders=1)
        return grant.ahead_us

    def claim(self) -> str:
        """Claim the one keyed write."""
        claimed = self.keys.claim(SCOPE, b"p", side="old", now_s=0, lease_s=9, ttl_s=9)
        return str(claimed[0])


@asynccontextmanager
async def fleet(url: str, prefix: str) -> AsyncIterator[Fleet]:
    """Connected as its settings say; listening."""
    settings = Settings(REDIS_URL=f"{url}?timeout_ms=5000", GATEWAY_REDIS_PREFIX=prefix)
    made = Fleet(settings.fleet_url)
    listening = asyncio.create_task(made.board.listen(made.heard.put_nowait))
    assert await asyncio.wait_for(made.heard.get(), 10) == ""
    yield made
    listening.cancel()
    made.keys.close()
    await made.server.close()


async def test_two_prefixes_are_two_worlds(redis_server: RedisServer) -> None:
    """State, news, lease, board, limits, probes, keyed writes, alerts: each fleet has its own."""
    names = fresh_prefix(), fresh_prefix()
    async with fleet(redis_server.url, names[0]) as east, fleet(redis_server.url, names[1]) as west:
        for number in range(3):
            await east.store.commit(step(number, number))
        assert (await west.store.commit(step(0, 9))).version == 1
        assert await west.heard.get() == "state 1"
        assert west.heard.empty()
        assert len(await east.store.audit()) == 3
        assert len(await west.store.audit()) == 1
        assert await east.lease.renew()
        assert await west.lease.renew(), "one of each decides"
        reading = await east.board.post({"of": "east"})
        assert [one.document for one in reading.postings] == [{"of": "east"}]
        assert (reading.version, (await west.board.read()).postings) == (3, ())
        used = HolderAsk("w", "client", QUOTA, ask("k", used=100))
        await east.ledger.exchange([used], holders=1)
        assert await east.ahead_us() - await west.ahead_us() > 500_000
        assert await east.probes.probe("new", permits=1, window_ms=60_000)
        assert await west.probes.probe("new", permits=1, window_ms=60_000)
        assert (east.claim(), west.claim()) == ("claimed", "claimed")
        assert await west.alerts.load() is None
        with redis_server.direct() as direct:
            written = [direct.keys(f"*{name}*") for name in names]
        assert all(written)
        assert not set(written[0]) & set(written[1])

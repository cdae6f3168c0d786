"""Limits and probes over a fleet, with real workers, the parents' loop and a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

from gateway.adapters.redis_store.address import read_address
from gateway.adapters.redis_store.ledger import RedisLedger
from gateway.adapters.redis_store.probes import RedisProbes
from gateway.adapters.redis_store.server import Server
from gateway.control.fleet.sharing import Sharing
from gateway.link import BreakerChanged, ShareAsks, ShareGrants, encode
from tests.support.dataplane import (
    OK,
    UNREACHABLE,
    DataPlane,
    RecordingUpstream,
    routing,
    unlimited,
)
from tests.support.redis_servers import fresh_prefix
from tests.support.scale import scale
from tests.support.workers import fleet

if TYPE_CHECKING:
    from tests.support.redis_servers import RedisFactory
    from tests.support.workers import Fleet

READ = "/api/property-listings"


class Pool:
    """What `Sharing` needs of a pool, over the workers of a test."""

    def __init__(self, workers: Fleet) -> None:
        self.workers = workers
        self.on_shares = None

    def share(self, grants: ShareGrants) -> None:
        """Tell every worker."""
        for worker in self.workers.workers:
            worker.writer.write(encode(grants))

    def send_to(self, number: int, grants: ShareGrants) -> None:
        """Answer one; here they count from 0, in the order of their start."""
        self.workers.workers[number].writer.write(encode(grants))

    async def run(self) -> None:
        """Hand on what the workers say."""
        read = [0] * len(self.workers.workers)
        while True:
            for index, worker in enumerate(self.workers.workers):
                for message in worker.said[read[index] :]:
                    if isinstance(message, ShareAsks | BreakerChanged) and self.on_shares:
                        self.on_shares(replace(message, worker=index))
                read[index] = len(worker.said)
            await asyncio.sleep(0.005)


class Replicas:
    """Two replicas of two workers each, their parents' loops, one Redis."""

    def __init__(self, redis_url: str, upstream: str, **settings: object) -> None:
        self.address = replace(read_address(redis_url), prefix=fresh_prefix())
        self.settings = unlimited(upstream, UNREACHABLE, fleet=True, drain_idle_ms=100, **settings)
        self.stack = AsyncExitStack()
        self.planes: list[DataPlane] = []
        self.workers: list[Fleet] = []

    async def __aenter__(self):
        for number in range(2):
            workers = await self.stack.enter_async_context(fleet(self.settings, routing()))
            for _ in range(2):
                await workers.start()
            self.workers.append(workers)
            self.planes.append(DataPlane(None, workers.port))
            connections = Server(self.address)
            self.stack.push_async_callback(connections.close)
            pool = Pool(workers)
            sharing = Sharing(
                RedisLedger(connections), RedisProbes(connections), pool,
                replica=f"replica-{number}", quotas=self.settings.quotas(),
                probe_window_ms=self.settings.breaker_timeout_ms,
                holders=lambda: 4, reachable=lambda: True,
            )  # fmt: skip
            for loop in (sharing.run(), pool.run()):
                self.stack.push_async_callback(_stopped, asyncio.create_task(loop))
        await asyncio.sleep(1.2)  # everybody has heard how many share
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stack.aclose()


async def _stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _offer(planes: list[DataPlane], *, seconds: float, callers: int) -> SimpleNamespace:
    """Ask as fast as it goes, everywhere; count what was let through and what was not."""
    seen = SimpleNamespace(passed=0, limited=0, other=0)
    begun = time.monotonic()

    async def caller(number: int) -> None:
        while time.monotonic() - begun < seconds:
            answer = await planes[number % len(planes)].ask(READ, headers={"apikey": "one"})
            if answer.status == 200:
                seen.passed += 1
            elif answer.status == 429:
                seen.limited += 1
                assert int(answer.headers["retry-after"]) >= 1
            else:
                seen.other += 1
            await asyncio.sleep(0.01)

    await asyncio.gather(*(caller(number) for number in range(callers)))
    seen.elapsed_s = time.monotonic() - begun
    return seen


async def test_a_client_has_one_budget_everywhere(redis_factory: RedisFactory) -> None:
    """Two replicas of two workers: as on one node, and within a refill when Redis is killed."""
    server = redis_factory("valkey")
    limits = {"rate_limit_per_second": 50.0, "rate_limit_burst": 50}
    async with RecordingUpstream(OK) as old, Replicas(server.url, old.url, **limits) as fleet_:
        seconds = scale(full=30, quick=2)
        seen = await _offer(fleet_.planes, seconds=seconds, callers=16)
        assert seen.other == 0
        assert seen.limited > 0
        assert 0.6 * 50 * seconds <= seen.passed <= 50 + 50 * seen.elapsed_s + 50
        server.kill()
        without = await _offer(fleet_.planes, seconds=seconds, callers=16)
        assert without.other == 0
        assert without.passed <= 50 * without.elapsed_s + 50
        assert without.passed >= 0.3 * 50 * seconds
        server.start()
        again = await _offer(fleet_.planes, seconds=seconds, callers=16)
        assert again.other == 0
        total_s = seen.elapsed_s + without.elapsed_s + again.elapsed_s
        assert seen.passed + without.passed + again.passed <= 50 + 50 * total_s + 50
        assert again.passed >= 0.6 * 50 * seconds


async def test_one_probe_of_the_whole_fleet_at_a_time(redis_factory: RedisFactory) -> None:
    """All breakers are open; a sick system meets one request per window, a well one all again."""
    server = redis_factory("valkey")
    sick = True

    def answer(_: object) -> bytes | None:
        return None if sick else OK

    settings = {"breaker_threshold": 2, "breaker_timeout_ms": 1_000}
    async with (
        RecordingUpstream(answer) as old,
        Replicas(server.url, old.url, rate_limit_per_second=0.0, **settings) as fleet_,
    ):
        await _offer(fleet_.planes, seconds=0.5, callers=16)
        opened = len(old.requests)
        assert opened >= 8
        await _offer(fleet_.planes, seconds=2.4, callers=16)
        probes = len(old.requests) - opened
        # A GET that got no answer is tried once more by the same worker.
        assert 1 <= probes <= 2 * 3
        sick = False
        async with asyncio.timeout(20):
            while (await _offer(fleet_.planes, seconds=0.5, callers=16)).other:
                pass

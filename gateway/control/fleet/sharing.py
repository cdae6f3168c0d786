"""
Limits over the fleet, from the parent's side: one round trip for what all workers want.

Workers ask when they need; what they ask within a moment travels together. Each of them hears at
least once a second whether the ledger can be reached and how many share the budget: a worker that
hears nothing keeps to its own part of it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from gateway.core.shares import Ask
from gateway.errors import StateError
from gateway.link import BreakerChanged, ShareAsks, ShareGrants
from gateway.ports.fleet import HolderAsk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.control.workers import WorkerPool
    from gateway.core.limiter import Quota
    from gateway.ports.fleet import Ledger, ProbePermits

TELL_EVERY_S: Final = 1.0
GATHER_S: Final = 0.02
LINGER_S: Final = 0.12
"""Longer than a worker's tick: what all of them ask in the same second travels together."""
BELIEVED_S: Final = 3.0
"""So long the fleet counts as reachable after it was last heard."""
PROBES: Final = 1
_MOST_WAITING: Final = 1_000

_log = structlog.get_logger("shares")


class Sharing:
    """The shares loop of one replica."""

    def __init__(
        self,
        ledger: Ledger,
        probes: ProbePermits,
        pool: WorkerPool,
        *,
        replica: str,
        quotas: Mapping[str, Quota],
        probe_window_ms: int,
        holders: Callable[[], int],
        reachable: Callable[[], bool],
    ) -> None:
        self._ledger = ledger
        self._probes = probes
        self._pool = pool
        self._replica = replica
        self._quotas = quotas
        self._probe_window_ms = probe_window_ms
        self._holders = holders
        self._reachable = reachable
        self._waiting: list[ShareAsks] = []
        self._closed: set[str] = set()
        self._due = asyncio.Event()
        self._trouble = ""
        self._troubled_s = 0.0
        pool.on_shares = self.heard

    def heard(self, message: ShareAsks | BreakerChanged) -> None:
        """Take what a worker says; never waits."""
        if isinstance(message, BreakerChanged):
            if message.state == "closed":
                self._closed.add(message.variant)
        elif len(self._waiting) < _MOST_WAITING:
            self._waiting.append(message)
            if not message.urgent:
                asyncio.get_running_loop().call_later(LINGER_S, self._due.set)
                return
        self._due.set()

    async def run(self) -> None:
        """Ask for everybody, for ever."""
        while True:
            try:
                async with asyncio.timeout(TELL_EVERY_S):
                    await self._due.wait()
                await asyncio.sleep(GATHER_S)
            except TimeoutError:
                pass
            self._due.clear()
            asks, self._waiting = self._waiting, []
            holders = max(1, self._holders())
            try:
                grants = await self._settle(asks, holders)
                reason = "" if asks else self._known_trouble()
            except StateError as error:
                grants, reason = {}, error.message
                self._troubled_s = asyncio.get_running_loop().time()
            if reason != self._trouble:
                self._trouble = reason
                _log.warning("shares_lost", reason=reason) if reason else _log.info("shares_found")
            connected = not reason and (bool(asks) or self._reachable())
            self._pool.share(ShareGrants(holders, connected))
            for worker, answer in grants.items():
                self._pool.send_to(worker, answer)

    def _known_trouble(self) -> str:
        """Give the trouble that is known when nothing was asked: as it was, if it is not old.

        That the fleet is reachable may be of a reading before the trouble began.
        """
        since_s = asyncio.get_running_loop().time() - self._troubled_s
        return "" if self._reachable() and since_s > BELIEVED_S else self._trouble

    async def _settle(self, asks: list[ShareAsks], holders: int) -> dict[int, ShareGrants]:
        wanted = [
            (asked.worker, row) for asked in asks for row in asked.rows if row[0] in self._quotas
        ]
        found = await self._ledger.exchange(
            [
                HolderAsk(f"{self._replica}/{worker}", row[0], self._quotas[row[0]], Ask(*row[1:]))
                for worker, row in wanted
            ],
            holders=holders,
        )
        rows: dict[int, list[tuple[str, str, int, int, int]]] = {a.worker: [] for a in asks}
        for (worker, row), grant in zip(wanted, found, strict=True):
            rows[worker].append(
                (row[0], row[1], grant.granted, grant.credit, grant.ahead_us),
            )
        probes = await self._permits(asks)
        return {
            worker: ShareGrants(holders, connected=True, rows=tuple(given), probes=probes[worker])
            for worker, given in rows.items()
        }

    async def _permits(self, asks: list[ShareAsks]) -> dict[int, tuple[str, ...]]:
        """Ask leave to probe; where one probe went well the next need not wait."""
        closed, self._closed = self._closed, set()
        for upstream in closed:
            await self._probes.succeeded(upstream)
        return {
            asked.worker: tuple(
                [
                    upstream
                    for upstream in asked.probes
                    if await self._probes.probe(
                        upstream, permits=PROBES, window_ms=self._probe_window_ms
                    )
                ]
            )
            for asked in asks
        }

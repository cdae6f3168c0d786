"""
A worker's part of the limits that hold over a fleet, and its leave to probe an upstream.

Requests are judged with what is here (`core.shares`). Ten times a second the worker tells its
parent what it used and what it runs short of; the parent asks the fleet's ledger for all workers
together and hands the answers down. A client's key leaves this process as a digest only.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from gateway.core.shares import LEASE_US, Grant, ShareTable
from gateway.link import ShareAsks, ShareGrants
from gateway.proxy.configuration import CLIENT, UPSTREAM

if TYPE_CHECKING:
    from gateway.core.limiter import Quota
    from gateway.core.shares import Ask

_PROBE_EVERY_US: Final = 500_000
_LEAVE_US: Final = 2_000_000
_MOST_KEYS: Final = 100_000


class FleetLimits:
    """The shares of one worker; a quota that is None sets no limit."""

    def __init__(self, *, client: Quota | None, upstream: Quota | None) -> None:
        self.clients = ShareTable(client) if client is not None else None
        self.upstreams = ShareTable(upstream) if upstream is not None else None
        self._tables = {
            scope: table
            for scope, table in ((CLIENT, self.clients), (UPSTREAM, self.upstreams))
            if table is not None
        }
        self._keys: dict[str, str | bytes] = {}
        self._connected_until_us = 0
        self._wanted: dict[str, int] = {}
        self._leave: dict[str, int] = {}

    def may_probe(self, name: str, now_us: int) -> bool:
        """Whether this worker may try an upstream whose circuit breaker has waited long enough.

        While the fleet cannot be asked, each decides for itself.
        """
        if now_us >= self._connected_until_us:
            return True
        if self._leave.pop(name, 0) > now_us:
            return True
        self._wanted.setdefault(name, 0)
        return False

    def asks(self, worker: int, now_us: int) -> ShareAsks | None:
        """Give what is to be asked now; None: nothing."""
        asks = [(scope, ask) for scope, table in self._tables.items() for ask in table.asks(now_us)]
        probes = tuple(name for name, asked in self._wanted.items() if now_us >= asked)
        for name in probes:
            self._wanted[name] = now_us + _PROBE_EVERY_US
        if not asks and not probes:
            return None
        urgent = bool(probes) or any(ask.urgent for _, ask in asks)
        return ShareAsks(worker, tuple(self._row(*each) for each in asks), probes, urgent)

    def _row(self, scope: str, ask: Ask) -> tuple[str, str, int, int, int, int]:
        whole = ask.key.encode() if isinstance(ask.key, str) else ask.key
        token = blake2b(whole, digest_size=12).hexdigest() if scope == CLIENT else str(ask.key)
        if len(self._keys) >= _MOST_KEYS:
            self._keys.clear()  # answers under way are lost; what they were for is asked again
        self._keys[token] = ask.key
        return scope, token, ask.used, ask.hand, ask.ahead_us, ask.want

    def take(self, grants: ShareGrants, now_us: int) -> None:
        """Take in what the parent heard."""
        for table in self._tables.values():
            table.share_with(grants.holders)
        if not grants.connected:
            self._connected_until_us = 0
            for table in self._tables.values():
                table.lost(now_us)
            return
        self._connected_until_us = now_us + LEASE_US
        for table in self._tables.values():
            table.heard(now_us)
        for scope, token, granted, credit, ahead_us in grants.rows:
            key, table_ = self._keys.pop(token, None), self._tables.get(scope)
            if key is not None and table_ is not None:
                table_.granted(Grant(key, granted, credit, ahead_us), now_us)
        for name in grants.probes:
            if self._wanted.pop(name, None) is not None:
                self._leave[name] = now_us + _LEAVE_US

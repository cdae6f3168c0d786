"""
A fleet's Redis in memory: one server, many clients, all on clocks of the test's own.

It keeps the promises of `gateway.ports.fleet` that matter to the control plane (versions, fencing
tokens, one lease, newest postings), and it can be away, come back empty, or come back older.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from gateway.adapters import audit_chain
from gateway.errors import FencedError, StoreUnavailableError, VersionConflictError
from gateway.ports import Committed, Event, StoredState, Transition
from gateway.ports.fleet import MAX_POSTING_BYTES, BoardReading, Posting

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class MemoryServer:
    """What all replicas share; `now_us` is its own clock."""

    now_us: Callable[[], int]
    away: bool = False
    version: int = 0
    document: dict[str, Any] | None = None
    written_by: int = 0
    fence: int = 0
    lease: tuple[str, int, int] | None = None
    """Holder, token, end."""
    postings: dict[str, tuple[int, Any]] = field(default_factory=dict)
    audit: list[Any] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    decisions: list[Any] = field(default_factory=list)
    commits: list[tuple[int, int]] = field(default_factory=list)
    """(token, version) of every document that was stored."""
    listeners: list[Callable[[str], None]] = field(default_factory=list)

    def reached(self) -> None:
        """Every call begins here."""
        if self.away:
            raise StoreUnavailableError("Redis in memory cannot be reached.")

    def forget(self) -> None:
        """Come back with nothing."""
        self.version, self.document, self.written_by, self.fence = 0, None, 0, 0
        self.lease = None
        self.postings.clear()
        self.audit.clear()
        self.events.clear()
        self.decisions.clear()

    def remember(self) -> Callable[[], None]:
        """Take a picture; calling it comes back older."""
        kept = (self.version, copy.deepcopy(self.document), self.written_by, self.fence)

        def back() -> None:
            self.version, self.document, self.written_by, self.fence = kept
            self.lease = None
            self.postings.clear()

        return back

    def told(self) -> None:
        """Publish the version."""
        for listener in self.listeners:
            listener(f"state {self.version}")


@dataclass
class MemoryFleetStore:
    """`FleetStore`; `cut` makes it unreachable for this replica alone."""

    server: MemoryServer
    cut: bool = False

    def _reached(self) -> None:
        if self.cut:
            raise StoreUnavailableError("Redis in memory cannot be reached from here.")
        self.server.reached()

    async def load(self) -> StoredState | None:
        """Read the state."""
        self._reached()
        if self.server.document is None:
            return None
        return StoredState(self.server.version, copy.deepcopy(self.server.document))

    async def commit(self, transition: Transition) -> Committed:
        """Compare, check the token, store."""
        self._reached()
        server = self.server
        if 0 < transition.token < max(server.fence, server.written_by):
            raise FencedError("Another gateway holds the lease by now.")
        if transition.document is not None:
            if transition.expected_version != server.version:
                raise VersionConflictError(f"The state has moved on to version {server.version}.")
            server.version += 1
            server.document = copy.deepcopy(dict(transition.document))
            server.written_by = max(server.written_by, transition.token)
            server.commits.append((transition.token, server.version))
        entries = []
        for draft in transition.audit:
            head = server.audit[-1].digest if server.audit else audit_chain.GENESIS
            server.audit.append(audit_chain.link(draft, seq=len(server.audit) + 1, previous=head))
            entries.append(server.audit[-1])
        server.decisions += transition.decisions
        events = []
        for event in transition.events:
            number = len(server.events) + 1
            server.events.append(Event(number, event.at_us, event.kind, event.text, event.data))
            events.append(server.events[-1])
        if transition.document is not None:
            server.told()
        return Committed(server.version, tuple(entries), tuple(events))

    async def seed(self, stored: StoredState, *, token: int = 0) -> int:
        """Take a newer state than ours."""
        self._reached()
        server = self.server
        if server.version < stored.version:
            server.version, server.document = stored.version, copy.deepcopy(dict(stored.document))
            server.fence = max(server.fence, token)
            server.told()
        return server.version

    async def audit(self, **_: Any) -> list[Any]:
        """Newest first."""
        self._reached()
        return self.server.audit[::-1]

    async def latest_events(self, *, limit: int = 20) -> list[Event]:
        """The newest, oldest of them first."""
        self._reached()
        return self.server.events[-limit:]

    async def events(self, *, after_seq: int = 0, limit: int = 100) -> list[Event]:
        """Those after it."""
        self._reached()
        return self.server.events[after_seq : after_seq + limit]

    async def measurements(self, **_: Any) -> list[Any]:
        """None are kept."""
        self._reached()
        return []

    reports = decisions = measurements

    async def close(self) -> None:
        """Nothing is open."""


@dataclass
class MemoryLease:
    """`FleetLease`; `now_us` is the steady clock of its replica."""

    server: MemoryServer
    name: str
    now_us: Callable[[], int]
    term_us: int = 3_000_000
    margin_us: int = 500_000
    cut: bool = False
    fencing_token: int = 0
    until_us: int = 0
    other: str = ""
    on_the_way: Callable[[], None] = lambda: None
    """Called between the question and the answer."""

    @property
    def held(self) -> bool:
        """By our own clock."""
        return self.now_us() < self.until_us

    @property
    def holder(self) -> str:
        """As far as was heard."""
        return self.name if self.held else self.other

    async def renew(self, *, floor: int = 0) -> bool:
        """Take or keep it."""
        asked_us = self.now_us()
        if self.cut:
            raise StoreUnavailableError("Redis in memory cannot be reached from here.")
        server = self.server
        server.reached()
        now_us = server.now_us()
        if server.lease is not None and server.lease[2] > now_us:
            holder, token, _ = server.lease
            if holder != self.name:
                self.until_us, self.other = 0, holder
                return False
        if server.lease is None or server.lease[2] <= now_us or server.lease[0] != self.name:
            server.fence = token = max(server.fence, floor, self.fencing_token) + 1
        server.lease = (self.name, token, now_us + self.term_us)
        self.on_the_way()
        self.fencing_token, self.until_us = token, asked_us + self.term_us - self.margin_us
        return self.held

    async def release(self) -> None:
        """Let another."""
        held, self.until_us = self.held, 0
        if held and not self.cut and not self.server.away:
            self.server.lease = None


@dataclass
class MemoryBoard:
    """`Board` of one replica."""

    server: MemoryServer
    name: str
    cut: bool = False

    async def post(self, document: Any) -> BoardReading:
        """Put up and read."""
        if len(orjson.dumps(document)) > MAX_POSTING_BYTES:
            raise StoreUnavailableError("Refused to put up an oversized second.")
        reading = await self.read()
        now_us = self.server.now_us()
        self.server.postings[self.name] = (now_us, copy.deepcopy(document))
        own = Posting(self.name, 0, document)
        others = tuple(one for one in reading.postings if one.replica != self.name)
        return BoardReading(now_us, reading.version, (*others, own))

    async def read(self) -> BoardReading:
        """Read everybody's."""
        if self.cut:
            raise StoreUnavailableError("Redis in memory cannot be reached from here.")
        self.server.reached()
        now_us = self.server.now_us()
        postings = tuple(
            Posting(name, now_us - at_us, copy.deepcopy(document))
            for name, (at_us, document) in self.server.postings.items()
        )
        return BoardReading(now_us, self.server.version, postings)

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Hear every message from now on."""
        self.server.listeners.append(heard)

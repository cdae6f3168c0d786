"""
A fleet's durable record in Redis: `StateStore`, one Lua script per transition.

Versions are compared and set, and fencing tokens checked, inside the script; the audit's digests
are made here, over the head the script then checks, so a chain that grew meanwhile is linked anew.

**A lost answer.** A commit whose answer did not come may have been stored or not. It carries a
random id, so that repeating it is safe: the server says `repeated` instead of storing it twice. It
also carries a deadline on the server's clock, so that a server that stood still cannot store, when
it goes on, what its writer has long given up.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.adapters import audit_chain
from gateway.adapters.redis_store import rows
from gateway.adapters.redis_store.failures import may_have_been_done
from gateway.adapters.redis_store.foreign import foreign
from gateway.adapters.redis_store.scripts import Script
from gateway.adapters.redis_store.transition import MAX_DOCUMENT_BYTES, Work, steady_us
from gateway.errors import (
    FencedError,
    StateUnreadableError,
    StoreUnavailableError,
    VersionConflictError,
)
from gateway.ports import (
    AuditCheck,
    AuditEntry,
    Committed,
    Decision,
    Event,
    MeasurementDraft,
    StoredState,
    Transition,
    UserReport,
)

if TYPE_CHECKING:
    from gateway.adapters.redis_store.scripts import Argument
    from gateway.adapters.redis_store.server import Server

FORMAT: Final = "syncgate-state-1"
KEPT: Final = {"decisions": 5_000, "events": 20_000, "measurements": 50_000, "reports": 5_000}
"""How many of what only explains stay; the audit is kept for good."""

_PAGE: Final = 500
_TRIES: Final = 3
_PAUSE_S: Final = 0.05
_LINKS: Final = 20
_GIVES_UP_AFTER_US: Final = 1_000_000

_COMMIT: Final = Script.read("commit")
_SEED: Final = Script.read("seed")


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One commit under its id, and when its answer was lost, if it was."""

    id: str
    doubtful: bool = False


class RedisStore:
    """`FleetStore` on a Redis that a fleet shares."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys = server.keys
        self._head = (0, audit_chain.GENESIS)
        self._doubtful: dict[bytes, _Attempt] = {}
        self._clock_ahead_us: int | None = None

    async def load(self) -> StoredState | None:
        """Read the state; refuse what is blank, oversized, altered or not ours."""
        keys, server = self._keys, self._server
        kind = await server.call(server.client.type(keys.state))
        if kind == b"none":
            return None
        if kind != b"hash":
            raise self._unreadable("is of another program")
        # A hostile value is not fetched to find out that it is oversized.
        size = await server.call(server.client.hstrlen(keys.state, "document"))
        if size > MAX_DOCUMENT_BYTES:
            raise self._unreadable(f"is oversized ({size} bytes)")
        form, version, text, digest = await server.call(
            server.client.hmget(keys.state, "format", "version", "document", "digest")
        )
        if form != FORMAT.encode():
            raise self._unreadable("is of another program, or of another release")
        return self._state(version or b"", text or b"", digest or b"")

    def _state(self, version: bytes, text: bytes, digest: bytes) -> StoredState:
        if not text.strip():
            raise self._unreadable("is blank")
        number = int(version) if version.isdigit() else 0
        decoded = text.decode(errors="replace")
        if rows.state_digest(number, decoded).encode() != digest:
            raise self._unreadable("was altered outside the gateway")
        document = orjson.loads(text)
        if not isinstance(document, dict) or not document:
            raise self._unreadable("is no state")
        return StoredState(number, document)

    def _unreadable(self, problem: str) -> StateUnreadableError:
        return StateUnreadableError(
            f"The state under {self._keys.state} in Redis at {self._server.address} {problem}.",
            todo="If it belongs to something else, choose another prefix (REDIS_URL ...?prefix="
            "name); if it is ours and damaged, delete that key: a running gateway stores it anew.",
        )

    async def commit(self, transition: Transition) -> Committed:
        """Store all of it in one script, or raise what stands in the way.

        VersionConflictError, FencedError: nothing was stored. StoreUnavailableError: nothing was
        stored, or (when the server fell silent in the middle) it may have been; committing the same
        transition again then settles it, and after a second the server refuses to store it late.
        """
        work = Work(transition)
        attempt = self._doubtful.pop(work.content, None) or _Attempt(secrets.token_hex(12))
        for tries_left in reversed(range(_TRIES)):
            try:
                return await self._stored(work, attempt)
            except StoreUnavailableError as error:
                if not may_have_been_done(error):
                    raise
                attempt = replace(attempt, doubtful=True)
                if not tries_left:
                    self._remember(work, attempt)
                    raise
                await asyncio.sleep(_PAUSE_S)
            except asyncio.CancelledError:
                self._remember(work, replace(attempt, doubtful=True))
                raise
        raise AssertionError

    def _remember(self, work: Work, attempt: _Attempt) -> None:
        self._doubtful[work.content] = attempt
        while len(self._doubtful) > _PAGE:
            del self._doubtful[next(iter(self._doubtful))]

    async def _stored(self, work: Work, attempt: _Attempt) -> Committed:
        """Commit, linking the audit anew as often as somebody else was quicker."""
        for _ in range(_LINKS):
            count, head = self._head
            entries = work.linked(count, head)
            answer = await self._server.run(
                _COMMIT, self._commit_keys(), self._commit_arguments(work, attempt, entries)
            )
            kind, now = answer[0].decode(), int(answer[1])
            self._clock_ahead_us = now - steady_us()
            if kind == "audit":
                self._head = (int(answer[2]), answer[3].decode())
                continue
            if kind == "late" and steady_us() - work.begun_us < _GIVES_UP_AFTER_US:
                continue  # another server has taken over, with another clock
            if kind not in {"stored", "repeated"}:
                raise self._refusal(kind, answer[2:])
            version, count, first_event = answer[2:]
            if kind == "repeated":
                return await self._repeated(work, version, count, first_event)
            if entries:
                self._head = (entries[-1].seq, entries[-1].digest)
            return Committed(version, entries, work.events(first_event))
        raise StoreUnavailableError("The audit grows too fast to append to it; try again.")

    async def _repeated(self, work: Work, version: int, count: int, first_event: int) -> Committed:
        """Read back what a commit stored whose answer had been lost."""
        wanted = len(work.transition.audit)
        entries = await self.audit(before_seq=count + 1, limit=wanted) if wanted else []
        return Committed(version, tuple(reversed(entries)), work.events(first_event))

    def _commit_keys(self) -> list[str]:
        keys = self._keys
        return [
            keys.state,
            keys.heads,
            keys.audit,
            keys.decisions,
            keys.events,
            keys.measurements,
            keys.reports,
            keys.fence,
            keys.commits,
        ]

    def _commit_arguments(
        self, work: Work, attempt: _Attempt, entries: tuple[AuditEntry, ...]
    ) -> list[Argument]:
        ahead = self._clock_ahead_us
        deadline = 0 if ahead is None else work.begun_us + ahead + _GIVES_UP_AFTER_US
        count, head = self._head
        return [
            FORMAT,
            attempt.id,
            int(attempt.doubtful),
            deadline,
            work.transition.token,
            work.transition.expected_version if work.text is not None else -1,
            work.text or "",
            MAX_DOCUMENT_BYTES,
            work.digest,
            count,
            head,
            entries[-1].digest if entries else head,
            self._keys.channel,
            *KEPT.values(),
            len(entries),
            *work.counts,
            *map(rows.audit_row, entries),
            *work.rows,
        ]

    def _refusal(self, kind: str, details: list[Any]) -> Exception:
        if kind == "moved":
            return VersionConflictError(f"The state has moved on to version {details[0]}.")
        if kind == "fenced":
            return FencedError(
                f"Another gateway holds the lease by now (fencing token {details[0]}).",
                todo="Nothing: that one decides.",
            )
        if kind == "refused":
            return StoreUnavailableError(
                f"Refused to store a blank or oversized state ({details[0]} bytes)."
            )
        if kind == "late":
            return StoreUnavailableError(
                "The store stood still for so long that this change was given up; nothing of it "
                "was stored."
            )
        return foreign(details[0], self._server.address)

    async def seed(self, stored: StoredState, *, token: int = 0) -> int:
        """Give a server that came back empty or older this state; return the version there now.

        `token` is the highest fencing token the caller knows. What is as new or newer stays.
        """
        text = rows.document_text(stored.document)
        if not stored.document or len(text.encode()) > MAX_DOCUMENT_BYTES:
            raise StoreUnavailableError("Refused to store a blank or oversized state.")
        answer = await self._server.run(
            _SEED,
            [self._keys.state, self._keys.fence],
            [
                FORMAT,
                stored.version,
                text,
                rows.state_digest(stored.version, text),
                token,
                self._keys.channel,
            ],
        )
        if answer[0] == b"foreign":
            raise foreign(answer[1], self._server.address)
        return int(answer[1])

    async def audit(self, *, before_seq: int | None = None, limit: int = 100) -> list[AuditEntry]:
        """Read audit entries, newest first."""
        return rows.numbered(
            await self._newest(self._keys.audit, before_seq, limit), rows.read_audit
        )

    async def verify_audit(self) -> AuditCheck:
        """Walk the whole chain, page by page; what is appended meanwhile is walked too."""
        server, keys = self._server, self._keys
        found: list[AuditEntry] = []
        while True:
            start = f"({found[-1].seq}-0" if found else "-"
            page = await server.call(
                server.client.xrange(keys.audit, min=start, max="+", count=_PAGE)
            )
            found += rows.numbered(page, rows.read_audit)
            if page:
                continue
            count, head = await server.call(server.client.hmget(keys.heads, "audit", "digest"))
            if not found or int(count or 0) <= found[-1].seq or not await self._more(found[-1].seq):
                break
        return audit_chain.verify(
            found, count=int(count or 0), head=head.decode() if head else audit_chain.GENESIS
        )

    async def _more(self, seq: int) -> bool:
        server = self._server
        return bool(
            await server.call(
                server.client.xrange(self._keys.audit, min=f"({seq}-0", max="+", count=1)
            )
        )

    async def decisions(self, *, before_seq: int | None = None, limit: int = 100) -> list[Decision]:
        """Read decisions, newest first."""
        return rows.numbered(
            await self._newest(self._keys.decisions, before_seq, limit), rows.read_decision
        )

    async def events(self, *, after_seq: int = 0, limit: int = 100) -> list[Event]:
        """Read events after `after_seq`, oldest first."""
        server = self._server
        found = await server.call(
            server.client.xrange(
                self._keys.events, min=f"({max(after_seq, 0)}-0", max="+", count=limit
            )
        )
        return rows.numbered(found, rows.read_event)

    async def latest_events(self, *, limit: int = 20) -> list[Event]:
        """Read the newest events, oldest of them first."""
        found = await self._newest(self._keys.events, None, limit)
        return rows.numbered(found[::-1], rows.read_event)

    async def _newest(self, key: str, before: int | None, limit: int) -> list[Any]:
        server = self._server
        highest = "+" if before is None else f"({before}-0"
        found: list[Any] = await server.call(
            server.client.xrevrange(key, max=highest, min="-", count=limit)
        )
        return found

    async def measurements(self, *, since_us: int) -> list[MeasurementDraft]:
        """Read measurements not older than `since_us`, oldest first."""
        return rows.dated(
            await self._since(self._keys.measurements, since_us), rows.read_measurement
        )

    async def reports(self, *, since_us: int) -> list[UserReport]:
        """Read user reports not older than `since_us`, oldest first."""
        return rows.dated(await self._since(self._keys.reports, since_us), rows.read_report)

    async def _since(self, key: str, since_us: int) -> list[bytes]:
        server = self._server
        found: list[bytes] = await server.call(server.client.zrangebyscore(key, since_us, "+inf"))
        return found

    async def close(self) -> None:
        """Nothing of its own: the connections belong to `Server`."""

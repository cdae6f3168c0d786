"""
Write-backs: what new writes is written to old as well, for real, so that going back loses nothing.

Only where old has a database of its own. When a client has its answer, the same request goes to
old under the id of the sync that it repeats, so that both journals speak of the same sync. One at a
time and in order: two writes to one listing must not change places. The client waits for nothing;
what waits is bounded in number and bytes.

A write-back that does not arrive, that old refuses, that comes to other rows (by the digest) or
finds no room is told to the parent, which keeps it until a repair has made both stores equal. So is
a write of which nobody knows whether new has stored it.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import replace
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from gateway.core.model import Outcome
from gateway.link import WriteBackCounts, WriteBackFailed
from gateway.proxy.answers import CLIENT_ERROR

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.proxy.answers import AnswerHead
    from gateway.proxy.bodies import Body
    from gateway.proxy.exchange import Exchange
    from gateway.proxy.plane import Plane, Side
    from gateway.proxy.pool import Pool
    from gateway.proxy.upstream import Failure

_NOT_REPEATED: Final = re.compile(
    rb"(?im)^(?:idempotency-key|sync-shadow-[a-z]+|sync-write-back-of): [^\r]*\r\n"
)
_UNTOLD: Final = 4_096
"""How many failures wait for the parent one by one; more are told as so many between two times."""


class WriteBacks:
    """The write-backs of one worker."""

    def __init__(self, plane: Plane, open_pool: Callable[[Side, int, int], Pool]) -> None:
        self.plane = plane
        settings = plane.settings
        self.queue_cap = settings.write_back_queue
        self.queue_bytes_cap = settings.write_back_queue_bytes
        self.timeout_us = settings.mirror_timeout_ms * 1000
        self.pool = open_pool(plane.old, 1, settings.mirror_answer_bytes)
        self.on = False
        self.under_way: WriteBack | None = None
        self.queue: deque[WriteBack] = deque()
        self.held_bytes = 0
        self.agreed = 0
        self.failures: dict[str, int] = {}
        self.untold: deque[WriteBackFailed] = deque()
        self.tell: Callable[[WriteBackFailed], bool] = lambda _failure: True

    @property
    def busy(self) -> bool:
        """Whether anything is under way, waits, or was not told yet."""
        return self.under_way is not None or bool(self.queue) or bool(self.untold)

    def follow_routing(self) -> None:
        """Begin or end; what waits is written in any case."""
        self.on = self.plane.routing.write_back

    def take(self, exchange: Exchange, answer: AnswerHead, body: Body) -> None:
        """Repeat a write of new's that a client has just been answered for."""
        if not self._concerns(exchange) or answer.dry_run:
            return
        outcome = answer.outcome
        if outcome is Outcome.ERROR:
            self._fail(WriteBack(self, exchange, answer), "new failed: it may have stored a part")
        elif outcome is Outcome.REJECTED:
            return
        elif not exchange.kept:
            self._fail(WriteBack(self, exchange, answer), "it was sent before this began")
        else:
            self._queue(WriteBack(self, exchange, answer))
        del body

    def unanswered(self, exchange: Exchange, failure: Failure) -> None:
        """Take note of a write that new may have stored although it gave no answer."""
        if self._concerns(exchange) and failure.sent:
            self._fail(WriteBack(self, exchange, None), f"new gave no answer: {failure.reason}")

    def _concerns(self, exchange: Exchange) -> bool:
        head = exchange.head
        return exchange.side.is_canary and head.method == b"POST" and head.path.endswith(b"/sync")

    def _queue(self, write: WriteBack) -> None:
        if self.under_way is not None and len(self.queue) >= self.queue_cap:
            self._fail(write, "queue full")
        elif self.held_bytes + len(write.body) > self.queue_bytes_cap:
            self._fail(write, "queue full (bytes)")
        else:
            self.held_bytes += len(write.body)
            self.queue.append(write)
            self._next()

    def _next(self) -> None:
        if self.under_way is None and self.queue:
            write = self.under_way = self.queue.popleft()
            write.deadline_us = monotonic_ns() // 1000 + self.timeout_us
            self.pool.submit(write)

    def settled(self, write: WriteBack, why: str | None) -> None:
        """Count what became of one, and let the next one go."""
        self.under_way = None
        self.held_bytes -= len(write.body)
        if why is None:
            self.agreed += 1
        else:
            self._fail(write, why)
        # Not at once: a refused connection would call us again from within, for each that waits.
        self.plane.loop.call_soon(self._next)

    def _fail(self, write: WriteBack, reason: str) -> None:
        self.failures[reason] = self.failures.get(reason, 0) + 1
        now_us = monotonic_ns() // 1000 + self.plane.epoch_us
        if len(self.untold) >= _UNTOLD:
            last = self.untold[-1]
            self.untold[-1] = replace(
                last, from_us=min(last.from_us, write.began_us), to_us=now_us,
                listings=last.listings + write.listings, count=last.count + 1,
            )  # fmt: skip
            return
        self.untold.append(
            WriteBackFailed(
                worker=self.plane.worker,
                from_us=write.began_us,
                to_us=now_us,
                reason=reason,
                sync_id=write.sync_id.decode("latin-1"),
                request_id=write.request_id.decode("latin-1"),
                path=write.path.decode("latin-1"),
                listings=write.listings,
            )
        )

    def counts(self) -> WriteBackCounts:
        """Say what became of them, and what waits."""
        waiting = len(self.queue) + (self.under_way is not None)
        return WriteBackCounts(self.agreed, dict(self.failures), waiting, self.held_bytes)

    def tick(self, now_us: int) -> None:
        """Do what is done a few times a second: deadlines, and what the parent must know."""
        self.pool.sweep(now_us)
        while self.untold and self.tell(self.untold[0]):
            self.untold.popleft()

    def close(self) -> None:
        """Give up what could not be written in time, and close the connection."""
        while self.queue:
            write = self.queue.popleft()
            self.held_bytes -= len(write.body)
            self._fail(write, "the gateway was stopped")
        if self.under_way is not None:
            self._fail(self.under_way, "the gateway was stopped")
        self.pool.close()
        self.tick(monotonic_ns() // 1000)


class WriteBack:
    """A `Call` nobody waits for; what it comes to is counted."""

    __slots__ = (
        "began_us", "body", "deadline_us", "digest", "listings", "path", "records", "request_head",
        "request_id", "sync_id", "to_head", "writes",
    )  # fmt: skip

    def __init__(self, writes: WriteBacks, exchange: Exchange, answer: AnswerHead | None) -> None:
        self.writes = writes
        self.began_us = exchange.started_us + writes.plane.epoch_us
        self.body = exchange.body
        self.path = exchange.head.path
        self.request_id = exchange.request_id
        self.sync_id = answer.sync_id if answer else b""
        self.digest = answer.sync_digest if answer else b""
        self.listings = self.records = answer.sync_records if answer else 0
        self.to_head = False
        self.deadline_us = 0
        self.request_head = b"".join(
            (
                _NOT_REPEATED.sub(b"", exchange.head.forward),
                writes.pool.host_line,
                b"Content-Length: %d\r\nX-Request-Id: " % len(self.body),
                exchange.request_id,
                b"\r\nSync-Write-Back-Of: %b\r\n\r\n" % self.sync_id
                if self.sync_id
                else b"\r\n\r\n",
            )
        )

    def agrees(self, answer: AnswerHead) -> bool:
        """Tell by the head that old has come to the same rows; no body is looked at."""
        del answer
        return True

    def answered(self, answer: AnswerHead, body: Body) -> None:
        """See whether old came to the same rows."""
        del body
        why = None
        if answer.status >= CLIENT_ERROR:
            why = f"old answered {answer.status}"
        elif answer.sync_failed:
            why = "old failed"
        elif (answer.sync_digest, answer.sync_records) != (self.digest, self.records):
            why = "old came to other rows"
        self.writes.settled(self, why)

    def interim(self, answer: AnswerHead) -> None:
        """Nobody is there to be told early."""

    def failed(self, failure: Failure, *, reused: bool) -> None:
        """Count it; whether it arrived, the repair will see."""
        del reused
        self.writes.settled(self, f"old gave no answer: {failure.reason}")

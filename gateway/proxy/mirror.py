"""
Shadow requests: what the other system would have answered, never awaited by the user.

After a client has its answer, the same request goes to the other system, as a dry run and with the
id of the sync it shadows. Everything about it is bounded: how many are under way, how many wait,
how many bytes both of them hold, how large an answer may be, how long it may take; what does not
fit is dropped and counted with its reason. Shadows have connections of their own, so a slow mirror
cannot take one from a user.

The first comparison is by status and by the digest both systems compute over their records (or by
the bytes, where there is no digest) and takes a microsecond. Only answers that differ are handed
on, to be opened in the parent process.

A shadow's outcome counts for the system that answered it: in a phase without live traffic that is
all the evidence there is. It is counted apart from clients' requests, which reports are about.

Of a sample the request also goes to the very system that answered, again as a dry run: the control.
What differs there is noise, and says nothing about the other system; nor does a control's outcome.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import deque
from functools import lru_cache
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from gateway.core.model import WEIGHT_ALL, Outcome, Variant, Weight
from gateway.core.splitter import turn
from gateway.link import NOT_OPENED, NOTHING_TO_COMPARE_WITH, MirrorCounts, ShadowDiffered
from gateway.proxy import bodies
from gateway.proxy.answers import CLIENT_ERROR, SERVER_ERROR
from gateway.proxy.tally import Tally
from gateway.proxy.upstream import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.proxy.answers import AnswerHead
    from gateway.proxy.bodies import Body
    from gateway.proxy.exchange import Exchange
    from gateway.proxy.plane import Plane, Side
    from gateway.proxy.pool import Pool

_NOT_SHADOWED: Final = re.compile(
    rb"(?im)^(?:idempotency-key|sync-dry-run|sync-shadow-[a-z]+): [^\r]*\r\n"
)
_HANDED_ON_BYTES: Final = 2 * 1024 * 1024
_HANDED_ON_PER_TICK: Final = 16
_SECOND_US: Final = 1_000_000


class Mirror:
    """The shadow requests of one worker."""

    def __init__(self, plane: Plane, open_pool: Callable[[Side, int, int], Pool]) -> None:
        self.plane = plane
        self.open_pool = open_pool
        settings = plane.settings
        self.in_flight_cap = settings.mirror_in_flight
        self.queue_cap = settings.mirror_queue
        self.queue_bytes_cap = settings.mirror_queue_bytes
        self.timeout_us = settings.mirror_timeout_ms * 1000
        self.pools = {
            side.variant: open_pool(side, settings.mirror_in_flight, settings.mirror_answer_bytes)
            for side in plane.sides
        }
        self.target: Side | None = None
        self.carried = 0
        self.in_flight = 0
        self.queue: deque[Shadow] = deque()
        self.held_bytes = 0
        """Of all that wait and all that are under way."""
        self.tally = Tally()
        self.control_rate = 0.0
        self.controls_carried = 0
        self.controls = Tally()
        self.handed_on = 0
        self.opened_per_s = settings.mirror_opened_bytes_per_s
        self.room_cap = self.room_bytes = float(settings.mirror_opened_burst_bytes)
        """How much may be handed on now; grows with time."""
        self.room_at_us = plane.now_us
        self.on_difference: Callable[[ShadowDiffered], None] = lambda _difference: None

    def follow_routing(self) -> None:
        """Take the target from the routing in force."""
        routing = self.plane.routing
        named = routing.mirror_to if routing.mirror_rate > 0 and not routing.stopped else None
        sides = {side.name: side for side in self.plane.sides}
        self.target = sides.get(named) if named is not None else None
        controlled = self.target is not None and routing.mirror_dry
        self.control_rate = routing.control_rate if controlled else 0.0

    def shadow(self, exchange: Exchange, answer: AnswerHead, body: Body) -> None:
        """Send the other system what a client has just been answered for, if it is its turn."""
        target = self.target
        head = exchange.head
        if (
            target is None
            or target is exchange.side
            or head.method != b"POST"
            or not head.path.endswith(b"/sync")
        ):
            return
        rate = Weight(round(self.plane.routing.mirror_rate * WEIGHT_ALL))
        chosen, self.carried = turn(self.carried, rate)
        if chosen is not Variant.CANARY:
            return
        if answer.status >= SERVER_ERROR:
            self.tally.drop(NOTHING_TO_COMPARE_WITH)
            return
        self._queue(Shadow(self, target, exchange, answer, body))
        if self.control_rate > 0:
            share = Weight(round(self.control_rate * WEIGHT_ALL))
            chosen, self.controls_carried = turn(self.controls_carried, share)
            if chosen is Variant.CANARY:
                self._queue(Shadow(self, exchange.side, exchange, answer, body, control=True))

    def _queue(self, shadow: Shadow) -> None:
        waits = self.in_flight >= self.in_flight_cap
        if waits and len(self.queue) >= self.queue_cap:
            self._lose(shadow, "queue_full")
        elif self.held_bytes + shadow.held_bytes > self.queue_bytes_cap:
            self._lose(shadow, "queue_bytes_full")
        else:
            self.held_bytes += shadow.held_bytes
            if waits:
                self.queue.append(shadow)
            else:
                self._send(shadow)

    def _send(self, shadow: Shadow) -> None:
        self.in_flight += 1
        shadow.started_us = monotonic_ns() // 1000
        shadow.deadline_us = shadow.started_us + self.timeout_us
        self.pools[shadow.side.variant].submit(shadow)

    def _lose(self, shadow: Shadow, reason: str) -> None:
        self.tally_of(control=shadow.control).drop(reason, shadow.answer.sync_records)

    def tally_of(self, *, control: bool) -> Tally:
        """Give where a shadow is counted: those of the other system, or the controls."""
        return self.controls if control else self.tally

    def done(self, finished: Shadow) -> None:
        """Let the next one go."""
        self.in_flight -= 1
        self.held_bytes -= finished.held_bytes
        while self.queue and self.in_flight < self.in_flight_cap:
            shadow = self.queue.popleft()
            wanted = self.control_rate > 0 if shadow.control else shadow.side is self.target
            if wanted:
                self._send(shadow)
            else:  # the routing changed while it waited
                self.held_bytes -= shadow.held_bytes
                self._lose(shadow, "mirror_off")

    def may_hand_on(self, size: int) -> bool:
        """Tell whether two answers of so many bytes may be handed on to be opened.

        To open two answers costs a hundred times what it costs to mirror them; a share of those
        that differ tells as much, and the others are counted and weighted.
        """
        if self.handed_on >= _HANDED_ON_PER_TICK or self.room_bytes < 0:
            return False
        self.handed_on += 1
        self.room_bytes -= size
        return True

    def not_confirmed(self) -> None:
        """Stop: what should have been a dry run may have been stored. Only the parent goes on."""
        self.tally.unconfirmed += 1
        self.target = None

    def control_not_confirmed(self) -> None:
        """Stop repeating; the same holds for the system that serves."""
        self.controls.unconfirmed += 1
        self.control_rate = 0.0

    def not_handed_on(self, *, control: bool) -> None:
        """Count a difference that nobody will look into."""
        self.tally_of(control=control).drop(NOT_OPENED)

    def counts(self) -> MirrorCounts:
        """Say what became of all shadows, and what is under way."""
        return MirrorCounts(
            self.tally.counts(), self.controls.counts(), self.in_flight, len(self.queue),
            self.held_bytes,
        )  # fmt: skip

    def tick(self, now_us: int) -> None:
        """Do what is done a few times a second."""
        self.handed_on = 0
        grown = (now_us - self.room_at_us) * self.opened_per_s / _SECOND_US
        self.room_bytes = min(self.room_cap, self.room_bytes + grown)
        self.room_at_us = now_us
        for pool in self.pools.values():
            pool.sweep(now_us)

    def close(self) -> None:
        """Drop what waits and close the connections."""
        for shadow in self.queue:
            self.held_bytes -= shadow.held_bytes
            self._lose(shadow, "draining")
        self.queue.clear()
        for pool in self.pools.values():
            pool.close()


class Shadow:
    """A `Call` nobody waits for."""

    __slots__ = (
        "answer", "answer_body", "body", "control", "deadline_us", "dry", "held_bytes", "mirror",
        "path", "request_head", "request_id", "side", "started_us", "to_head", "took_us",
    )  # fmt: skip

    def __init__(
        self,
        mirror: Mirror,
        side: Side,
        exchange: Exchange,
        answer: AnswerHead,
        body: Body,
        *,
        control: bool = False,
    ) -> None:
        self.mirror = mirror
        self.side = side
        self.control = control
        self.answer = answer
        self.answer_body = body
        self.body = exchange.body
        self.path = exchange.head.path
        self.request_id = exchange.request_id
        self.took_us = monotonic_ns() // 1000 - exchange.started_us
        self.to_head = False
        self.started_us = 0
        self.deadline_us = 0
        self.held_bytes = len(self.body) + len(body)
        self.dry = mirror.plane.routing.mirror_dry
        head = exchange.head
        self.request_head = b"".join(
            (
                _shadowed(head.forward),
                side.pool.host_line,
                b"Content-Length: %d\r\nX-Request-Id: " % len(self.body),
                exchange.request_id,
                b"\r\nSync-Shadow-Of: %b\r\n" % answer.sync_id if answer.sync_id else b"\r\n",
                b"Sync-Shadow-Digest: %b\r\n" % answer.sync_digest if answer.sync_digest else b"",
                b"Sync-Dry-Run: true\r\n\r\n" if self.dry else b"\r\n",
            )
        )

    def agrees(self, answer: AnswerHead) -> bool:
        """Tell by the head alone that nothing differs, and that the body need not be kept."""
        mine = self.answer
        return (
            mine.sync_digest != b""
            and mine.sync_digest == answer.sync_digest
            and mine.sync_records == answer.sync_records
            and mine.status == answer.status
        )

    def answered(self, answer: AnswerHead, body: Body) -> None:
        """Compare; see the module."""
        mirror, mine = self.mirror, self.answer
        tally = mirror.tally_of(control=self.control)
        if self.dry and answer.status < CLIENT_ERROR and not answer.dry_run:
            (mirror.control_not_confirmed if self.control else mirror.not_confirmed)()
        if self.control and answer.status >= SERVER_ERROR:
            tally.miss(
                "server error", mine.sync_records
            )  # it shows no noise, and must not excuse new's errors
            mirror.done(self)
            return
        self._record(answer.outcome, max(answer.sync_records, mine.sync_records))
        well = mine.outcome is answer.outcome is Outcome.OK
        if well and not self.control and mine.sync_records == answer.sync_records > 0:
            shadow_us = monotonic_ns() // 1000 - self.started_us
            tally.time(mine.sync_records, self.took_us, shadow_us)
        by_digest = bool(mine.sync_digest and answer.sync_digest)
        alike = mine.status == answer.status and not by_digest
        if self.agrees(answer) or (alike and bodies.same(self.answer_body, body)):
            tally.matched += 1
            tally.listings_matched += mine.sync_records
        else:
            tally.differed += 1
            tally.listings_differed += max(answer.sync_records, mine.sync_records)
            self._differs(answer, body)
        mirror.done(self)

    def interim(self, answer: AnswerHead) -> None:
        """Nobody is there to be told early."""

    def failed(self, failure: Failure, *, reused: bool) -> None:
        """Count it; a shadow is never sent twice."""
        del reused
        mirror, listings = self.mirror, self.answer.sync_records
        tally = mirror.tally_of(control=self.control)
        if failure is Failure.OVERSIZED:  # it is an answer, and not the one the client got
            tally.differed += 1
            tally.listings_differed += listings
            self._differs(self.answer, None)
        else:
            tally.miss(failure.reason, listings)
            self._record(Outcome.IGNORED if failure is Failure.SATURATED else Outcome.ERROR, 0)
        mirror.done(self)

    def _record(self, outcome: Outcome, listings: int) -> None:
        if outcome is Outcome.IGNORED or self.control:
            return
        plane = self.mirror.plane
        now_us = monotonic_ns() // 1000
        self.side.shadows.record_sync(
            now_us + plane.epoch_us, outcome, now_us - self.started_us, listings
        )
        plane.on_outcome(self.side.name, outcome)

    def _differs(self, answer: AnswerHead, body: Body | None) -> None:
        """Hand on what is not the same; a body that is None was too large to be kept."""
        size = 0 if body is None else len(body) + len(self.answer_body)
        if size > _HANDED_ON_BYTES:
            size, body = 0, None
        if self.mirror.may_hand_on(size):
            self.mirror.on_difference(self._difference(answer, body))
        else:
            self.mirror.not_handed_on(control=self.control)

    def _difference(self, answer: AnswerHead, body: Body | None) -> ShadowDiffered:
        return ShadowDiffered(
            worker=self.mirror.plane.worker,
            at_us=monotonic_ns() // 1000 + self.mirror.plane.epoch_us,
            variant=self.side.name,
            sync_id=self.answer.sync_id.decode("latin-1"),
            path=self.path.decode("latin-1"),
            statuses=(self.answer.status, answer.status),
            digests=(
                self.answer.sync_digest.decode("latin-1"), answer.sync_digest.decode("latin-1"),
            ),
            records=(self.answer.sync_records, answer.sync_records),
            bodies=(
                (b64encode(self.answer_body).decode(), b64encode(body).decode())
                if body is not None
                else None
            ),
            request_id=self.request_id.decode("latin-1"),
            control=self.control,
        )  # fmt: skip


@lru_cache(maxsize=256)
def _shadowed(forward: bytes) -> bytes:
    """Leave out what a shadow does not carry; clients send the same head again and again."""
    return _NOT_SHADOWED.sub(b"", forward)

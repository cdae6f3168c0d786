"""
What all connections of one worker share: the two sides, the routing in force, the limits.

The routing is one frozen value, swapped whole: a request reads it once and is not touched by a
change that comes a microsecond later, which is why a change of weight loses nothing. Everything
here is read and written by one event loop, so nothing is locked.
"""

from __future__ import annotations

import hmac
import secrets
from collections import deque
from datetime import UTC, datetime
from email.utils import formatdate
from hashlib import sha256
from time import monotonic_ns, time
from typing import TYPE_CHECKING, Final

from gateway.core import breaker as breakers
from gateway.core import histogram
from gateway.core import limiter as limits
from gateway.core.breaker import Behaviour, Breaker, BreakerState, Rejected
from gateway.core.limiter import Table
from gateway.core.model import WEIGHT_NONE, Outcome, Variant, Weight
from gateway.core.splitter import in_canary, position, turn
from gateway.core.window import Recorder, VariantSecond
from gateway.link import Routing
from gateway.proxy.access_log import AccessLog
from gateway.proxy.configuration import CLIENT, UPSTREAM
from gateway.proxy.connection_limits import ConnectionLimits
from gateway.proxy.guard import Rules
from gateway.proxy.mirror import Mirror
from gateway.proxy.pool import Pool
from gateway.proxy.reading import Buffers
from gateway.proxy.retries import Retries
from gateway.proxy.shapes import Shapes
from gateway.proxy.shares import FleetLimits
from gateway.proxy.writing_back import WriteBacks

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from gateway.core.breaker import Permit
    from gateway.core.shares import ShareTable
    from gateway.proxy.configuration import DataPlaneSettings
    from gateway.proxy.guard import Head
    from gateway.proxy.keyed import KeyedWrites
    from gateway.proxy.protocol import ClientConnection
    from gateway.proxy.tracing import Tracing

IGNORED: Final = int(Outcome.IGNORED)
_ERROR: Final = int(Outcome.ERROR)
_ANOTHER_PROBES: Final = Rejected(1_000_000)
_NEVER: Final = "9999-12-31"
_POSITIONS: Final = 65_536
_MEMO_ENTRIES: Final = 1_024
_RECENT_SECONDS: Final = 60
# Reading a member off its Enum costs as much as ten attribute reads; the request path has its own.
_CANARY: Final = Variant.CANARY
_CLOSED: Final = BreakerState.CLOSED
_LOW_BITS: Final = 12
_LOW_MASK: Final = (1 << _LOW_BITS) - 1
_LOW_DIGITS: Final = tuple(b"%03x" % number for number in range(1 << _LOW_BITS))
NOT_ROUTED: Final = Routing(
    version=-1, salt="", write_weight_bp=0, read_weight_bp=0, phase="", status="starting"
)


class Side:
    """One of the two systems, as this worker sees it."""

    __slots__ = (
        "behaviour", "breaker", "counts", "failures", "fallbacks", "is_canary", "mark", "may_probe",
        "name", "on_change", "pool", "recent", "recorder", "retries", "shadows", "tat", "variant",
    )  # fmt: skip

    def __init__(self, variant: Variant, pool: Pool, behaviour: Behaviour, now_us: int) -> None:
        self.variant = variant
        self.is_canary = variant is Variant.CANARY
        self.name = variant.value
        self.mark = b"Sync-System: %b\r\nX-Request-Id: " % variant.value.encode()
        self.pool = pool
        self.behaviour = behaviour
        self.breaker: Breaker = breakers.CLOSED
        self.recorder = Recorder(now_us)
        self.shadows = Recorder(now_us)
        """What no client asked for: gates judge by it, reports do not count it."""
        self.recent: deque[VariantSecond] = deque(maxlen=_RECENT_SECONDS)
        self.tat = 0
        self.counts = [0, 0, 0, 0]
        self.failures: dict[str, int] = {}
        self.fallbacks = 0
        self.retries = 0
        self.on_change: Callable[[Side], None] = lambda _side: None
        self.may_probe: Callable[[str, int], bool] | None = None
        """In a fleet: whether this worker is the one that tries again."""

    def admit(self, now_us: int) -> Permit | Rejected:
        """Ask the circuit breaker."""
        breaker = self.breaker
        if breaker.state is _CLOSED:
            return breaker.permit
        if (
            self.may_probe is not None
            and breaker.state is BreakerState.OPEN
            and now_us >= breaker.since_us + self.behaviour.open_us
            and not self.may_probe(self.name, now_us)
        ):
            return _ANOTHER_PROBES
        decision, self.breaker = breakers.admit(breaker, self.behaviour, now_us)
        if self.breaker.state is not breaker.state:
            self.on_change(self)
        return decision

    def settle(self, permit: Permit, now_us: int, *, ok: bool | None) -> None:
        """Tell the circuit breaker how it went."""
        before = self.breaker
        if ok and before.state is BreakerState.CLOSED and before.failures == 0:
            return  # the healthy case changes nothing; a probe's success closes a half-open one
        self.breaker = breakers.record(before, self.behaviour, permit, ok=ok, now_us=now_us)
        if self.breaker.state is not before.state:
            self.on_change(self)


class Plane:
    """The shared state of one worker's data plane."""

    def __init__(
        self, settings: DataPlaneSettings, loop: asyncio.AbstractEventLoop, *, worker: int = 0
    ) -> None:
        self.settings = settings
        self.loop = loop
        self.worker = worker
        self.rules = Rules.of(settings)
        self.now_us = monotonic_ns() // 1000
        # Seconds are counted by a clock that reads as wall time but cannot jump.
        self.epoch_us = int(time() * 1e6) - self.now_us
        self.buffers = Buffers(lambda: not self.repeats)
        self.old = self._side(Variant.BASELINE, settings.old_url)
        self.new = self._side(Variant.CANARY, settings.new_url)
        self.mirror = Mirror(self, lambda side, *caps: self._pool(side.pool.url, *caps))
        self.write_backs = WriteBacks(self, self.mirror.open_pool)
        self.repeats = False
        """Whether what is answered now may be sent to the other system as well."""
        self.routing = NOT_ROUTED
        self.read_weight = self.write_weight = WEIGHT_NONE
        self.salt = b""
        self.positions: dict[bytes, int] = {}
        self.carried_reads = 0
        self.carried_writes = 0
        self._limit(settings)
        self.tokens = tuple(
            (bytes.fromhex(token.sha256), token.last_day or _NEVER)
            for token in settings.operator_tokens
        )
        self.prefix = settings.prefix.rstrip("/").encode()
        self.below_prefix = self.prefix + b"/"
        self.scheme = b"https" if settings.tls_certificate else b"http"
        self.keyed: KeyedWrites | None = None
        self.tracing: Tracing | None = None
        self.access_log = AccessLog(settings.access_log_every)
        self.connections: set[ClientConnection] = set()
        self.connection_limits = ConnectionLimits(
            connections=settings.connections,
            per_address=settings.connections_per_address,
            refused=settings.connections_refused,
        )
        self.heads: dict[bytes, Head] = {}
        self.shapes = Shapes(self.rules)
        self.in_flight = 0
        self.refused: dict[str, int] = {}
        self.replays = 0
        self.draining = False
        self._finished_before = 0
        self.retries = Retries()
        self.mark = b""
        self.on_outcome: Callable[[str, int], None] = lambda _name, _outcome: None
        self.idle_us = settings.idle_timeout_ms * 1000
        self.in_flight_cap = settings.in_flight
        self.read_us = settings.read_timeout_ms * 1000
        self.write_us = settings.sync_timeout_ms * 1000
        self._id_prefix = secrets.token_hex(10).encode()
        self._id_block = b""
        self._ids = 0
        self.tick()

    def _side(self, variant: Variant, url: str) -> Side:
        settings = self.settings
        pool = self._pool(url, settings.upstream_connections)
        behaviour = Behaviour(
            failures=settings.breaker_threshold, open_us=settings.breaker_timeout_ms * 1000
        )
        return Side(variant, pool, behaviour, self.now_us + self.epoch_us)

    def _pool(self, url: str, connections: int, answer_bytes: int | None = None) -> Pool:
        settings = self.settings
        return Pool(
            url,
            loop=self.loop,
            connections=connections,
            connect_timeout_us=settings.connect_timeout_ms * 1000,
            idle_us=settings.upstream_idle_ms * 1000,
            moment_us=settings.upstream_rest_ms * 1000,
            stall_us=settings.read_timeout_ms * 1000,
            max_answer_bytes=answer_bytes or settings.max_answer_bytes,
            buffers=self.buffers,
        )

    def _limit(self, settings: DataPlaneSettings) -> None:
        """Set the limits: this worker's own, or its shares of what holds over a fleet."""
        quotas = settings.quotas()
        self.clients_quota = quotas.get(CLIENT)
        self.upstream_quota = quotas.get(UPSTREAM)
        self.client_limits: Table | ShareTable | None = (
            Table(self.clients_quota) if self.clients_quota else None
        )
        self.shared: FleetLimits | None = None
        if settings.fleet:
            self.shared = FleetLimits(client=self.clients_quota, upstream=self.upstream_quota)
            self.client_limits = self.shared.clients
            for side in self.sides:
                side.may_probe = self.shared.may_probe

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both, the baseline first."""
        return self.old, self.new

    def route(self, routing: Routing) -> None:
        """Take over a routing, unless a newer one is in force.

        Of one version there may be several: draining or the mirror changed, not the state.
        """
        if routing.version < self.routing.version:
            return
        if routing.salt != self.routing.salt:
            self.positions.clear()
            self.salt = routing.salt.encode()
        self.routing = routing
        self.read_weight = Weight(routing.read_weight_bp)
        self.write_weight = Weight(routing.write_weight_bp)
        self.mirror.follow_routing()
        self.write_backs.follow_routing()
        self.repeats = self.mirror.target is not None or self.write_backs.on
        if routing.draining:
            self.begin_draining()

    # --- decisions of the request path ---

    def assign(self, head: Head) -> Side:
        """Choose the side of a request."""
        routing = self.routing
        if routing.stopped:
            return self.old
        if head.forced is not None and self.may_force(head):
            return self.new if head.forced == b"new" else self.old
        weight = self.read_weight if head.is_read else self.write_weight
        key = head.client_id or head.api_key
        if key is None:
            if head.is_read:
                variant, self.carried_reads = turn(self.carried_reads, weight)
            else:
                variant, self.carried_writes = turn(self.carried_writes, weight)
            return self.new if variant is _CANARY else self.old
        point = self.positions.get(key)
        if point is None:
            if len(self.positions) >= _POSITIONS:
                self.positions.clear()
            point = self.positions[key] = position(key, self.salt)
        return self.new if in_canary(point, weight) else self.old

    def may_force(self, head: Head) -> bool:
        """Tell whether the request names a side and carries an operator's token."""
        if head.forced not in {b"new", b"old"} or head.operator_token is None:
            return False
        given = sha256(head.operator_token).digest()
        today = datetime.now(UTC).date().isoformat()
        # Every token is compared, so that the time taken says nothing about which one was near.
        matches = [
            hmac.compare_digest(given, token) and today <= last_day
            for token, last_day in self.tokens
        ]
        return any(matches)

    def admit_upstream(self, side: Side, now_us: int) -> int:
        """Ask the upstream's own limit; return after how many microseconds to come again, or 0."""
        if self.upstream_quota is None:
            return 0
        shares = self.shared.upstreams if self.shared is not None else None
        if shares is not None:
            admission = shares.admit(side.name, now_us)
        else:
            admission, side.tat = limits.admit(side.tat, now_us, self.upstream_quota)
        return 0 if admission.allowed else max(1, admission.retry_after_us)

    def record(self, side: Side, outcome: int, now_us: int, took_us: int) -> None:
        """Count one finished request."""
        side.counts[outcome] += 1
        if outcome != IGNORED:
            side.recorder.record(now_us + self.epoch_us, outcome, took_us)
            self.on_outcome(side.name, outcome)

    def record_shut_out(self, side: Side, now_us: int) -> None:
        """Count a request that the canary's open breaker kept from it: it failed to serve it.

        An error in every rate that people and gates see, but no evidence: nothing was asked.
        """
        side.counts[_ERROR] += 1
        side.recorder.record(now_us + self.epoch_us, _ERROR, 0)

    def record_sync(
        self, side: Side, outcome: int, now_us: int, took_us: int, listings: int
    ) -> None:
        """Count one finished sync, whose pace is measured per listing."""
        side.counts[outcome] += 1
        if outcome != IGNORED:
            side.recorder.record_sync(now_us + self.epoch_us, outcome, took_us, listings)
            self.on_outcome(side.name, outcome)

    def latencies_ms(self, side: Side) -> tuple[float | None, ...]:
        """Give p50, p95 and p99 of the last minute's finished seconds."""
        counts = histogram.merge(second.latency for second in side.recent)
        found = (histogram.quantile(counts, q) for q in (0.5, 0.95, 0.99))
        return tuple(None if value is None else value / 1000 for value in found)

    # --- names ---

    def request_id(self) -> bytes:
        """Make an id that is also a W3C trace id: 20 random digits of the worker, 12 counted."""
        number = self._ids
        self._ids = number + 1
        low = number & _LOW_MASK
        if low == 0:
            self._id_block = b"%b%09x" % (self._id_prefix, number >> _LOW_BITS)
        return self._id_block + _LOW_DIGITS[low]

    def begin_draining(self) -> None:
        """Be ready no more; what comes is still served, and every answer asks its client to go."""
        if not self.draining:
            self.draining = True
            self._finished_before = self._finished()

    @property
    def drained(self) -> int:
        """How many requests came to an end since draining began."""
        return self._finished() - self._finished_before if self.draining else 0

    def _finished(self) -> int:
        return sum(sum(side.counts) for side in self.sides)

    def refuse(self, reason: str) -> None:
        """Count something the gateway itself said no to."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def remember_head(self, raw: bytes, head: Head) -> None:
        """Keep a head for the next request with equal bytes."""
        if len(self.heads) >= _MEMO_ENTRIES:
            self.heads.clear()
        self.heads[raw] = head

    # --- time ---

    def tick(self) -> None:
        """Do what is done a few times a second: coarse clock, date, every deadline."""
        self.now_us = now_us = monotonic_ns() // 1000
        date = formatdate(time(), usegmt=True)
        self.mark = f"Date: {date}\r\nX-Request-Id: ".encode()
        for connection in list(self.connections):
            if connection.deadline_us and now_us >= connection.deadline_us:
                connection.expire()
        for side in self.sides:
            side.pool.sweep(now_us)
        self.mirror.tick(now_us)
        self.write_backs.tick(now_us)
        self.retries.tick(now_us)
        self.access_log.flush()

"""
What happened, second by second: counted in the workers, added up in the parent.

A worker counts each answer into its variant's current second (`Recorder`, the one mutable thing on
the request path) and hands finished seconds over as frozen `VariantSecond` values. The parent adds
the seconds of all workers in a `Timeline` and reads any span of it back as a `Snapshot`. Everything
is a count, so everything adds; ratios and quantiles are derived last, and **what was not seen is
None, never zero**.

Time. A second that runs a little backwards is counted to the newest one; a clock that falls behind
by more than the recorder keeps is believed (it was the jump forward that was wrong). A report whose
second lies in the parent's future or beyond its memory is refused. A second that a worker did not
report is not covered: unknown, not idle.

Only answers that went well are timed. A quick 500 must not make a system look fast. Rejections
(4xx) stay out of the error ratio altogether: a client that sends nonsense must not dilute it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from gateway.core import histogram
from gateway.core.histogram import EMPTY, MAX_VALUE, SUB_BUCKET_BITS, Counts, bucket_of
from gateway.core.model import SECOND_US, Outcome, Variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

KEPT_SECONDS: Final = 30
"""How many finished seconds a recorder holds until they are taken."""

SECONDS: Final = 1
MINUTES: Final = 60
HOURS: Final = 3600
MEMORY: Final = ((HOURS, 10 * 24), (MINUTES, 3 * 60), (SECONDS, 10 * 60))
"""What a timeline remembers: (width in seconds, how many), coarsest first."""

FUTURE_S: Final = 5
"""How far a worker's clock may be ahead of the parent's before its report is not believed."""

_OK: Final = int(Outcome.OK)
_WHOLE_BITS: Final = SUB_BUCKET_BITS + 1


class SecondLike(Protocol):
    """The counts of some span of one variant; every field adds."""

    @property
    def ok(self) -> int:
        """Answers that went well."""

    @property
    def errors(self) -> int:
        """Answers that count as errors."""

    @property
    def rejected(self) -> int:
        """Answers of 4xx."""

    @property
    def latency(self) -> Counts:
        """Microseconds."""

    @property
    def pace(self) -> Counts:
        """Milliseconds per 1,000 listings."""

    @property
    def syncs(self) -> int:
        """Syncs that went well."""

    @property
    def listings(self) -> int:
        """Records those syncs named."""


@dataclass(frozen=True, slots=True)
class VariantSecond:
    """
    One variant's second: counts by outcome, latency and pace histograms (sparse: bucket -> count).

    `latency` buckets are of microseconds per request that went well; `pace` of milliseconds per
    1,000 listings of such syncs; `listings` is the number of records those syncs named.
    """

    ok: int = 0
    errors: int = 0
    rejected: int = 0
    latency: Counts = EMPTY
    pace: Counts = EMPTY
    syncs: int = 0
    listings: int = 0


SILENT: Final = VariantSecond()


@dataclass(slots=True)
class _Tally:
    """The open form of a `VariantSecond`: what it is counted in."""

    outcomes: list[int] = field(default_factory=lambda: [0] * len(Outcome))
    latency: dict[int, int] = field(default_factory=dict)
    pace: dict[int, int] = field(default_factory=dict)
    syncs: int = 0
    listings: int = 0

    def add(self, counts: SecondLike) -> None:
        self.outcomes[Outcome.OK] += counts.ok
        self.outcomes[Outcome.ERROR] += counts.errors
        self.outcomes[Outcome.REJECTED] += counts.rejected
        for into, pairs in ((self.latency, counts.latency), (self.pace, counts.pace)):
            for bucket, count in pairs:
                into[bucket] = into.get(bucket, 0) + count
        self.syncs += counts.syncs
        self.listings += counts.listings

    def absorb(self, other: _Tally) -> None:
        for outcome, count in enumerate(other.outcomes):
            self.outcomes[outcome] += count
        for into, out_of in ((self.latency, other.latency), (self.pace, other.pace)):
            for bucket, count in out_of.items():
                into[bucket] = into.get(bucket, 0) + count
        self.syncs += other.syncs
        self.listings += other.listings

    def frozen(self) -> VariantSecond:
        return VariantSecond(
            ok=self.outcomes[Outcome.OK],
            errors=self.outcomes[Outcome.ERROR],
            rejected=self.outcomes[Outcome.REJECTED],
            latency=histogram.sparse(self.latency),
            pace=histogram.sparse(self.pace),
            syncs=self.syncs,
            listings=self.listings,
        )


class Recorder:
    """One variant's current second in one worker, and the finished ones not yet handed over."""

    __slots__ = ("_finished", "_keep", "_latency", "_outcomes", "_second", "_tally")

    def __init__(self, now_us: int, *, keep_seconds: int = KEPT_SECONDS) -> None:
        self._keep = keep_seconds
        self._finished: deque[tuple[int, VariantSecond]] = deque(maxlen=keep_seconds)
        self._open(now_us // SECOND_US)

    def record(self, now_us: int, outcome: int, latency_us: int) -> None:
        """Count one answer (hot path). `outcome` is an `Outcome`; IGNORED shows up nowhere."""
        second = now_us // SECOND_US
        if second != self._second:
            self._turn(second)
        self._outcomes[outcome] += 1
        if outcome == _OK:
            # histogram.bucket_of, without the call: this line runs for every request.
            shift = latency_us.bit_length() - _WHOLE_BITS
            if shift > 0 and 0 < latency_us <= MAX_VALUE:
                bucket = (shift << SUB_BUCKET_BITS) + (latency_us >> shift)
            else:
                bucket = bucket_of(latency_us)
            latency = self._latency
            latency[bucket] = latency.get(bucket, 0) + 1

    def record_sync(self, now_us: int, outcome: int, latency_us: int, listings: int) -> None:
        """Count one sync answer that named `listings` records (0: its pace is unknown)."""
        self.record(now_us, outcome, latency_us)
        if outcome != _OK:
            return
        tally = self._tally
        tally.syncs += 1
        if listings > 0:
            tally.listings += listings
            # Microseconds per listing are milliseconds per 1,000 listings.
            bucket = bucket_of(latency_us // listings)
            tally.pace[bucket] = tally.pace.get(bucket, 0) + 1

    def take(self, now_us: int) -> tuple[tuple[int, VariantSecond], ...]:
        """Hand over the finished seconds not taken before, oldest first, silent ones included."""
        second = now_us // SECOND_US
        if second != self._second:
            self._turn(second)
        taken = tuple(self._finished)
        self._finished.clear()
        return taken

    def _turn(self, second: int) -> None:
        behind = self._second - second
        if 0 < behind <= self._keep:
            return
        self._finished.append((self._second, self._tally.frozen()))
        if -behind <= self._keep:  # after a longer gap nobody can say what was missed
            for silent in range(self._second + 1, second):
                self._finished.append((silent, SILENT))
        self._open(second)

    def _open(self, second: int) -> None:
        self._second = second
        self._tally = _Tally()
        self._outcomes = self._tally.outcomes
        self._latency = self._tally.latency


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One variant over a span of seconds, all workers added; `to_second` is exclusive."""

    variant: Variant
    from_second: int
    to_second: int
    seconds_covered: int
    """Seconds that every worker reported."""
    ok: int = 0
    errors: int = 0
    rejected: int = 0
    latency: Counts = EMPTY
    pace: Counts = EMPTY
    syncs: int = 0
    listings: int = 0

    @property
    def requests(self) -> int:
        """Everything the variant was asked."""
        return self.ok + self.errors + self.rejected

    @property
    def judged(self) -> int:
        """What the error and success ratios are of: the requests without the rejections."""
        return self.ok + self.errors

    @property
    def error_ratio(self) -> float | None:
        """Errors among the judged."""
        return _ratio(self.errors, self.judged)

    @property
    def success_ratio(self) -> float | None:
        """Successes among the judged."""
        return _ratio(self.ok, self.judged)

    @property
    def rejected_ratio(self) -> float | None:
        """Rejections among all requests."""
        return _ratio(self.rejected, self.requests)

    def latency_ms(self, q: float) -> float | None:
        """Give any quantile of the time that requests took which went well."""
        latency_us = histogram.quantile(self.latency, q)
        return None if latency_us is None else latency_us / 1000

    @property
    def latency_p50_ms(self) -> float | None:
        """The median."""
        return self.latency_ms(0.5)

    @property
    def latency_p95_ms(self) -> float | None:
        """What the slowest twentieth exceeds."""
        return self.latency_ms(0.95)

    @property
    def latency_p99_ms(self) -> float | None:
        """What the slowest hundredth exceeds."""
        return self.latency_ms(0.99)

    @property
    def sync_seconds_per_1000(self) -> float | None:
        """The 95th percentile: what the slow syncs take."""
        pace_ms = histogram.quantile(self.pace, 0.95)
        return None if pace_ms is None else pace_ms / 1000


def merge(variant: Variant, parts: Iterable[tuple[int, SecondLike]]) -> Snapshot:
    """Add (second, counts) pairs of any workers; every second that is named counts as covered."""
    total = _Tally()
    seconds = set()
    for second, counts in parts:
        seconds.add(second)
        total.add(counts)
    span = (min(seconds), max(seconds) + 1) if seconds else (0, 0)
    return _snapshot(variant, span, len(seconds), total)


class Timeline:
    """
    The memory of all workers: ten minutes by second, three hours by minute, ten days by hour.

    Each report goes into all three resolutions at once, so a coarse cell is never behind a fine one
    and a span is read from the coarsest cells that fit into it. The parts of a span that are
    remembered only more coarsely than its edges are left out, and not covered.
    """

    __slots__ = ("_cells", "_covered", "_newest", "_reported", "workers")

    def __init__(self, *, workers: int = 1) -> None:
        self.workers = workers
        self._newest = 0
        self._reported: dict[int, set[int]] = {}
        self._covered: dict[int, dict[int, int]] = {width: {} for width, _ in MEMORY}
        self._cells: dict[int, dict[int, dict[Variant, _Tally]]] = {
            width: {} for width, _ in MEMORY
        }

    def add(
        self, now_us: int, worker: int, second: int, variants: Mapping[Variant, SecondLike]
    ) -> bool:
        """Add one worker's report; False when its second is not believable."""
        now = now_us // SECOND_US
        _, seconds_kept = MEMORY[-1]
        if not now - seconds_kept < second <= now + FUTURE_S:
            return False
        if now != self._newest:
            self._newest = now
            self._forget(now)
        reported = self._reported.setdefault(second, set())
        new, covered_before = worker not in reported, len(reported) >= self.workers
        reported.add(worker)
        completes = new and not covered_before and len(reported) >= self.workers
        for width, cells in self._cells.items():
            slot = second // width
            cell = cells.setdefault(slot, {})
            for variant, counts in variants.items():
                cell.setdefault(variant, _Tally()).add(counts)
            if completes:
                covered = self._covered[width]
                covered[slot] = covered.get(slot, 0) + 1
        return True

    def snapshot(self, variant: Variant, from_second: int, to_second: int) -> Snapshot:
        """Read a span back, as far as it is remembered."""
        total, covered = _Tally(), 0
        for width, slot in self._pieces(from_second, to_second):
            covered += self._covered[width].get(slot, 0)
            tally = self._cells[width].get(slot, {}).get(variant)
            if tally is not None:
                total.absorb(tally)
        return _snapshot(variant, (from_second, to_second), covered, total)

    def _pieces(self, from_second: int, to_second: int) -> Iterator[tuple[int, int]]:
        """Fill the span with (width, slot) cells, the coarsest that fit; holes are passed over."""
        coarsest, hours_kept = MEMORY[0]
        at = max(from_second, (self._newest // coarsest - hours_kept + 1) * coarsest)
        end = min(to_second, self._newest + FUTURE_S + 1)
        while at < end:
            width = self._widest(at, end)
            if width:
                yield width, at // width
            at += width or SECONDS

    def _widest(self, at: int, end: int) -> int:
        """Find the coarsest remembered cell that starts at `at` and ends by `end`; 0: none."""
        for width, kept in MEMORY:
            remembered = self._newest // width - at // width < kept
            if remembered and at % width == 0 and at + width <= end:
                return width
        return 0

    def _forget(self, now: int) -> None:
        for width, kept in MEMORY:
            oldest = now // width - kept
            for memory in (self._cells[width], self._covered[width]):
                for slot in [slot for slot in memory if slot <= oldest]:
                    del memory[slot]
        for second in [second for second in self._reported if second <= now - MEMORY[-1][1]]:
            del self._reported[second]


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole > 0 else None


def _snapshot(variant: Variant, span: tuple[int, int], covered: int, total: _Tally) -> Snapshot:
    counts = total.frozen()
    return Snapshot(
        variant, *span, covered, counts.ok, counts.errors, counts.rejected,
        counts.latency, counts.pace, counts.syncs, counts.listings,
    )  # fmt: skip

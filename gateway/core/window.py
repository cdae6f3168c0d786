"""
What happened, second by second: counted in the workers, added up in the parent.

A worker counts each answer into its variant's current second (`Recorder`, the one mutable thing on
the request path) and hands finished seconds over as frozen `VariantSecond` values. The parent adds
the seconds of all workers in a `Timeline` and reads any span of it back as a `Snapshot`. Everything
is a count, so everything adds; ratios and quantiles are derived last, and **what was not seen is
None, never zero**.

Time. A second that runs a little backwards is counted to the newest one; a clock that falls behind
by more than the ring is believed (it was the forward jump that was wrong). A report whose second lies in
the parent's future or beyond its memory is refused. A second that a worker did not report is not
covered: unknown, not idle.

Only answers that went well are timed. A quick 500 must not make a system look fast.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from gateway.core import histogram
from gateway.core.histogram import EMPTY, MAX_VALUE, SUB_BUCKET_BITS, Counts
from gateway.core.model import SECOND_US, Outcome, Variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class SecondLike(Protocol):
    """The counts of some span of one variant; every field adds."""

    @property
    def ok(self) -> int: ...
    @property
    def errors(self) -> int: ...
    @property
    def rejected(self) -> int: ...
    @property
    def latency(self) -> Counts: ...
    @property
    def pace(self) -> Counts: ...
    @property
    def syncs(self) -> int: ...
    @property
    def listings(self) -> int: ...


@dataclass(frozen=True, slots=True)
class VariantSecond:
    """One variant's second: counts by outcome, latency and sync-pace histograms (sparse: bucket -> count).

    `latency` buckets are of microseconds per request that went well; `pace` of milliseconds per 1,000
    listings of such syncs; `listings` is the number of records those syncs named.
    """

    ok: int = 0
    errors: int = 0
    rejected: int = 0
    latency: Counts = EMPTY
    pace: Counts = EMPTY
    syncs: int = 0
    listings: int = 0


class Recorder:
    """One variant's current second in one worker, and the finished ones not yet handed over."""

    def __init__(self, now_us: int, *, keep_seconds: int = 30) -> None: ...

    def record(self, now_us: int, outcome: int, latency_us: int) -> None:
        """Count one answer (hot path). `outcome` is an `Outcome`; IGNORED counts nothing."""
        raise NotImplementedError

    def record_sync(self, now_us: int, outcome: int, latency_us: int, listings: int) -> None:
        """Count one sync answer that named `listings` records (0: pace unknown)."""
        raise NotImplementedError

    def take(self, now_us: int) -> tuple[tuple[int, VariantSecond], ...]:
        """All finished seconds (second, counts) not taken before, oldest first, silent seconds included."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One variant over a span of seconds, all workers added; `to_second` is exclusive."""

    variant: Variant
    from_second: int
    to_second: int
    seconds_covered: int
    """Seconds that every worker reported."""
    ok: int
    errors: int
    rejected: int
    latency: Counts
    pace: Counts
    syncs: int
    listings: int

    @property
    def requests(self) -> int:
        """Everything the variant answered or failed to answer."""
        return self.ok + self.errors + self.rejected

    @property
    def judged(self) -> int:
        """What the error ratio is of: a rejection says nothing about the system's health and must not dilute it."""
        return self.ok + self.errors

    @property
    def error_ratio(self) -> float | None: ...
    @property
    def success_ratio(self) -> float | None: ...
    @property
    def rejected_ratio(self) -> float | None: ...
    @property
    def latency_p50_ms(self) -> float | None: ...
    @property
    def latency_p95_ms(self) -> float | None: ...
    @property
    def latency_p99_ms(self) -> float | None: ...
    @property
    def sync_seconds_per_1000(self) -> float | None:
        """The 95th percentile: what the slow syncs take."""

    @property
    def sync_seconds_per_1000_median(self) -> float | None: ...
    @property
    def coverage_ratio(self) -> float | None:
        """The share of the span's seconds that every worker reported."""


def merge(variant: Variant, parts: Iterable[tuple[int, SecondLike]]) -> Snapshot:
    """Add (second, counts) pairs of any workers; every named second counts as covered."""
    raise NotImplementedError


class Timeline:
    """The parent's memory: seconds for ten minutes, minutes for three hours, hours for ten days."""

    def __init__(self, *, workers: int = 1) -> None: ...

    def add(
        self, now_us: int, worker: int, second: int, variants: Mapping[Variant, SecondLike]
    ) -> bool:
        """Add one worker's report; False when its second is not believable."""
        raise NotImplementedError

    def snapshot(self, variant: Variant, from_second: int, to_second: int) -> Snapshot:
        """Read a span back, as far as it is remembered."""
        raise NotImplementedError

"""
What the workers saw, added up: seconds to windows, windows to readings, cells to totals.

A reading ends with the newest second of which every worker has reported, so a worker that falls
silent makes readings old, and old readings are unknown. A report is filed under the second of the
parent's steady clock. Worker and parent share a machine, so one offset per worker translates its
wall-clock second; when a jump of the wall clock breaks the offset, it is taken anew. A second that
a worker owes and does not report is not covered: unknown, not idle. Cumulative cells of a worker
that is gone stay in the totals, or every restart would look like a counter running backwards.

Gates judge by everything that a system was asked, shadows included: in a phase without live traffic
there is nothing else. Reports and scraped durations are of what clients asked, counted apart.

In a fleet every other replica is one more source, under a negative number. Its seconds are already
added up and in our own time. A replica that falls silent makes readings old, as a worker does.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gateway.control.counting import Counting
from gateway.core import histogram
from gateway.core.analysis import BreakerReading, Reading
from gateway.core.model import SECOND_US, Variant
from gateway.core.window import Timeline, VariantSecond
from gateway.ports import SystemView

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.control.counting import Totals
    from gateway.core.window import Snapshot
    from gateway.link import Report
    from gateway.ports import ProbeResult

DISPLAY_WINDOW_S: Final = 60
MAX_CELLS_PER_WORKER: Final = 5_000
_DRIFT_S: Final = 2
_COUNTER_ENDINGS: Final = ("_total", "_bucket", "_sum", "_count")
_EDGES_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_EDGES: Final = (*map(str, _EDGES_S), "+Inf")
_OVERRUN: Final = "syncgate_differences_overrun_total"
_DURATION: Final = "syncgate_request_duration_seconds"


class Snapshots:
    """The parent's picture of the data plane."""

    def __init__(self, *, workers: int) -> None:
        self._timeline = Timeline(workers=workers)
        self._clients = Timeline(workers=workers)
        """The same without shadows."""
        self._offsets: dict[int, int] = {}
        self._heard: dict[int, int] = {}
        self._breakers: dict[int, dict[Variant, str]] = {}
        self._replicas: dict[int, tuple[str, Mapping[Variant, bool]]] = {}
        self._own_name = ""
        self._cells: dict[int, Mapping[str, float]] = {}
        self._counting = Counting()
        self._gone: dict[str, float] = {}
        self._overrun = 0
        self._durations = {variant: Durations() for variant in Variant}
        self._last_complete = 0
        self._cache: dict[tuple[Variant, int], Reading] = {}

    def worker_joined(self, worker: int, now_us: int) -> None:
        """Expect reports of this worker from now on."""
        self._heard[worker] = now_us // SECOND_US - 1

    def worker_gone(self, worker: int) -> None:
        """Expect nothing more of a worker and keep its counts."""
        self._heard.pop(worker, None)
        self._replicas.pop(worker, None)
        self._offsets.pop(worker, None)
        self._breakers.pop(worker, None)
        self._counting.worker_gone(worker)
        for name, value in self._cells.pop(worker, {}).items():
            if _is_counter(name):
                self._gone[name] = self._gone.get(name, 0.0) + value

    def replica_told(
        self, source: int, name: str, *, complete_second: int, breakers: Mapping[Variant, bool]
    ) -> None:
        """Note how far another replica's seconds reach, and where its breakers are open."""
        self._heard[source] = max(self._heard.get(source, 0), complete_second)
        self._replicas[source] = (name, breakers)

    def replica_second(
        self, source: int, second: int, variants: Mapping[Variant, VariantSecond], now_us: int
    ) -> None:
        """File one second of another replica."""
        self._timeline.add(now_us, source, second, variants)
        self._clients.add(now_us, source, second, variants)

    def replica_copies(
        self, source: int, second: int, variants: Mapping[Variant, VariantSecond], now_us: int
    ) -> None:
        """Take from clients what of a replica's second, as it was filed, were shadows."""
        copies = {variant: _negative(counts) for variant, counts in variants.items()}
        self._clients.add(now_us, source, second, copies)

    def own_name(self, name: str) -> None:
        """Name this replica in what is said of its breakers."""
        self._own_name = name

    def own_breakers(self) -> dict[Variant, bool]:
        """Say whether a system's breaker is open in any worker of ours."""
        states = self._breakers.values()
        return {
            variant: any(each.get(variant, "closed") != "closed" for each in states)
            for variant in Variant
        }

    def own_complete_second(self) -> int:
        """Give the newest second of which all workers of ours have reported."""
        return min((second for worker, second in self._heard.items() if worker > 0), default=0)

    def report(self, report: Report, now_us: int) -> int | None:
        """File one worker's second; say which of ours that is, None if it does not count."""
        if report.worker not in self._heard:
            return None  # it would stand in the figures for good
        second = self._steady_second(report.worker, report.second, now_us // SECOND_US)
        variants = {Variant(name): counts for name, counts in report.variants.items()}
        for name, exemplar in report.exemplars.items():
            self._durations[Variant(name)].exemplar = exemplar
        if not self._timeline.add(now_us, report.worker, second, variants):
            return None
        self._clients.add(now_us, report.worker, second, variants)
        if report.copies:
            copies = {Variant(name): counts for name, counts in report.copies.items()}
            self._timeline.add(now_us, report.worker, second, copies)
        for variant, counts in variants.items():
            self._durations[variant].add(counts.latency)
        self._heard[report.worker] = max(self._heard[report.worker], second)
        for name, state in report.breakers.items():
            self.breaker(report.worker, Variant(name), state)
        if len(report.cells) <= MAX_CELLS_PER_WORKER:
            self._cells[report.worker] = report.cells
            self._counting.heard(report)
        return second

    def _complete_second(self) -> int:
        """Give the newest second of which every worker has reported; it never goes back."""
        if self._heard:
            self._last_complete = max(self._last_complete, min(self._heard.values()))
        return self._last_complete

    def complete_until(self) -> int:
        """Give the first second of which not every worker has reported; 0: none ever did."""
        newest = self._complete_second()
        return newest + 1 if newest else 0

    def span(self, variant: Variant, from_second: int, to_second: int) -> Snapshot:
        """Read what clients asked of one system over a span of seconds."""
        return self._clients.snapshot(variant, from_second, to_second)

    def breaker(self, worker: int, variant: Variant, state: str) -> None:
        """Note the state of one worker's circuit breaker; one that is gone has none."""
        if worker in self._heard:
            self._breakers.setdefault(worker, {})[variant] = state

    def difference_overrun(self) -> None:
        """Count a difference that a worker handed on and for which there was no room here."""
        self._overrun += 1

    def _steady_second(self, worker: int, second: int, now: int) -> int:
        offset = self._offsets.get(worker)
        if offset is None or abs(second + offset - now) > _DRIFT_S:
            # A report is of the second that has just ended.
            offset = self._offsets[worker] = now - 1 - second
        return second + offset

    def readings(self, windows_s: Iterable[int]) -> tuple[Reading, ...]:
        """Read both systems over each window; long windows move in coarser steps."""
        end = self._complete_second() + 1
        at_us = end * SECOND_US if end > 1 else 0
        found: list[Reading] = []
        for window_s in sorted(set(windows_s)):
            step_us = max(1, window_s // 600) * SECOND_US
            for variant in Variant:
                key = (variant, window_s)
                kept = self._cache.get(key)
                if kept is None or at_us - kept.at_us >= step_us:
                    kept = self._cache[key] = self._reading(variant, window_s, end)
                found.append(replace(kept, at_us=at_us))
        return tuple(found)

    def _reading(self, variant: Variant, window_s: int, end: int) -> Reading:
        snapshot = self._timeline.snapshot(variant, end - window_s, end)
        return Reading(
            variant=variant,
            window_s=window_s,
            at_us=end * SECOND_US,
            ok=snapshot.ok,
            errors=snapshot.errors,
            rejected=snapshot.rejected,
            latency_p95_ms=snapshot.latency_p95_ms,
            sync_s_per_1000=snapshot.sync_seconds_per_1000,
            syncs=snapshot.syncs,
            listings=snapshot.listings,
        )

    def breakers(self) -> tuple[BreakerReading, ...]:
        """Read every worker's circuit breakers; in a fleet, one per replica and system."""
        if self._replicas:
            replicas = [(self._own_name, self.own_breakers()), *self._replicas.values()]
            return tuple(
                BreakerReading(variant=variant, replica=name, open=is_open)
                for name, breakers in sorted(replicas, key=lambda each: each[0])
                for variant, is_open in breakers.items()
            )
        return tuple(
            BreakerReading(variant=variant, replica=str(worker), open=state != "closed")
            for worker, states in sorted(self._breakers.items())
            for variant, state in states.items()
        )

    def system(self, variant: Variant, probe: ProbeResult | None) -> SystemView:
        """Show one system over the display window."""
        end = self._complete_second() + 1
        snapshot = self._timeline.snapshot(variant, end - DISPLAY_WINDOW_S, end)
        return _system_view(
            snapshot, [s[variant] for s in self._breakers.values() if variant in s], probe
        )

    def totals(self) -> Totals:
        """Add up the cells and counts of all workers, those that are gone included."""
        totals = {**self._gone, _OVERRUN: self._overrun}
        for cells in self._cells.values():
            for name, value in cells.items():
                totals[name] = totals.get(name, 0.0) + value
        for variant, durations in self._durations.items():
            totals.update(durations.cells(variant))
        return self._counting.totals(totals)

    def exemplars(self) -> dict[str, tuple[str, int, int]]:
        """Give sampled requests by the cell of the bucket that each was counted in."""
        found = (each.example(variant) for variant, each in self._durations.items())
        return dict(one for one in found if one is not None)


class Durations:
    """One system's request durations since the start, in the few buckets a scraper keeps."""

    __slots__ = ("_counts", "_sum_s", "exemplar")

    def __init__(self) -> None:
        self.exemplar: tuple[str, int, int] | None = None
        """The newest sampled request: trace id, duration and instant in microseconds."""
        self._counts = [0] * (len(_EDGES_S) + 1)
        self._sum_s = 0.0

    def add(self, latency: histogram.Counts) -> None:
        """Add one second's fine buckets; each counts by its upper end, so nothing looks faster."""
        for bucket, count in latency:
            duration_s = histogram.upper_bound(bucket) / SECOND_US
            self._counts[bisect_left(_EDGES_S, duration_s)] += count
            self._sum_s += duration_s * count

    def cells(self, variant: Variant) -> dict[str, float]:
        """Give them as a Prometheus histogram, edges in rising order."""
        system = f'system="{variant.value}"'
        cells: dict[str, float] = {}
        reached = 0
        for bucket, count in enumerate(self._counts):
            reached += count
            cells[_bucket_cell(variant, bucket)] = reached
        cells[f"{_DURATION}_sum{{{system}}}"] = self._sum_s
        cells[f"{_DURATION}_count{{{system}}}"] = reached
        return cells

    def example(self, variant: Variant) -> tuple[str, tuple[str, int, int]] | None:
        """Give the newest sampled request with the cell of its bucket."""
        if self.exemplar is None:
            return None
        took_s = histogram.upper_bound(histogram.bucket_of(self.exemplar[1])) / SECOND_US
        return _bucket_cell(variant, bisect_left(_EDGES_S, took_s)), self.exemplar


def _negative(counts: VariantSecond) -> VariantSecond:
    return VariantSecond(
        ok=-counts.ok, errors=-counts.errors, rejected=-counts.rejected,
        latency=tuple((bucket, -count) for bucket, count in counts.latency),
        pace=tuple((bucket, -count) for bucket, count in counts.pace),
        syncs=-counts.syncs, listings=-counts.listings,
    )  # fmt: skip


def _bucket_cell(variant: Variant, bucket: int) -> str:
    return f'{_DURATION}_bucket{{system="{variant.value}",le="{_EDGES[bucket]}"}}'


def _is_counter(cell: str) -> bool:
    return cell.partition("{")[0].endswith(_COUNTER_ENDINGS)


def _system_view(snapshot: Snapshot, breakers: list[str], probe: ProbeResult | None) -> SystemView:
    return SystemView(
        variant=snapshot.variant,
        window_s=DISPLAY_WINDOW_S,
        requests=snapshot.requests,
        errors=snapshot.errors,
        rejected=snapshot.rejected,
        requests_per_s=snapshot.requests / DISPLAY_WINDOW_S,
        error_ratio=snapshot.error_ratio,
        rejected_ratio=snapshot.rejected_ratio,
        p50_ms=snapshot.latency_p50_ms,
        p95_ms=snapshot.latency_p95_ms,
        p99_ms=snapshot.latency_p99_ms,
        sync_seconds_per_1000=snapshot.sync_seconds_per_1000,
        # The worst state any worker is in; "unknown" before the first report.
        breaker=max(breakers, key=_BREAKER_RANK.__getitem__, default="unknown"),
        healthy=probe.healthy if probe else None,
        health_reason=probe.reason if probe else "",
    )


_BREAKER_RANK: Final = {"closed": 0, "half_open": 1, "open": 2, "isolated": 3}

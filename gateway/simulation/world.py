"""
The world of a scenario: what each system would answer at any moment, and what is measured.

Between two boundaries (a fault begins or ends) all figures are constant, but for ramps and the time
of day, which are taken at the middle of a step. Requests flow evenly; which of them fail is drawn.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gateway.core.analysis import Measurement, Metric, Probe, Reading
from gateway.core.model import SECOND_US, Variant

if TYPE_CHECKING:
    from gateway.simulation.scenario import Fault, Scenario

_DAY_S: Final = 86_400
PROBE_EVERY_S: Final = 5
TRAFFIC: Final = "traffic"
"""The name under which the workers' own reports fall silent."""
_MEASURED: Final = (
    Metric.CPU_RATIO, Metric.MEMORY_RATIO, Metric.DISK_RATIO, Metric.NETWORK_RATIO,
    Metric.DATABASE_LOAD_RATIO, Metric.API_USAGE_RATIO,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Episode:
    """One occurrence of a fault."""

    fault: Fault
    begin_s: float
    end_s: float

    def covers(self, at_s: float) -> bool:
        """Whether it is going on."""
        return self.begin_s <= at_s < self.end_s

    def figure(self, usual: float, fault: float, at_s: float) -> float:
        """Take the faulty figure, or the way towards it."""
        if not self.fault.ramp:
            return fault
        return usual + (fault - usual) * (at_s - self.begin_s) / (self.end_s - self.begin_s)


def episodes(scenario: Scenario) -> tuple[Episode, ...]:
    """List every occurrence of every fault."""
    return tuple(
        Episode(fault, begin_s, begin_s + fault.lasts)
        for fault in scenario.faults
        for begin_s in (fault.at + (fault.every or 0.0) * n for n in range(fault.times))
    )


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one system answers at a moment."""

    error_ratio: float
    rejected_ratio: float
    latency_p95_ms: float
    sync_s_per_1000: float


_FIGURES: Final = ("error_ratio", "rejected_ratio", "latency_p95_ms", "sync_s_per_1000")


def behaviour(
    scenario: Scenario, going_on: tuple[Episode, ...], variant: Variant, at_s: float
) -> Behaviour:
    """Say how a system answers: as usual, but for the faults that are going on."""
    usual = scenario.new if variant is Variant.CANARY else scenario.old
    figures = {name: float(getattr(usual, name)) for name in _FIGURES}
    for episode in going_on:
        if episode.fault.system not in {variant.value, "both"}:
            continue
        for name in _FIGURES:
            wrong = getattr(episode.fault, name)
            if wrong is not None:
                figures[name] = episode.figure(figures[name], wrong, at_s)
    return Behaviour(**figures)


def requests_per_s(scenario: Scenario, going_on: tuple[Episode, ...], at_s: float) -> float:
    """Say how much traffic there is: a cosine over the day, times what the faults do to it."""
    traffic = scenario.traffic
    seconds = scenario.begins.timestamp() + at_s
    offset = scenario.begins.utcoffset()
    seconds += offset.total_seconds() if offset is not None else 0.0
    day = 0.5 - 0.5 * math.cos(2 * math.pi * (seconds % _DAY_S) / _DAY_S)
    share = traffic.night_ratio + (1 - traffic.night_ratio) * day
    return traffic.requests_per_s * share * math.prod(e.fault.traffic_ratio for e in going_on)


@dataclass(slots=True)
class Ledger:
    """Everything one system answered, summed up over time, to be read back over any window."""

    variant: Variant
    until_s: list[float] = field(default_factory=lambda: [0.0])
    sums: list[tuple[float, ...]] = field(default_factory=lambda: [(0.0,) * 7])

    def add(self, until_s: float, *counts: float) -> None:
        """Add a span: ok, errors, rejected, syncs, pace * syncs, latency * ok, shadows."""
        last = self.sums[-1]
        self.until_s.append(until_s)
        self.sums.append(tuple(a + b for a, b in zip(last, counts, strict=True)))

    def reading(self, window_s: int, now_s: float, at_us: int) -> Reading:
        """Read a window back."""
        first = max(0, bisect_left(self.until_s, now_s - window_s) - 1)
        if self.until_s[first] < now_s - window_s:
            first += 1
        first = min(first, len(self.sums) - 1)
        start, end = self.sums[first], self.sums[-1]
        ok, errors, rejected, syncs, pace, latency, _ = (
            b - a for a, b in zip(start, end, strict=True)
        )
        whole_ok, whole_syncs = round(ok), round(syncs)
        return Reading(
            variant=self.variant, window_s=window_s, at_us=at_us,
            ok=whole_ok, errors=round(errors), rejected=round(rejected),
            latency_p95_ms=latency / ok if whole_ok else None,
            sync_s_per_1000=pace / syncs if whole_syncs else None, syncs=whole_syncs,
        )  # fmt: skip

    @property
    def shadows(self) -> int:
        """How many mirrored requests there were in all."""
        return round(self.sums[-1][6])


def measurements(
    scenario: Scenario,
    going_on: tuple[Episode, ...],
    *,
    at_s: float,
    now_us: int,
    compared: int,
) -> tuple[Measurement, ...]:
    """List what is measured beside the traffic; what fell silent keeps its last, ageing figure."""
    values = {metric: float(getattr(scenario.machine, metric.value)) for metric in _MEASURED}
    found = []
    for episode in going_on:
        for name, value in episode.fault.measures.items():
            metric = Metric(name)
            usual = values.get(metric, 0.0)
            values[metric] = episode.figure(usual, value, at_s)
    for metric, value in values.items():
        age_us = silent_us(going_on, metric.value, at_s)
        found.append(Measurement(metric, value, now_us - age_us, source="simulation"))
    if compared:
        age_us = silent_us(going_on, Metric.MATCH_RATIO.value, at_s)
        match = scenario.machine.match_ratio
        found += [
            Measurement(metric, value, now_us - age_us, sample=compared, source="sim")
            for metric, value in (
                (Metric.MATCH_RATIO, match),
                (Metric.COMPARED_RATIO, 1.0),
                (Metric.SYNC_TIME_TO_OLD, 1.0),
            )
        ]
    return tuple(found)


def silent_us(going_on: tuple[Episode, ...], name: str, at_s: float) -> int:
    """Say for how long a source has been silent."""
    since = [at_s - e.begin_s for e in going_on if name in e.fault.silent]
    return round(max(since, default=0.0) * SECOND_US)


def probe(going_on: tuple[Episode, ...], variant: Variant, at_s: float, now_us: int) -> Probe:
    """Say what the health probe of a system last found."""
    down_s = [
        at_s - e.begin_s
        for e in going_on
        if e.fault.down and e.fault.system in {variant.value, "both"}
    ]
    longest_s = max(down_s, default=-1.0)
    failures = int(longest_s // PROBE_EVERY_S + 1)
    since_us = now_us - round(longest_s * SECOND_US) if failures else None
    return Probe(
        variant, ok=failures == 0, at_us=now_us, failures=failures, failing_since_us=since_us
    )

"""
What is known: readings of the traffic, measurements, probes, breakers, user reports.

Everything is reduced to a few plain numbers before it comes here, so that a judgement can be stored
with its inputs and be repeated years later (`inputs_to_json` and back).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from gateway.core.analysis.asked import Metric
from gateway.core.model import Variant


@dataclass(frozen=True, slots=True)
class Reading:
    """One system over one window, reduced from the merged snapshot of the fleet.

    `syncs` is the sample of `sync_s_per_1000` (p95). `at_us` is the end of the newest second in it:
    how old the reading is. Requests that the system rejected (4xx) count in no error ratio.
    """

    variant: Variant
    window_s: int
    at_us: int
    ok: int = 0
    errors: int = 0
    rejected: int = 0
    latency_p95_ms: float | None = None
    sync_s_per_1000: float | None = None
    syncs: int = 0
    listings: int = 0


@dataclass(frozen=True, slots=True)
class Measurement:
    """A figure from outside the traffic, with age and sample. `system` None: of the machine."""

    metric: Metric
    value: float
    at_us: int
    system: Variant | None = None
    sample: int = 1
    source: str = "api"
    previous: float | None = None
    """The figure before this one, for metrics judged by their change."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What the gateway's own health probe of one system last said."""

    variant: Variant
    ok: bool
    at_us: int
    failures: int = 0
    """Failed probes in a row."""
    detail: str = ""
    failing_since_us: int | None = None
    """When the first of these failed probes was sent, where that is known."""


@dataclass(frozen=True, slots=True)
class BreakerReading:
    """One replica's circuit breaker; `open` covers half-open too: it has not recovered yet."""

    variant: Variant
    replica: str
    open: bool


@dataclass(frozen=True, slots=True)
class UserReport:
    """A user told us something is wrong."""

    at_us: int
    serious: bool


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything a judgement rests on besides the watch; plain, so it can be replayed."""

    now_us: int
    readings: tuple[Reading, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    """The newest one per metric and system."""
    probes: tuple[Probe, ...] = ()
    breakers: tuple[BreakerReading, ...] = ()
    reports: tuple[UserReport, ...] = ()
    mirror_off: str | None = None
    """Why writes are not mirrored although the phase wants it."""
    unknown_replicas: tuple[str, ...] = ()
    """Replicas of the fleet whose numbers are missing in all of this, by name."""
    store_late_ms: int = 0
    """How long the fleet's store took to answer, where that is too long to promote by."""


def inputs_to_json(inputs: Inputs) -> dict[str, Any]:
    """Plain JSON values; a figure that is not a number becomes the word it prints as."""
    return {
        "now_us": inputs.now_us,
        "readings": [_plain(each) for each in inputs.readings],
        "measurements": [_plain(each) for each in inputs.measurements],
        "probes": [_plain(each) for each in inputs.probes],
        "breakers": [_plain(each) for each in inputs.breakers],
        "reports": [_plain(each) for each in inputs.reports],
        "mirror_off": inputs.mirror_off,
        "unknown_replicas": list(inputs.unknown_replicas),
        "store_late_ms": inputs.store_late_ms,
    }


def _plain(known: Reading | Measurement | Probe | BreakerReading | UserReport) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, value in asdict(known).items():
        if isinstance(value, Variant | Metric):
            plain[name] = value.value
        elif isinstance(value, float) and not math.isfinite(value):
            plain[name] = str(value)
        else:
            plain[name] = value
    return plain


def inputs_from_json(raw: dict[str, Any]) -> Inputs:
    """Read what `inputs_to_json` wrote. KeyError, TypeError or ValueError: it did not."""
    return Inputs(
        now_us=int(raw["now_us"]),
        readings=tuple(Reading(**_typed(each)) for each in raw["readings"]),
        measurements=tuple(Measurement(**_typed(each)) for each in raw["measurements"]),
        probes=tuple(Probe(**_typed(each)) for each in raw["probes"]),
        breakers=tuple(BreakerReading(**_typed(each)) for each in raw["breakers"]),
        reports=tuple(UserReport(**_typed(each)) for each in raw["reports"]),
        mirror_off=raw.get("mirror_off"),
        unknown_replicas=tuple(raw.get("unknown_replicas", ())),
        store_late_ms=int(raw.get("store_late_ms", 0)),
    )


def _typed(plain: dict[str, Any]) -> dict[str, Any]:
    typed = dict(plain)
    for name in ("variant", "system"):
        if typed.get(name) is not None:
            typed[name] = Variant(typed[name])
    if "metric" in typed:
        typed["metric"] = Metric(typed["metric"])
    for name in ("value", "previous", "latency_p95_ms", "sync_s_per_1000"):
        if isinstance(typed.get(name), str):
            typed[name] = float(typed[name])
    return typed

"""
What the policy asks: metrics, gates, triggers, limits, and how to be fair when they are judged.

All of it comes from the policy file; nothing here has an opinion of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Metric(StrEnum):
    """Everything a gate, a trigger or a limit may speak of. Ratios are 0..1."""

    ERROR_RATIO = "error_ratio"
    SUCCESS_RATIO = "success_ratio"
    REJECTED_RATIO = "rejected_ratio"
    LATENCY_P95_MS = "latency_p95_ms"
    SYNC_SECONDS_PER_1000 = "sync_seconds_per_1000"
    LISTINGS_SYNCED = "listings_synced"
    MATCH_RATIO = "match_ratio"
    COMPARED_RATIO = "compared_ratio"
    SYNC_TIME_TO_OLD = "sync_time_to_old"
    API_USAGE_RATIO = "api_usage_ratio"
    CPU_RATIO = "cpu_ratio"
    MEMORY_RATIO = "memory_ratio"
    DISK_RATIO = "disk_ratio"
    NETWORK_RATIO = "network_ratio"
    DATABASE_LOAD_RATIO = "database_load_ratio"
    INTEGRITY_MISMATCHES = "integrity_mismatches"
    DATA_LOSS = "data_loss"
    SYSTEM_DOWN = "system_down"
    SECURITY_BREACH = "security_breach"
    USER_REPORTS = "user_reports"
    SERIOUS_USER_REPORTS = "serious_user_reports"

    @property
    def from_window(self) -> bool:
        """Counted by the gateway itself on the traffic it carries."""
        return self in _FROM_WINDOW

    @property
    def from_mirror(self) -> bool:
        """Known only while writes are mirrored."""
        return self in _FROM_MIRROR

    @property
    def only_when_it_happens(self) -> bool:
        """Reported when it happens; silence is the normal state, not a dead source."""
        return self in _EVENTS


_FROM_WINDOW: Final = frozenset(
    {
        Metric.ERROR_RATIO,
        Metric.SUCCESS_RATIO,
        Metric.REJECTED_RATIO,
        Metric.LATENCY_P95_MS,
        Metric.SYNC_SECONDS_PER_1000,
    }
)
_FROM_MIRROR: Final = frozenset(
    {Metric.MATCH_RATIO, Metric.COMPARED_RATIO, Metric.SYNC_TIME_TO_OLD}
)
_EVENTS: Final = frozenset(
    {
        Metric.INTEGRITY_MISMATCHES,
        Metric.DATA_LOSS,
        Metric.SYSTEM_DOWN,
        Metric.SECURITY_BREACH,
        Metric.USER_REPORTS,
        Metric.SERIOUS_USER_REPORTS,
    }
)


class Relation(StrEnum):
    """How a value stands to its threshold."""

    BELOW = "<"
    AT_MOST = "<="
    ABOVE = ">"
    AT_LEAST = ">="

    def holds(self, value: float, threshold: float) -> bool:
        """Whether `value` stands so to `threshold`; NaN never does."""
        if self is Relation.BELOW:
            return value < threshold
        if self is Relation.AT_MOST:
            return value <= threshold
        if self is Relation.ABOVE:
            return value > threshold
        return value >= threshold


class Basis(StrEnum):
    """What of the metric is compared with the threshold."""

    VALUE = "value"
    RATIO_TO_OLD = "ratio_to_old"
    EXCESS_OVER_OLD = "excess_over_old"


class Severity(StrEnum):
    """How bad, and so how fast: at once, within the hour, within the day, when convenient."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def rank(self) -> int:
        """3 for critical down to 0 for low."""
        return _RANK[self]


_RANK: Final = {Severity.CRITICAL: 3, Severity.HIGH: 2, Severity.MEDIUM: 1, Severity.LOW: 0}


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition of a phase that must hold before the rollout goes on."""

    name: str
    metric: Metric
    comparison: Relation
    threshold: float
    basis: Basis = Basis.VALUE
    window_s: int = 3600
    min_sample: int = 1
    max_age_s: int = 300
    confidence: float | None = None
    """Judge the cautious end of the ratio's interval at this confidence instead of the ratio."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """One reason to take traffic back. An error ratio is judged by evidence, not by a window."""

    name: str
    severity: Severity
    metric: Metric
    comparison: Relation
    threshold: float
    basis: Basis = Basis.VALUE
    healthy_ratio: float | None = None
    """Error ratio only: the rate that is fine; evidence grows against it (Bernoulli CUSUM)."""
    window_s: int = 300
    min_sample: int = 1
    for_s: int = 0
    max_age_s: int = 300

    @property
    def by_evidence(self) -> bool:
        """Judged per outcome by a CUSUM."""
        return self.healthy_ratio is not None


@dataclass(frozen=True, slots=True)
class Limit:
    """Target, warning and critical level of one metric, whatever the phase; None: no such level.

    A limit on `listings_synced` speaks of the relative change against the last sync.
    """

    metric: Metric
    comparison: Relation
    """The bad direction: `>` or `>=` where more is worse, `<` or `<=` where less is."""
    target: float | None
    warning: float | None
    critical: float | None
    every_s: int
    window_s: int = 3600
    min_sample: int = 1


@dataclass(frozen=True, slots=True)
class Questions:
    """What is to be answered now: the phase's gates, the triggers in force, how to be fair."""

    gates: tuple[Gate, ...]
    triggers: tuple[Trigger, ...]
    guard_since_us: int
    """Events and reports older than this are settled and trip nothing."""
    standby: bool
    """Old carries nothing: that it could is known from its probe alone, and must be known."""
    blame_alpha: float
    settle_us: int
    lookback_s: int
    probe_failures: int
    probe_max_age_us: int
    reading_max_age_us: int
    unknown_grace_us: int

"""
The words of the analysis: what is asked (gates, triggers, limits), what is known (readings,
measurements, probes), and what follows from it (results, findings, a judgement).

What is asked comes from the policy file; what is known is reduced to a few plain numbers before it
comes here, so that a judgement can be stored with its inputs and be repeated years later. Every
answer carries its own sentence; it is built from the figures when somebody reads it, so that judging
costs arithmetic and nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from gateway.core.analysis.sentences import Note, Sentence
from gateway.core.model import Variant

__all__ = [
    "LEVELS_BY_BADNESS",
    "Basis",
    "Blame",
    "BreakerReading",
    "Comparison",
    "Finding",
    "Gate",
    "GateResult",
    "Inputs",
    "Judgement",
    "Level",
    "LevelResult",
    "Limit",
    "Measurement",
    "Metric",
    "Note",
    "Probe",
    "Questions",
    "Reaction",
    "Reading",
    "Sentence",
    "Severity",
    "Trigger",
    "UserReport",
    "Variant",
    "Verdict",
]


class Metric(StrEnum):
    """Everything a gate, a trigger or a limit may speak of. Ratios are 0..1."""

    ERROR_RATIO = "error_ratio"
    SUCCESS_RATIO = "success_ratio"
    REJECTED_RATIO = "rejected_ratio"
    LATENCY_P95_MS = "latency_p95_ms"
    SYNC_SECONDS_PER_1000 = "sync_seconds_per_1000"
    LISTINGS_SYNCED = "listings_synced"
    MATCH_RATIO = "match_ratio"
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
_EVENTS: Final = frozenset(
    {
        Metric.DATA_LOSS,
        Metric.SYSTEM_DOWN,
        Metric.SECURITY_BREACH,
        Metric.USER_REPORTS,
        Metric.SERIOUS_USER_REPORTS,
    }
)


class Comparison(StrEnum):
    """How a value stands to its threshold."""

    BELOW = "<"
    AT_MOST = "<="
    ABOVE = ">"
    AT_LEAST = ">="

    def holds(self, value: float, threshold: float) -> bool:
        """Whether `value` stands so to `threshold`; NaN never does."""
        if self is Comparison.BELOW:
            return value < threshold
        if self is Comparison.AT_MOST:
            return value <= threshold
        if self is Comparison.ABOVE:
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
    comparison: Comparison
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
    comparison: Comparison
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


class Level(StrEnum):
    """Where a metric stands against its limits."""

    OK = "ok"
    OFF_TARGET = "off_target"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


LEVELS_BY_BADNESS: Final = (
    Level.OK,
    Level.OFF_TARGET,
    Level.WARNING,
    Level.CRITICAL,
    Level.UNKNOWN,
)


@dataclass(frozen=True, slots=True)
class Limit:
    """Target, warning and critical level of one metric, whatever the phase; None: no such level.

    A limit on `listings_synced` speaks of the relative change against the last sync.
    """

    metric: Metric
    comparison: Comparison
    """The bad direction: `>` or `>=` where more is worse, `<` or `<=` where less is."""
    target: float | None
    warning: float | None
    critical: float | None
    every_s: int
    window_s: int = 3600
    min_sample: int = 1


class Verdict(Enum):
    """Four different answers; only PASS promotes."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


class Blame(Enum):
    """Whose fault a finding is, as far as the evidence goes."""

    CANARY = "new"
    SHARED = "both"
    BASELINE = "old"
    UNDECIDED = "undecided"


class Reaction(Enum):
    """What a finding asks for."""

    ROLL_BACK = "roll_back"
    DECIDE = "decide"
    """A person decides within the deadline of its severity."""
    PAGE = "page"
    """People are told; traffic stays where it is."""
    WAIT = "wait"
    """Too early to say whose fault it is; time does not count as healthy."""


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
    """A figure from outside the traffic, with its age and sample. `system` None: not of one side."""

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
class Questions:
    """What a judgement is to answer now: the phase's gates, the triggers in force, how to be fair."""

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


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything a judgement rests on besides the watch; plain, so it can be stored and replayed."""

    now_us: int
    readings: tuple[Reading, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    """The newest one per metric and system."""
    probes: tuple[Probe, ...] = ()
    breakers: tuple[BreakerReading, ...] = ()
    reports: tuple[UserReport, ...] = ()


@dataclass(frozen=True, slots=True)
class GateResult:
    """What a gate says, with the figures it says it from."""

    name: str
    verdict: Verdict
    value: float | None
    threshold: float | None
    sample: int
    window_s: int
    note: Note

    @property
    def reason(self) -> str:
        """One sentence in English."""
        return self.note.sentence.en

    @property
    def reason_ja(self) -> str:
        """The same in Japanese."""
        return self.note.sentence.ja


@dataclass(frozen=True, slots=True)
class Finding:
    """One trigger that tripped, one source that is silent, or a system that is down."""

    key: str
    """Names the incident; the same trouble keeps the same key."""
    severity: Severity
    blame: Blame
    reaction: Reaction
    value: float | None
    threshold: float | None
    sample: int
    note: Note

    @property
    def sentence(self) -> Sentence:
        """Why, for people."""
        return self.note.sentence


@dataclass(frozen=True, slots=True)
class LevelResult:
    """Where one metric of one system stands against its limits."""

    metric: Metric
    system: Variant | None
    level: Level
    value: float | None
    limit: float | None
    """The limit that was crossed last; None while all is well."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The whole answer of one look: gates, findings (worst first), and whether the time was healthy."""

    at_us: int
    gates: tuple[GateResult, ...]
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """All gates passed and nothing was found: time that counts as baked."""
        return not self.findings and all(gate.verdict is Verdict.PASS for gate in self.gates)

    @property
    def failing(self) -> tuple[GateResult, ...]:
        """The gates that did not pass, whatever else they say."""
        return tuple(gate for gate in self.gates if gate.verdict is not Verdict.PASS)

"""
The shapes of the admin API: one definition from which validation, answers and OpenAPI derive.

Inputs are strict: unknown keys, numbers in quotes, booleans as numbers and NaN are mistakes of the
caller and are named as such. Outputs carry their units in their names; a figure not known is
null, never zero. Instants are RFC 3339 in UTC.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
)

REASON_MAX: Final = 500
TEXT_MAX: Final = 2_000


_BREAKS: Final = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
_RFC3339: Final = re.compile(
    r"\A\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)\Z"
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def _one_line(value: str) -> str:
    """Refuse what cannot be seen; control characters must not reach a terminal or a log."""
    line = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _BREAKS.sub(" ", value)).strip()
    if not line:
        raise ValueError("text that is not blank")
    return line


def _in_steps(value: float) -> float:
    """Refuse finer steps than basis points; in decimals, for 12.34 is no binary fraction."""
    if Decimal(str(value)) % Decimal("0.01"):
        raise ValueError("a multiple of 0.01")
    return value


def _text(max_length: int, description: str, example: str) -> Any:
    return Field(
        min_length=1,
        max_length=max_length,
        description=description,
        json_schema_extra={"pattern": r"\S"},
        examples=[example],
    )


Reason = Annotated[
    str,
    _text(REASON_MAX, "Why; kept in the audit for good.", "two clean days, going on"),
    AfterValidator(_one_line),
]
Text = Annotated[
    str,
    _text(TEXT_MAX, "What the user said.", "My listing shows the old price"),
    AfterValidator(_one_line),
]
Percent = Annotated[
    float,
    Field(
        ge=0,
        le=100,
        strict=True,
        allow_inf_nan=False,
        description="Share to the new system, 0 to 100 in steps of 0.01.",
        json_schema_extra={"multipleOf": 0.01},
        examples=[25],
    ),
    AfterValidator(_in_steps),
]


def _rfc3339(value: object) -> object:
    """Refuse what only looks like an instant: a bare number, a local time."""
    if isinstance(value, str) and _RFC3339.match(value):
        return datetime.fromisoformat(value.upper())
    raise ValueError("an instant with its offset, such as 2026-11-21T01:02:03Z")


Instant = Annotated[AwareDatetime, BeforeValidator(_rfc3339)]


class Input(BaseModel):
    """What a caller sends: nothing unknown, nothing bent to fit."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )


class Output(BaseModel):
    """What the API answers."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Change(Input):
    """Any change that needs nothing but its reason."""

    reason: Reason


class Promotion(Change):
    """Go on to the next phase."""

    force: bool = Field(
        default=False, description="Although gates do not pass: needs the admin scope."
    )


class WeightChange(Change):
    """Set the share of the new system."""

    percent: Percent


class System(StrEnum):
    """The two systems by their names on the wire."""

    OLD = "old"
    NEW = "new"


class Severity(StrEnum):
    """How bad a user says it is."""

    MINOR = "minor"
    SERIOUS = "serious"


class Verdict(StrEnum):
    """The four answers of a gate."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


class Status(StrEnum):
    """Where a rollout is."""

    IDLE = "idle"
    RUNNING = "running"
    PAUSED = "paused"
    ROLLED_BACK = "rolled_back"
    EMERGENCY_STOPPED = "emergency_stopped"
    COMPLETED = "completed"


class Reported(Input):
    """What every measurement may say besides its value."""

    system: Annotated[System | None, Field(strict=False)] = None
    """Which one, where it applies; default: of no one system."""
    sample: Annotated[int | None, Field(ge=1, le=10**12)] = None
    """How many observations it rests on."""
    at: Instant | None = None
    """When it was taken; default now. Not in the future: the gateway's clock decides (409)."""


class RatioMeasurement(Reported):
    """A share, 0..1."""

    metric: Literal[
        "error_ratio",
        "success_ratio",
        "match_ratio",
        "api_usage_ratio",
        "cpu_ratio",
        "memory_ratio",
        "disk_ratio",
        "network_ratio",
        "database_load_ratio",
    ]
    value: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class AmountMeasurement(Reported):
    """An amount: milliseconds, seconds, listings or mismatches."""

    metric: Literal[
        "latency_p95_ms",
        "sync_seconds_per_1000",
        "listings_synced",
        "integrity_mismatches",
        "data_loss",
        "user_reports",
    ]
    value: Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]


class FlagMeasurement(Reported):
    """Something that is (1) or is not (0)."""

    metric: Literal["system_down", "security_breach"]
    value: Annotated[float, Field(ge=0, le=1, json_schema_extra={"multipleOf": 1})]

    @field_validator("value")
    @classmethod
    def _is_or_is_not(cls, value: float) -> float:
        if value not in {0, 1}:
            raise ValueError("0 or 1")
        return value


Measured = RatioMeasurement | AmountMeasurement | FlagMeasurement
MeasurementIn = Annotated[Measured, Field(discriminator="metric")]
"""A figure that only somebody outside can know."""


class UserReportIn(Input):
    """What a user told us."""

    severity: Annotated[Severity, Field(strict=False)]
    text: Text


class Sentence(Output):
    """One sentence for people, in both languages of the operators."""

    en: str
    ja: str


class Gate(Output):
    """One condition of the phase: what was measured against what is asked."""

    name: str
    metric: str | None
    """What it speaks of; null: the phase itself (bake time, freeze, decisions)."""
    comparison: str | None
    basis: str | None
    """value, ratio_to_old or excess_over_old."""
    verdict: Verdict
    """Inconclusive: too little data. Error: could not be measured. Only pass promotes."""
    value: float | None
    threshold: float | None
    sample: int
    window_s: float
    reason: str
    reason_ja: str


class Finding(Output):
    """A rollback rule that tripped, a silent source or a system that is down."""

    key: str
    severity: str
    blame: str
    """Whose fault it is as far as evidence goes: new, old, both or undecided."""
    value: float | None
    threshold: float | None
    sample: int
    reason: str
    reason_ja: str


class EvidenceBar(Output):
    """How sure we are that the new system's error rate is above a threshold."""

    rule: str
    severity: str
    threshold_ratio: float
    level: Annotated[float, Field(ge=0, le=1)]
    """0: nothing speaks for it; 1: fired."""
    rate: float | None
    """Estimated since the evidence last left zero."""
    low: float | None
    high: float | None
    sample: int


class SystemFigures(Output):
    """One system over the last window."""

    system: System
    window_s: int
    requests: int
    requests_per_s: float
    error_ratio: float | None
    rejected_ratio: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    sync_seconds_per_1000: float | None
    breaker: str
    healthy: bool | None
    """What its last probe said; null: not probed yet."""
    health_reason: str


class Decision(Output):
    """Something found that waits for a person or for its deadline."""

    id: int
    key: str
    severity: str
    state: str
    """open, or held (by a person, with a reason)."""
    opened_at: datetime
    deadline_at: datetime
    time_left_s: float
    reason: str
    reason_ja: str
    held_by: str | None
    held_reason: str | None


class Event(Output):
    """Something that happened."""

    id: int
    at: datetime
    kind: str
    text: str
    data: dict[str, Any]


class Mirror(Output):
    """What is copied to the other system without the user noticing."""

    on: bool
    to: str | None
    rate: float
    dry_run: bool


class Rollout(Output):
    """The rollout as it stands, and why."""

    phase: str | None
    phase_number: int | None
    phases: int
    phase_title: Sentence
    weight_percent: float
    read_weight_percent: float
    write_weight_percent: float
    override: bool
    """A person's weight stands instead of the phase's."""
    status: Status
    version: int
    why: Sentence
    next_command: str | None
    """The one command worth running now; null: nothing to do but wait."""
    gates: list[Gate]
    next_phase: str | None
    bake_s: float | None
    bake_left_s: float | None
    findings: list[Finding]
    evidence: list[EvidenceBar]
    systems: list[SystemFigures]
    decisions: list[Decision]
    """Those that wait for a person, the nearest deadline first."""
    events: list[Event]
    """The latest, newest first."""
    mirror: Mirror
    resources: dict[str, float]
    """Newest figures by metric name, ratios 0..1; what is not known is absent."""
    policy: str
    since: datetime | None
    """When the current phase began."""
    at: datetime
    store_writable: bool


class AuditRow(Output):
    """One change: who, what, before, after, why, from where; `digest` chains it to all before."""

    id: int
    at: datetime
    actor: str
    action: str
    reason: str
    before: dict[str, Any]
    after: dict[str, Any]
    ip: str | None
    user_agent: str | None
    previous: str
    digest: str


class AuditPage(Output):
    """Newest first; `next`, sent as `before`, continues where this page ended."""

    items: list[AuditRow]
    next: int | None


class DecisionRow(Output):
    """One decision of the machine with all it was taken on, so that it can be taken again."""

    id: int
    at: datetime
    verdict: str
    sentence: str
    inputs: dict[str, Any]
    outcome: dict[str, Any]


class DecisionPage(Output):
    """Newest first; `next`, sent as `before`, continues where this page ended."""

    items: list[DecisionRow]
    next: int | None


class Alert(Output):
    """A decision that waits or an incident that lasts: somebody must look at it."""

    id: str
    level: str
    text: Sentence
    raised_at: datetime
    state: str


class AlertList(Output):
    """What is wrong now, worst first."""

    items: list[Alert]


class Accepted(Output):
    """A measurement or report was taken in."""

    accepted: bool
    at: datetime


class Verification(Output):
    """Whether the audit's hash chain is whole; each fault names the row that is broken."""

    intact: bool
    entries: int
    head: str
    faults: list[str]


class Health(Output):
    """Alive or ready, and if not, why."""

    status: str
    reasons: list[str]


class Fault(Output):
    """One field that was not as expected."""

    field: str
    expected: str


class Problem(Output):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    fix: str | None = None
    """What to do about it."""
    code: str | None = None
    detail_ja: str | None = None
    fix_ja: str | None = None
    errors: list[Fault] | None = None
    gates: list[Gate] | None = None

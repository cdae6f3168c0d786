"""
The shapes of the admin API: one definition from which validation, answers and OpenAPI derive.

Inputs are strict: unknown keys, numbers in quotes, booleans as numbers and NaN are mistakes of the
caller and are named as such. Outputs carry their units in their names; a figure not known is
null, never zero. Instants are RFC 3339 in UTC.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic reads the annotation at run time
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

REASON_MAX: Final = 500
TEXT_MAX: Final = 2_000
WEIGHT_STEP_BP: Final = 10_000


def _visible(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    if any(char < " " and char not in "\n\t" for char in value):
        raise ValueError("must not contain control characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode text") from None
    return value.strip()


def _in_steps(value: float) -> float:
    if abs(value * 100 - round(value * 100)) > 1e-6:  # noqa: PLR2004 - float noise of 12.34 * 100
        raise ValueError("must be a multiple of 0.01")
    return round(value * 100) / 100


Reason = Annotated[
    str,
    Field(
        min_length=1,
        max_length=REASON_MAX,
        pattern=r"\S",
        description="Why; kept in the audit for good.",
        examples=["error rate looks clean, going on"],
    ),
    AfterValidator(_visible),
]
Text = Annotated[
    str, Field(min_length=1, max_length=TEXT_MAX, pattern=r"\S"), AfterValidator(_visible)
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


class Input(BaseModel):
    """What a caller sends: nothing unknown, nothing bent to fit."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


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


class Metric(StrEnum):
    """What may be measured from outside."""

    ERROR_RATIO = "error_ratio"
    SUCCESS_RATIO = "success_ratio"
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


class System(StrEnum):
    """The two systems by their names on the wire."""

    OLD = "old"
    NEW = "new"


class Severity(StrEnum):
    """How bad a user says it is."""

    MINOR = "minor"
    SERIOUS = "serious"


class MeasurementIn(Input):
    """A figure that only somebody outside can know."""

    metric: Annotated[Metric, Field(strict=False)]
    value: Annotated[
        float,
        Field(
            ge=0,
            le=1e15,
            allow_inf_nan=False,
            description="Ratios are 0 to 1; data_loss, system_down and security_breach are 0 or 1.",
        ),
    ]
    system: Annotated[System | None, Field(strict=False, description="Which one; default new.")] = (
        None
    )
    sample: Annotated[
        int | None, Field(ge=1, le=10**12, description="How many observations it rests on.")
    ] = None
    at: Annotated[
        datetime | None,
        Field(strict=False, description="When it was taken (RFC 3339); default now."),
    ] = None


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
    verdict: str
    """pass, fail, inconclusive (too little data) or error (could not be measured)."""
    value: float | None
    threshold: float | None
    sample: int
    window_s: float
    reason: str
    reason_ja: str = ""


class Rule(Output):
    """One rollback rule in force and how near it is to firing."""

    name: str
    severity: str
    fired: bool
    value: float | None
    threshold: float | None
    sample: int
    reason: str
    reason_ja: str = ""


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

    system: str
    window_s: float
    sample: int
    requests_per_s: float
    error_ratio: float | None
    rejected_ratio: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    seconds_per_1000: float | None
    breaker: str
    healthy: bool | None
    """What its last probe said; null: not probed yet."""


class Decision(Output):
    """Something the policy found that waits for a person or a deadline."""

    id: str
    severity: str
    state: str
    """open, held (by a person, with a reason), acted (the deadline passed) or withdrawn."""
    opened_at: datetime
    deadline_at: datetime | None
    time_left_s: float | None
    reaction: str
    """What happens when nobody answers."""
    reason: str
    held_by: str | None = None
    held_reason: str | None = None


class Event(Output):
    """Something that happened."""

    id: int
    at: datetime
    kind: str
    text: Sentence
    actor: str


class Mirror(Output):
    """What is copied to the other system without the user noticing."""

    on: bool
    to: str | None
    rate: float
    dry_run: bool


class Resources(Output):
    """What the gateway's machine uses, 0..1; null: not measured."""

    cpu_ratio: float | None = None
    memory_ratio: float | None = None
    disk_ratio: float | None = None
    network_ratio: float | None = None
    database_load_ratio: float | None = None
    api_usage_ratio: float | None = None


class Rollout(Output):
    """The rollout as it stands, and why."""

    phase: str | None
    phase_number: int | None
    phase_title: Sentence
    weight_percent: float
    read_weight_percent: float
    write_weight_percent: float
    status: str
    """idle, running, paused, rolled_back, emergency_stopped or completed."""
    version: int
    why: Sentence
    next_command: str | None
    """The one command worth running now; null: nothing to do but wait."""
    gates: list[Gate]
    next_phase: str | None
    bake_s: float | None
    bake_left_s: float | None
    rules: list[Rule]
    evidence: list[EvidenceBar]
    systems: list[SystemFigures]
    decisions: list[Decision]
    events: list[Event]
    mirror: Mirror
    resources: Resources
    policy: str
    since: datetime | None
    """When the current phase began."""
    at: datetime


class AuditRow(Output):
    """One change: who, what, before, after, why, from where; chained by hash."""

    id: int
    at: datetime
    actor: str
    action: str
    reason: str
    before: Any
    after: Any
    ip: str
    user_agent: str
    hash: str


class AuditPage(Output):
    """Newest first; `next` continues where this page ended."""

    items: list[AuditRow]
    next: str | None


class DecisionPage(Output):
    """Newest first; `next` continues where this page ended."""

    items: list[Decision]
    next: str | None


class Alert(Output):
    """A decision or fault somebody must look at."""

    id: str
    level: str
    text: Sentence
    raised_at: datetime
    state: str


class AlertList(Output):
    """What is wrong now."""

    items: list[Alert]


class Accepted(Output):
    """A measurement or report was taken in."""

    accepted: bool
    at: datetime


class Verification(Output):
    """Whether the audit's hash chain is whole."""

    ok: bool
    rows: int
    broken_id: int | None
    detail: str


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
    errors: list[Fault] | None = None
    gates: list[Gate] | None = None

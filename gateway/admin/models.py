"""
What the admin API answers: the shapes from which answers and OpenAPI derive.

Outputs carry their units in their names; a figure not known is null, never zero. Instants are
RFC 3339 in UTC.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic reads the annotation at run time
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class Output(BaseModel):
    """What the API answers."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class System(StrEnum):
    """The two systems by their names on the wire."""

    OLD = "old"
    NEW = "new"


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


class MirrorTraffic(Output):
    """What became of shadows since the gateway started, and what is under way now."""

    sent: int
    """Those that came to an end."""
    compared: int
    """Those that had an answer."""
    dropped: dict[str, int]
    """By reason; what had no answer included."""
    in_flight: int
    waiting: int
    held_bytes: int


class WriteBack(Output):
    """What new writes is written to old as well, where old has a database of its own."""

    needed: bool
    """False: both systems write the same database."""
    why: Sentence
    on: bool
    agreed: int
    """Since the gateway started, as `failed`."""
    failed: int
    failed_by_reason: dict[str, int]
    waiting: int
    held_bytes: int
    open: int
    """Failures not cleared yet; they outlive a restart of the gateway."""
    open_since: datetime | None
    cleared: int
    """Failures of which a repair found that both stores agree."""
    repaired: int
    """Rows that repairs have written."""
    repaired_at: datetime | None
    trouble: str
    """Why failures are not on record at the moment; empty: they are."""


class WriteBackFailure(Output):
    """One write-back that failed, or `count` of them between two times."""

    at: datetime
    until: datetime
    reason: str
    sync_id: str
    request_id: str
    path: str
    listings: int
    count: int


class WriteBacks(Output):
    """Write-backs, with the failures that are open, newest first."""

    write_back: WriteBack
    items: list[WriteBackFailure]


class Mirror(Output):
    """What is copied to the other system without the user noticing."""

    on: bool
    to: str | None
    rate: float
    dry_run: bool
    why_off: str | None
    """Why nothing is mirrored although the phase wants it."""
    proven: bool | None
    """Whether its dry runs were proven to store nothing; null: not known (yet)."""
    means: str | None
    """How they do: transaction, rollback or raise execute and undo; plan only plans."""
    traffic: MirrorTraffic | None = None
    write_back: WriteBack | None = None


class Replica(Output):
    """One gateway of the fleet, as the one that answers knows it."""

    name: str
    here: bool
    """It is the one that answers."""
    decides: bool
    """It holds the lease: it judges and acts for all."""
    state: str
    """reporting, silent (its numbers are unknown) or holding (it cannot take part; see `note`)."""
    software: str
    version: int
    """The version of the rollout by which all its workers route."""
    behind: int
    """How many versions that is late."""
    weight_percent: float
    requests_per_s: float
    traffic_share: float | None
    """Of the fleet's requests, 0..1; null: not known."""
    age_s: float
    """Since it was heard of last."""
    workers: int
    note: str


class Fleet(Output):
    """All gateways that share one state."""

    replicas: list[Replica]
    store: str
    """Where the shared state is."""
    connected: bool
    """Without it nothing is promoted; rollback and emergency stop work, and are told later."""
    trouble: str


class Confirmations(Output):
    """Which replicas said in time that they route by a version; the answer to an emergency stop."""

    version: int
    confirmed: list[str]
    missing: list[str]
    waited_s: float


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
    fleet: Fleet | None = None
    """null: this gateway stands alone."""
    confirmations: Confirmations | None = None
    """Only in the answer to an emergency stop of a fleet."""


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

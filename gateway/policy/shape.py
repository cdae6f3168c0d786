"""
What may stand in a policy file: keys, kinds, units, bounds. The JSON Schema is made from this.

Units are in the names: `_s` seconds, `_percent` 0 to 100, `_ratio` 0 to 1. Nothing unknown is
allowed, no number in quotes, no infinity: a typing mistake must not become a rule.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic reads the annotation at run time
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gateway.core.analysis import Basis, Metric, Relation, Severity

YEAR_S = 366 * 86_400

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$", strict=True)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=120, strict=True)]
Seconds = Annotated[int, Field(ge=0, le=YEAR_S)]
SomeSeconds = Annotated[int, Field(ge=1, le=YEAR_S)]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Threshold = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10**12)]
ClockTime = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", strict=True)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Table(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )


class Asked(Table):
    """What gates and triggers have in common."""

    name: Name
    """Unique in the file; shown everywhere the verdict is."""
    metric: Annotated[Metric, Field(strict=False)]
    comparison: Annotated[Relation, Field(strict=False)]
    threshold: Threshold
    """In the metric's unit: ratios are 0 to 1, 5 % is 0.05."""
    basis: Annotated[Basis, Field(strict=False)] = Basis.VALUE
    """value: of new alone; ratio_to_old: new divided by old; excess_over_old: new minus old."""
    window_s: SomeSeconds = 3600
    """Traffic of so many seconds is judged (metrics that the gateway counts itself)."""
    min_sample: Count = 1
    """With fewer observations the answer is inconclusive."""
    max_age_s: SomeSeconds = 300
    """An older measurement is an error, never a value."""


class GateTable(Asked):
    """One condition that must hold before the rollout goes on."""

    confidence: Annotated[float, Field(ge=0.5, lt=1)] | None = None
    """Judge the cautious end of the ratio's interval at this confidence."""


class TriggerTable(Asked):
    """One reason to take traffic back."""

    severity: Annotated[Severity, Field(strict=False)] = Severity.CRITICAL
    """critical: at once; high: a decision with a deadline; medium: a decision within the day."""
    healthy_ratio: Share | None = None
    """Required for error_ratio, and only there: the error rate that is fine."""
    for_s: Seconds = 0
    """The condition must have held for so long without a break."""


class MirrorTable(Table):
    """What is copied to the other system."""

    to: Literal["old", "new"]
    rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The share of requests that is mirrored."""
    dry_run: bool = True


class PhaseTable(Table):
    """One step of the rollout."""

    number: Annotated[int, Field(ge=1, le=50)]
    """1, 2, 3, ... without a gap."""
    id: Name
    title: Title
    title_ja: Title
    weight_percent: Percent | None = None
    """The share of new, reads and writes alike."""
    read_percent: Percent | None = None
    write_percent: Percent | None = None
    bake_s: Seconds
    """So much healthy time must pass; 0 in the last phase, which completes the rollout."""
    auto_promote: bool = False
    """Go on without a person as soon as everything passes."""
    mirror: MirrorTable | None = None
    gates: list[GateTable] = []
    triggers: list[TriggerTable] = []


class LimitTable(Table):
    """Target, warning and critical level of one metric."""

    metric: Annotated[Metric, Field(strict=False)]
    worse: Annotated[Relation, Field(strict=False)]
    """The bad direction: `>` or `>=` where more is worse, `<` or `<=` where less is."""
    target: Threshold | None = None
    warning: Threshold | None = None
    critical: Threshold | None = None
    every_s: SomeSeconds
    """How often it is measured; a figure three times as old is unknown."""
    window_s: SomeSeconds = 3600
    min_sample: Count = 1


class SourceTable(Table):
    """One figure that is asked of a Prometheus (GATEWAY_PROMETHEUS_URL)."""

    metric: Annotated[Metric, Field(strict=False)]
    system: Literal["old", "new"] | None = None
    """Of which system it speaks; without: of neither in particular."""
    query: Annotated[str, StringConstraints(min_length=1, max_length=4_000, strict=True)]
    """PromQL that gives exactly one number, in the metric's unit; more or fewer are no figure."""
    every_s: Annotated[int, Field(ge=5, le=86_400)] = 60
    max_age_s: Annotated[int, Field(ge=5, le=86_400)] = 300
    """A sample older than this is no figure."""


class DeadlinesTable(Table):
    """How long people have."""

    high_s: SomeSeconds
    medium_s: SomeSeconds
    escalate_every_s: SomeSeconds


class FairnessTable(Table):
    """How evidence is weighed."""

    false_alarm_requests: Annotated[int, Field(ge=100, le=10**12)]
    blame_significance: Annotated[float, Field(gt=0, le=0.1)]
    settle_s: Annotated[float, Field(ge=0, le=60)]
    lookback_s: Annotated[int, Field(ge=5, le=600)]
    probe_failures: Annotated[int, Field(ge=1, le=100)]
    probe_max_age_s: SomeSeconds
    reading_max_age_s: SomeSeconds
    unknown_grace_s: Seconds
    judgement_gap_s: SomeSeconds
    quiet_s: SomeSeconds


class WeeklyFreeze(Table):
    """No promotion in this part of every week."""

    name: Title
    from_day: Weekday
    from_time: ClockTime
    to_day: Weekday
    to_time: ClockTime
    utc_offset_minutes: Annotated[int, Field(ge=-840, le=840)] = 0


class OnceFreeze(Table):
    """No promotion between two instants, with their offset from UTC."""

    name: Title
    from_at: datetime
    to_at: datetime


class PolicyFile(Table):
    """A rollout policy."""

    name: Title
    stores: Literal["one", "two"] = "one"
    """one: both systems write the same database. two: old has its own, and what new writes is
    written back to it, so that going back loses nothing."""
    phases: Annotated[list[PhaseTable], Field(min_length=2, max_length=50)]
    triggers: Annotated[list[TriggerTable], Field(min_length=1)]
    limits: list[LimitTable] = []
    sources: Annotated[list[SourceTable], Field(max_length=100)] = []
    goals: list[GateTable] = []
    deadlines: DeadlinesTable
    fairness: FairnessTable
    weekly_freezes: list[WeeklyFreeze] = []
    once_freezes: list[OnceFreeze] = []

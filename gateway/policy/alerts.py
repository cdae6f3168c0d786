"""
config/alerts.toml -> what is watched, who is told over what and how fast they answer.

Read as the rollout policy is: every mistake at once, with its line and what was expected there. A
channel's secrets are named by the environment variable that holds them and never stand in the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, ValidationError

from gateway.core.alerts import (
    AlertPlan,
    FollowUp,
    Level,
    News,
    Of,
    Rule,
    Rung,
    Silent,
    Step,
)
from gateway.core.analysis import Metric, Relation, Sentence, Severity
from gateway.core.model import Variant
from gateway.core.period import Timetable
from gateway.policy.alert_checks import alert_faults
from gateway.policy.faults import PolicyError, expected, located, tables_of, text_of
from gateway.policy.lines import line_numbers
from gateway.policy.shape import (
    ClockTime,
    Count,
    Name,
    Seconds,
    SomeSeconds,
    Table,
    Threshold,
    Title,
    Weekday,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DEFAULT_ALERTS: Final = Path("config/alerts.toml")

ChannelName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,63}$", strict=True)]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,63}$", strict=True)]
Receiver = Annotated[str, StringConstraints(min_length=1, max_length=254, strict=True)]
Person = Annotated[str, StringConstraints(min_length=1, max_length=100, strict=True)]
Words = Annotated[str, StringConstraints(min_length=1, max_length=200, strict=True)]
Tongue = Literal["ja", "en"]
Tongues = Annotated[list[Tongue], Field(min_length=1, max_length=2)]
System = Literal["old", "new", "whole"]
Option = str | int | float | bool
Channels = Annotated[list[ChannelName], Field(max_length=20)]


class StepTable(Table):
    """From where on a rule speaks at one level."""

    threshold: Threshold
    """In the metric's unit: ratios are 0 to 1, 5 % is 0.05."""
    clear: Threshold | None = None
    """It is over when the comparison no longer holds against this one; default: the threshold."""


class RuleTable(Table):
    """One thing that can be wrong. At least one level; one incident per system, whatever level."""

    name: Name
    title: Title
    title_ja: Title
    metric: Annotated[Metric, Field(strict=False)]
    comparison: Annotated[Relation, Field(strict=False)]
    """The bad direction."""
    of: Annotated[Of, Field(strict=False)] = Of.VALUE
    """value: the figure; change: its distance from the one before, as a share of that."""
    systems: Annotated[list[System], Field(min_length=1, max_length=3)]
    """old and new: each for itself; whole: figures that belong to neither."""
    critical: StepTable | None = None
    high: StepTable | None = None
    medium: StepTable | None = None
    low: StepTable | None = None
    window_s: SomeSeconds = 300
    """Traffic of so many seconds is judged (figures that the gateway counts itself, and reports).
    """
    min_sample: Count = 1
    """With fewer observations the figure is unknown: it begins nothing and ends nothing."""
    max_age_s: SomeSeconds = 300
    """An older measurement is unknown."""
    for_s: Seconds = 0
    """It must have been so for this long without a break."""
    clear_after_s: Seconds = 300
    """It must have been well for this long without a break."""
    business_impact: bool = False
    """The last people of the ladder are told at once."""
    expected: bool = True
    """Somebody is to measure it: that nobody ever did is an alert of its own."""
    todo: Words = "syncgate status"
    """What to run next."""


class LevelTable(Table):
    """How one level is told."""

    answer_within_s: SomeSeconds
    channels: Channels
    languages: Tongues
    up_to: Annotated[int, Field(ge=1, le=20)] = 4
    """The last rung that an unanswered one climbs to."""


class LevelsTable(Table):
    """All four."""

    critical: LevelTable
    high: LevelTable
    medium: LevelTable
    low: LevelTable


class RungTable(Table):
    """One step of the escalation, the first is asked first."""

    title: Title
    title_ja: Title
    within_s: Seconds
    """How long they have, if the level of the alert does not give them longer."""
    names: Annotated[list[Person], Field(min_length=1, max_length=50)]
    channels: Channels = Field(default_factory=list)
    """Besides those of the level."""


class ChannelTable(Table):
    """One way to reach people."""

    name: ChannelName
    kind: Literal["slack", "email", "sms", "webhook", "alertmanager", "log"]
    languages: list[Tongue] = Field(default_factory=list, max_length=2)
    """Only these; without: those of the alert's level."""
    to: list[Receiver] = Field(default_factory=list, max_length=100)
    """Addresses or numbers, where the kind has receivers."""
    secrets: dict[Name, Variable] = Field(default_factory=dict)
    """What the kind needs -> the environment variable that holds it."""
    options: dict[Name, Option | list[Option]] = Field(default_factory=dict)
    per_minute: Annotated[int, Field(ge=1, le=6000)] = 60


class NewsTable(Table):
    """Where news goes that nobody has to answer."""

    channels: Channels
    languages: Tongues


class SilentTable(Table):
    """What is said of a figure that nobody can tell any more."""

    after_s: SomeSeconds = 60
    level: Annotated[Severity, Field(strict=False)] = Severity.HIGH


class FollowUpTable(Table):
    """Something that is due a while after an incident began, as long as it is open."""

    rule: Words
    """A rule's name, or rollback, emergency_stop or store."""
    after_s: SomeSeconds
    title: Title
    title_ja: Title
    channels: Channels
    languages: Tongues
    names: list[Person] = Field(default_factory=list, max_length=50)
    message: Name = "follow_up"


class DailyTable(Table):
    """The day that ended is told at this time of the next."""

    at: ClockTime


class WeeklyTable(Table):
    """The seven days before this one are told on it."""

    day: Weekday
    at: ClockTime


class ReportsTable(Table):
    """A summary of the day and of the week; without a time it is not sent."""

    utc_offset_minutes: Annotated[int, Field(ge=-840, le=840)] = 0
    """Where days begin at midnight; also for the reports that are looked at."""
    channels: Channels = Field(default_factory=list)
    languages: Tongues = Field(default=["ja", "en"])
    daily: DailyTable | None = None
    weekly: WeeklyTable | None = None


class AlertsFile(Table):
    """The whole file."""

    max_silence_s: SomeSeconds = 7 * 86_400
    """A maintenance silence may last so long at most."""
    link_valid_s: SomeSeconds = 86_400
    """So long can an alert be acknowledged by the link in its message."""
    channels: list[ChannelTable] = Field(default_factory=list, max_length=100)
    levels: LevelsTable
    news: NewsTable
    silent_sources: SilentTable = SilentTable()
    escalation: Annotated[list[RungTable], Field(min_length=1, max_length=20)]
    rules: Annotated[list[RuleTable], Field(min_length=1, max_length=200)]
    follow_ups: list[FollowUpTable] = Field(default_factory=list, max_length=100)
    reports: ReportsTable = ReportsTable()


@dataclass(frozen=True, slots=True)
class NamedChannel:
    """A channel as the file names it."""

    name: str
    kind: str
    languages: tuple[str, ...]
    to: tuple[str, ...]
    secrets: Mapping[str, str]
    options: Mapping[str, object]
    per_minute: int


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """When summaries are sent, and to whom."""

    timetable: Timetable
    channels: tuple[str, ...]
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """The whole file, read."""

    plan: AlertPlan
    channels: tuple[NamedChannel, ...]
    link_valid_s: int
    reports: ReportSettings


def load_alerts(path: Path) -> AlertPolicy:
    """Read and check an alerts file. Raises PolicyError."""
    return parse_alerts(text_of(path), source=str(path))


def parse_alerts(text: str, *, source: str = "alerts") -> AlertPolicy:
    """Read and check alerts. Raises PolicyError with all faults."""
    raw = tables_of(text, source)
    lines = line_numbers(text)
    try:
        file = AlertsFile.model_validate(raw)
    except ValidationError as error:
        shape = [(each["loc"], expected(each)) for each in error.errors(include_url=False)]
        raise PolicyError(source, located(shape + alert_faults(raw), lines)) from error
    faults = alert_faults(raw)
    if faults:
        raise PolicyError(source, located(faults, lines))
    return AlertPolicy(
        plan=_plan(file),
        channels=tuple(_channel(one) for one in file.channels),
        link_valid_s=file.link_valid_s,
        reports=_reports(file.reports),
    )


def alerts_schema() -> dict[str, Any]:
    """Give the JSON Schema of an alerts file."""
    schema = AlertsFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _channel(table: ChannelTable) -> NamedChannel:
    return NamedChannel(
        name=table.name, kind=table.kind, languages=tuple(table.languages), to=tuple(table.to),
        secrets=dict(table.secrets), options=dict(table.options), per_minute=table.per_minute,
    )  # fmt: skip


def _reports(table: ReportsTable) -> ReportSettings:
    daily, weekly = table.daily, table.weekly
    return ReportSettings(
        timetable=Timetable(
            offset_min=table.utc_offset_minutes,
            daily_at_min=_minutes(daily.at) if daily else None,
            weekly_at_min=_minutes(weekly.at) if weekly else None,
            weekly_day=_DAYS.index(weekly.day) if weekly else 0,
        ),
        channels=tuple(table.channels),
        languages=tuple(table.languages),
    )


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def _plan(file: AlertsFile) -> AlertPlan:
    levels = {level: getattr(file.levels, level.value) for level in Severity}
    return AlertPlan(
        rules=tuple(_rule(table) for table in file.rules),
        levels=tuple(_level(level, table) for level, table in levels.items()),
        ladder=tuple(
            Rung(
                Sentence(rung.title, rung.title_ja), rung.within_s, tuple(rung.names),
                tuple(rung.channels),
            )
            for rung in file.escalation
        ),
        silent=Silent(file.silent_sources.after_s, file.silent_sources.level),
        news=News(tuple(file.news.channels), tuple(file.news.languages)),
        follow_ups=tuple(_follow_up(table) for table in sorted(file.follow_ups, key=_after)),
        max_silence_s=file.max_silence_s,
    )  # fmt: skip


def _after(table: FollowUpTable) -> int:
    return table.after_s


def _rule(table: RuleTable) -> Rule:
    given = [(level, getattr(table, level.value)) for level in Severity]
    return Rule(
        name=table.name,
        title=Sentence(table.title, table.title_ja),
        metric=table.metric,
        comparison=table.comparison,
        steps=tuple(
            Step(level, step.threshold, step.threshold if step.clear is None else step.clear)
            for level, step in given
            if step is not None
        ),
        systems=tuple(None if name == "whole" else Variant(name) for name in table.systems),
        of=table.of,
        window_s=table.window_s,
        min_sample=table.min_sample,
        max_age_s=table.max_age_s,
        for_s=table.for_s,
        clear_after_s=table.clear_after_s,
        business=table.business_impact,
        expected=table.expected,
        todo=table.todo,
    )


def _level(level: Severity, table: LevelTable) -> Level:
    return Level(
        level, table.answer_within_s, tuple(table.channels), tuple(table.languages), table.up_to
    )


def _follow_up(table: FollowUpTable) -> FollowUp:
    return FollowUp(
        rule=table.rule, after_s=table.after_s, title=Sentence(table.title, table.title_ja),
        channels=tuple(table.channels), languages=tuple(table.languages),
        names=tuple(table.names), message=table.message,
    )  # fmt: skip

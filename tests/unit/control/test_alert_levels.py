"""
The shipped alerts.toml on a fake clock: every level from its first sign to its end.

Fired once, over the right channels in both languages, escalated at the right minute by name,
acknowledged, resolved with how long it took.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.adapters.messages import load_messages
from gateway.control.telling import messages
from gateway.core.alerts import Ack, Stage, acknowledge
from gateway.core.analysis import Metric, Severity, UserReport, note
from gateway.core.rollout import Status
from gateway.policy import load_alerts
from gateway.ports.alerts import AlertSettings, Language
from tests.support.alerts import NEW, OLD, SHIPPED, World

if TYPE_CHECKING:
    from collections.abc import Callable

POLICY = load_alerts(SHIPPED)
TEMPLATES = load_messages(
    Path(SHIPPED).with_name("messages"), also=[one.message for one in POLICY.plan.follow_ups]
)
SETTINGS = AlertSettings(
    POLICY.plan,
    {one.name: one.languages for one in POLICY.channels if one.languages},
    POLICY.link_valid_s,
)
CHANNELS = {one.name for one in POLICY.channels}
MINUTE, HOUR = 60, 3_600
ALWAYS = {"webhook", "alertmanager", "log"}
TOLD_OVER = {
    Severity.CRITICAL: {"slack-critical", "email-team", "sms-oncall"} | ALWAYS,
    Severity.HIGH: {"slack-high", "email-team"} | ALWAYS,
    Severity.MEDIUM: {"slack-medium"} | ALWAYS,
    Severity.LOW: {"slack-low"} | ALWAYS,
}
ANSWER_WITHIN_S = {
    Severity.CRITICAL: 15 * MINUTE,
    Severity.HIGH: HOUR,
    Severity.MEDIUM: 4 * HOUR,
    Severity.LOW: 24 * HOUR,
}


@dataclass(frozen=True)
class Trouble:
    """One condition of the requirements: what makes it, and what ends it."""

    name: str
    level: Severity
    rule: str
    make: Callable[[World], object]
    end: Callable[[World], object]


def errors(ratio: float) -> Callable[[World], None]:
    """New fails so much."""

    def change(world: World) -> None:
        world.errors[NEW] = ratio

    return change


def pace(seconds: float) -> Callable[[World], None]:
    """New takes so long for 1,000 listings."""

    def change(world: World) -> None:
        world.sync_s = seconds

    return change


def figure(metric: Metric, value: float, system: object = None, **more: object) -> object:
    """Something measured from now on, again and again."""

    def change(world: World) -> None:
        world.steady[metric] = (value, system, more)

    return change


def probes(failures: int) -> Callable[[World], None]:
    """New's health probe."""

    def change(world: World) -> None:
        world.failures = failures

    return change


TROUBLES = [
    Trouble("errors > 5 %", Severity.CRITICAL, "error_rate", errors(0.051), errors(0)),
    Trouble("success < 95 %", Severity.CRITICAL, "error_rate", errors(0.055), errors(0)),
    Trouble("system down", Severity.CRITICAL, "system_down", probes(3), probes(0)),
    Trouble(
        "data loss", Severity.CRITICAL, "data_loss",
        figure(Metric.DATA_LOSS, 1), figure(Metric.DATA_LOSS, 0),
    ),
    Trouble(
        "breach", Severity.CRITICAL, "security_breach",
        figure(Metric.SECURITY_BREACH, 1), figure(Metric.SECURITY_BREACH, 0),
    ),
    Trouble("errors > 1 %", Severity.HIGH, "error_rate", errors(0.011), errors(0)),
    Trouble("success < 98 %", Severity.HIGH, "error_rate", errors(0.021), errors(0)),
    Trouble("sync > 10 min", Severity.HIGH, "sync_time", pace(601), pace(100)),
    Trouble(
        "cpu > 90 %", Severity.HIGH, "cpu",
        figure(Metric.CPU_RATIO, 0.91), figure(Metric.CPU_RATIO, 0.1),
    ),
    Trouble(
        "memory > 90 %", Severity.HIGH, "memory",
        figure(Metric.MEMORY_RATIO, 0.91), figure(Metric.MEMORY_RATIO, 0.1),
    ),
    Trouble("sync > 7 min", Severity.MEDIUM, "sync_time", pace(421), pace(100)),
    Trouble(
        "cpu > 80 %", Severity.MEDIUM, "cpu",
        figure(Metric.CPU_RATIO, 0.81), figure(Metric.CPU_RATIO, 0.1),
    ),
    Trouble(
        "memory > 80 %", Severity.MEDIUM, "memory",
        figure(Metric.MEMORY_RATIO, 0.81), figure(Metric.MEMORY_RATIO, 0.1),
    ),
    Trouble(
        "API > 90 %", Severity.MEDIUM, "api_usage",
        figure(Metric.API_USAGE_RATIO, 0.91, NEW), figure(Metric.API_USAGE_RATIO, 0.1, NEW),
    ),
    Trouble(
        "listings +21 %", Severity.MEDIUM, "listings_synced",
        figure(Metric.LISTINGS_SYNCED, 1210, NEW, previous=1000),
        figure(Metric.LISTINGS_SYNCED, 1210, NEW, previous=1210),
    ),
    Trouble(
        "listings -21 %", Severity.MEDIUM, "listings_synced",
        figure(Metric.LISTINGS_SYNCED, 790, NEW, previous=1000),
        figure(Metric.LISTINGS_SYNCED, 790, NEW, previous=790),
    ),
    Trouble(
        "1 mismatch", Severity.MEDIUM, "integrity",
        figure(Metric.INTEGRITY_MISMATCHES, 1), figure(Metric.INTEGRITY_MISMATCHES, 0),
    ),
    Trouble("sync > 5 min", Severity.LOW, "sync_time", pace(301), pace(100)),
    Trouble(
        "cpu > 70 %", Severity.LOW, "cpu",
        figure(Metric.CPU_RATIO, 0.71), figure(Metric.CPU_RATIO, 0.1),
    ),
    Trouble(
        "memory > 70 %", Severity.LOW, "memory",
        figure(Metric.MEMORY_RATIO, 0.71), figure(Metric.MEMORY_RATIO, 0.1),
    ),
    Trouble(
        "API > 80 %", Severity.LOW, "api_usage",
        figure(Metric.API_USAGE_RATIO, 0.81, NEW), figure(Metric.API_USAGE_RATIO, 0.1, NEW),
    ),
]  # fmt: skip


class Days(World):
    """A world whose sources keep reporting while time passes."""

    def __init__(self) -> None:
        super().__init__(POLICY.plan)
        self.failures = 0
        self.sync_s = 100.0
        self.steady: dict[Metric, tuple[float, object, dict[str, object]]] = {}
        for metric in (Metric.CPU_RATIO, Metric.MEMORY_RATIO, Metric.DISK_RATIO):
            self.steady[metric] = (0.1, None, {})

    def pass_time(self, until_s: float, step_s: float = 10) -> None:
        """Everything is measured again at each step."""
        while self.now_s + step_s <= until_s:
            self.now_s += step_s
            for metric, (value, system, more) in self.steady.items():
                self.measure(metric, value, system, **more)
            self.probe(NEW, self.failures)
            self.probe(OLD, 0)
            self.look()

    def rendered(self, number: int) -> dict[tuple[str, Language], str]:
        """What one thing that was told says, per channel and language."""
        made = messages(
            self.tells[number], SETTINGS, usable=CHANNELS, state=self.state, plan=self.rollout,
            link="https://gw.example/a/1?e=1&s=x",
        )  # fmt: skip
        found = {}
        for one in made:
            words = TEMPLATES.render(one)
            found[one.channel, one.language] = f"{words.title}\n{words.text}"
        return found


@pytest.fixture
def days() -> Days:
    """A quiet world that has been looked at for a while."""
    world = Days()
    world.pass_time(120)
    assert world.told() == []
    return world


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda one: f"{one.level.value}: {one.name}")
def test_fired_once_over_the_right_channels_then_resolved(days: Days, trouble: Trouble) -> None:
    """Ten minutes of trouble are one alert; its end says how long it took."""
    trouble.make(days)
    days.pass_time(120 + 10 * MINUTE)
    assert days.told() == [f"raised {trouble.rule}"]
    (tell,) = days.tells
    assert tell.level is trouble.level
    assert set(tell.channels) == TOLD_OVER[trouble.level]
    said = days.rendered(0)
    assert {channel for channel, _ in said} == TOLD_OVER[trouble.level]
    slack = f"slack-{trouble.level.value}"
    english, japanese = said[slack, Language.EN], said[slack, Language.JA]
    assert tell.why.en in english
    assert tell.why.ja in japanese
    assert tell.todo in english
    assert "unknown" not in english
    assert "不明" not in japanese
    trouble.end(days)
    days.pass_time(120 + 30 * MINUTE)
    assert days.told() == [f"raised {trouble.rule}", f"resolved {trouble.rule}"]
    assert set(days.tells[1].channels) == TOLD_OVER[trouble.level]
    assert "min" in days.rendered(1)[slack, Language.EN]


@pytest.mark.parametrize("level", list(Severity))
def test_unanswered_it_is_escalated_at_the_right_minute(days: Days, level: Severity) -> None:
    """Not a step before the time of its level, and by name."""
    trouble = next(one for one in TROUBLES if one.level is level)
    trouble.make(days)
    days.pass_time(days.now_s + 120)
    assert len(days.tells) == 1
    began = (days.tells[0].at_us - days.now_us) // 1_000_000 + days.now_s
    due = began + ANSWER_WITHIN_S[level]
    days.pass_time(due - 300, step_s=300)
    days.pass_time(due - 10, step_s=10)
    assert len(days.tells) == 1
    days.pass_time(due, step_s=10)
    assert [tell.stage for tell in days.tells] == [Stage.RAISED, Stage.ESCALATED]
    assert days.tells[1].names == ("senior developer",)
    assert "senior developer" in days.rendered(1)[f"slack-{level.value}", Language.EN]


@pytest.mark.parametrize("level", list(Severity))
def test_acknowledged_nobody_else_is_called(days: Days, level: Severity) -> None:
    """And everybody who was told learns who has it."""
    trouble = next(one for one in TROUBLES if one.level is level)
    trouble.make(days)
    days.pass_time(days.now_s + 120)
    days.take(acknowledge(days.book, days.alerts, 1, Ack("jun", "looking", days.now_us)))
    days.pass_time(days.now_s + 30 * HOUR, step_s=600)
    stages = [tell.stage for tell in days.tells if tell.incident and tell.incident.number == 1]
    assert stages == [Stage.RAISED, Stage.ACKNOWLEDGED]
    assert "jun" in days.rendered(1)[f"slack-{level.value}", Language.JA]


def test_a_breach_is_told_the_cto_at_once(days: Days) -> None:
    """Business impact: the last of the ladder is named in the first message."""
    days.steady[Metric.SECURITY_BREACH] = (1, None, {})
    days.pass_time(140)
    assert days.tells[0].names == ("CTO", "on-call developer")


def test_three_user_reports_in_a_day_are_an_alert(days: Days) -> None:
    """Two are not; a day later it is over."""
    days.reports = [UserReport(days.now_us, serious=False)] * 2
    days.pass_time(days.now_s + 60)
    assert days.told() == []
    days.reports *= 2
    days.pass_time(days.now_s + 60)
    assert days.told() == ["raised user_reports"]
    assert days.tells[0].level is Severity.MEDIUM
    days.pass_time(days.now_s + 25 * HOUR, step_s=300)
    assert days.told()[-1] == "resolved user_reports"


def test_after_a_rollback_everybody_is_told_when_it_is_due(days: Days) -> None:
    """The team at once, the cause in 30 min, details in 2 h; stakeholders after 1, 4 and 24 h."""
    began = days.now_s
    why = note("rolled_back_by_person", actor="jun")
    days.state = replace(
        days.state, status=Status.ROLLED_BACK, version=9, write_bp=0, read_bp=0, why=why
    )
    days.pass_time(began + 10)
    days.take(acknowledge(days.book, days.alerts, 1, Ack("jun", "looking", days.now_us)))
    days.pass_time(began + 25 * HOUR, step_s=300)
    told = {
        tell.message: round((tell.at_us - days.tells[0].at_us) / 60e6)
        for tell in days.tells
        if tell.stage is Stage.FOLLOW_UP
    }
    assert told == {
        "cause_due": 30, "stakeholders_first": 60, "details_due": 120,
        "stakeholders_progress": 240, "stakeholders_report": 1440,
    }  # fmt: skip
    assert set(days.tells[0].channels) == TOLD_OVER[Severity.CRITICAL]
    first = next(n for n, t in enumerate(days.tells) if t.message == "stakeholders_first")
    assert {channel for channel, _ in days.rendered(first)} >= {"email-stakeholders"}

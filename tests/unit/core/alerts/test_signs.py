"""What speaks for trouble: figures per system, sources that died, what the rollout knows."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from gateway.core.alerts import Of, Step
from gateway.core.alerts.sentences import shown
from gateway.core.analysis import Metric, Relation, Severity, UserReport, note
from gateway.core.model import SECOND_US
from gateway.core.rollout import Decision, Status, Trouble
from tests.support.alerts import BEGAN_US, NEW, OLD, World, plan, rule

HIGH = (Step(Severity.HIGH, 0.9, 0.85),)
COUNT = (Step(Severity.MEDIUM, 1, 1),)
AT_LEAST = Relation.AT_LEAST


def measured(metric: Metric, *, steps: tuple[Step, ...] = HIGH, **more: object) -> World:
    """A world with one rule on something that is measured for the whole."""
    plain = {"systems": (None,), "max_age_s": 60, "clear_after_s": 0, "min_sample": 1} | more
    return World(plan(rule("figure", metric=metric, steps=steps, **plain)))


def test_a_measurement_counts_while_it_is_fresh() -> None:
    """Above the threshold: alert; too old: unknown, and its source an alert of its own."""
    world = measured(Metric.CPU_RATIO)
    world.measure(Metric.CPU_RATIO, 0.95)
    world.look(0)
    assert world.told() == ["raised figure"]
    world.look_every(10, 110)
    assert world.told() == ["raised figure"]
    world.look_every(10, 130)
    assert world.told() == ["raised figure", "raised source:cpu_ratio"]
    assert world.tells[1].level is Severity.HIGH
    world.measure(Metric.CPU_RATIO, 0.2)
    world.look(131)
    assert world.told()[2:] == ["resolved figure", "resolved source:cpu_ratio"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_no_figure(value: float) -> None:
    """It neither alerts nor clears; that it comes is a dead source."""
    world = measured(Metric.CPU_RATIO)
    world.measure(Metric.CPU_RATIO, value)
    world.look(0)
    world.look(60)
    assert world.told() == ["raised source:cpu_ratio"]


def test_another_clock_that_runs_ahead_is_not_believed() -> None:
    """A figure of tomorrow says nothing about now."""
    world = measured(Metric.CPU_RATIO)
    world.measure(Metric.CPU_RATIO, 0.95, at_us=world.now_us + 3600 * SECOND_US)
    world.look(0)
    assert world.told() == []


def test_what_nobody_ever_measured_is_a_gap_of_the_lowest_level() -> None:
    """Unless the rule says that it need not be."""
    world = measured(Metric.CPU_RATIO)
    world.look(0)
    world.look(60)
    assert [(t.message, t.level) for t in world.tells] == [("alert", Severity.LOW)]
    assert "ever" in world.tells[0].why.en
    world = measured(Metric.CPU_RATIO, expected=False)
    world.look(0)
    world.look(6000)
    assert world.told() == []


def test_too_small_a_sample_is_unknown_but_its_source_lives() -> None:
    """Nothing begins, and nobody is told that something is silent."""
    world = measured(Metric.API_USAGE_RATIO, min_sample=5)
    world.measure(Metric.API_USAGE_RATIO, 0.99, sample=4)
    world.look(0)
    world.measure(Metric.API_USAGE_RATIO, 0.99, sample=4)
    world.look(60)
    assert world.told() == []


def test_the_newest_of_a_system_counts() -> None:
    """Of the whole, not of one of the two."""
    world = measured(Metric.CPU_RATIO)
    world.measure(Metric.CPU_RATIO, 0.95, NEW)
    world.measure(Metric.CPU_RATIO, 0.2)
    world.look(0)
    assert world.told() == []


@pytest.mark.parametrize(
    ("value", "previous", "alerts"),
    [(121, 100, True), (79, 100, True), (119, 100, False), (100, None, False), (5, 0, False)],
)
def test_a_change_is_judged_against_the_figure_before(
    value: float, previous: float | None, alerts: bool
) -> None:
    """A fifth more or less listings than last time; without a last time it is unknown."""
    steps = (Step(Severity.MEDIUM, 0.2, 0.2),)
    world = measured(Metric.LISTINGS_SYNCED, steps=steps, of=Of.CHANGE, systems=(NEW,))
    world.measure(Metric.LISTINGS_SYNCED, value, NEW, previous=previous)
    world.look(0)
    assert bool(world.tells) is alerts
    if alerts:
        assert "21 %" in world.tells[0].why.en
        assert "変化" in world.tells[0].why.ja


def test_what_is_said_when_it_happens_stands_until_it_is_unsaid_or_settled() -> None:
    """Silence is the normal state of data loss, not a dead source, and not its end."""
    world = measured(Metric.DATA_LOSS, steps=COUNT, comparison=AT_LEAST)
    world.look_every(10, 300)
    assert world.told() == []
    world.measure(Metric.DATA_LOSS, 1)
    world.look_every(1000, 100_000)
    assert world.told()[0] == "raised figure"
    assert world.book.open
    world.state = replace(world.state, guard_since_us=world.now_us)
    world.look(world.now_s + 1)
    assert world.told()[-1] == "resolved figure"
    world.measure(Metric.DATA_LOSS, 1)
    world.look()
    world.measure(Metric.DATA_LOSS, 0)
    world.look(world.now_s + 1)
    assert world.told()[-2:] == ["raised figure", "resolved figure"]


@pytest.mark.parametrize(
    ("metric", "serious", "alerts"),
    [
        (Metric.USER_REPORTS, False, True),
        (Metric.SERIOUS_USER_REPORTS, False, False),
        (Metric.SERIOUS_USER_REPORTS, True, True),
    ],
)
def test_reports_are_counted_over_their_window(metric: Metric, serious: bool, alerts: bool) -> None:
    """Three in a day; when they are older than that, it is over."""
    steps = (Step(Severity.MEDIUM, 3, 3),)
    world = measured(metric, steps=steps, comparison=AT_LEAST, window_s=86_400)
    world.reports = [UserReport(world.now_us, serious)] * 2
    world.look(0)
    assert world.told() == []
    world.reports = [UserReport(world.now_us, serious)] * 3
    world.look(1)
    assert bool(world.tells) is alerts
    world.look(86_500)
    assert len(world.tells) == 2 * alerts
    assert world.book.open == ()


@pytest.mark.parametrize(
    ("metric", "figures", "over"),
    [
        (Metric.ERROR_RATIO, {"errors": 0.2}, 0.1),
        (Metric.SUCCESS_RATIO, {"errors": 0.0}, 0.5),
        (Metric.REJECTED_RATIO, {"errors": 0.0}, -1),
        (Metric.LATENCY_P95_MS, {"errors": 0.0}, 10),
        (Metric.SYNC_SECONDS_PER_1000, {"errors": 0.0, "sync_s": 650.0}, 600),
    ],
)
def test_every_figure_of_the_window_can_be_watched(
    metric: Metric, figures: dict[str, float], over: float
) -> None:
    """Ratios, latency and pace, counted by the gateway itself."""
    steps = (Step(Severity.HIGH, over, over),)
    world = World(plan(rule("figure", metric=metric, steps=steps, min_sample=1)))
    world.errors[NEW] = figures["errors"]
    world.sync_s = figures.get("sync_s")
    world.look(0)
    assert world.told() == ["raised figure"]


def test_workers_that_fall_silent_are_a_dead_source() -> None:
    """No reading at all: nothing ends, and that is told."""
    world = World()
    world.errors[NEW] = 0.2
    world.look(0)
    world.mute = True
    world.look_every(10, 70)
    assert world.told() == ["raised errors", "raised source:error_ratio"]


def test_two_rules_on_one_figure_are_one_source() -> None:
    """That nobody tells it is one trouble, not one per rule."""
    world = World(plan(rule(), rule("more"), rule("long", window_s=3600)))
    world.mute = True
    world.look(0)
    world.look(60)
    assert world.told() == ["raised source:error_ratio"]


def test_before_the_first_look_nothing_is_known_not_even_silence() -> None:
    """After a restart an open incident stays as it was until figures come."""
    world = World()
    world.errors[NEW] = 0.2
    world.look(0)
    world.blind = True
    world.look_every(10, 600)
    assert world.told() == ["raised errors"]


def test_down_by_probe_by_word_and_back() -> None:
    """A few failed probes in a row, not one; one good probe ends it."""
    world = World(plan(rule("down", metric=Metric.SYSTEM_DOWN, steps=COUNT, comparison=AT_LEAST)))
    world.look(0)
    for at_s, failures in ((1, 1), (2, 3), (12, 0), (22, 1), (32, 0), (62, 0), (91, 0)):
        world.now_s = at_s
        world.probe(NEW, failures)
        world.look()
        assert world.told() == ["raised down"] * (at_s > 1)
    world.now_s = 92
    world.probe(NEW, 0)
    world.look()
    assert world.told() == ["raised down", "resolved down"]
    world.look(110)
    world.look(170)
    assert world.told()[2:] == ["raised source:system_down"]
    world.measure(Metric.SYSTEM_DOWN, 1, NEW)
    world.look(171)
    assert sorted(world.told()[3:]) == ["raised down", "resolved source:system_down"]


@pytest.mark.parametrize(
    ("status", "weight", "system", "counts"),
    [
        (Status.IDLE, 0, NEW, False),
        (Status.IDLE, 500, NEW, True),
        (Status.RUNNING, 0, NEW, True),
        (Status.ROLLED_BACK, 0, NEW, False),
        (Status.COMPLETED, 10_000, NEW, True),
        (Status.COMPLETED, 10_000, OLD, False),
        (Status.PAUSED, 0, OLD, True),
    ],
)
def test_a_system_before_or_after_its_turn_may_be_down(
    status: Status, weight: int, system: object, counts: bool
) -> None:
    """New before the start, old after the end: switched off is what they should be."""
    down = rule(
        "down", metric=Metric.SYSTEM_DOWN, steps=COUNT, comparison=AT_LEAST, systems=(system,)
    )
    world = World(plan(down))
    world.state = replace(world.state, status=status, write_bp=weight, read_bp=weight)
    world.probe(system, 9)
    world.look(0)
    assert ("raised down" in world.told()) is counts


def test_an_incident_of_a_system_out_of_use_ends_in_its_time() -> None:
    """After a rollback new carries nothing: its error rate is nobody's trouble any more."""
    world = World()
    world.errors[NEW] = 0.2
    world.look(0)
    world.state = replace(world.state, status=Status.ROLLED_BACK, write_bp=0, read_bp=0)
    world.look_every(10, 80)
    assert world.told() == ["raised errors", "raised rollback", "resolved errors"]


def test_a_rollback_is_an_alert_until_somebody_leads_out() -> None:
    """Critical, with why, and a look as the next thing: leading out may only take it back again."""
    world = World()
    why = note("rolled_back_by_person", actor="jun")
    world.state = replace(world.state, status=Status.ROLLED_BACK, write_bp=0, read_bp=0, why=why)
    world.look(0)
    (tell,) = world.tells
    assert (tell.message, tell.level) == ("rollback", Severity.CRITICAL)
    assert "jun" in tell.why.en
    assert tell.todo == "syncgate status"
    world.state = replace(world.state, status=Status.RUNNING, version=6)
    world.look(1)
    assert world.told() == ["raised rollback", "resolved rollback"]


def test_an_emergency_stop_and_a_store_that_takes_nothing_are_alerts() -> None:
    """Both critical, each over by itself."""
    world = World()
    world.store_writable = False
    world.state = replace(world.state, status=Status.EMERGENCY_STOPPED, write_bp=0, read_bp=0)
    world.look(0)
    assert world.told() == ["raised store", "raised emergency_stop"]
    assert world.tells[1].todo == "syncgate status"
    world.store_writable = True
    world.look(1)
    assert world.told()[2:] == ["resolved store"]


def test_a_decision_waits_until_it_is_answered() -> None:
    """With its number, its deadline and the order that answers it."""
    decision = Decision(
        3, "slow", Severity.HIGH, BEGAN_US, BEGAN_US + 3600 * SECOND_US, note("probe_disagrees")
    )
    world = World()
    world.state = replace(world.state, decisions=(decision,))
    world.look(0)
    (tell,) = world.tells
    assert (tell.message, tell.level) == ("decision", Severity.HIGH)
    assert dict(tell.figures) == {"decision": 3, "deadline_us": decision.deadline_us}
    assert "hold 3" in tell.todo
    world.state = replace(world.state, decisions=(replace(decision, held_by="jun"),))
    world.look(1)
    assert world.told()[-1] == "resolved decision:slow"


@pytest.mark.parametrize(
    ("key", "paged", "told"),
    [
        ("shared_fault", True, ["raised finding:shared_fault"]),
        ("shared_fault", False, []),
        ("old_failing", True, []),
        ("old_down", True, ["raised finding:old_down"]),
        ("unmeasured:error_ratio", True, []),
        ("unmeasured:cpu_ratio", True, ["raised finding:unmeasured:cpu_ratio"]),
    ],
)
def test_what_the_rollout_found_is_told_unless_a_rule_says_the_same(
    key: str, paged: bool, told: list[str]
) -> None:
    """Never two alerts for one trouble."""
    found = Trouble(key, Severity.HIGH, BEGAN_US, BEGAN_US, note("probe_disagrees"), paged)
    world = World(plan(rule(systems=(NEW, OLD))))
    world.state = replace(world.state, troubles=(found,))
    world.look(0)
    assert world.told() == told


def test_the_rollouts_course_is_news_told_once() -> None:
    """Start, each phase, that a person may promote, and the end."""
    world = World()
    began, idle = world.state, replace(world.state, status=Status.IDLE, phase=None, version=1)
    world.state = replace(idle, started_at_us=None, write_bp=0, read_bp=0)
    world.look(0)
    why = note("started", phase="parallel", weight_bp=0)
    world.state = replace(began, phase=0, version=2, why=why)
    world.look(1)
    world.look(2)
    world.state = replace(world.state, waiting_since_us=7, version=3)
    world.look(3)
    moved = note("promoted", phase="small", before="parallel", baked_s=60)
    world.state = replace(world.state, phase=1, waiting_since_us=None, version=4, why=moved)
    world.look(4)
    forced = note("paused", actor="jun", weight_bp=1000)
    world.state = replace(world.state, phase=2, version=5, why=forced)
    world.look(5)
    done = replace(world.state, status=Status.COMPLETED, version=6, why=note("completed"))
    world.state = done
    world.look(6)
    assert world.told() == [
        "told started", "told promotion_wanted", "told promoted", "told promoted", "told completed",
    ]  # fmt: skip
    assert dict(world.tells[2].figures) == {"phase": "small", "before": "parallel", "baked_s": 60}
    assert dict(world.tells[3].figures)["before"] == "small"
    assert {tell.channels for tell in world.tells} == {("news",)}
    world.state = replace(done, version=3, status=Status.RUNNING, phase=0)
    world.look(7)
    assert len(world.tells) == 5, "an older state tells nothing"


def test_leaving_the_end_and_going_back_are_no_news() -> None:
    """Weight 0 after a completed rollout; a rollback speaks for itself."""
    world = World()
    world.state = replace(world.state, status=Status.COMPLETED, phase=2)
    world.look(0)
    world.state = replace(world.state, status=Status.RUNNING, phase=None, version=9)
    world.look(1)
    world.state = replace(world.state, phase=1, version=10)
    world.look(2)
    assert world.told() == []


def test_a_wait_without_a_phase_is_still_news() -> None:
    """A state that cannot be must not stop the alerts."""
    world = World()
    world.look(0)
    world.state = replace(world.state, phase=None, waiting_since_us=3, version=9)
    world.look(1)
    assert world.told() == ["told promotion_wanted"]


@pytest.mark.parametrize(
    ("metric", "value", "words"),
    [
        (Metric.ERROR_RATIO, 0.0123, "1.23 %"),
        (Metric.SYNC_SECONDS_PER_1000, 600.0, "10 min"),
        (Metric.LATENCY_P95_MS, 1234.5, "1,234 ms"),
        (Metric.USER_REPORTS, 3.0, "3"),
        (Metric.INTEGRITY_MISMATCHES, 123.4, "123"),
        (Metric.INTEGRITY_MISMATCHES, 1.5, "1.5"),
        (Metric.CPU_RATIO, None, "unknown"),
    ],
)
def test_figures_are_said_with_their_unit(metric: Metric, value: float | None, words: str) -> None:
    """As people say them."""
    assert shown(metric, value) == words

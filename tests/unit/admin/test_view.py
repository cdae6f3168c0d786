"""The view: a pure picture of the control plane, with the one command worth running."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway import ports
from gateway.admin import view
from gateway.core import rollout
from gateway.core.analysis import (
    Blame,
    Finding,
    Judgement,
    Reaction,
    Severity,
    note,
    observe,
)
from gateway.core.model import Outcome, Variant, Weight
from gateway.core.rollout import Decision, Status
from tests.support.plans import quick_plan

PLAN = quick_plan(bake_s=100)
NOW_US = 1_800_000_000_000_000


def _view(*, watch=None, **changes) -> ports.ControlView:
    engine = rollout.begin(PLAN)
    return ports.ControlView(
        at_us=NOW_US,
        state=replace(engine.state, **changes),
        plan=PLAN,
        judgement=None,
        gates=(),
        inputs=None,
        watch=watch or engine.watch,
        systems=(),
        workers=(),
        events=tuple(ports.Event(n, NOW_US, "test", f"event {n}", {}) for n in range(20)),
    )


def _decision(number: int, severity: Severity, *, left_s: int, **changes) -> Decision:
    return Decision(
        id=number,
        key=f"key-{number}",
        severity=severity,
        opened_at_us=NOW_US,
        deadline_us=NOW_US + left_s * 1_000_000,
        note=note("idle"),
        **changes,
    )


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        ({}, "start"),
        ({"status": Status.RUNNING, "phase": 0}, None),
        ({"status": Status.RUNNING, "phase": 0, "waiting_since_us": 1}, "promote"),
        ({"status": Status.COMPLETED, "phase": 2}, None),
        (
            {
                "status": Status.RUNNING,
                "phase": 0,
                "decisions": (_decision(4, Severity.HIGH, left_s=60),),
            },
            "rollback",
        ),
        (
            {
                "status": Status.PAUSED,
                "phase": 0,
                "decisions": (_decision(4, Severity.MEDIUM, left_s=60),),
            },
            "hold 4",
        ),
    ],
)
def test_each_state_has_its_one_command(changes, command):
    """What an operator should type now, or nothing."""
    shown = view.rollout(_view(**changes)).next_command
    assert shown == (f'syncgate {command} --reason "..."' if command else None)


def _new(*, healthy: bool | None) -> ports.SystemView:
    return ports.SystemView(
        Variant.CANARY, window_s=60, requests=0, errors=0, rejected=0, requests_per_s=0.0,
        error_ratio=None, rejected_ratio=None, p50_ms=None, p95_ms=None, p99_ms=None,
        sync_seconds_per_1000=None, breaker="open", healthy=healthy,
    )  # fmt: skip


def _finding(metric: str, blame: Blame = Blame.CANARY) -> Finding:
    return Finding(
        "found", Severity.CRITICAL, blame, Reaction.ROLL_BACK, value=1.0, threshold=0.5, sample=1,
        note=note("trigger_value", metric=metric),
    )  # fmt: skip


_WAYS_ON = [
    (Status.PAUSED, "resume"),
    (Status.ROLLED_BACK, "resume"),
    (Status.EMERGENCY_STOPPED, "release"),
]


@pytest.mark.parametrize(("status", "command"), _WAYS_ON)
def test_the_way_on_is_named_only_while_new_is_well(status, command):
    """A dead or unprobed new would be taken back at once: then the alerts come first."""
    seen = _view(status=status, phase=0)
    for healthy in (False, None):
        ill = replace(seen, systems=(_new(healthy=healthy),))
        assert view.next_command(ill) == "syncgate alerts"
    assert view.next_command(seen) == "syncgate alerts"
    well = replace(seen, systems=(_new(healthy=True),))
    assert view.next_command(well) == f'syncgate {command} --reason "..."'


@pytest.mark.parametrize(
    ("finding", "stands"),
    [
        (_finding("cpu_ratio"), True),
        (_finding("cpu_ratio", Blame.BASELINE), False),
        (_finding("error_ratio"), False),
        (_finding("data_loss"), False),
    ],
)
def test_a_finding_that_would_come_back_stands_in_the_way(finding, stands):
    """Evidence of requests is settled by going on; a machine that is overloaded still is."""
    seen = replace(
        _view(status=Status.ROLLED_BACK, phase=0),
        systems=(_new(healthy=True),),
        judgement=Judgement(NOW_US, (), (finding,)),
    )
    expected = "syncgate alerts" if stands else 'syncgate resume --reason "..."'
    assert view.next_command(seen) == expected


def test_a_fresh_gateway_knows_its_first_phase():
    """Nothing is started, nothing has failed, and what comes next is named."""
    shown = view.rollout(_view())
    assert (shown.phase, shown.status.value, shown.weight_percent) == (None, "idle", 0)
    assert shown.next_phase == "parallel"
    assert shown.bake_left_s is None
    assert shown.mirror.on is False
    assert shown.why.ja != shown.why.en


def test_the_phase_its_bake_time_and_mirror_are_shown():
    """Bake time counts down and never below nothing."""
    running = {"status": Status.RUNNING, "phase": 0}
    shown = view.rollout(_view(**running, bake_us=40_000_000))
    assert (shown.phase, shown.phase_number, shown.phases) == ("parallel", 1, 3)
    assert (shown.bake_s, shown.bake_left_s) == (100, 60)
    assert (shown.mirror.on, shown.mirror.to, shown.mirror.dry_run) == (True, "new", True)
    assert view.rollout(_view(**running, bake_us=10**12)).bake_left_s == 0


def test_weights_are_percent_and_apart():
    """Reads and writes may differ; basis points become percent exactly."""
    shown = view.rollout(_view(write_bp=Weight(1), read_bp=Weight(9_999)))
    assert (shown.write_weight_percent, shown.read_weight_percent) == (0.01, 99.99)
    assert shown.weight_percent == shown.write_weight_percent


def test_decisions_come_nearest_deadline_first_and_held_ones_last():
    """The one that acts next is on top."""
    decisions = (
        _decision(1, Severity.MEDIUM, left_s=900),
        _decision(2, Severity.HIGH, left_s=100, held_by="tanaka", held_reason="import"),
        _decision(3, Severity.HIGH, left_s=300),
    )
    shown = view.rollout(_view(status=Status.RUNNING, phase=0, decisions=decisions)).decisions
    assert [(one.id, one.state) for one in shown] == [(3, "open"), (1, "open"), (2, "held")]
    assert shown[0].time_left_s == 300
    assert shown[2].held_by == "tanaka"


def test_events_are_the_newest_first_and_few():
    """A screen's worth."""
    shown = view.rollout(_view()).events
    assert [event.id for event in shown][:2] == [19, 18]
    assert len(shown) < 20


def test_evidence_has_a_bar_per_rule_in_force_worst_severity_first():
    """Failures of the canary raise the bar, with rate, interval and sample."""
    engine = rollout.begin(PLAN)
    watch = observe(engine.watch, Variant.CANARY, Outcome.ERROR, count=2, at_us=NOW_US)
    bars = view.evidence_bars(_view(watch=watch))
    assert [bar.severity for bar in bars] == ["critical", "high"]
    assert all(0 < bar.level < 1 for bar in bars)
    assert (bars[0].rate, bars[0].sample) == (1.0, 2)
    assert bars[0].low is not None
    assert bars[0].low < 1.0
    untouched = view.evidence_bars(_view())
    assert [bar.level for bar in untouched] == [0, 0]
    assert untouched[0].rate is None


@pytest.mark.parametrize("at_us", [0, -1, NOW_US, 10**30, -(10**30)])
def test_any_clock_gives_an_instant(at_us):
    """A stored time from a broken clock must not break the page."""
    assert view.instant(at_us).tzinfo is not None

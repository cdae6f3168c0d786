"""The rollout: every move, every refusal, every deadline, and what is told about it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.analysis import BreakerReading, Metric, Severity, UserReport, Verdict, note
from gateway.core.model import SECOND_US, Access, Outcome, Weight
from gateway.core.rollout import (
    TRANSITIONS,
    Audit,
    EmergencyStop,
    ForeignStateError,
    Freeze,
    Hold,
    Judged,
    Notify,
    Pause,
    Promote,
    Publish,
    Refused,
    Release,
    Resume,
    RollBack,
    SetWeight,
    Start,
    State,
    Status,
    StopCanarySync,
    advance,
    begin,
    from_json,
    from_text,
    phase_in_force,
    route,
    to_json,
    to_text,
    transition_markdown,
    transition_table,
    with_plan,
)
from tests.support.rollouts import (
    NEW,
    OLD,
    T0,
    all_well,
    engine_in,
    later,
    looks,
    measured,
    shipped_plan,
    with_measurement,
    with_probe,
    with_readings,
)

PLAN = shipped_plan()
HOUR_S = 3600
GO = Start("ann", "go", "salt-1")


def order(engine, what, inputs=None):
    """The engine after an order, which must not be refused."""
    turn = engine.order(what, inputs or all_well())
    assert not isinstance(turn.answer, Refused), turn.answer.note.sentence.en
    return turn.engine


def refused(engine, what, inputs=None) -> Refused:
    """The refusal of an order, which must leave everything as it was."""
    turn = engine.order(what, inputs or all_well())
    assert isinstance(turn.answer, Refused)
    assert turn.engine.state == engine.state
    return turn.answer


def told(turn) -> list[tuple[str, bool]]:
    """Who was told what: (key, whether it is over)."""
    return [(a.key, a.resolved) for a in turn.answer.actions if isinstance(a, Notify)]


def in_status(status: Status):
    """An engine in a status."""
    return {
        Status.IDLE: lambda: engine_in(None),
        Status.RUNNING: lambda: engine_in(1),
        Status.PAUSED: lambda: order(engine_in(1), Pause("ann", "look")),
        Status.ROLLED_BACK: lambda: order(engine_in(1), RollBack("ann", "back")),
        Status.EMERGENCY_STOPPED: lambda: order(engine_in(1), EmergencyStop("ann", "stop")),
        Status.COMPLETED: lambda: engine_in(4),
    }[status]()


def medium_cpu(inputs):
    """CPU use that a medium trigger minds."""
    return with_measurement(inputs, measured(Metric.CPU_RATIO, 0.87, inputs.now_us))


def high_cpu(inputs):
    """CPU use that a high trigger minds."""
    return with_measurement(inputs, measured(Metric.CPU_RATIO, 0.97, inputs.now_us))


def with_decision(phase=1, *, bad=high_cpu, seconds=600):
    """A turn in which a decision was opened."""
    turn = looks(engine_in(phase), bad(all_well()), every_s=60, times=seconds // 60)
    assert turn.engine.state.decisions
    return turn


# --- the table ------------------------------------------------------------------------------------

ORDERS = {
    "start": GO,
    "promote": Promote("ann", "go", force=True),
    "pause": Pause("ann", "look"),
    "resume": Resume("ann", "on"),
    "weight": SetWeight("ann", "try", Weight(2500)),
    "rollback": RollBack("ann", "back"),
    "stop": EmergencyStop("ann", "stop"),
    "release": Release("ann", "repaired"),
}


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("name", list(ORDERS))
def test_orders_do_what_the_table_says_and_nothing_else(status, name):
    """Each order in each status: a move of the table, or a refusal with a remedy."""
    engine = in_status(status)
    turn = engine.order(ORDERS[name], all_well())
    moves = {after for (before, event, after) in TRANSITIONS if (before, event) == (status, name)}
    if isinstance(turn.answer, Refused):
        assert not moves
        assert turn.answer.code == "status"
        assert turn.answer.note.sentence.en
        assert turn.answer.remedy.sentence.en
        assert turn.engine.state == engine.state
    else:
        assert turn.engine.state.status in moves


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        (Status.IDLE, [("idle", "*decision", "idle"), ("idle", "*escalate", "idle")]),
        (Status.RUNNING, [("running", "*decision", "paused"), ("paused", "*escalate", "paused")]),
        (Status.PAUSED, [("paused", "*decision", "paused"), ("paused", "*escalate", "paused")]),
        (
            Status.COMPLETED,
            [("completed", "*decision", "completed"), ("completed", "*escalate", "completed")],
        ),
    ],
)
def test_a_question_is_asked_and_asked_again_as_the_table_says(status, asked):
    """Wherever new gets traffic; that the status stays is no reason not to be in the table."""
    engine = in_status(status)
    if status is Status.IDLE:
        engine = order(engine, SetWeight("ann", "try", Weight(500)))
    made = []
    for minutes in (0, 10, 20, 25 * 60):
        turn = engine.look(medium_cpu(later(all_well(), minutes * 60)))
        engine = turn.engine
        made += [
            (a.before.status, a.action, a.after.status)
            for a in turn.answer.actions
            if isinstance(a, Audit)
        ]
    assert made == asked
    assert set(made) <= TRANSITIONS.keys()


_STANDS = {
    **{status.value: lambda status=status: in_status(status) for status in Status},
    "paused_by_decision": lambda: with_decision().engine,
    "stopped_before_start": lambda: order(engine_in(None), ORDERS["stop"]),
    "back_before_start": lambda: order(engine_in(None), ORDERS["rollback"]),
}


@pytest.mark.parametrize("stand", list(_STANDS))
@pytest.mark.parametrize("name", list(ORDERS))
def test_what_a_refusal_advises_is_not_refused_in_turn(stand, name):
    """Wherever it stands and whatever was asked, in both languages; a look is always free."""
    engine = _STANDS[stand]()
    answer = engine.order(ORDERS[name], all_well()).answer
    if not isinstance(answer, Refused):
        return
    advised = re.findall(r"`syncgate (\w+)", answer.remedy.sentence.en)
    assert advised == re.findall(r"`syncgate (\w+)", answer.remedy.sentence.ja)
    for command in set(advised) - {"status"}:
        assert command != name
        order(engine, ORDERS[command])


@pytest.mark.parametrize("name", ["resume", "release"])
def test_nobody_is_told_to_promote_who_did_not_ask_for_it(name):
    """While it runs there is nothing to resume or to release."""
    assert refused(in_status(Status.RUNNING), ORDERS[name]).remedy == note("remedy_nothing")


def test_every_arrow_has_its_sentence():
    """The table renders for the documentation, one sentence per arrow."""
    rows = transition_table()
    assert len(rows) == len(TRANSITIONS)
    assert all(why.endswith(".") for *_, why in rows)
    assert transition_markdown().count("\n") == len(rows) + 2
    document = Path(__file__).parents[3] / "docs" / "transitions.md"
    assert document.read_text(encoding="utf-8").endswith(transition_markdown())


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_no_order_without_a_reason(reason):
    """Not even an emergency stop: the audit must say why."""
    assert refused(engine_in(1), EmergencyStop("ann", reason)).code == "reason_missing"


# --- orders ---------------------------------------------------------------------------------------


def test_start_enters_phase_one_with_the_mirror_and_a_salt():
    """Phase 1: weight 0, everything mirrored, routing published before anything else."""
    turn = begin(PLAN).order(GO, all_well())
    state = turn.engine.state
    assert (state.status, state.phase, state.write_bp, state.salt) == (
        Status.RUNNING, 0, 0, "salt-1",
    )  # fmt: skip
    assert [type(action) for action in turn.answer.actions] == [Publish, Notify, Audit]
    published = turn.answer.actions[0].route
    assert published.mirror_to == "new"
    assert published.mirror_rate == 1.0
    assert published.mirror_dry
    assert published.version == state.version == 1


def test_a_fresh_gateway_routes_everything_to_old_without_a_mirror():
    """Idle: weight 0 and nobody is copied."""
    idle = route(State(), PLAN)
    assert (idle.write_bp, idle.mirror_to, idle.phase, idle.stopped) == (0, None, "", False)


def test_promotion_needs_every_gate_and_the_bake_time():
    """A healthy phase that has not baked: 409 naming the bake time; with force it moves."""
    engine = engine_in(1)
    answer = refused(engine, Promote("ann", "go"))
    assert [gate.name for gate in answer.failing] == ["bake_time"]
    assert answer.failing[0].verdict is Verdict.INCONCLUSIVE
    forced = engine.order(Promote("ann", "go", force=True), all_well())
    assert forced.engine.state.phase == 2
    assert "forced" in forced.engine.state.why.sentence.en
    assert forced.engine.state.write_bp == 5_000


def test_promotion_without_a_judgement_is_refused():
    """Nothing judged yet: unknown never promotes."""
    state = engine_in(1).state
    answer = advance(state, Promote("ann", "go"), PLAN, T0)
    assert isinstance(answer, Refused)
    assert answer.code == "gates"
    forced = advance(state, Promote("ann", "go", force=True), PLAN, T0)
    assert forced.state.phase == 2


def test_failing_gates_and_findings_are_named():
    """The refusal lists the gates, what was found, the open decision and the freeze."""
    plan = replace(PLAN, freezes=(Freeze("year end", weekly=False, start_s=0, end_s=2**40),))
    bad = with_readings(high_cpu(all_well()), NEW, errors=5_000, ok=95_000)
    engine = looks(engine_in(2, plan=plan), bad, every_s=60, times=4).engine
    turn = engine.order(Promote("ann", "go"), later(bad, 240))
    names = {gate.name for gate in turn.answer.failing}
    assert {"error_rate", "cpu_use", "bake_time", "freeze"} <= names


def test_a_passed_promotion_says_so():
    """All gates and the bake time: the next phase, without force."""
    engine = engine_in(1)
    baked = replace(engine, state=replace(engine.state, bake_us=3 * 86_400 * SECOND_US))
    turn = baked.order(Promote("ann", "clean"), all_well())
    assert turn.engine.state.phase == 2
    assert "3 d" in turn.engine.state.why.sentence.en
    assert turn.engine.state.bake_us == 0


def test_the_last_promotion_completes():
    """The last phase has no gates: entering it is the end, at 100 %."""
    turn = engine_in(3).order(Promote("ann", "done", force=True), all_well())
    assert turn.engine.state.status is Status.COMPLETED
    assert turn.engine.state.write_bp == 10_000
    assert ("completed", False) in told(turn)
    assert turn.engine.readiness(turn.judgement, T0) == ()
    assert len(turn.engine.goals(all_well())) == len(PLAN.goals)
    assert len(turn.engine.levels(all_well())) == len(PLAN.limits)


def test_weight_zero_to_hundred_in_steps_of_a_hundredth():
    """0.01 % is one basis point; outside of 0..100 is refused."""
    engine = engine_in(1)
    for bad in (-1, 10_001):
        assert refused(engine, SetWeight("ann", "try", Weight(bad))).code == "weight"
    assert order(engine, SetWeight("ann", "try", Weight(1))).state.write_bp == 1


def test_reads_and_writes_move_alone_or_together():
    """One side keeps its weight when only the other is named."""
    engine = order(engine_in(1), SetWeight("ann", "reads", Weight(4_000), Access.READ))
    assert (engine.state.read_bp, engine.state.write_bp) == (4_000, 1_000)
    engine = order(engine, SetWeight("ann", "writes", Weight(2_000), Access.WRITE))
    assert (engine.state.read_bp, engine.state.write_bp) == (4_000, 2_000)
    engine = order(engine, SetWeight("ann", "both", Weight(1_000)))
    assert (engine.state.read_bp, engine.state.write_bp) == (1_000, 1_000)
    assert not engine.state.override


def test_a_weight_tried_before_the_start_gets_a_salt():
    """An idle gateway may carry a little; later weights keep the salt, so clients stay put."""
    engine = order(engine_in(None), SetWeight("ann", "try", Weight(100), salt="first"))
    assert (engine.state.status, engine.state.salt) == (Status.IDLE, "first")
    engine = order(engine, SetWeight("ann", "more", Weight(200), salt="second"))
    assert engine.state.salt == "first"
    engine = order(engine, SetWeight("ann", "none", Weight(0)))
    assert not engine.state.override


@pytest.mark.parametrize(
    ("weight", "phase"), [(0, "parallel"), (500, "small"), (2_500, "medium"), (5_001, "all")]
)
def test_the_conditions_in_force_follow_the_weight(weight, phase):
    """Those of the first phase whose weight is at least as high."""
    engine = order(engine_in(None), SetWeight("ann", "try", Weight(weight)))
    assert phase_in_force(engine.state, PLAN).id == phase


def test_the_conditions_in_force_of_phases_and_odd_weights():
    """Without an override the phase's own; more than any phase gives: the last one's."""
    assert phase_in_force(engine_in(2).state, PLAN).id == "medium"
    assert phase_in_force(engine_in(4).state, PLAN).id == "all"
    small = replace(PLAN, phases=PLAN.phases[:2])
    assert phase_in_force(replace(State(), write_bp=Weight(9_999)), small).id == "small"


def test_less_than_the_phases_weight_does_not_bake():
    """5 % proves less than the 10 % that the phase asks for; more is welcome."""
    engine = order(engine_in(1), SetWeight("ann", "less", Weight(500)))
    turn = looks(engine, all_well(), every_s=60, times=3)
    assert turn.engine.state.bake_us == 0
    gate = turn.engine.readiness(turn.judgement, T0)[-1]
    assert "below the phase" in gate.reason
    more = order(engine_in(1), SetWeight("ann", "more", Weight(1_500)))
    assert looks(more, all_well(), every_s=60, times=3).engine.state.bake_us == 180 * SECOND_US


def test_rollback_and_stop_are_said_twice_without_harm():
    """The second order changes nothing and asks for nothing."""
    for what in (RollBack("ann", "back"), EmergencyStop("ann", "stop")):
        engine = order(engine_in(1), what)
        turn = engine.order(what, all_well())
        assert turn.answer.state == engine.state
        assert turn.answer.actions == ()


@pytest.mark.parametrize("phase", [0, 1, 2, 3, 4])
def test_taking_back_means_zero_wherever_it_was(phase):
    """Weight 0, new's sync stopped, routing first, the audit last; a stop is no rollback."""
    for what, status in (
        (RollBack("ann", "back"), Status.ROLLED_BACK),
        (EmergencyStop("ann", "stop"), Status.EMERGENCY_STOPPED),
    ):
        turn = engine_in(phase).order(what, all_well())
        state = turn.engine.state
        assert (state.status, state.write_bp, state.read_bp) == (status, 0, 0)
        assert state.phase == min(phase, 3)
        kinds = [type(action) for action in turn.answer.actions]
        assert kinds == [Publish, StopCanarySync, Notify, Audit]
        assert turn.answer.actions[0].route.stopped is (status is Status.EMERGENCY_STOPPED)
        assert turn.answer.actions[0].route.mirror_to is None
        assert state.rollbacks == (status is Status.ROLLED_BACK)


def test_out_of_a_rollback_by_resume_at_weight_zero():
    """The same phase, nothing on new until a second order; that weight ends the override."""
    engine = order(in_status(Status.ROLLED_BACK), Resume("ann", "fixed"))
    assert (engine.state.status, engine.state.phase, engine.state.write_bp) == (
        Status.RUNNING, 1, 0,
    )  # fmt: skip
    assert "sets a weight" in engine.state.why.sentence.en
    engine = order(engine, SetWeight("ann", "again", Weight(1_000)))
    assert not engine.state.override


def test_a_breaker_left_open_by_the_rollback_takes_nothing_back():
    """It opened before; only traffic can close it, so it must not forbid the first request."""
    broken = replace(all_well(), breakers=(BreakerReading(NEW, "a", open=True),))
    engine = engine_in(1).look(all_well()).engine.look(broken).engine
    assert engine.state.status is Status.ROLLED_BACK
    engine = order(engine, Resume("ann", "repaired"), later(broken, 10))
    engine = order(engine, SetWeight("ann", "again", Weight(1_000)), later(broken, 11))
    engine = engine.look(later(broken, 12)).engine
    assert engine.state.write_bp == 1_000
    engine = engine.look(later(all_well(), 13)).engine
    assert engine.look(later(broken, 14)).engine.state.status is Status.ROLLED_BACK


def test_out_of_a_rollback_in_phase_one():
    """The phase's own weight is 0, so nothing else is needed."""
    engine = order(engine_in(0), RollBack("ann", "back"))
    engine = order(engine, Resume("ann", "fixed"))
    assert not engine.state.override
    assert "at 0 %" in engine.state.why.sentence.en


def test_out_of_a_rollback_by_a_new_start():
    """From phase 1, with a new salt."""
    engine = order(in_status(Status.ROLLED_BACK), Start("ann", "anew", "salt-2"))
    assert (engine.state.phase, engine.state.salt, engine.state.rollbacks) == (0, "salt-2", 0)


def test_a_rollback_before_any_start_leads_back_to_idle():
    """Nothing was started, so resume and release lead to idle."""
    engine = order(engine_in(None), SetWeight("ann", "try", Weight(100)))
    back = order(engine, RollBack("ann", "back"))
    assert order(back, Resume("ann", "on")).state.status is Status.IDLE
    stopped = order(engine, EmergencyStop("ann", "stop"))
    released = order(stopped, Release("ann", "on"))
    assert (released.state.status, released.state.write_bp) == (Status.IDLE, 0)


def test_release_leads_to_a_pause_at_zero():
    """Nothing moves until a person resumes and sets a weight."""
    engine = order(in_status(Status.EMERGENCY_STOPPED), Release("ann", "fixed"))
    assert (engine.state.status, engine.state.write_bp) == (Status.PAUSED, 0)
    engine = order(engine, Resume("ann", "on"))
    assert (engine.state.status, engine.state.write_bp) == (Status.RUNNING, 0)


# --- judgements -----------------------------------------------------------------------------------


def failing_canary(engine, *, failures=4, at_us=T0):
    """The engine after new failed some requests while old was well."""
    runs = [(OLD, Outcome.OK, 9), (NEW, Outcome.ERROR, 1)] * failures
    return engine.observe(runs, at_us)


@pytest.mark.parametrize("status", [Status.RUNNING, Status.PAUSED, Status.COMPLETED])
def test_the_guard_is_on_everywhere(status):
    """A hard outage is taken back within four failures: running, paused or done."""
    engine = failing_canary(in_status(status))
    assert engine.alarmed
    turn = engine.look(all_well())
    assert turn.engine.state.status is Status.ROLLED_BACK
    assert turn.engine.state.write_bp == 0
    assert "4 of 4" in turn.engine.state.why.sentence.en
    assert [type(action) for action in turn.answer.actions] == [
        Publish, StopCanarySync, Notify, Audit,
    ]  # fmt: skip
    assert not turn.engine.alarmed


def test_the_guard_is_on_for_a_weight_tried_in_idle():
    """The critical triggers hold for any traffic on new."""
    engine = order(engine_in(None), SetWeight("ann", "try", Weight(2_500)))
    turn = failing_canary(engine).look(all_well())
    assert turn.engine.state.status is Status.ROLLED_BACK
    assert turn.engine.state.phase is None


def test_while_rolled_back_late_failures_say_nothing():
    """Requests in flight that still fail neither page nor move anything."""
    engine = failing_canary(in_status(Status.ROLLED_BACK))
    assert not engine.alarmed
    turn = engine.look(all_well())
    assert turn.answer.actions == ()
    assert turn.engine.state.status is Status.ROLLED_BACK


def test_what_was_settled_blames_nobody_after_resume():
    """Evidence and events from before the release are forgotten."""
    lost = with_measurement(all_well(), measured(Metric.DATA_LOSS, 1, T0))
    engine = failing_canary(engine_in(1)).look(lost).engine
    assert engine.state.status is Status.ROLLED_BACK
    after = later(all_well(), 10)
    engine = order(engine, Resume("ann", "restored"), after)
    still_stored = with_measurement(after, measured(Metric.DATA_LOSS, 1, T0))
    turn = engine.look(still_stored)
    assert turn.engine.state.status is Status.RUNNING
    assert turn.judgement.findings == ()


def test_both_failing_pages_once_holds_and_blames_nobody_afterwards():
    """A minute of shared failure, then clean: one page, one all-clear, the weight stays."""
    engine = engine_in(1)
    pages = []
    inputs = all_well()
    for second in range(1_200):
        inputs = later(all_well(), second)
        failing = second < 60
        outcome = Outcome.ERROR if failing else Outcome.OK
        engine = engine.observe([(OLD, outcome, 9), (NEW, outcome, 1)], inputs.now_us)
        if second > 90 and second % 10:
            continue
        turn = engine.look(inputs)
        pages += told(turn)
        engine = turn.engine
        assert engine.state.write_bp == 1_000
    assert engine.state.status is Status.RUNNING
    assert pages == [("shared_fault", False), ("shared_fault", True)]


def test_old_down_closes_the_way_back():
    """Data loss at 100 % while the standby is down: people are told, traffic stays."""
    bad = with_probe(with_measurement(all_well(), measured(Metric.DATA_LOSS, 1)), OLD, failures=5)
    turn = engine_in(3).look(bad)
    assert turn.engine.state.write_bp == 10_000
    assert set(told(turn)) == {("standby_down", False), ("data_loss", False)}
    again = turn.engine.look(later(bad, 1))
    assert told(again) == []
    repaired = with_measurement(later(all_well(), 2), measured(Metric.DATA_LOSS, 1, T0 + 1))
    assert again.engine.look(repaired).engine.state.status is Status.ROLLED_BACK


def test_a_retired_old_is_meant_to_be_down():
    """Completed: nobody is paged about old, and nothing is taken back to it."""
    down = with_probe(all_well(), OLD, failures=50)
    turn = engine_in(4).look(down)
    assert told(turn) == []
    lost = with_measurement(down, measured(Metric.DATA_LOSS, 1))
    kept = turn.engine.look(lost)
    assert kept.engine.state.status is Status.COMPLETED
    assert told(kept) == [("data_loss", False)]


def test_an_incident_grows_worse_and_is_told_again():
    """The same trouble at a higher severity is worth a second page; at a lower one it is not."""
    engine = engine_in(1)
    inputs = with_probe(all_well(), OLD, failures=9)
    turn = engine.look(inputs)
    assert told(turn) == [("old_down", False)]
    finding = turn.judgement.findings[0]
    worse = replace(turn.judgement, findings=(replace(finding, severity=Severity.CRITICAL),))
    step = advance(turn.engine.state, Judged(worse), PLAN, T0 + 1)
    assert [a.severity for a in step.actions] == [Severity.CRITICAL]
    milder = advance(step.state, Judged(turn.judgement), PLAN, T0 + 2)
    assert milder.actions == ()
    assert milder.state.troubles[0].severity is Severity.CRITICAL


def test_what_is_undecided_is_neither_told_nor_acted_upon():
    """Old has answered nothing in these seconds but did before: a moment is waited."""
    engine = engine_in(1).observe([(OLD, Outcome.OK, 20)], T0 - 20 * SECOND_US)
    turn = engine.observe([(NEW, Outcome.ERROR, 4)], T0).look(all_well())
    assert turn.answer.actions == ()
    assert turn.engine.state.write_bp == 1_000
    answered = turn.engine.observe([(OLD, Outcome.OK, 12)], T0 + 2_000_000)
    assert answered.look(later(all_well(), 2)).engine.state.status is Status.ROLLED_BACK


def test_unknown_holds_and_is_told_but_takes_nothing_back():
    """Every source dead for an hour: same weight, no bake, one page per metric."""
    blind = replace(all_well(), measurements=(), readings=())
    engine = engine_in(2)
    pages = []
    for minute in range(60):
        turn = engine.look(later(blind, minute * 60))
        engine = turn.engine
        pages += told(turn)
    assert engine.state.write_bp == 5_000
    assert engine.state.bake_us == 0
    assert len(pages) == len(set(pages)) > 3
    well = looks(engine, later(all_well(), 3600), every_s=60, times=6)
    assert well.engine.state.troubles == ()
    assert refused(engine, Promote("ann", "go"), later(blind, 3600)).failing


# --- decisions ------------------------------------------------------------------------------------


def test_high_opens_a_decision_pauses_and_rolls_back_after_its_hour():
    """CPU above 95 %: one decision, one message; nobody answers: back after one hour."""
    turn = with_decision()
    state = turn.engine.state
    assert state.status is Status.PAUSED
    (decision,) = state.decisions
    assert decision.severity is Severity.HIGH
    assert state.write_bp == 1_000
    inputs = high_cpu(later(all_well(), HOUR_S))
    before = turn.engine.look(later(inputs, -60))
    assert before.engine.state.status is Status.PAUSED
    after = before.engine.look(later(inputs, 600))
    assert after.engine.state.status is Status.ROLLED_BACK
    assert "nobody answered" in after.engine.state.why.sentence.en


def test_a_held_decision_does_not_roll_back():
    """Held with a reason: traffic stays as long as the finding lasts, then it is forgotten."""
    engine = with_decision().engine
    hot = high_cpu(later(all_well(), 600))
    refusal = refused(engine, Resume("ann", "on"), hot)
    assert refusal.code == "decision_open"
    turn = engine.order(Hold("ann", "a batch job, known", decision=1), hot)
    (held,) = turn.engine.state.decisions
    assert (held.held_by, held.held_reason) == ("ann", "a batch job, known")
    engine = order(turn.engine, Resume("ann", "on"), hot)
    turn = looks(engine, high_cpu(later(all_well(), 700)), every_s=60, times=120)
    assert turn.engine.state.status is Status.RUNNING
    assert len(turn.engine.state.decisions) == 1
    quiet = looks(turn.engine, later(all_well(), 9_000), every_s=60, times=10)
    assert quiet.engine.state.decisions == ()


def test_only_what_is_open_can_be_held():
    """An unknown or answered decision is refused; holding one leaves the others open."""
    engine = engine_in(1)
    assert refused(engine, Hold("ann", "x")).code == "no_decision"
    engine = with_decision().engine
    assert refused(engine, Hold("ann", "x", decision=7)).code == "no_decision"
    first = engine.state.decisions[0]
    two = replace(engine.state, decisions=(first, replace(first, id=2, key="other")))
    step = advance(two, Hold("ann", "x", decision=2), PLAN, T0)
    assert [d.open for d in step.state.decisions] == [True, False]


def test_critical_ignores_a_hold():
    """Holding a high decision does not switch off the critical triggers."""
    engine = order(with_decision().engine, Hold("ann", "known"))
    turn = failing_canary(engine).look(later(all_well(), 700))
    assert turn.engine.state.status is Status.ROLLED_BACK


def test_medium_waits_for_a_day_then_escalates_until_somebody_answers():
    """No rollback, but every four hours another level of people; resume is the answer."""
    turn = with_decision(bad=medium_cpu, seconds=1_200)
    engine = turn.engine
    assert engine.state.decisions[0].severity is Severity.MEDIUM
    escalations = []
    for hour in range(1, 34):
        turn = engine.look(medium_cpu(later(all_well(), hour * HOUR_S)))
        engine = turn.engine
        escalations += [
            a.escalation for a in turn.answer.actions
            if isinstance(a, Notify) and a.key == "decision_escalated"
        ]  # fmt: skip
    assert escalations == [1, 2, 3]
    assert engine.state.status is Status.PAUSED
    assert engine.state.write_bp == 1_000
    engine = order(engine, Resume("ann", "known"), later(all_well(), 34 * HOUR_S))
    assert engine.state.status is Status.RUNNING
    assert engine.state.open_decisions == ()


def test_high_with_the_way_back_closed_is_told_again_and_again():
    """The deadline passed but old is down: people are told, traffic stays."""
    engine = with_decision().engine
    bad = with_probe(high_cpu(later(all_well(), 3 * HOUR_S)), OLD, failures=9)
    turn = engine.look(bad)
    assert turn.engine.state.write_bp == 1_000
    assert ("decision_escalated", False) in told(turn)
    notes = [a.note.key for a in turn.answer.actions if isinstance(a, Notify)]
    assert "held_back" in notes
    much_later = turn.engine.look(later(bad, 7 * HOUR_S))
    assert much_later.engine.state.write_bp == 1_000


def test_a_decision_opened_and_one_overdue_in_the_same_look():
    """Only the newest routing goes out, and it goes out first."""
    engine = with_decision(bad=medium_cpu, seconds=1_200).engine
    late = replace(
        with_readings(later(all_well(), 25 * HOUR_S), NEW, sync_s_per_1000=320.0),
        measurements=medium_cpu(later(all_well(), 25 * HOUR_S)).measurements,
    )
    first = engine.look(late)
    second = first.engine.look(later(late, 300))
    for turn in (first, second):
        routes = [a for a in turn.answer.actions if isinstance(a, Publish)]
        assert len(routes) <= 1
        assert not routes or turn.answer.actions[0] is routes[0]


def test_decisions_in_idle_and_while_paused_keep_the_status():
    """Only running is paused by a decision."""
    engine = order(engine_in(None), SetWeight("ann", "try", Weight(500)))
    turn = looks(engine, high_cpu(all_well()), every_s=60, times=10)
    assert turn.engine.state.status is Status.IDLE
    assert turn.engine.state.open_decisions
    paused = order(engine_in(1), Pause("ann", "look"))
    turn = looks(paused, high_cpu(all_well()), every_s=60, times=10)
    assert turn.engine.state.status is Status.PAUSED


def test_one_decision_is_enough_for_one_trouble():
    """A medium finding does not open a second decision beside an open high one."""
    slow = replace(high_cpu(all_well()), reports=(UserReport(T0, serious=False),))
    turn = looks(engine_in(2), slow, every_s=60, times=4)
    keys = [d.key for d in turn.engine.state.decisions]
    assert keys == ["reports_medium"]


# --- bake time and automatic promotion ------------------------------------------------------------


def test_only_healthy_time_bakes():
    """An unhealthy minute does not count, and a gap between two looks does not either."""
    turn = looks(engine_in(1), all_well(), every_s=60, times=10)
    assert turn.engine.state.bake_us == 600 * SECOND_US
    bad = with_readings(later(all_well(), 660), NEW, errors=5_000, ok=95_000)
    turn = turn.engine.look(bad)
    assert turn.engine.state.bake_us == 600 * SECOND_US
    turn = turn.engine.look(later(all_well(), 5_000))
    assert turn.engine.state.bake_us == 600 * SECOND_US
    assert turn.answer.actions == ()


def test_when_all_is_done_a_person_is_asked_once():
    """Baked and passing: one message; unhealthy again: the offer is withdrawn."""
    engine = engine_in(1)
    engine = replace(engine, state=replace(engine.state, bake_us=259_199 * SECOND_US))
    engine = engine.look(all_well()).engine
    turn = engine.look(later(all_well(), 1))
    assert told(turn) == [("promotion_wanted", False)]
    assert (Status.RUNNING, turn.answer.actions[-1].action, Status.RUNNING) in TRANSITIONS
    assert turn.engine.state.waiting_since_us is not None
    again = turn.engine.look(later(all_well(), 2))
    assert again.answer.actions == ()
    bad = with_readings(later(all_well(), 3), NEW, errors=5_000, ok=95_000)
    assert again.engine.look(bad).engine.state.waiting_since_us is None


def test_a_breach_while_waiting_for_approval_rolls_back():
    """Waiting is not sleeping."""
    engine = engine_in(1)
    engine = replace(engine, state=replace(engine.state, waiting_since_us=T0))
    assert failing_canary(engine).look(all_well()).engine.state.status is Status.ROLLED_BACK


def test_automatic_promotion_goes_through_to_the_end():
    """With auto_promote everywhere and all well: phase by phase to complete."""
    phases = tuple(replace(p, auto_promote=True, bake_s=min(p.bake_s, 60)) for p in PLAN.phases)
    plan = replace(PLAN, phases=phases)
    engine = order(begin(plan), GO)
    weights = [engine.state.write_bp]
    inputs = all_well(plan=plan)
    for _ in range(20):
        inputs = later(inputs, 30)
        turn = engine.look(inputs)
        engine = turn.engine
        if engine.state.write_bp != weights[-1]:
            weights.append(engine.state.write_bp)
    assert weights == [0, 1_000, 5_000, 10_000]
    assert engine.state.status is Status.COMPLETED


def test_a_freeze_holds_automatic_promotion():
    """Nothing is promoted in a freeze, and everything afterwards."""
    start_s = T0 // SECOND_US
    plan = replace(
        PLAN,
        phases=tuple(replace(p, auto_promote=True, bake_s=0) for p in PLAN.phases),
        freezes=(Freeze("release", weekly=False, start_s=start_s, end_s=start_s + 100),),
    )
    engine = order(begin(plan), GO)
    engine = engine.look(all_well(plan=plan)).engine
    assert engine.state.phase == 0
    engine = engine.look(later(all_well(plan=plan), 100)).engine
    assert engine.state.phase == 1


@pytest.mark.parametrize(
    ("at_s", "covered"),
    [(0, True), (86_400, False), (3 * 86_400 - 1, False), (3 * 86_400, False),
     (6 * 86_400 + 3600, True), (7 * 86_400, True)],
)  # fmt: skip
def test_a_weekly_freeze_may_wrap_around_the_week(at_s, covered):
    """From Sunday 00:00 to Monday 12:00, Tokyo time; counted from a Monday there."""
    monday_in_tokyo_s = 4 * 86_400 - 9 * 3600
    freeze = Freeze("weekend", weekly=True, start_s=6 * 86_400, end_s=43_200, offset_s=9 * 3600)
    assert freeze.covers((monday_in_tokyo_s + at_s) * SECOND_US) is covered


def test_a_weekly_freeze_within_the_week():
    """Friday afternoon, in UTC."""
    friday = Freeze("friday", weekly=True, start_s=4 * 86_400 + 43_200, end_s=5 * 86_400)
    monday_s = 4 * 86_400
    assert friday.covers((monday_s + 4 * 86_400 + 50_000) * SECOND_US)
    assert not friday.covers((monday_s + 5 * 86_400) * SECOND_US)


# --- clocks ---------------------------------------------------------------------------------------


def test_a_clock_that_falls_back_moves_no_deadline():
    """A day backwards: the decision has as long left as before, and nothing bakes."""
    state = with_decision().engine.state
    left_us = state.decisions[0].deadline_us - state.judged_at_us
    day_us = 86_400 * SECOND_US
    fallen = with_decision().engine.look(high_cpu(all_well(state.judged_at_us - day_us))).engine
    assert fallen.state.decisions[0].deadline_us - fallen.state.judged_at_us == left_us
    assert fallen.state.status is Status.PAUSED
    engine = looks(engine_in(1), all_well(), every_s=60, times=5).engine
    back = engine.look(all_well(T0 - day_us))
    assert back.engine.state.bake_us == engine.state.bake_us
    assert back.engine.state.guard_since_us <= T0 - day_us
    on = back.engine.look(later(all_well(T0 - day_us), 60))
    assert on.engine.state.bake_us == engine.state.bake_us + 60 * SECOND_US


# --- paper ----------------------------------------------------------------------------------------


def test_a_state_with_everything_survives_paper():
    """Decisions, troubles, notes with Japanese in them: the same after a restart."""
    engine = with_decision().engine
    engine = engine.look(with_probe(high_cpu(later(all_well(), 700)), OLD, failures=9)).engine
    state = engine.state
    assert state.decisions
    assert state.troubles
    assert from_text(to_text(state), phases=5) == state
    assert from_text(to_text(state).encode(), phases=5) == state
    assert to_json(state)["incidents"]  # their name in what older releases have stored


def broken(change):
    """The JSON of a good state with one thing changed."""
    raw = json.loads(to_text(with_decision().engine.state))
    change(raw)
    return raw


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.update(format=2),
        lambda raw: raw.update(more=1),
        lambda raw: raw.pop("salt"),
        lambda raw: raw.update(salt=5),
        lambda raw: raw.update(override="yes"),
        lambda raw: raw.update(version=-1),
        lambda raw: raw.update(version=True),
        lambda raw: raw.update(bake_us=1.5),
        lambda raw: raw.update(write_bp=10_001),
        lambda raw: raw.update(phase=5),
        lambda raw: raw.update(phase=None),
        lambda raw: raw.update(status="running fast"),
        lambda raw: raw.update(status="rolled_back"),
        lambda raw: raw.update(why={"key": "nothing of ours", "figures": {}}),
        lambda raw: raw.update(why="idle"),
        lambda raw: raw.update(decisions=[{}]),
        lambda raw: raw["decisions"][0].update(deadline_us="soon"),
        lambda raw: raw.update(incidents=7),
    ],
)
def test_a_foreign_state_is_refused(change):
    """Nobody starts from a state they do not understand."""
    with pytest.raises(ForeignStateError):
        from_json(broken(change), phases=5)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, "x" * 300_000, b"\xff\xfe"])
def test_what_is_no_state_at_all_is_refused(text):
    """Blank, oversized, torn or binary."""
    with pytest.raises(ForeignStateError):
        from_text(text, phases=5)


def test_the_fresh_state_is_a_state():
    """A gateway that never did anything restarts too."""
    assert from_json(to_json(State()), phases=5) == State()


def test_a_reloaded_policy_keeps_state_and_evidence():
    """Same phases: everything goes on; another phase at this place: refused."""
    engine = failing_canary(engine_in(1), failures=3)
    again = with_plan(engine, replace(PLAN, name="tuned"))
    assert again.state == engine.state
    assert again.watch.tracks == engine.watch.tracks
    assert (
        with_plan(engine_in(None), shipped_plan("rollout-reads-first")).plan.name == "Reads first"
    )
    with pytest.raises(ValueError, match="small"):
        with_plan(engine, shipped_plan("rollout-reads-first"))
    with pytest.raises(ValueError, match="small"):
        with_plan(engine, replace(PLAN, phases=PLAN.phases[:1]))


def test_observing_nothing_is_nothing():
    """An empty batch gives the very same engine."""
    engine = engine_in(1)
    assert engine.observe([], T0) is engine

"""Whatever happens in whatever order, these promises of the rollout hold."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.core.analysis import BreakerReading, Metric, UserReport, Verdict
from gateway.core.model import SECOND_US, Access, Outcome, Variant, Weight
from gateway.core.rollout import (
    TRANSITIONS,
    Audit,
    EmergencyStop,
    Hold,
    Pause,
    Promote,
    Publish,
    Refused,
    Release,
    Resume,
    RollBack,
    SetWeight,
    Start,
    Status,
    StopCanarySync,
    begin,
    from_json,
    from_text,
    to_json,
    to_text,
)
from gateway.core.splitter import assign
from tests.support.rollouts import (
    NEW,
    OLD,
    T0,
    all_well,
    engine_in,
    measured,
    shipped_plan,
    with_measurement,
    with_probe,
    with_readings,
)
from tests.support.scale import scale

STANDING = {Status.ROLLED_BACK, Status.EMERGENCY_STOPPED}
CLIENTS = [f"client-{number}".encode() for number in range(40)]


def in_the_table(actions):
    """Whatever is audited is a move of the table, also one that keeps the status."""
    for action in actions:
        if isinstance(action, Audit):
            assert (action.before.status, action.action, action.after.status) in TRANSITIONS


class Rollout(RuleBasedStateMachine):
    """People and systems doing anything at any time."""

    @initialize(
        policy=st.sampled_from(["rollout", "rollout-reads-first"]),
        phase=st.sampled_from([None, 0, 1, 2, 3]),
    )
    def begin(self, policy, phase):
        """A fresh gateway, or one that stands in some phase."""
        self.plan = shipped_plan(policy)
        last = len(self.plan.phases) - 2
        self.engine = engine_in(None if phase is None else min(phase, last), plan=self.plan)
        self.now_us = T0
        self.world = {}

    def inputs(self):
        """The world as it is known now."""
        known = all_well(self.now_us, plan=self.plan)
        for change in self.world.values():
            known = change(known)
        return known

    def took(self, turn):
        """Every step keeps to the table and brings its actions in order."""
        before, after = self.engine.state, turn.engine.state
        self.engine = turn.engine
        if isinstance(turn.answer, Refused):
            assert after == before
            assert turn.answer.note.sentence.en
            assert turn.answer.remedy.sentence.ja
            return
        actions = turn.answer.actions
        moved = replace(before, judged_at_us=0) != replace(after, judged_at_us=0)
        if after.version == before.version:
            assert (before.status, before.write_bp, before.read_bp, before.phase) == (
                after.status, after.write_bp, after.read_bp, after.phase,
            )  # fmt: skip
            assert not any(isinstance(action, Publish | Audit) for action in actions)
        else:
            assert moved
            assert after.version > before.version
            assert isinstance(actions[0], Publish)
            assert actions[0].route.version == after.version
            assert isinstance(actions[-1], Audit)
            in_the_table(actions)
        if after.status in STANDING and before.status not in STANDING:
            assert any(isinstance(action, StopCanarySync) for action in actions)

    # -- time and traffic --------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.01, 1, 5, 60, 3_600, 90_000]))
    def time_passes(self, seconds):
        """The clock runs on and the gateway looks."""
        self.now_us += round(seconds * SECOND_US)
        self.took(self.engine.look(self.inputs()))

    @rule(minutes=st.integers(1, 4))
    def a_healthy_while(self, minutes):
        """Look every minute for a while: the only way to bake."""
        for _ in range(minutes):
            self.now_us += 60 * SECOND_US
            self.took(self.engine.look(self.inputs()))

    @rule(seconds=st.sampled_from([1, 60, 100_000]))
    def the_clock_runs_backwards(self, seconds):
        """An earlier `now` in a healthy world moves nothing: no weight, no phase, no deadline."""
        self.took(self.engine.look(all_well(self.now_us, plan=self.plan)))
        before = self.engine.state
        turn = self.engine.look(all_well(self.now_us - seconds * SECOND_US, plan=self.plan))
        after = turn.engine.state
        for name in ("status", "phase", "write_bp", "read_bp", "bake_us", "version"):
            if not self.engine.watch.fired:
                assert getattr(after, name) == getattr(before, name)
        left = [d.deadline_us - before.judged_at_us for d in before.decisions]
        if after.version == before.version:
            assert [d.deadline_us - after.judged_at_us for d in after.decisions] == left
        self.took(turn)
        self.now_us -= seconds * SECOND_US

    @rule(new_errors=st.integers(0, 12), old_errors=st.integers(0, 12), ok=st.integers(0, 30))
    def traffic(self, new_errors, old_errors, ok):
        """Requests finish on both systems."""
        runs = [(OLD, Outcome.OK, ok), (OLD, Outcome.ERROR, old_errors)]
        runs += [(NEW, Outcome.OK, ok // 3), (NEW, Outcome.ERROR, new_errors)]
        self.now_us += SECOND_US
        self.engine = self.engine.observe(runs, self.now_us)
        if self.engine.alarmed:
            self.took(self.engine.look(self.inputs()))
            assert not self.engine.alarmed

    # -- the world ---------------------------------------------------------------------------------

    @rule(bad=st.sampled_from(["errors", "slow", "silent", "nan", "stale", "old_down", "new_down",
                               "breakers", "loss", "reports", "cpu"]))  # fmt: skip
    def something_goes_wrong(self, bad):
        """One more thing is not as it should be."""
        self.world[bad] = {
            "errors": lambda known: with_readings(known, NEW, errors=50_000),
            "slow": lambda known: with_readings(known, NEW, sync_s_per_1000=900.0),
            "silent": lambda known: replace(known, readings=()),
            "nan": lambda known: with_measurement(
                known, measured(Metric.CPU_RATIO, float("nan"), known.now_us)
            ),
            "stale": lambda known: with_measurement(
                known, measured(Metric.MATCH_RATIO, 0.999, known.now_us - 10**11, sample=20_000)
            ),
            "old_down": lambda known: with_probe(known, OLD, failures=9),
            "new_down": lambda known: with_probe(known, NEW, failures=9),
            "breakers": lambda known: replace(
                known, breakers=(BreakerReading(Variant.CANARY, "a", open=True),)
            ),
            "loss": lambda known: with_measurement(
                known, measured(Metric.DATA_LOSS, 1.0, known.now_us)
            ),
            "reports": lambda known: replace(known, reports=(UserReport(known.now_us, True),)),
            "cpu": lambda known: with_measurement(
                known, measured(Metric.CPU_RATIO, 0.97, known.now_us)
            ),
        }[bad]

    @rule()
    def all_is_repaired(self):
        """Everything is well again."""
        self.world = {}

    # -- people ------------------------------------------------------------------------------------

    @rule(force=st.booleans())
    def promote(self, force):
        """Unknown never promotes: without force every gate must have passed."""
        before = self.engine.state
        turn = self.engine.order(Promote("ann", "go", force=force), self.inputs())
        gates = self.engine.readiness(turn.judgement, self.now_us)
        if not force and any(gate.verdict is not Verdict.PASS for gate in gates):
            assert isinstance(turn.answer, Refused)
        self.took(turn)
        if isinstance(turn.answer, Refused):
            assert self.engine.state == before

    @rule(order=st.sampled_from([
        Pause("ann", "look"), Resume("ann", "on"), RollBack("ann", "back"),
        EmergencyStop("ann", "stop"), Hold("ann", "known"), Start("ann", "go", "fresh"),
        Release("ann", "repaired"), Pause("ann", "  "),
    ]))  # fmt: skip
    def order(self, order):
        """An order that may or may not fit."""
        before = self.engine.state
        turn = self.engine.order(order, self.inputs())
        if before.status in STANDING and not isinstance(order, Release | Resume | Start):
            assert turn.engine.state.status in STANDING
        self.took(turn)

    @rule(
        weight=st.integers(-1, 10_001),
        access=st.sampled_from([None, Access.READ, Access.WRITE]),
    )
    def set_weight(self, weight, access):
        """Raising the weight never moves a client back; a stopped rollout takes none."""
        before = self.engine.state
        order = SetWeight("ann", "try", Weight(weight), access, "salt")
        self.took(self.engine.order(order, self.inputs()))
        after = self.engine.state
        if before.status in STANDING or not 0 <= weight <= 10_000:
            assert after == before
        if after.salt == before.salt and after.write_bp >= before.write_bp:
            for client in CLIENTS:
                was = assign(client, before.salt.encode(), before.write_bp)
                now = assign(client, before.salt.encode(), after.write_bp)
                assert was is OLD or now is NEW

    @precondition(lambda self: not self.world)
    @rule(errors=st.integers(1, 50))
    def more_failures_never_improve_a_verdict(self, errors):
        """With more errors in the same windows no gate gets better, no finding goes away."""
        order = [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.ERROR, Verdict.FAIL]
        known = self.inputs()
        mild = with_readings(known, NEW, errors=errors * 20, ok=100_000 - errors * 20)
        harsh = with_readings(known, NEW, errors=errors * 400, ok=100_000 - errors * 400)
        few, many = self.engine.look(mild).judgement, self.engine.look(harsh).judgement
        for a, b in zip(few.gates, many.gates, strict=True):
            assert order.index(b.verdict) >= order.index(a.verdict)
        worse = self.engine.observe([(NEW, Outcome.ERROR, errors)], self.now_us)
        assert set(self.engine.watch.fired) <= set(worse.watch.fired)

    @rule()
    def kill_and_restart(self):
        """The stored state is the state; evidence begins afresh."""
        stored = to_text(self.engine.state)
        self.engine = begin(self.plan, from_text(stored, phases=len(self.plan.phases)))
        assert to_text(self.engine.state) == stored

    # -- always ------------------------------------------------------------------------------------

    @invariant()
    def standing_means_no_traffic(self):
        """Rolled back or stopped: weight 0, until somebody leads out."""
        state = self.engine.state
        if state.status in STANDING:
            assert state.write_bp == state.read_bp == 0
            assert not state.decisions

    @invariant()
    def nothing_runs_with_a_question_open(self):
        """A decision pauses what is running, and is answered before it goes on."""
        state = self.engine.state
        assert state.status is not Status.RUNNING or not state.open_decisions

    @invariant()
    def the_state_survives_paper(self):
        """What is written is what is read."""
        state = self.engine.state
        assert from_json(to_json(state), phases=len(self.plan.phases)) == state

    @invariant()
    def it_can_always_say_why(self):
        """One sentence, in both languages, without a hole."""
        said = self.engine.state.why.sentence
        assert said.en
        assert said.ja
        assert "?" not in said.en


Rollout.TestCase.settings = settings(
    max_examples=scale(full=10_000, quick=100),
    stateful_step_count=scale(full=50, quick=25),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestRollout = Rollout.TestCase

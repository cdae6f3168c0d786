"""A state that was decided by another replica is taken up; evidence stays with who saw it."""

from __future__ import annotations

from dataclasses import replace

from gateway.core import rollout
from gateway.core.analysis import Inputs, Verdict, inputs_from_json, inputs_to_json
from gateway.core.model import Outcome, Variant
from tests.support.plans import quick_plan


def test_evidence_outlives_a_state_from_elsewhere_but_not_a_new_beginning() -> None:
    """A changed weight keeps what was seen; what a person settled there is settled here, too."""
    engine = rollout.begin(quick_plan())
    engine = engine.observe([(Variant.CANARY, Outcome.ERROR, 2)], 1_000_000)
    seen = engine.watch
    moved = rollout.adopt(engine, replace(engine.state, version=7, override=True))
    assert (moved.state.version, moved.watch) == (7, seen)
    begun = rollout.adopt(moved, replace(moved.state, version=8, guard_since_us=2_000_000))
    assert begun.watch.tracks != seen.tracks
    assert all(track.canary.sample == 0 for track in begun.watch.tracks)


def test_a_replica_of_which_nobody_hears_is_named_and_holds_the_promotion() -> None:
    """Missing numbers are unknown, not zero: all gates pass, and still nothing is promoted."""
    plan = quick_plan()
    engine = rollout.begin(plan)
    engine = engine.order(rollout.Start("alice", "go", "salt"), Inputs(1_000_000)).engine
    assert engine.state.phase == 0
    for second in range(2, 6):
        inputs = Inputs(second * 1_000_000, unknown_replicas=("b",))
        turn = engine.look(inputs)
        engine = turn.engine
    assert engine.state.phase == 0
    assert engine.state.bake_us == 0
    gates = engine.readiness(turn.judgement, 5_000_000)
    [held] = [gate for gate in gates if gate.verdict is Verdict.ERROR]
    assert "b" in held.reason
    assert "b" in held.reason_ja
    turn = engine.order(rollout.Promote("alice", "now"), inputs)
    assert isinstance(turn.answer, rollout.Refused)
    assert inputs_from_json(inputs_to_json(inputs)) == inputs


def test_a_store_that_answers_late_holds_the_promotion_until_it_is_in_time() -> None:
    """What is known of the others is late: nothing bakes, nothing is promoted, nobody is paged."""
    engine = rollout.begin(quick_plan())
    engine = engine.order(rollout.Start("alice", "go", "salt"), Inputs(1_000_000)).engine
    for second in range(2, 6):
        inputs = Inputs(second * 1_000_000, store_late_ms=212)
        turn = engine.look(inputs)
        engine = turn.engine
    assert engine.state.bake_us == 0
    assert not engine.state.troubles
    [held] = [g for g in engine.readiness(turn.judgement, 5_000_000) if g.name == "store_late"]
    assert held.verdict is Verdict.INCONCLUSIVE
    assert "212 ms" in held.reason
    assert "212" in held.reason_ja
    turn = engine.order(rollout.Promote("alice", "now"), inputs)
    assert isinstance(turn.answer, rollout.Refused)
    assert inputs_from_json(inputs_to_json(inputs)) == inputs
    for second in range(6, 9):
        engine = engine.look(Inputs(second * 1_000_000)).engine
    assert engine.state.why.key == "waiting"

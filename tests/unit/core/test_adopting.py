"""A state that was decided by another replica is taken up; evidence stays with who saw it."""

from __future__ import annotations

from dataclasses import replace

from gateway.core import rollout
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

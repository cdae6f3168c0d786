"""What new writes goes back to old where it has a database of its own, until it is over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.rollout import Status, route
from gateway.core.rollout.state import State
from tests.support.plans import quick_plan

PLAN = quick_plan()
APART = replace(PLAN, stores_apart=True)


@pytest.mark.parametrize("status", list(Status))
def test_write_backs_last_until_the_rollout_is_complete(status: Status) -> None:
    """Whatever the weight is: a forced request may write to new at any time."""
    phase = None if status is Status.IDLE else len(PLAN.phases) - 1
    state = replace(State(), status=status, phase=phase)
    assert route(state, APART).write_back is (status is not Status.COMPLETED)
    assert route(state, PLAN).write_back is False

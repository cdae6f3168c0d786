"""
The rollout decides: (state, event, plan, now) -> (state, actions), or a refusal with a remedy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.core.rollout.events import Event, Refused, Route, Step
    from gateway.core.rollout.plan import Phase, Plan
    from gateway.core.rollout.state import State


def advance(state: State, event: Event, plan: Plan, now_us: int) -> Step | Refused:
    """Everything that can happen to a rollout happens here; `now` older than the newest look changes nothing."""
    raise NotImplementedError


def phase_in_force(state: State, plan: Plan) -> Phase:
    """The phase whose rollback conditions hold at the present weight."""
    raise NotImplementedError


def route(state: State, plan: Plan) -> Route:
    """How requests are to be routed in this state."""
    raise NotImplementedError

"""
The rollout decides: (state, event, plan, now) -> (state, actions), or a refusal with a remedy.

Orders of people are obeyed in `orders`, judgements drawn in `judging`, and `table` lists every move
either may make. A state changes whole or not at all. `version` grows exactly when others must learn
of it; a step without actions only moved clocks and may be stored lazily.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.rollout.events import Judged, Refused, Step
from gateway.core.rollout.judging import draw
from gateway.core.rollout.orders import obey

if TYPE_CHECKING:
    from gateway.core.rollout.events import Event
    from gateway.core.rollout.plan import Plan
    from gateway.core.rollout.state import State


def advance(state: State, event: Event, plan: Plan, now_us: int) -> Step | Refused:
    """Everything that can happen to a rollout happens here."""
    if isinstance(event, Judged):
        return draw(state, event.judgement, plan, now_us)
    return obey(state, event, plan, now_us)

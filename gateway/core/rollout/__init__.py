"""
The rollout: phases, weights, decisions with deadlines, and every legal move between them.

`plan` is what the policy asks, `state` where it stands, `events` what can happen and what is to be
done, `table` which moves exist and why, `machine` makes them, `engine` joins it with the evidence.
"""

from gateway.core.rollout.engine import Engine, Turn, begin, with_plan
from gateway.core.rollout.events import (
    Action,
    Audit,
    EmergencyStop,
    Event,
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
    Route,
    SetWeight,
    Start,
    Step,
    StopCanarySync,
    Tick,
)
from gateway.core.rollout.machine import advance, phase_in_force, route
from gateway.core.rollout.plan import Deadlines, Freeze, Mirror, Phase, Plan
from gateway.core.rollout.state import (
    Decision,
    ForeignStateError,
    Incident,
    State,
    Status,
    from_json,
    to_json,
)
from gateway.core.rollout.table import transition_table

__all__ = [
    "Action",
    "Audit",
    "Deadlines",
    "Decision",
    "EmergencyStop",
    "Engine",
    "Event",
    "ForeignStateError",
    "Freeze",
    "Hold",
    "Incident",
    "Judged",
    "Mirror",
    "Notify",
    "Pause",
    "Phase",
    "Plan",
    "Promote",
    "Publish",
    "Refused",
    "Release",
    "Resume",
    "RollBack",
    "Route",
    "SetWeight",
    "Start",
    "State",
    "Status",
    "Step",
    "StopCanarySync",
    "Tick",
    "Turn",
    "advance",
    "begin",
    "from_json",
    "phase_in_force",
    "route",
    "to_json",
    "transition_table",
    "with_plan",
]

"""
The rollout: phases, weights, decisions with deadlines, and every legal move between them.

`plan` is what the policy asks, `state` where it stands, `events` what can happen and what is to be
done, `table` which moves exist and why. `orders` obeys people, `judging` draws conclusions,
`machine` is the one entrance, and `engine` joins it with the evidence.
"""

from gateway.core.rollout.engine import Engine, Turn, adopt, begin, with_plan
from gateway.core.rollout.events import (
    Action,
    Audit,
    EmergencyStop,
    Event,
    Hold,
    Judged,
    Notify,
    Order,
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
)
from gateway.core.rollout.machine import advance
from gateway.core.rollout.plan import Deadlines, Fairness, Freeze, Mirror, Phase, Plan
from gateway.core.rollout.readiness import phase_in_force, questions, readiness, route
from gateway.core.rollout.state import (
    STANDING,
    Decision,
    ForeignStateError,
    State,
    Status,
    Trouble,
    from_json,
    from_text,
    to_json,
    to_text,
)
from gateway.core.rollout.table import TRANSITIONS, transition_markdown, transition_table

__all__ = [
    "STANDING",
    "TRANSITIONS",
    "Action",
    "Audit",
    "Deadlines",
    "Decision",
    "EmergencyStop",
    "Engine",
    "Event",
    "Fairness",
    "ForeignStateError",
    "Freeze",
    "Hold",
    "Judged",
    "Mirror",
    "Notify",
    "Order",
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
    "Trouble",
    "Turn",
    "adopt",
    "advance",
    "begin",
    "from_json",
    "from_text",
    "phase_in_force",
    "questions",
    "readiness",
    "route",
    "to_json",
    "to_text",
    "transition_markdown",
    "transition_table",
    "with_plan",
]

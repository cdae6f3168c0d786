"""
What would the gateway have done? The real core on a fake clock, five weeks in seconds.

`scenario` reads what happens and what is expected, `world` turns it into requests and measurements,
`people` into orders; `running` lets the core live through it and `telling` says what came of it.
`replaying` takes stored decisions again under a changed policy. Nothing here decides: the engine is
the controller's own.
"""

from gateway.simulation.replaying import Replayed, replay
from gateway.simulation.running import Result, run_scenario, simulate
from gateway.simulation.scenario import (
    LIBRARY,
    Scenario,
    ScenarioError,
    find_scenario,
    library,
    load_scenario,
    parse_scenario,
)
from gateway.simulation.telling import Moment

__all__ = [
    "LIBRARY",
    "Moment",
    "Replayed",
    "Result",
    "Scenario",
    "ScenarioError",
    "find_scenario",
    "library",
    "load_scenario",
    "parse_scenario",
    "replay",
    "run_scenario",
    "simulate",
]

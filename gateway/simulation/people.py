"""What people do in a scenario: the orders that are written down, and their habits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.model import Weight
from gateway.core.rollout import (
    EmergencyStop,
    Hold,
    Pause,
    Promote,
    Release,
    Resume,
    RollBack,
    SetWeight,
    Start,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.core.rollout import Order
    from gateway.simulation.scenario import OrderTable, Scenario

ACTOR = "operator"
AS_PLANNED = "as planned"


def written_orders(scenario: Scenario, salt: str) -> list[tuple[float, Order]]:
    """Give every order that the scenario names, in time, the start first."""
    orders = [(table.at, _order(table, salt)) for table in scenario.orders]
    if scenario.operator.starts:
        orders.append((0.0, Start(ACTOR, AS_PLANNED, salt)))
    return sorted(orders, key=lambda pair: (pair[0], not isinstance(pair[1], Start)))


def _order(table: OrderTable, salt: str) -> Order:
    if table.order == "start":
        return Start(ACTOR, table.reason, salt)
    if table.order == "promote":
        return Promote(ACTOR, table.reason, force=table.force)
    if table.order == "weight":
        return SetWeight(ACTOR, table.reason, Weight(round(table.percent * 100)), salt=salt)
    plain: dict[str, Callable[[str, str], Order]] = {
        "pause": Pause,
        "resume": Resume,
        "rollback": RollBack,
        "stop": EmergencyStop,
        "release": Release,
        "hold": Hold,
    }
    return plain[table.order](ACTOR, table.reason)

"""
Stored decisions, taken again under another policy.

A stored decision holds everything it was taken on: the state, the evidence, the inputs, the order.
Under the same policy the same comes of it, word for word. Under a changed one, rules that kept
their numbers keep their evidence and new ones start from what the last minute still tells; the
state is taken as it was, so each decision answers for itself and not for those before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gateway.core.analysis import inputs_from_json
from gateway.core.analysis import watch as watches
from gateway.core.model import Access, Weight
from gateway.core.rollout import (
    EmergencyStop,
    Engine,
    ForeignStateError,
    Hold,
    Pause,
    Promote,
    Refused,
    Release,
    Resume,
    RollBack,
    SetWeight,
    Start,
    from_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.core.rollout import Order, Plan

_ORDERS: Final[dict[str, type[Any]]] = {
    kind.__name__: kind
    for kind in (
        Start, Promote, Pause, Resume, SetWeight, RollBack, EmergencyStop, Release, Hold,
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Replayed:
    """One decision, then and now. `fault` says why it could not be taken again."""

    at_us: int
    then_status: str
    then_weight_percent: float
    now_status: str
    now_weight_percent: float
    why: str
    why_ja: str
    fault: str | None = None

    @property
    def same(self) -> bool:
        """Whether the same came of it."""
        then = (self.then_status, self.then_weight_percent)
        return self.fault is None and then == (self.now_status, self.now_weight_percent)

    def to_json(self) -> dict[str, Any]:
        """Give it as the command line prints it."""
        return {
            "at_us": self.at_us,
            "then": {"status": self.then_status, "weight_percent": self.then_weight_percent},
            "now": {"status": self.now_status, "weight_percent": self.now_weight_percent},
            "same": self.same,
            "why": self.why,
            "why_ja": self.why_ja,
            "fault": self.fault,
        }


def replay(decisions: Iterable[Mapping[str, Any]], plan: Plan) -> tuple[Replayed, ...]:
    """Take each again: `{"at_us", "inputs": {state, watch, inputs, event}, "outcome": {state}}`."""
    return tuple(_again(decision, plan) for decision in decisions)


def _again(decision: Mapping[str, Any], plan: Plan) -> Replayed:
    try:
        then = decision["outcome"]["state"]
        then_status, then_percent = str(then["status"]), int(then["write_bp"]) / 100
        at_us = int(decision["at_us"])
    except (KeyError, TypeError, ValueError) as error:
        return Replayed(0, "", 0.0, "", 0.0, "", "", fault=f"not a stored decision: {error!r}")
    try:
        stored = decision["inputs"]
        state = from_json(stored["state"], phases=len(plan.phases))
        lookback_s = plan.fairness.lookback_s
        watch = watches.from_json(stored["watch"], plan.rules(), lookback_s=lookback_s)
        inputs = inputs_from_json(stored["inputs"])
        order = _order(stored.get("event"))
    except (KeyError, TypeError, ValueError, AttributeError, ForeignStateError) as error:
        fault = f"cannot be taken again: {error}"
        return Replayed(at_us, then_status, then_percent, "", 0.0, "", "", fault=fault)
    engine = Engine(plan, state, watch)
    turn = engine.look(inputs) if order is None else engine.order(order, inputs)
    after = turn.engine.state
    why = turn.answer.note if isinstance(turn.answer, Refused) else after.why
    said = why.sentence
    return Replayed(
        at_us=at_us, then_status=then_status, then_weight_percent=then_percent,
        now_status=after.status.value, now_weight_percent=after.write_bp / 100,
        why=said.en, why_ja=said.ja,
    )  # fmt: skip


def _order(event: Mapping[str, Any] | None) -> Order | None:
    """Read the order back; a decision that the policy took by itself has none."""
    if not event:
        return None
    ((name, figures),) = event.items()
    kind = _ORDERS.get(name)
    if kind is None:
        return None
    known = {key: value for key, value in figures.items() if key != "judgement"}
    if kind is SetWeight:
        known["weight_bp"] = Weight(known["weight_bp"])
        known["access"] = None if known.get("access") is None else Access(known["access"])
    order: Order = kind(**known)
    return order

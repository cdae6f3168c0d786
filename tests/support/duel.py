"""
Two systems behind one gateway, request by request: who is blamed for a fault, and how soon.

The engine and the circuit breakers are the real ones; what reaches the engine comes as workers send
it: a failure at once with all that finished before it, good news once a second. Requests arrive at
random (Poisson), go to new by weight, and are answered after a moment; while new's breaker is open
its share goes to old, as in the gateway.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

from gateway.core import breaker as breakers
from gateway.core.analysis import BreakerReading, Inputs, Probe
from gateway.core.breaker import Breaker, Permit
from gateway.core.model import SECOND_US, Outcome, Variant, Weight
from gateway.core.rollout import Engine, State, Status, begin

if TYPE_CHECKING:
    from gateway.core.rollout import Plan

START_S = 1_760_000_000
WARM_S = 90.0
AFTER_S = 60.0
ANSWER_S = (0.02, 0.06)
PROBES_EVERY_S = 5


@dataclass(frozen=True, slots=True)
class Fault:
    """
    Requests fail at `ratio` for `lasts_s`, those of new alone or of both.

    Old follows `skew_s` after new; when it is negative, new follows old.
    """

    ratio: float
    lasts_s: float
    shared: bool = True
    skew_s: float = 0.0
    down: bool = False
    """Health probes fail as well."""

    def hits(self, variant: Variant, at_s: float) -> bool:
        """Whether a request that is answered then is struck."""
        if not self.shared and variant is Variant.BASELINE:
            return False
        late_s = max(0.0, self.skew_s if variant is Variant.BASELINE else -self.skew_s)
        return WARM_S + late_s <= at_s < WARM_S + late_s + self.lasts_s


@dataclass(frozen=True, slots=True)
class Told:
    """What came of it."""

    status: Status
    after_s: float | None
    """How long after the fault began traffic was taken back; None: never."""
    failures: int
    """New's failed answers until then."""
    asked: int
    """Decisions that people were asked for."""
    pages: tuple[str, ...]


class Duel:
    """One life of two systems."""

    def __init__(
        self, plan: Plan, fault: Fault, *, weight_percent: float, requests_per_s: float, seed: int
    ) -> None:
        weight = Weight(round(weight_percent * 100))
        state = State(status=Status.IDLE, write_bp=weight, read_bp=weight)
        self.engine: Engine = begin(plan, state)
        self._fault, self._weight = fault, weight_percent / 100
        self._rate = requests_per_s
        self._random = Random(seed)
        self._breakers = dict.fromkeys(Variant, breakers.CLOSED)
        self._behaviour = breakers.Behaviour()
        self._runs: list[tuple[Variant, Outcome, int]] = []
        self._probes = {v: Probe(v, ok=True, at_us=START_S * SECOND_US) for v in Variant}
        self._failures = 0
        self._after_s: float | None = None
        self._pages: list[str] = []
        self._asked = 0

    def live(self) -> Told:
        """Let it happen; ends early once traffic is back on old."""
        end_s = WARM_S + self._fault.lasts_s + abs(self._fault.skew_s) + AFTER_S
        answers: list[tuple[float, int, Variant, Permit]] = []
        arrival_s, second, number = self._gap_s(), 1, 0
        while second <= end_s and self._after_s is None:
            due_s = min(arrival_s, second, answers[0][0] if answers else end_s + 1)
            if answers and answers[0][0] == due_s:
                at_s, _, variant, permit = heapq.heappop(answers)
                self._answered(variant, permit, at_s)
            elif due_s == second:
                self._tick(second)
                second += 1
            else:
                sent = self._send(arrival_s)
                if sent is not None:
                    number += 1
                    answered_s = arrival_s + self._random.uniform(*ANSWER_S)
                    heapq.heappush(answers, (answered_s, number, *sent))
                arrival_s += self._gap_s()
        return Told(
            self.engine.state.status, self._after_s, self._failures, self._asked, tuple(self._pages)
        )

    def _gap_s(self) -> float:
        return self._random.expovariate(self._rate)

    def _send(self, at_s: float) -> tuple[Variant, Permit] | None:
        new = self._random.random() < self._weight
        for variant in (Variant.CANARY, Variant.BASELINE) if new else (Variant.BASELINE,):
            permit, self._breakers[variant] = breakers.admit(
                self._breakers[variant], self._behaviour, _us(at_s)
            )
            if isinstance(permit, Permit):
                return variant, permit
        return None

    def _answered(self, variant: Variant, permit: Permit, at_s: float) -> None:
        usual = 0.0005
        ratio = self._fault.ratio if self._fault.hits(variant, at_s) else usual
        failed = self._random.random() < ratio
        before: Breaker = self._breakers[variant]
        self._breakers[variant] = after = breakers.record(
            before, self._behaviour, permit, ok=not failed, now_us=_us(at_s)
        )
        self._runs.append((variant, Outcome.ERROR if failed else Outcome.OK, 1))
        if failed:
            self._failures += variant is Variant.CANARY and at_s >= WARM_S
            self._report(at_s)
            if self.engine.alarmed or after.state is not before.state:
                self._look(at_s)

    def _report(self, at_s: float) -> None:
        self.engine = self.engine.observe(self._runs, _us(at_s))
        self._runs.clear()

    def _tick(self, second: int) -> None:
        for variant, probe in self._probes.items():
            # Both are probed at the same pace, not at the same moment.
            if (second + 2 * (variant is Variant.BASELINE)) % PROBES_EVERY_S == 0:
                ok = not (self._fault.down and self._fault.hits(variant, second))
                since_us = None if ok else probe.failing_since_us or _us(second)
                self._probes[variant] = replace(
                    probe, ok=ok, at_us=_us(second), failures=0 if ok else probe.failures + 1,
                    failing_since_us=since_us,
                )  # fmt: skip
        self._report(second)
        self._look(second)

    def _look(self, at_s: float) -> None:
        inputs = Inputs(
            now_us=_us(at_s),
            probes=tuple(self._probes.values()),
            breakers=tuple(
                BreakerReading(v, "1", open=b.state is not breakers.BreakerState.CLOSED)
                for v, b in self._breakers.items()
            ),
        )
        turn = self.engine.look(inputs)
        self.engine = turn.engine
        for action in turn.answer.actions:
            key = getattr(action, "key", None)
            if key is None or getattr(action, "resolved", False) or key.startswith("unmeasured"):
                continue
            if key == "decision_opened":
                self._asked += 1
            elif key != "rolled_back":
                self._pages.append(key)
        if self.engine.state.status is Status.ROLLED_BACK:
            self._after_s = at_s - WARM_S


def _us(at_s: float) -> int:
    return START_S * SECOND_US + round(at_s * SECOND_US)


def duel(
    plan: Plan, fault: Fault, *, weight_percent: float, requests_per_s: float = 4.0, seed: int = 0
) -> Told:
    """Let two systems live through a fault."""
    return Duel(
        plan, fault, weight_percent=weight_percent, requests_per_s=requests_per_s, seed=seed
    ).live()

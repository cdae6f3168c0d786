"""
A scenario lived through: time passes in steps, long while nothing moves, a second where it matters.

Requests that fail are drawn one by one, in order, and shown to the engine as they happen: when its
evidence is complete it looks at that very moment, as the controller does. Everything else is looked
at after each step. A step never spans a boundary: a fault, an order, a deadline.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from gateway.core.analysis import Inputs, UserReport
from gateway.core.model import SECOND_US, WEIGHT_ALL, Outcome, Variant
from gateway.core.rollout import Engine, Hold, Promote, Refused, begin, route
from gateway.policy import load_policy
from gateway.simulation.people import ACTOR, AS_PLANNED, written_orders
from gateway.simulation.scenario import LIBRARY, Scenario, find_scenario, load_scenario
from gateway.simulation.telling import Moment, told, unmet
from gateway.simulation.world import (
    TRAFFIC,
    Behaviour,
    Episode,
    Ledger,
    behaviour,
    episodes,
    measurements,
    probe,
    requests_per_s,
    silent_us,
)

if TYPE_CHECKING:
    from gateway.core.rollout import Order, Plan, Turn

LONGEST_STEP_S: Final = 1_800.0
CAREFUL_STEP_S: Final = 60.0
GROWTH: Final = 1.5
STIRRING: Final = 0.25
"""Evidence above this share is watched closely."""
COMPARISONS_KEPT: Final = 20_000
"""The match rate is of the newest so many listings."""
FEW: Final = 5
"""A fault that comes more often is told of once."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it: the timeline, the end, and every expectation that was not met."""

    scenario: str
    policy: str
    seed: int
    timeline: tuple[Moment, ...]
    status: str
    weight_percent: float
    looks: int
    unmet: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the result as the command line prints it."""
        return {
            "scenario": self.scenario,
            "policy": self.policy,
            "seed": self.seed,
            "timeline": [moment.to_json() for moment in self.timeline],
            "final": {"status": self.status, "weight_percent": self.weight_percent},
            "looks": self.looks,
            "unmet": list(self.unmet),
        }


def run_scenario(
    name: str,
    policy: Path | Plan | None = None,
    seed: int | None = None,
    *,
    folder: Path = LIBRARY,
) -> Result:
    """Run a scenario of the library, or of a file. ScenarioError or PolicyError when unreadable."""
    path = find_scenario(name, folder)
    scenario = load_scenario(path)
    if policy is None:
        beside = path.parent.parent / scenario.policy
        policy = beside if beside.is_file() else folder.parent / scenario.policy
    plan = load_policy(policy) if isinstance(policy, Path) else policy
    return simulate(scenario, plan, scenario.seed if seed is None else seed)


def simulate(scenario: Scenario, plan: Plan, seed: int) -> Result:
    """Let the core live through a scenario."""
    run = Run(scenario, plan, seed)
    run.live()
    state = run.engine.state
    status, percent = state.status.value, state.write_bp / 100
    return Result(
        scenario=scenario.name, policy=plan.name, seed=seed, timeline=tuple(run.timeline),
        status=status, weight_percent=percent, looks=run.looks,
        unmet=unmet(scenario.expect, run.timeline, status=status, weight_percent=percent),
    )  # fmt: skip


class Run:
    """One life of one scenario."""

    def __init__(self, scenario: Scenario, plan: Plan, seed: int) -> None:
        # Looks are rarer here than in reality; what lies between two of them still counts.
        gap_s = max(plan.fairness.judgement_gap_s, round(LONGEST_STEP_S))
        plan = replace(plan, fairness=replace(plan.fairness, judgement_gap_s=gap_s))
        self.scenario = scenario
        self.engine: Engine = begin(plan)
        self.timeline: list[Moment] = []
        self.looks = 0
        # Predictable on purpose: a scenario is repeated, not kept secret.
        self._random = Random(seed)  # noqa: S311
        self._episodes = episodes(scenario)
        self._orders = written_orders(scenario, f"simulation-{seed}")
        self._windows_s = plan.windows_s()
        self._boundaries = self._all_boundaries()
        self._ledgers = {variant: Ledger(variant) for variant in Variant}
        self._shadows_per_s = 0.0
        self._carry = dict.fromkeys(Variant, 0.0)
        self._at_s = 0.0
        self._step_s = 1.0

    def live(self) -> None:
        """From the first second to the last."""
        while self._at_s < self.scenario.lasts:
            self._tell_of_faults()
            self._people()
            until_s = self._next_stop()
            reached_s = self._pass(until_s)
            self._at_s = reached_s
            self._look()

    # -- time --------------------------------------------------------------------------------------

    def _all_boundaries(self) -> list[float]:
        times = {e.begin_s for e in self._episodes} | {e.end_s for e in self._episodes}
        times |= {at_s for at_s, _ in self._orders} | {r.at for r in self.scenario.reports}
        return sorted({*times, self.scenario.lasts})

    def _next_stop(self) -> float:
        """End the step before the next boundary; right after one, begin with a second again."""
        if self._at_s in self._boundaries and self.engine.state.guarded:
            self._step_s = 1.0
        until_s = self._at_s + self._step_s
        following = bisect_right(self._boundaries, self._at_s)
        if following < len(self._boundaries):
            until_s = min(until_s, self._boundaries[following])
        for decision in self.engine.state.open_decisions:
            due_s = self._at_s + (decision.deadline_us - self._now_us()) / SECOND_US
            if self._at_s < due_s < until_s:
                until_s = due_s
        return until_s

    def _now_us(self, at_s: float | None = None) -> int:
        """Read the gateway's clock, which may have jumped."""
        at_s = self._at_s if at_s is None else at_s
        jumped_s = sum(e.fault.clock_jump_s for e in self._episodes if e.begin_s <= at_s)
        return round((self.scenario.begins.timestamp() + jumped_s + at_s) * SECOND_US)

    def _going_on(self) -> tuple[Episode, ...]:
        return tuple(episode for episode in self._episodes if episode.covers(self._at_s))

    # -- traffic -----------------------------------------------------------------------------------

    def _pass(self, until_s: float) -> float:
        """Let requests finish until then, or until the evidence is complete; give that moment."""
        going_on, middle_s = self._going_on(), (self._at_s + until_s) / 2
        behaviours = {v: behaviour(self.scenario, going_on, v, middle_s) for v in Variant}
        rates = self._rates(requests_per_s(self.scenario, going_on, middle_s))
        silent = silent_us(going_on, TRAFFIC, self._at_s) > 0
        failing = {v: rates[v] * behaviours[v].error_ratio for v in Variant}
        failing_per_s = sum(failing.values())
        errors = dict.fromkeys(Variant, 0)
        at_s = self._at_s
        while True:
            gap_s = self._random.expovariate(failing_per_s) if failing_per_s else float("inf")
            if at_s + gap_s >= until_s:
                self._succeed(rates, failing, until_s - at_s, until_s, silent=silent)
                at_s = until_s
                break
            at_s += gap_s
            self._succeed(rates, failing, gap_s, at_s, silent=silent)
            new = self._random.random() * failing_per_s < failing[Variant.CANARY]
            variant = Variant.CANARY if new else Variant.BASELINE
            errors[variant] += 1
            if not silent:
                self._observe(variant, Outcome.ERROR, 1, at_s)
                if self.engine.alarmed:
                    break
        self._book(rates, failing, errors, behaviours, at_s)
        return at_s

    def _rates(self, requests: float) -> dict[Variant, float]:
        """Share the requests out; mirrored syncs are requests to new as well."""
        state = self.engine.state
        share = state.write_bp / WEIGHT_ALL
        routed = route(state, self.engine.plan)
        self._shadows_per_s = 0.0
        if routed.mirror_to == Variant.CANARY.value:
            syncs = requests * (1 - share) * self.scenario.traffic.sync_ratio
            self._shadows_per_s = syncs * routed.mirror_rate
        return {
            Variant.CANARY: requests * share + self._shadows_per_s,
            Variant.BASELINE: requests * (1 - share),
        }

    def _succeed(
        self,
        rates: dict[Variant, float],
        failing: dict[Variant, float],
        span_s: float,
        at_s: float,
        *,
        silent: bool,
    ) -> None:
        """Show the requests that went well since the last failure."""
        # New's first: old's answers of a long step are of the same seconds.
        for variant in (Variant.CANARY, Variant.BASELINE):
            self._carry[variant] += (rates[variant] - failing[variant]) * span_s
            whole = int(self._carry[variant])
            if whole:
                self._carry[variant] -= whole
                if not silent:
                    self._observe(variant, Outcome.OK, whole, at_s)

    def _observe(self, variant: Variant, outcome: Outcome, count: int, at_s: float) -> None:
        self.engine = self.engine.observe([(variant, outcome, count)], self._now_us(at_s))

    def _book(
        self,
        rates: dict[Variant, float],
        failing: dict[Variant, float],
        errors: dict[Variant, int],
        behaviours: dict[Variant, Behaviour],
        until_s: float,
    ) -> None:
        span_s = until_s - self._at_s
        for variant, ledger in self._ledgers.items():
            acts, rate = behaviours[variant], rates[variant]
            answered = (rate - failing[variant]) * span_s
            rejected = answered * acts.rejected_ratio
            fine = answered - rejected
            mirrored = self._shadows_per_s / rate if variant is Variant.CANARY and rate else 0.0
            shadows = fine * mirrored
            syncs = shadows + (fine - shadows) * self.scenario.traffic.sync_ratio
            ledger.add(
                until_s, fine, errors[variant], rejected, syncs,
                acts.sync_s_per_1000 * syncs, acts.latency_p95_ms * fine, shadows,
            )  # fmt: skip

    # -- looking -----------------------------------------------------------------------------------

    def _inputs(self) -> Inputs:
        going_on, now_us = self._going_on(), self._now_us()
        seen_us = now_us - silent_us(going_on, TRAFFIC, self._at_s)
        return Inputs(
            now_us=now_us,
            readings=tuple(
                ledger.reading(window_s, self._at_s, seen_us)
                for ledger in self._ledgers.values()
                for window_s in self._windows_s
            ),
            measurements=measurements(
                self.scenario, going_on, at_s=self._at_s, now_us=now_us,
                compared=min(self._ledgers[Variant.CANARY].shadows, COMPARISONS_KEPT),
            ),
            probes=tuple(probe(going_on, v, self._at_s, now_us) for v in Variant),
            reports=tuple(
                UserReport(self._now_us(report.at), report.serious)
                for report in self.scenario.reports
                if report.at <= self._at_s
            ),
        )  # fmt: skip

    def _look(self) -> None:
        turn = self.engine.look(self._inputs())
        self.looks += 1
        self._took(turn)
        watch = self.engine.watch
        stirred = watch.since or any(track.level > STIRRING for track in watch.tracks)
        stirred = self.engine.state.guarded and bool(turn.judgement.findings or stirred)
        longest_s = CAREFUL_STEP_S if stirred else LONGEST_STEP_S
        self._step_s = min(self._step_s * GROWTH, longest_s)

    def _took(self, turn: Turn) -> None:
        self.engine = turn.engine
        if isinstance(turn.answer, Refused):
            said = turn.answer.note.sentence
            self._tell("refused", said.en, said.ja)
            return
        for event, english, japanese, weight in told(turn.answer.actions):
            self._tell(event, english, japanese, weight)

    def _tell(self, event: str, english: str, japanese: str, weight: float | None = None) -> None:
        at = datetime.fromtimestamp(self.scenario.begins.timestamp() + self._at_s, UTC)
        now = self.engine.state.write_bp / 100
        percent = now if weight is None else weight
        when = at.isoformat(timespec="milliseconds")
        self.timeline.append(Moment(self._at_s, when, event, percent, english, japanese))

    def _tell_of_faults(self) -> None:
        for episode in self._episodes:
            fault = episode.fault
            if fault.times > FEW and episode.begin_s != fault.at:
                continue
            if episode.begin_s == self._at_s:
                self._tell("fault_begins", f"{fault.name} begins.", f"{fault.name} 開始。")
            if episode.end_s == self._at_s:
                self._tell("fault_ends", f"{fault.name} ends.", f"{fault.name} 終了。")

    # -- people ------------------------------------------------------------------------------------

    def _people(self) -> None:
        while self._orders and self._orders[0][0] <= self._at_s:
            self._give(self._orders.pop(0)[1])
        habits, state = self.scenario.operator, self.engine.state
        if habits.holds_decisions and state.open_decisions:
            self._give(Hold(ACTOR, "known, watched"))
        waiting_us = state.waiting_since_us
        if habits.promotes_after is not None and waiting_us is not None:
            waited_s = (self._now_us() - waiting_us) / SECOND_US
            if waited_s >= habits.promotes_after:
                self._give(Promote(ACTOR, AS_PLANNED))

    def _give(self, order: Order) -> None:
        self._took(self.engine.order(order, self._inputs()))
        self._step_s = 1.0

"""The book under everything that can happen, in any order: what never may be, never is."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.core.alerts import (
    Ack,
    Said,
    Silence,
    Stage,
    acknowledge,
    book_from_json,
    book_to_json,
    lift,
    silence,
)
from gateway.core.analysis import Metric, Severity
from gateway.core.model import SECOND_US
from gateway.core.rollout import Status
from tests.support.alerts import NEW, OLD, World, plan, sentence
from tests.support.alerts import rule as alert_rule
from tests.support.scale import scale

RATIOS = st.sampled_from([0.0, 0.009, 0.02, 0.2, None])


class AlertMachine(RuleBasedStateMachine):
    """Figures, silences, answers, clocks and crashes, as they come."""

    @initialize()
    def begin(self) -> None:
        """Two rules on both systems, one of them patient."""
        self.world = World(
            plan(
                alert_rule(systems=(NEW, OLD)),
                alert_rule("patient", for_s=30, metric=Metric.CPU_RATIO, systems=(None,)),
            )
        )
        self.seen = 0
        self.raised: dict[str, int] = {}
        self.acked: set[int] = set()
        self.world.look(0)
        self.check_tells()

    def check_tells(self) -> None:
        """What was told since: each stage in its place."""
        for tell in self.world.tells[self.seen :]:
            incident = tell.incident
            if incident is None:
                continue
            if tell.stage is Stage.RAISED:
                assert incident.uid not in self.raised
            else:
                assert incident.uid in self.raised, "nothing follows what was never raised"
            self.raised[incident.uid] = incident.number
            if tell.stage is Stage.ESCALATED:
                assert incident.ack is None, "whoever has it is left alone"
            if tell.stage in {Stage.RAISED, Stage.UPDATED, Stage.ESCALATED}:
                assert not self.world.book.silenced(incident, self.world.now_us)
        self.seen = len(self.world.tells)

    @rule(
        new=RATIOS,
        old=RATIOS,
        cpu=RATIOS,
        step_s=st.sampled_from([0, 1, 5, 61, 900, 20_000]),
    )
    def pass_time(
        self, new: float | None, old: float | None, cpu: float | None, step_s: int
    ) -> None:
        """Figures change, or fall silent, and time passes."""
        self.world.errors = {NEW: new, OLD: old}
        if cpu is not None:
            self.world.measure(Metric.CPU_RATIO, cpu)
        self.world.look(self.world.now_s + step_s)
        self.check_tells()

    @rule(back_s=st.integers(1, 10_000))
    def set_clock_back(self, back_s: int) -> None:
        """A clock that runs backwards ends, begins and escalates nothing by itself."""
        before = {one.uid: one for one in self.world.book.open}
        self.world.look()
        self.check_tells()
        levels = {one.uid: (one.step, one.ended_us) for one in self.world.book.open}
        told = len(self.world.tells)
        self.world.look(self.world.now_s - back_s)
        again = {one.uid: (one.step, one.ended_us) for one in self.world.book.open}
        assert {uid: levels[uid] for uid in again if uid in levels} == {
            uid: again[uid] for uid in again if uid in levels
        }
        assert not [
            t for t in self.world.tells[told:] if t.stage in {Stage.ESCALATED, Stage.FOLLOW_UP}
        ]
        assert before is not None
        self.check_tells()

    @rule(pick=st.integers(0, 5))
    def answer(self, pick: int) -> None:
        """Somebody takes one of the open ones."""
        number = (
            self.world.book.open[pick % len(self.world.book.open)].number
            if (self.world.book.open)
            else 99
        )
        ack = Ack("jun", "mine", self.world.now_us)
        self.world.take(acknowledge(self.world.book, self.world.alerts, number, ack))
        self.check_tells()

    @rule(rule_name=st.sampled_from(["*", "errors", "patient"]), span_s=st.integers(1, 5_000))
    def hush(self, rule_name: str, span_s: int) -> None:
        """Maintenance."""
        now_us = self.world.now_us
        wish = Silence(0, rule_name, None, now_us, now_us + span_s * SECOND_US, "jun", "work")
        self.world.book = silence(self.world.book, wish)

    @rule()
    def speak(self) -> None:
        """Maintenance is over early: whatever stands and was not told is told now."""
        for one in self.world.book.silences:
            self.world.book = lift(self.world.book, one.id)
        self.world.look()
        assert all(one.told or one.ack for one in self.world.book.open)
        self.check_tells()

    @rule(key=st.sampled_from("ab"), level=st.sampled_from(list(Severity)), over=st.booleans())
    def say(self, key: str, level: Severity, *, over: bool) -> None:
        """Another part of the gateway has something to say."""
        said = Said(key, level, sentence(key), sentence("why"), over=over)
        self.world.look(self.world.now_s, said)
        self.check_tells()

    @rule(status=st.sampled_from(list(Status)))
    def move(self, status: Status) -> None:
        """The rollout goes anywhere."""
        self.world.state = replace(
            self.world.state, status=status, version=self.world.state.version + 1
        )

    @rule()
    def crash(self) -> None:
        """Only what was stored is left."""
        self.world.book = book_from_json(book_to_json(self.world.book))

    @invariant()
    def one_open_incident_per_rule_and_system(self) -> None:
        """Never two, whatever happens."""
        keys = [one.key for one in self.world.book.open]
        assert len(keys) == len(set(keys))

    @invariant()
    def every_tell_has_its_own_id(self) -> None:
        """Or repeats could not be told from news."""
        ids = [tell.id for tell in self.world.tells]
        assert len(ids) == len(set(ids))


AlertMachine.TestCase.settings = settings(
    max_examples=scale(quick=15, full=500), stateful_step_count=40, deadline=None
)
TestAlerts = AlertMachine.TestCase

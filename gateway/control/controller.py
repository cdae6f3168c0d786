"""
The controller: everything that happens is put to the engine in one order, and carried out.

What the workers saw, what probes and polls said, what people ask and the second's tick all go
through one lock, so that two decisions never cross. A turn is: ask the engine (pure), store the
outcome, make it true (publish the routing), and then start what takes time (stop a sync, tell
people) without waiting for it. Errors of the canary are put to the engine when they are heard of;
as soon as its evidence is complete it looks, without waiting for the tick.

In a fleet (`control/fleet`) every controller has the same picture and the newest state; the one
that holds the lease draws conclusions, the others only watch. People's orders are taken by any of
them, on the newest state: who was overtaken looks at it and tries once more.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from gateway.control import records
from gateway.control.desk import Desk
from gateway.control.fleet.fleet import Role
from gateway.control.fleet.obeying import on_the_newest
from gateway.control.fleet.together import Together
from gateway.control.follow import Followers
from gateway.control.gauges import gauges
from gateway.control.hearing import Hearing
from gateway.control.journal import OVERTAKEN
from gateway.control.senses import REPORTS_KEPT_US, Senses
from gateway.control.turns import Turns
from gateway.core import rollout
from gateway.core.model import Variant
from gateway.errors import StateError
from gateway.ports import SYSTEM_ACTOR, CommandKind, ControlView, Notice, Transition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from gateway import ports
    from gateway.control.comparing import Comparing
    from gateway.control.fleet.fleet import Fleet
    from gateway.control.journal import Journal
    from gateway.control.measurements import Measurements
    from gateway.control.proving import Proving
    from gateway.control.snapshots import Snapshots
    from gateway.control.workers import WorkerPool
    from gateway.core.analysis import Inputs
    from gateway.ports import Actor, Clock, Command, StateStore

Exemplars = dict[str, tuple[str, int, int]]
"""By cell: trace id, duration and instant in microseconds."""

TICK_S: Final = 1.0

_log = structlog.get_logger("controller")


class Controller:
    """`Control`: the one place where the rollout changes."""

    def __init__(
        self,
        engine: rollout.Engine,
        *,
        journal: Journal,
        clock: Clock,
        workers: WorkerPool,
        snapshots: Snapshots,
        measurements: Measurements,
        carry_out: Callable[[rollout.Action, rollout.State], None],
        notify: Callable[[Notice], None],
        render: Callable[[Mapping[str, float], Exemplars | None], str],
        read_policy: Callable[[], rollout.Plan],
        fresh_salt: Callable[[], str],
        proving: Proving,
        comparing: Comparing,
        fleet: Fleet | None = None,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._workers = workers
        self._snapshots = snapshots
        self._measurements = measurements
        self._notify = notify
        self._render = render
        self._read_policy = read_policy
        self._fresh_salt = fresh_salt
        self._proving = proving
        proving.changed = self._mirror_changed
        self._comparing = comparing
        self._followers = Followers()
        self._senses = Senses(
            snapshots=snapshots, measurements=measurements, mirror_off=self._mirror_off
        )
        self._draining = False
        self._store_was_writable = True
        self._turns = Turns(
            engine,
            journal=journal,
            followers=self._followers,
            clock=clock,
            publish=self._publish,
            carry_out=carry_out,
        )
        self._fleet = fleet
        self._order = asyncio.Lock()
        self.together = self._joined(fleet) if fleet is not None else None
        """What joins this replica with its fleet, if it is in one."""
        self._hearing = Hearing(
            order=self._order,
            turns=self._turns,
            senses=self._senses,
            clock=clock,
            comparing=comparing,
            proving=proving,
            mirror_changed=self._mirror_changed,
            look=self._look,
            together=self.together,
        )
        self.heard, self.probed = self._hearing.heard, self._hearing.probed
        self.worker_changed = self._hearing.worker_changed
        self.note_change = self._turns.note_change
        """For those beside the rollout whose changes are audited, too."""
        self._desk = Desk(comparing, self.note_change)

    # --- what people see and ask -------------------------------------------------------------

    @property
    def store(self) -> StateStore:
        """For reading audit, decisions and events."""
        return self._journal.store

    @property
    def comparison(self) -> Desk:
        """How far the two systems agree."""
        return self._desk

    def view(self) -> ControlView:
        """Show the present."""
        now_us = self._clock.now_us()
        engine, judgement = self._turns.engine, self._turns.judgement
        return ControlView(
            at_us=now_us,
            state=engine.state,
            plan=engine.plan,
            judgement=judgement,
            gates=engine.readiness(judgement, now_us) if judgement else (),
            inputs=self._turns.inputs,
            watch=engine.watch if judgement else None,
            systems=tuple(self._senses.system(variant) for variant in Variant),
            workers=self._workers.view(),
            events=self._followers.recent(),
            store_writable=self._journal.writable,
            mirror=self._proving.view(rollout.route(engine.state, engine.plan)),
            fleet=self.together.view() if self.together is not None else None,
        )

    async def perform(self, command: Command, *, by: Actor, reason: str) -> ControlView:
        """Do as asked, durably; RefusedError (with gates) if the rules say no."""
        # A caller that goes away must not leave a step half taken.
        await asyncio.shield(asyncio.create_task(self._perform(command, by=by, reason=reason)))
        view = self.view()
        if self.together is None or command.kind is not CommandKind.EMERGENCY_STOP:
            return view
        said = await self.together.confirmations(view.state.version)
        return replace(self.view(), confirmations=said)

    async def _perform(self, command: Command, *, by: Actor, reason: str) -> None:
        obey = partial(self._obey, command, by=by, reason=reason)
        async with self._order:
            if self.together is None:
                await obey()
            else:
                await on_the_newest(
                    obey, command.kind, together=self.together, journal=self._journal
                )

    async def _obey(self, command: Command, *, by: Actor, reason: str) -> None:
        inputs = self._gather()
        engine = self._turns.engine
        event = records.order(command, by=by, reason=reason, fresh_salt=self._fresh_salt)
        await self._turns.take(engine.order(event, inputs), inputs, event=event, by=by)

    async def measure(self, measurement: ports.MeasurementDraft) -> None:
        """Take in a figure from outside; InvalidRequestError if it cannot be one."""
        now_us = self._clock.now_us()
        taken = self._measurements.take(measurement, now_us=now_us)
        if self._fleet is not None:
            self._fleet.outbox.figure(measurement, now_us)
            self._fleet.due.set()
        async with self._order:
            await self._turns.note(Transition(0, measurements=(measurement,)))
            if taken.metric.only_when_it_happens:
                await self._look()

    async def measured(self, measurements: Sequence[ports.MeasurementDraft]) -> None:
        """Take in what a poll found, and keep it."""
        self.sampled(measurements)
        if self._role is Role.DECIDES:  # every replica polls; on record it stands once
            await self._turns.note(Transition(0, measurements=tuple(measurements)))

    def sampled(self, measurements: Sequence[ports.MeasurementDraft]) -> None:
        """Take in what is sampled so often that only the newest counts."""
        now_us = self._clock.now_us()
        for draft in measurements:
            self._measurements.take(draft, now_us=now_us)

    async def source_changed(self, variant: Variant, *, readable: bool, reason: str) -> None:
        """Take note that a system's figures became unreadable, or readable again."""
        text = (
            f"The figures of {variant.value} are read again."
            if readable
            else f"The figures of {variant.value} cannot be read ({reason}); they grow stale."
        )
        await self._turns.note_event(
            "source.readable" if readable else "source.unreadable", text, system=variant.value
        )

    async def report(self, report: ports.UserReport) -> None:
        """Take in a user report."""
        async with self._order:
            self._senses.reported((report,))
            if self._fleet is not None:
                self._fleet.outbox.report(report, self._clock.now_us())
                self._fleet.due.set()
            await self._turns.note(
                Transition(
                    0,
                    reports=(report,),
                    events=(
                        records.event(
                            "user.report",
                            f"A user reported a {report.severity} problem: {report.text}",
                            at_us=self._clock.now_us(),
                            actor=report.by,
                            severity=report.severity.value,
                        ),
                    ),
                )
            )
            await self._look()

    async def reload_policy(self, *, by: Actor, reason: str) -> ControlView:
        """Read the policy file again; PolicyError leaves the old one in force."""
        plan = await asyncio.to_thread(self._read_policy)
        async with self._order:
            before = self._turns.engine.plan
            records.must_fit(plan, before, self._turns.engine.state)
            self._turns.engine = rollout.with_plan(self._turns.engine, plan)
            await self._turns.note_change(
                "policy.reload", by=by, reason=reason, text=f"Policy {plan.name} is in force."
            )
            _log.info("policy_in_force", policy=plan.name, changed=plan != before)
            self._turns.publish()  # the state stays, but the plan says what is mirrored
            await self._look()
        return self.view()

    async def roll_workers(self, *, by: Actor, reason: str) -> None:
        """Replace the workers one after the other."""
        await self._turns.note_change(
            "workers.roll", by=by, reason=reason, text="Workers are being replaced."
        )
        await self._workers.roll()

    def subscribe(self) -> AbstractAsyncContextManager[AsyncIterator[ports.Event]]:
        """Follow events from now on; a reader that falls behind misses the oldest."""
        return self._followers.follow()

    def metrics_text(self, *, exemplars: bool = False) -> str:
        """Render the figures of the whole gateway; with `exemplars` as OpenMetrics."""
        examples = self._snapshots.exemplars() if exemplars else None
        return self._render({**self._snapshots.totals(), **gauges(self.view())}, examples)

    def ready(self) -> tuple[bool, Sequence[str]]:
        """Whether traffic can be served, and if not, why."""
        reasons = []
        if self._draining:
            reasons.append("the gateway is draining")
        if not any(worker.ready for worker in self._workers.view()):
            reasons.append("no worker accepts connections")
        return not reasons, reasons

    # --- what happens ------------------------------------------------------------------------

    async def restore(self) -> None:
        """Take up what was stored before a restart, and route by it."""
        try:
            await self._remember()
        except StateError as error:
            if self._fleet is None:
                raise
            _log.warning("not_restored", reason=error.message)
        await self._comparing.restore()
        self._turns.publish()

    async def _remember(self) -> None:
        now_us = self._clock.now_us()
        self._measurements.restore(
            await self.store.measurements(since_us=now_us - 24 * 3600 * 1_000_000), now_us=now_us
        )
        self._senses.reported(await self.store.reports(since_us=now_us - REPORTS_KEPT_US))
        self._followers.remember(await self.store.latest_events(limit=50))

    async def tick(self) -> None:
        """Look once, whatever happened, and store what could not be stored before."""
        era = self._turns.engine.state.salt
        totals = self._snapshots.totals()
        self._measurements.withdraw(self._comparing.source)
        self.sampled(self._comparing.tick(totals, era))
        if self._proving.counted(totals):
            await self._mirror_changed("mirror.unproven", self._proving.doubt)
        async with self._order:
            if self.together is not None:
                await self.together.age()
            elif not self._journal.writable:
                self._followers.tell(await self._journal.catch_up())
            self._tell_of_the_store()
            await self._look()

    # --- the fleet ---------------------------------------------------------------------------

    def _joined(self, fleet: Fleet) -> Together:
        return Together(
            fleet,
            order=self._order,
            turns=self._turns,
            journal=self._journal,
            senses=self._senses,
            followers=self._followers,
            workers=self._workers,
            clock=self._clock,
            if_alarmed=lambda: self._hearing.if_alarmed(),  # noqa: PLW0108 - it is made after us
        )

    @property
    def _role(self) -> Role:
        return Role.DECIDES if self._fleet is None else self._fleet.role

    def _tell_of_the_store(self) -> None:
        """Page when the store stops taking records, and say when it takes them again."""
        writable = self._journal.writable
        if writable is self._store_was_writable:
            return
        self._store_was_writable = writable
        self._notify(records.store_notice(writable=writable, at_us=self._clock.now_us()))

    async def tell(self, kind: str, text: str) -> None:
        """Store and tell one event of the control plane's own."""
        await self._turns.note_event(kind, text)

    async def _mirror_changed(self, kind: str, text: str) -> None:
        """Take note that writes may be mirrored now, or may not any more."""
        async with self._order:
            self._turns.publish()
            await self._turns.note_event(kind, text)

    def _mirror_off(self) -> str | None:
        engine = self._turns.engine
        return self._proving.why_not(rollout.route(engine.state, engine.plan))

    def drain(self) -> None:
        """Tell the workers that the end is near: `/readyz` says no, requests are still served."""
        self._draining = True
        self._turns.publish()

    def end(self) -> None:
        """Let everybody go who follows events."""
        self._followers.end()

    # --- looking ----------------------------------------------------------------------------

    def _gather(self) -> Inputs:
        now_us, windows_s = self._clock.now_us(), self._turns.engine.plan.windows_s()
        if self._fleet is None:
            return self._senses.gather(now_us, windows_s)
        return self._senses.gather(
            now_us,
            windows_s,
            measurements=self._fleet.figures(self._measurements.newest()),
            unknown=self._fleet.unknown(),
            store_late_ms=self._fleet.late_ms,
        )

    async def _look(self) -> None:
        """Let the engine judge; a step up that cannot be stored is not taken."""
        role, token = self._role, self._fleet.token if self._fleet else 0
        inputs = self._gather()
        turn = self._turns.engine.look(inputs)
        back = isinstance(turn.answer, rollout.Step) and turn.answer.state.status is _BACK
        if role is Role.FOLLOWS or (role is Role.ALONE and not back):
            self._turns.watched(turn, inputs)
            return
        try:
            await self._turns.take(turn, inputs, event=None, by=SYSTEM_ACTOR, token=token)
        except OVERTAKEN as error:
            _log.info("overtaken", reason=error.message)
            if self._fleet is not None:
                self._fleet.behind.set()
        except StateError as error:
            _log.error("step_not_taken", reason=str(error))

    def _publish(self, route: rollout.Route) -> None:
        permitted, control_rate = self._proving.permitted(route)
        self._workers.publish(records.routing(permitted, control_rate, draining=self._draining))


_BACK: Final = rollout.Status.ROLLED_BACK

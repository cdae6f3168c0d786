"""
The controller: everything that happens is put to the engine in one order, and carried out.

What the workers saw, what probes and polls said, what people ask and the second's tick all go
through one lock, so that two decisions never cross. A turn is: ask the engine (pure), store the
outcome, make it true (publish the routing), and then start what takes time (stop a sync, tell
people) without waiting for it. Errors of the canary are put to the engine when they are heard of;
as soon as its evidence is complete it looks, without waiting for the tick.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

import structlog

from gateway import link
from gateway.control import records
from gateway.control.desk import Desk
from gateway.control.follow import Followers
from gateway.control.gauges import gauges
from gateway.control.turns import Turns, standing
from gateway.core import rollout
from gateway.core.analysis import Inputs, Probe, UserReport
from gateway.core.model import Outcome, Variant
from gateway.errors import Fault, PolicyError, StoreUnavailableError
from gateway.ports import SYSTEM_ACTOR, ControlView, Notice, Transition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from gateway import ports
    from gateway.control.comparing import Comparing
    from gateway.control.journal import Journal
    from gateway.control.measurements import Measurements
    from gateway.control.proving import Proving
    from gateway.control.snapshots import Snapshots
    from gateway.control.workers import WorkerChanged, WorkerPool
    from gateway.ports import Actor, Clock, Command, Lease, ProbeResult, StateStore

TICK_S: Final = 1.0
ALARM_PAUSE_US: Final = 100_000
"""While evidence stands, look at most this often between ticks."""
_REPORTS_KEPT: Final = 10_000
_REPORTS_KEPT_US: Final = 30 * 24 * 3600 * 1_000_000

_log = structlog.get_logger("controller")


class Controller:
    """`Control`: the one place where the rollout changes."""

    def __init__(
        self,
        engine: rollout.Engine,
        *,
        journal: Journal,
        lease: Lease,
        clock: Clock,
        workers: WorkerPool,
        snapshots: Snapshots,
        measurements: Measurements,
        carry_out: Callable[[rollout.Action, rollout.State], None],
        notify: Callable[[Notice], None],
        render: Callable[[Mapping[str, float]], str],
        read_policy: Callable[[], rollout.Plan],
        fresh_salt: Callable[[], str],
        proving: Proving,
        comparing: Comparing,
    ) -> None:
        self._journal = journal
        self._lease = lease
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
        self._order = asyncio.Lock()
        self._followers = Followers()
        self._probes: dict[Variant, Probe] = {}
        self._probe_results: dict[Variant, ProbeResult] = {}
        self._reports: deque[UserReport] = deque(maxlen=_REPORTS_KEPT)
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
            systems=tuple(
                self._snapshots.system(variant, self._probe_results.get(variant))
                for variant in Variant
            ),
            workers=self._workers.view(),
            events=self._followers.recent(),
            store_writable=self._journal.writable,
            mirror=self._proving.view(rollout.route(engine.state, engine.plan)),
        )

    async def perform(self, command: Command, *, by: Actor, reason: str) -> ControlView:
        """Do as asked, durably; RefusedError (with gates) if the rules say no."""
        # A caller that goes away must not leave a step half taken.
        await asyncio.shield(asyncio.create_task(self._perform(command, by=by, reason=reason)))
        return self.view()

    async def _perform(self, command: Command, *, by: Actor, reason: str) -> None:
        async with self._order:
            inputs = self._gather()
            engine = self._turns.engine
            event = records.order(command, by=by, reason=reason, fresh_salt=self._fresh_salt)
            await self._turns.take(engine.order(event, inputs), inputs, event=event, by=by)

    async def measure(self, measurement: ports.MeasurementDraft) -> None:
        """Take in a figure from outside; InvalidRequestError if it cannot be one."""
        taken = self._measurements.take(measurement, now_us=self._clock.now_us())
        async with self._order:
            await self._turns.note(Transition(0, measurements=(measurement,)))
            if taken.metric.only_when_it_happens:
                await self._look()

    async def measured(self, measurements: Sequence[ports.MeasurementDraft]) -> None:
        """Take in what a poll found, and keep it."""
        self.sampled(measurements)
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
            self._reports.append(records.user_report(report))
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
            _must_fit(plan, before, self._turns.engine.state)
            self._turns.engine = rollout.with_plan(self._turns.engine, plan)
            await self._turns.note_change(
                "policy.reload", by=by, reason=reason, text=f"Policy {plan.name} is in force."
            )
            _log.info("policy_in_force", policy=plan.name, changed=plan != before)
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

    def metrics_text(self) -> str:
        """Render the Prometheus exposition of the whole gateway."""
        return self._render({**self._snapshots.totals(), **gauges(self.view())})

    def ready(self) -> tuple[bool, Sequence[str]]:
        """Whether traffic can be served, and if not, why."""
        reasons = []
        if self._draining:
            reasons.append("the gateway is draining")
        if not any(worker.state == "ready" for worker in self._workers.view()):
            reasons.append("no worker accepts connections")
        return not reasons, reasons

    # --- what happens ------------------------------------------------------------------------

    async def restore(self) -> None:
        """Take up what was stored before a restart, and route by it."""
        now_us = self._clock.now_us()
        self._measurements.restore(
            await self.store.measurements(since_us=now_us - 24 * 3600 * 1_000_000), now_us=now_us
        )
        self._reports.extend(
            records.user_report(report)
            for report in await self.store.reports(since_us=now_us - _REPORTS_KEPT_US)
        )
        self._followers.remember(await self.store.latest_events(limit=50))
        await self._comparing.restore()
        self._turns.publish()

    async def heard(self, message: link.Message) -> None:
        """Take in what a worker said."""
        match message:
            case link.Report():
                self._snapshots.report(message, self._clock.now_us())
            case link.Outcomes():
                await self._outcomes(message, self._clock.now_us())
            case link.BreakerChanged():
                await self._breaker_changed(message)
            case link.ShadowDiffered():
                self._comparing.differed(message)

    async def _outcomes(self, message: link.Outcomes, now_us: int) -> None:
        async with self._order:
            self._turns.engine = self._turns.engine.observe(
                ((Variant(name), Outcome(outcome), count) for name, outcome, count in message.runs),
                now_us,
            )
            if not self._turns.engine.alarmed:
                return
            fresh = standing(self._turns.engine) != self._turns.fired
            if fresh or now_us - self._turns.looked_us >= ALARM_PAUSE_US:
                await self._look()

    async def _breaker_changed(self, message: link.BreakerChanged) -> None:
        variant = Variant(message.variant)
        self._snapshots.breaker(message.worker, variant, message.state)
        async with self._order:
            await self._turns.note_event(
                "breaker.changed",
                f"Worker {message.worker}'s circuit breaker for {variant.value} is "
                f"{message.state}.",
                variant=variant.value,
                state=message.state,
                worker=message.worker,
            )
            await self._look()

    async def worker_changed(self, change: WorkerChanged) -> None:
        """Take note of a worker that came, left or died."""
        if change.state == "ready":
            self._snapshots.worker_joined(change.worker, self._clock.now_us())
        else:
            self._snapshots.worker_gone(change.worker)
        if change.unexpected:
            await self._turns.note_event(
                "worker.died",
                f"Worker {change.worker} died ({change.detail}); it is being replaced.",
                worker=change.worker,
            )

    async def probed(self, result: ProbeResult) -> None:
        """Take in one answer of a system's `/health`; a change of it is looked at at once."""
        before = self._probes.get(result.variant)
        failures = 0 if result.healthy else (before.failures if before else 0) + 1
        since_us = None if result.healthy or before is None else before.failing_since_us
        if not result.healthy and since_us is None:
            since_us = result.at_us - result.elapsed_us
        self._probe_results[result.variant] = result
        self._probes[result.variant] = Probe(
            variant=result.variant,
            ok=result.healthy,
            at_us=result.at_us,
            failures=failures,
            detail=result.reason,
            failing_since_us=since_us,
        )
        if self._proving.probed(result):
            await self._mirror_changed("mirror.unproven", self._proving.doubt)
        came_back = result.healthy and before is not None and not before.ok
        if failures == self._turns.engine.plan.fairness.probe_failures or came_back:
            async with self._order:
                await self._look()

    async def tick(self) -> None:
        """Look once, whatever happened, and store what could not be stored before."""
        era = self._turns.engine.state.salt
        totals = self._snapshots.totals()
        self.sampled(self._comparing.tick(totals, era))
        if self._proving.counted(totals):
            await self._mirror_changed("mirror.unproven", self._proving.doubt)
        async with self._order:
            if not self._journal.writable:
                self._followers.tell(await self._journal.catch_up())
            self._tell_of_the_store()
            if self._lease.held:
                await self._look()

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
        now_us = self._clock.now_us()
        while self._reports and self._reports[0].at_us < now_us - _REPORTS_KEPT_US:
            self._reports.popleft()
        return Inputs(
            now_us=now_us,
            readings=self._snapshots.readings(self._turns.engine.plan.windows_s()),
            measurements=self._measurements.newest(),
            probes=tuple(self._probes.values()),
            breakers=self._snapshots.breakers(),
            reports=tuple(self._reports),
            mirror_off=self._mirror_off(),
        )

    async def _look(self) -> None:
        """Let the engine judge; a step up that cannot be stored is not taken."""
        inputs = self._gather()
        try:
            await self._turns.take(
                self._turns.engine.look(inputs), inputs, event=None, by=SYSTEM_ACTOR
            )
        except StoreUnavailableError as error:
            _log.error("step_not_taken", reason=str(error))

    def _publish(self, route: rollout.Route) -> None:
        permitted, control_rate = self._proving.permitted(route)
        self._workers.publish(records.routing(permitted, control_rate, draining=self._draining))


def _must_fit(plan: rollout.Plan, before: rollout.Plan, state: rollout.State) -> None:
    """Refuse a policy in which the phase that is on stands elsewhere, or not at all."""
    if state.phase is None:
        return
    running = before.phases[state.phase].id
    if state.phase < len(plan.phases) and plan.phases[state.phase].id == running:
        return
    fault = Fault(
        f"phase {state.phase + 1}", "is another one than the phase that is on", f"id {running!r}"
    )
    raise PolicyError(
        "Policy", (fault,), todo="Keep the phases up to the running one, or roll back first."
    )

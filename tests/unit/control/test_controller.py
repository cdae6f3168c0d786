"""The controller on a real store and the real core: order, durability, what outranks the disk."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest

from gateway.adapters import prometheus
from gateway.adapters.sqlite_store import SqliteStore
from gateway.control import records
from gateway.control.comparing import WAITING, Bounds, Comparing
from gateway.control.controller import Controller
from gateway.control.journal import Journal
from gateway.control.measurements import Measurements
from gateway.control.proving import Proving
from gateway.control.snapshots import Snapshots
from gateway.control.worker_process import WorkerChanged
from gateway.core import rollout
from gateway.core.analysis import Gate, Metric, Relation, Verdict
from gateway.core.comparison import Rules
from gateway.core.histogram import bucket_of
from gateway.core.model import Outcome, Variant
from gateway.core.rollout import Status
from gateway.errors import (
    InvalidRequestError,
    PolicyError,
    RefusedError,
    StateError,
    StoreUnavailableError,
)
from gateway.link import BreakerChanged, Outcomes, Report, ShadowDiffered, VariantSecond
from gateway.ports import (
    Actor,
    Command,
    CommandKind,
    Committed,
    MeasurementDraft,
    Notice,
    ProbeResult,
    ReportSeverity,
    Transition,
    UserReport,
    WorkerState,
)
from gateway.ports.compared import Changes, History
from gateway.simulation import replay
from tests.support.plans import quick_plan
from tests.support.recording import HandClock, RecordedWorkers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PATIENCE_S = 60.0
"""A busy disk is not a hanging one: fifty commits in a row take what they take."""
ALICE = Actor("alice", "192.0.2.7")


class MoodyStore(SqliteStore):
    """The real store, with a disk that can be full or hang."""

    full = False
    hanging: asyncio.Event | None = None

    async def commit(self, transition: Transition) -> Committed:
        """Store it, unless the disk is in a mood."""
        if self.full:
            raise StoreUnavailableError("disk full")
        if self.hanging is not None:
            await self.hanging.wait()
        return await super().commit(transition)


class Proven:
    """A probe to which every system proves its dry runs; nothing else is asked here."""

    async def prove_dry_run(self, variant: Variant) -> tuple[bool, str, str]:
        """Prove it."""
        return True, "raise", f"{variant.value} left nothing behind"

    health = metrics = stop_sync = None


class Forgetful:
    """A comparison store that keeps nothing."""

    def load(self) -> History:
        """Nothing was compared."""
        return History()

    def save(self, history: History, changes: Changes) -> None:
        """Keep nothing."""

    def close(self) -> None:
        """Nothing is open."""


class Room:
    """One control plane in a test's hands."""

    def __init__(self, store: MoodyStore, plan: rollout.Plan) -> None:
        self.store = store
        self.clock = HandClock()
        self.workers = RecordedWorkers()
        self.done: list[rollout.Action] = []
        self.told: list[Notice] = []
        self.plan: rollout.Plan | PolicyError = plan
        self.controller = self.begin(rollout.begin(plan), 0)

    def begin(self, engine: rollout.Engine, version: int) -> Controller:
        """Build the controller, as after a start."""
        workers: Any = self.workers
        self.journal = Journal(self.store, version=version, patience_s=PATIENCE_S)
        return Controller(
            engine,
            journal=self.journal,
            clock=self.clock,
            workers=workers,
            snapshots=Snapshots(workers=1),
            measurements=Measurements(),
            carry_out=lambda action, _: self.done.append(action),
            notify=self.told.append,
            render=prometheus.render,
            read_policy=self.read_policy,
            fresh_salt=lambda: "salt",
            proving=Proving(Proven(), self.clock),
            comparing=Comparing(Forgetful(), Bounds(Rules()), clock=self.clock),
        )

    def let_the_disk_hang(self) -> None:
        """Nothing is stored from now on, and the journal gives up soon."""
        self.journal._patience_s = 0.05
        self.store.hanging = asyncio.Event()

    async def let_the_disk_answer(self) -> None:
        """What was given up on is stored late."""
        assert self.store.hanging is not None
        self.journal._patience_s = PATIENCE_S
        self.store.hanging.set()
        self.store.hanging = None
        async with asyncio.timeout(30):
            while self.journal._late is not None and not self.journal._late.done():
                await asyncio.sleep(0.001)

    def read_policy(self) -> rollout.Plan:
        """Give the policy that is in the file now."""
        if isinstance(self.plan, PolicyError):
            raise self.plan
        return self.plan

    async def order(self, kind: CommandKind, **figures: Any) -> rollout.State:
        """Give an order as Alice."""
        command = Command(kind, **figures)
        return (await self.controller.perform(command, by=ALICE, reason="test")).state

    async def outcomes(self, variant: Variant, outcome: Outcome, count: int) -> None:
        """Let a worker tell of finished requests."""
        runs = ((variant.value, int(outcome), count),)
        await self.controller.heard(Outcomes(1, self.clock.now_us(), runs))

    @property
    def weight_bp(self) -> int:
        """What the workers were told last."""
        return self.workers.published[-1].write_weight_bp

    @property
    def status(self) -> Status:
        """Where the rollout stands."""
        return self.controller.view().state.status

    async def stored(self) -> rollout.State:
        """What a restart would find."""
        stored = await self.store.load()
        assert stored is not None
        return records.stored_state(stored, quick_plan())


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    """A control plane at weight 0 with a clean disk."""
    store = MoodyStore(tmp_path)
    room = Room(store, quick_plan())
    await room.controller.restore()
    yield room
    store.full = False
    await store.close()


async def test_a_change_is_stored_before_it_is_published(room: Room) -> None:
    """When the workers hear of a weight, a crash can no longer lose it."""
    seen: list[int | None] = []

    class Watching(RecordedWorkers):
        def publish(self, routing: Any) -> None:
            with closing(sqlite3.connect(room.store._thread.file.path)) as other:
                row = other.execute("select max(version) from rollout_state").fetchone()
            seen.append(row[0])
            super().publish(routing)

    room.controller._workers = Watching()  # type: ignore[assignment]
    await room.order(CommandKind.WEIGHT, weight_bp=1_000)
    assert seen == [1]
    assert (await room.stored()).write_bp == 1_000


async def test_evidence_acts_on_the_message_that_completes_it(room: Room) -> None:
    """No tick, no probe: the fourth failure in a row takes traffic back and stops the sync."""
    await room.order(CommandKind.WEIGHT, weight_bp=1_000)
    await room.outcomes(Variant.BASELINE, Outcome.OK, 90)
    await room.outcomes(Variant.CANARY, Outcome.OK, 10)
    for failures in range(1, 5):
        await room.outcomes(Variant.BASELINE, Outcome.OK, 9)
        await room.outcomes(Variant.CANARY, Outcome.ERROR, 1)
        assert (room.weight_bp == 0) is (failures == 4)
    assert room.status is Status.ROLLED_BACK
    kinds = {type(action) for action in room.done}
    assert {rollout.StopCanarySync, rollout.Notify} <= kinds
    [decision] = await room.store.decisions(limit=1)
    assert decision.verdict == "rolled_back"
    assert decision.inputs["watch"]
    assert "100 %" in decision.sentence


async def test_a_refusal_names_the_gates_and_is_remembered(room: Room) -> None:
    """What may not be done changes nothing, says why in both languages, and is on record."""
    await room.order(CommandKind.EMERGENCY_STOP)
    with pytest.raises(RefusedError) as refusal:
        await room.order(CommandKind.WEIGHT, weight_bp=100)
    assert refusal.value.message_ja
    assert refusal.value.todo
    assert room.weight_bp == 0
    [decision, *_] = await room.store.decisions(limit=1)
    assert decision.verdict == "refused"


@pytest.mark.parametrize("weight_bp", [-1, 10_001, None])
async def test_a_weight_that_is_none_is_refused(room: Room, weight_bp: int | None) -> None:
    """Whoever gets past the API with nonsense gets no further."""
    with pytest.raises(InvalidRequestError):
        await room.order(CommandKind.WEIGHT, weight_bp=weight_bp)
    assert room.status is Status.IDLE


async def test_a_full_disk_stops_what_goes_forward(room: Room) -> None:
    """A weight that cannot be stored is not set."""
    room.store.full = True
    with pytest.raises(StateError):
        await room.order(CommandKind.WEIGHT, weight_bp=1_000)
    assert room.weight_bp == 0
    assert room.controller.view().state.write_bp == 0


@pytest.mark.parametrize("mood", ["full", "hanging"])
async def test_traffic_goes_back_whatever_the_disk_does(room: Room, mood: str) -> None:
    """Rollback and emergency stop do not wait; the record follows when the disk answers."""
    await room.order(CommandKind.WEIGHT, weight_bp=1_000)
    if mood == "full":
        room.store.full = True
    else:
        room.let_the_disk_hang()
    await room.order(CommandKind.ROLLBACK)
    assert room.weight_bp == 0
    assert not room.controller.view().store_writable
    await room.order(CommandKind.EMERGENCY_STOP)
    assert room.workers.published[-1].stopped
    with pytest.raises(StoreUnavailableError):
        await room.order(CommandKind.RELEASE)
    for _ in range(3):
        await room.controller.tick()
    assert [notice.title for notice in room.told] == ["store_unwritable"]
    if room.store.hanging is not None:
        await room.let_the_disk_answer()
    room.store.full = False
    await room.controller.tick()
    assert room.controller.view().store_writable
    assert [notice.title for notice in room.told] == ["store_unwritable", "store_writable"]
    assert (await room.stored()).status is Status.EMERGENCY_STOPPED
    actions = [entry.action for entry in reversed(await room.store.audit())]
    assert actions == ["weight", "rollback", "stop"]
    shown = [event.kind for event in room.controller.view().events]
    assert shown == ["rollout.weight", "rollout.rollback", "rollout.stop"]
    assert (await room.store.verify_audit()).intact


async def test_a_step_that_was_stored_too_late_is_undone(room: Room) -> None:
    """A hanging disk may store what we gave up on: then the store is put right."""
    await room.order(CommandKind.WEIGHT, weight_bp=500)
    room.let_the_disk_hang()
    with pytest.raises(StoreUnavailableError):
        await room.order(CommandKind.WEIGHT, weight_bp=5_000)
    assert room.weight_bp == 500
    await room.let_the_disk_answer()
    await room.controller.tick()
    assert (await room.stored()).write_bp == 500


async def test_a_caller_that_leaves_does_not_leave_half_a_step(room: Room) -> None:
    """Cancelling the request does not cancel the rollback it asked for."""
    await room.order(CommandKind.WEIGHT, weight_bp=1_000)
    task = asyncio.create_task(room.order(CommandKind.ROLLBACK))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await room.controller.tick()
    assert room.weight_bp == 0
    assert (await room.stored()).status is Status.ROLLED_BACK


async def test_orders_and_evidence_never_cross(room: Room) -> None:
    """Fifty orders and fifty messages at once end in the state that was stored last."""
    orders = [room.order(CommandKind.WEIGHT, weight_bp=number * 10) for number in range(1, 51)]
    told = [room.outcomes(Variant.CANARY, Outcome.OK, 3) for _ in range(50)]
    await asyncio.gather(*orders, *told)
    versions = [routing.version for routing in room.workers.published]
    assert versions == sorted(versions)
    assert (await room.stored()).write_bp == room.weight_bp
    assert len(await room.store.audit()) == 50


async def test_a_jump_of_the_wall_clock_moves_nothing(room: Room) -> None:
    """A day forward or back on the wall neither bakes nor rolls back."""
    await room.order(CommandKind.START)
    before = room.controller.view().state
    for offset_us in (86_400_000_000, -86_400_000_000):
        room.clock.wall_offset_us = offset_us
        await room.controller.tick()
    after = room.controller.view().state
    assert (after.status, after.phase, after.bake_us) == (before.status, before.phase, 0)


async def test_an_event_from_outside_is_looked_at_at_once(room: Room) -> None:
    """Data loss rolls back without waiting for the tick."""
    await room.order(CommandKind.WEIGHT, weight_bp=1_000)
    room.clock.advance(1)
    await room.controller.measure(
        MeasurementDraft(room.clock.now_us(), "data_loss", 1, Variant.CANARY)
    )
    assert room.status is Status.ROLLED_BACK


async def test_a_system_is_down_after_so_many_probes(room: Room) -> None:
    """One failed probe is nothing; the policy's number of them is."""
    await room.order(CommandKind.WEIGHT, weight_bp=1_000)
    for variant, healthy, number in (
        (Variant.BASELINE, True, 1), (Variant.CANARY, False, 2),
    ):  # fmt: skip
        for _ in range(number):
            await _probe(room, variant, healthy=healthy)
    assert room.status is Status.IDLE
    await _probe(room, Variant.CANARY, healthy=False)
    assert room.status is Status.ROLLED_BACK


async def _probe(room: Room, variant: Variant, *, healthy: bool) -> None:
    room.clock.advance(0.25)
    reason = "" if healthy else "/health did not answer within 1 s"
    await room.controller.probed(ProbeResult(variant, room.clock.now_us(), healthy, 1_000, reason))


async def test_an_open_breaker_is_told_and_looked_at(room: Room) -> None:
    """The only worker gave up on new: that is a system down."""
    await room.order(CommandKind.WEIGHT, weight_bp=1_000)
    await _probe(room, Variant.BASELINE, healthy=True)
    await room.controller.worker_changed(WorkerChanged(1, WorkerState.READY))
    for state in ("closed", "open"):
        await room.controller.heard(BreakerChanged(1, room.clock.now_us(), "new", state))
    assert room.status is Status.ROLLED_BACK
    kinds = [event.kind for event in await room.store.events()]
    assert "breaker.changed" in kinds


async def test_a_bad_policy_leaves_the_old_one_in_force(room: Room) -> None:
    """A reload that fails changes nothing; one that works is audited."""
    before = room.controller.view().plan
    room.plan = PolicyError("Policy", ())
    with pytest.raises(PolicyError):
        await room.controller.reload_policy(by=ALICE, reason="new numbers")
    assert room.controller.view().plan is before
    room.plan = quick_plan(bake_s=99)
    await room.controller.reload_policy(by=ALICE, reason="new numbers")
    assert room.controller.view().plan.phases[0].bake_s == 99
    [entry] = await room.store.audit(limit=1)
    assert (entry.action, entry.reason) == ("policy.reload", "new numbers")


async def test_a_policy_that_was_read_again_reaches_the_workers(room: Room) -> None:
    """What the plan says of mirroring and of two stores is routed by at once, not merely shown."""
    await room.order(CommandKind.START)
    proving = asyncio.create_task(room.controller._proving.run())
    async with asyncio.timeout(10):
        while room.workers.published[-1].mirror_rate != 1.0:
            await asyncio.sleep(0)
    proving.cancel()
    before = room.workers.published[-1]
    plan = quick_plan()
    phase = replace(plan.phases[0], mirror=rollout.Mirror("new", 0.25, dry_run=True))
    room.plan = replace(plan, phases=(phase, *plan.phases[1:]), stores_apart=True)
    await room.controller.reload_policy(by=ALICE, reason="mirror less")
    after = room.workers.published[-1]
    assert (after.mirror_rate, after.write_back) == (0.25, True)
    assert after.version == before.version, "the state did not change"


async def test_reports_and_figures_outlive_a_restart(room: Room) -> None:
    """What was told before the restart counts after it, with its old age."""
    await room.controller.report(
        UserReport(room.clock.now_us(), ReportSeverity.SERIOUS, "rows are gone", "alice")
    )
    await room.controller.measure(MeasurementDraft(room.clock.now_us(), "cpu_ratio", 0.5))
    room.clock.advance(60)
    stored = await room.store.load()
    assert stored is not None
    again = room.begin(rollout.begin(quick_plan(), rollout.State()), stored.version)
    await again.restore()
    await again.tick()
    inputs = again.view().inputs
    assert inputs is not None
    assert [report.serious for report in inputs.reports] == [True]
    [figure] = inputs.measurements
    assert figure.at_us == room.clock.now_us() - 60_000_000


async def test_followers_hear_of_changes_in_order(room: Room) -> None:
    """Whoever follows gets every event once, numbered."""
    async with room.controller.subscribe() as events:
        for weight_bp in (100, 200, 300):
            await room.order(CommandKind.WEIGHT, weight_bp=weight_bp)
        heard = [await anext(events) for _ in range(3)]
    assert [event.kind for event in heard] == ["rollout.weight"] * 3
    assert [event.seq for event in heard] == [1, 2, 3]


async def test_the_exposition_is_well_formed(room: Room) -> None:
    """Prometheus' own parser reads it; counts of a worker that is gone stay."""
    from prometheus_client.parser import text_string_to_metric_families

    cells = {'syncgate_requests_total{system="old",outcome="ok"}': 41.0, "syncgate_x": 1.0}
    await room.controller.worker_changed(WorkerChanged(1, WorkerState.READY))
    second = room.clock.now_us() // 1_000_000 - 1
    counts = VariantSecond(ok=41, latency=((bucket_of(7_000), 40), (bucket_of(90_000_000), 1)))
    report = Report(1, second, 1, {"old": counts}, {"old": "closed"}, cells)
    await room.controller.heard(report)
    await room.controller.tick()
    room.controller._snapshots.worker_gone(1)
    families = {
        family.name: family
        for family in text_string_to_metric_families(room.controller.metrics_text())
    }
    assert families["syncgate_requests"].type == "counter"
    assert families["syncgate_requests"].samples[0].value == 41
    assert "syncgate_x" not in families
    durations = families["syncgate_request_duration_seconds"]
    assert durations.type == "histogram"
    reached = [
        (sample.labels["le"], sample.value)
        for sample in durations.samples
        if sample.name.endswith("_bucket") and sample.labels["system"] == "old"
    ]
    assert reached[:3] == [("0.005", 0), ("0.01", 40), ("0.025", 40)]
    assert reached[-2:] == [("60.0", 40), ("+Inf", 41)]
    assert families["syncgate_weight_ratio"].samples[0].value == 0
    assert all(family.documentation != "Not described." for family in families.values())


async def test_differences_that_nobody_could_open_are_counted(room: Room) -> None:
    """More than may wait come in one turn; the exposition says how many were too many."""
    found = ShadowDiffered(1, 5, "new", "sync", "/sync", (200, 200), ("1", "2"), (1, 1))
    overrun = "syncgate_differences_overrun_total"
    assert f"{overrun} 0\n" in room.controller.metrics_text()
    for _ in range(WAITING + 3):
        await room.controller.heard(found)
    assert f"{overrun} 3\n" in room.controller.metrics_text()


async def test_a_stale_source_is_an_error_not_a_zero(tmp_path: Path) -> None:
    """A gate on a figure that grew old says `error`, and promotion is refused for it."""
    gate = Gate("api-usage", Metric.API_USAGE_RATIO, Relation.BELOW, 0.8, max_age_s=120)
    store = MoodyStore(tmp_path)
    room = Room(store, quick_plan(bake_s=0, gates=(gate,)))
    await room.controller.restore()
    await room.order(CommandKind.START)
    room.clock.advance(1)
    fresh = MeasurementDraft(room.clock.now_us(), "api_usage_ratio", 0.1, Variant.CANARY)
    await room.controller.measured([fresh])
    for age_s, verdict in ((1, Verdict.PASS), (300, Verdict.ERROR)):
        room.clock.advance(age_s)
        await room.controller.tick()
        judgement = room.controller.view().judgement
        assert judgement is not None
        assert [gate.verdict for gate in judgement.gates] == [verdict]
    with pytest.raises(RefusedError) as refusal:
        await room.order(CommandKind.PROMOTE)
    assert "api-usage" in {gate.name for gate in refusal.value.gates}
    assert room.controller.view().state.phase == 0
    await store.close()


async def test_a_policy_that_moves_the_running_phase_is_refused(room: Room) -> None:
    """The phase that is on keeps its place, or the reload is refused."""
    await room.order(CommandKind.START)
    good = quick_plan()
    for phases in (good.phases[1:], ()):
        room.plan = replace(good, phases=phases)
        with pytest.raises(PolicyError, match="parallel"):
            await room.controller.reload_policy(by=ALICE, reason="reorder")
    assert room.controller.view().plan == good


async def test_every_stored_decision_can_be_taken_again(room: Room) -> None:
    """Under the same policy the same comes of it: what was stored is all it was taken on."""
    await room.order(CommandKind.START)
    await room.order(CommandKind.WEIGHT, weight_bp=1_000)
    with pytest.raises(RefusedError):
        await room.order(CommandKind.RELEASE)
    await _probe(room, Variant.BASELINE, healthy=True)
    for _ in range(4):
        await room.outcomes(Variant.BASELINE, Outcome.OK, 9)
        await room.outcomes(Variant.CANARY, Outcome.ERROR, 1)
    await room.order(CommandKind.RESUME)
    rows = [asdict(decision) for decision in await room.store.decisions()]
    replayed = replay(rows, quick_plan())
    assert [one.fault for one in replayed] == [None] * len(rows)
    assert all(one.same for one in replayed)
    assert {"refused", "rolled_back", "running"} <= {row["verdict"] for row in rows}


async def test_a_sampled_request_is_an_exemplar_of_its_bucket(room: Room) -> None:
    """OpenMetrics' own parser finds the trace in the bucket the request was counted in."""
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    await room.controller.worker_changed(WorkerChanged(1, WorkerState.READY))
    second = room.clock.now_us() // 1_000_000 - 1
    counts = VariantSecond(ok=1, latency=((bucket_of(7_000), 1),))
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    exemplars = {"new": (trace_id, 7_000, second * 1_000_000)}
    cells = {'syncgate_requests_total{system="new",outcome="ok"}': 1.0}
    report = Report(1, second, 1, {"new": counts}, {}, cells, exemplars=exemplars)
    await room.controller.heard(report)
    await room.controller.tick()
    families = {
        family.name: family
        for family in text_string_to_metric_families(room.controller.metrics_text(exemplars=True))
    }
    assert families["syncgate_requests"].type == "counter"
    (sampled,) = (
        sample
        for sample in families["syncgate_request_duration_seconds"].samples
        if sample.exemplar is not None
    )
    assert (sampled.labels, sampled.exemplar.labels, sampled.exemplar.value) == (
        {"system": "new", "le": "0.01"}, {"trace_id": trace_id}, 0.007,
    )  # fmt: skip

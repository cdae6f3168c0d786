"""
Several whole control planes on one simulated clock and one Redis in memory.

Nothing runs by itself: a test lets time pass, and in every step each replica that is not frozen
does what its loops would do, one after the other, in an order the test may choose.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.adapters import prometheus
from gateway.control.comparing import Bounds, Comparing
from gateway.control.controller import Controller
from gateway.control.fleet.fleet import Fleet, Identity
from gateway.control.fleet.spare import Copy, LocalCopy
from gateway.control.journal import Journal
from gateway.control.measurements import Measurements
from gateway.control.proving import Proving
from gateway.control.snapshots import Snapshots
from gateway.core import rollout
from gateway.core.comparison import Rules
from gateway.errors import StateError
from gateway.link import Outcomes, Report, VariantSecond
from gateway.ports import Actor, Command, CommandKind, Notice
from gateway.ports.compared import Changes, History
from tests.support.fleet_memory import MemoryBoard, MemoryFleetStore, MemoryLease, MemoryServer
from tests.support.plans import quick_plan
from tests.support.recording import HandClock, RecordedWorkers

if TYPE_CHECKING:
    from gateway.core.model import Outcome, Variant

ALICE = Actor("alice")


class Proven:
    """A probe to which every system proves its dry runs."""

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


@dataclass
class OffsetClock:
    """A replica's own clock: the world's, but set wrong."""

    world: HandClock
    ahead_us: int = 0

    def now_us(self) -> int:
        """Steady time."""
        return self.world.now + self.ahead_us

    def wall_us(self) -> int:
        """The same."""
        return self.now_us()


class Replica:
    """One control plane of the fleet."""

    def __init__(
        self, room: FleetRoom, name: str, *, copy: Copy | None = None, ahead_us: int = 0
    ) -> None:
        self.name = name
        self.room = room
        self.frozen = False
        self.clock: Any = OffsetClock(room.clock, ahead_us)
        self.workers: Any = RecordedWorkers()
        self.told: list[Notice] = []
        self.done: list[rollout.Action] = []
        server = room.server
        boot = f"boot{next_number(room)}"
        self.store = MemoryFleetStore(server)
        self.lease = MemoryLease(server, f"{name}@{boot}", lambda: room.clock.now)
        self.board = MemoryBoard(server, name)
        self.disk = MemoryFleetStore(MemoryServer(lambda: 0))
        self.copy = LocalCopy(self.disk, version=0, begin=copy)
        self.fleet = Fleet(
            identity=Identity(name, boot, "1"),
            store=self.store,
            board=self.board,
            lease=self.lease,
            copy=self.copy,
            clock=self.clock,
            place="memory",
        )
        state = None
        version = 0
        if copy is not None:
            from gateway.control import records

            state = records.stored_state(copy.stored, room.plan)
            version = copy.stored.version
        self.journal = Journal(self.store, version=version, patience_s=0.05, spare=self.copy)
        snapshots = Snapshots(workers=1)
        snapshots.worker_joined(1, self.clock.now_us())
        self.controller = Controller(
            rollout.begin(room.plan, state),
            journal=self.journal,
            clock=self.clock,
            workers=self.workers,
            snapshots=snapshots,
            measurements=Measurements(),
            carry_out=lambda action, _: self.done.append(action),
            notify=self.told.append,
            render=prometheus.render,
            read_policy=lambda: room.plan,
            fresh_salt=lambda: "salt",
            proving=Proving(Proven(), self.clock),  # type: ignore[arg-type]
            comparing=Comparing(Forgetful(), Bounds(Rules()), clock=self.clock),
            fleet=self.fleet,
        )
        assert self.controller.together is not None
        self.together = self.controller.together

    @property
    def state(self) -> rollout.State:
        """Where the rollout stands for this replica."""
        return self.controller.view().state

    @property
    def weight_bp(self) -> int:
        """What its workers were told last."""
        return self.workers.published[-1].write_weight_bp

    @property
    def cut(self) -> bool:
        """Redis cannot be reached from here."""
        return self.board.cut

    @cut.setter
    def cut(self, value: bool) -> None:
        self.board.cut = self.store.cut = self.lease.cut = value

    async def order(self, kind: CommandKind, **figures: Any) -> rollout.State:
        """Give an order as Alice, without waiting for confirmations."""
        command = Command(kind, **figures)
        await self.controller._perform(command, by=ALICE, reason="test")
        return self.state

    async def sees(self, variant: Variant, outcome: Outcome, count: int) -> None:
        """Let its worker tell of finished requests."""
        runs = ((variant.value, int(outcome), count),)
        await self.controller.heard(Outcomes(1, self.clock.now_us(), runs))

    async def reports(self, ok: int = 1, *, breaker: str = "closed") -> None:
        """Let its worker report the last second."""
        second = self.clock.now_us() // 1_000_000 - 1
        counts = {name: VariantSecond(ok=ok) for name in ("old", "new")}
        states = {"old": "closed", "new": breaker}
        await self.controller.heard(Report(1, second, 1, counts, states, {}))

    async def renew(self) -> None:
        """What the lease loop does."""
        held = self.lease.held
        if not self.fleet.seeks or self.fleet.shuns:
            return
        try:
            await self.lease.renew(floor=self.copy.token)
            if self.lease.held and not held:
                await self.together.took_the_lease()
        except StateError:
            pass

    async def exchange(self) -> None:
        """What the board loop does, and the one that takes up new states."""
        try:
            await self.together.exchange()
        except StateError:
            return
        await self.agree()

    async def agree(self) -> None:
        """Take up what is new, if something is."""
        if not self.fleet.behind.is_set():
            return
        self.fleet.behind.clear()
        try:
            await self.together.agree()
        except StateError as error:
            self.fleet.trouble = error.message

    async def second(self) -> None:
        """Do what a replica does in a second."""
        if self.frozen:
            return
        await self.exchange()
        await self.renew()
        await self.controller.tick()


def next_number(room: FleetRoom) -> int:
    """Count boots."""
    room.boots += 1
    return room.boots


@dataclass
class FleetRoom:
    """All replicas, their Redis and their time."""

    plan: rollout.Plan = field(default_factory=quick_plan)
    clock: HandClock = field(default_factory=HandClock)
    replicas: list[Replica] = field(default_factory=list)
    boots: int = 0
    server: MemoryServer = field(init=False)

    def __post_init__(self) -> None:
        self.server = MemoryServer(lambda: self.clock.now)

    async def join(self, *names: str, **how: Any) -> list[Replica]:
        """Add replicas and let them find one another."""
        fresh = [Replica(self, name, **how) for name in names]
        self.replicas += fresh
        for replica in fresh:
            replica.together.fleet.heard_us = None
            await replica.controller.restore()
            replica.fleet.behind.set()
        await self.seconds(2)
        return fresh

    async def seconds(self, count: int = 1, *, traffic: bool = True) -> None:
        """Let time pass."""
        for _ in range(count):
            self.clock.advance(1)
            for replica in self.replicas:
                if traffic and not replica.frozen:
                    await replica.reports()
            for replica in self.replicas:
                await replica.second()

    @property
    def deciding(self) -> list[Replica]:
        """Who believes to hold the lease."""
        return [replica for replica in self.replicas if replica.lease.held]

"""People: what they can ask of the running control plane, and what it shows them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from gateway.core.analysis import GateResult, Inputs, Judgement, Watch
    from gateway.core.comparison import Rule
    from gateway.core.model import Access, Variant
    from gateway.core.rollout import Plan, State
    from gateway.ports.compared import ComparisonView, Example
    from gateway.ports.record import Actor, Event, MeasurementDraft, StateStore, UserReport
    from gateway.ports.write_backs import WriteBackView


class CommandKind(StrEnum):
    """What an operator can ask of the rollout."""

    START = "start"
    PROMOTE = "promote"
    PAUSE = "pause"
    RESUME = "resume"
    ROLLBACK = "rollback"
    EMERGENCY_STOP = "emergency_stop"
    RELEASE = "release"
    WEIGHT = "weight"
    HOLD = "hold"
    """Keep traffic where it is although a high-severity decision would roll back by itself."""


@dataclass(frozen=True, slots=True)
class Command:
    """One wish of a person.

    `weight_bp` belongs to WEIGHT (`access` None: reads and writes), `force` to PROMOTE, `decision`
    to HOLD (None: all that are open).
    """

    kind: CommandKind
    weight_bp: int | None = None
    access: Access | None = None
    force: bool = False
    decision: int | None = None


class WorkerState(StrEnum):
    """A worker's life; one that left is not shown any more."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    DEAD = "dead"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker as operators see it."""

    worker: int
    pid: int
    state: WorkerState
    routing_version: int = 0
    restarts: int = 0
    connections: int = 0
    in_flight: int = 0

    @property
    def ready(self) -> bool:
        """Whether it accepts connections."""
        return self.state is WorkerState.READY


@dataclass(frozen=True, slots=True)
class SystemView:
    """One system over the display window; a figure that is not known is None, never zero."""

    variant: Variant
    window_s: int
    requests: int
    errors: int
    rejected: int
    requests_per_s: float
    error_ratio: float | None
    rejected_ratio: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    sync_seconds_per_1000: float | None
    breaker: str
    healthy: bool | None
    health_reason: str = ""


@dataclass(frozen=True, slots=True)
class MirrorTraffic:
    """What became of shadows since the gateway started, and what is under way now."""

    sent: int
    """Those that came to an end; `compared` of them had an answer."""
    compared: int
    dropped: tuple[tuple[str, int], ...]
    """By reason; what had no answer included."""
    in_flight: int
    waiting: int
    held_bytes: int


@dataclass(frozen=True, slots=True)
class MirrorView:
    """What is mirrored now, and whether the shadows' dry runs are proven to store nothing."""

    wanted_rate: float
    on: bool
    why_not: str | None = None
    proven: bool | None = None
    means: str | None = None
    detail: str = ""
    proven_at_us: int | None = None
    control_rate: float = 0.0
    """The share of shadows that are repeated against the system that answered."""
    why_no_control: str | None = None
    traffic: MirrorTraffic | None = None
    write_back: WriteBackView | None = None


@dataclass(frozen=True, slots=True)
class ReplicaView:
    """One replica of a fleet as another one (or itself) knows it."""

    name: str
    here: bool
    """The one that answers."""
    decides: bool
    """It holds the lease."""
    state: str
    """`reporting`, `silent` (its numbers are unknown) or `holding` (it cannot take part)."""
    software: str
    routing_version: int
    """What all its workers route by."""
    behind: int
    """By how many versions of the rollout that is late; 0: it routes by the newest."""
    weight_percent: float
    """The share of writes that it gives to new."""
    requests_per_s: float
    traffic_share: float | None
    """Of the whole fleet's requests, 0..1; None: unknown, or there are none."""
    age_s: float
    """Since it was heard of last."""
    workers: int
    note: str = ""
    """Why it cannot take part, if it cannot."""


@dataclass(frozen=True, slots=True)
class FleetView:
    """The fleet as this replica knows it; itself included."""

    replicas: tuple[ReplicaView, ...]
    store: str
    """Where the shared state is, without credentials."""
    connected: bool
    """The shared state can be reached; without it nothing is promoted, everything can go back."""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Confirmations:
    """Which replicas said, within the time that was waited, that they route by a version."""

    version: int
    confirmed: tuple[str, ...]
    missing: tuple[str, ...]
    waited_s: float


@dataclass(frozen=True, slots=True)
class ControlView:
    """All there is to know at one instant, taken without waiting for anything.

    `judgement` is the newest look with the `inputs` and the `watch` (evidence) it was taken on; all
    three are None until the first look. Why things stand as they do is `state.why`.
    """

    at_us: int
    state: State
    plan: Plan
    judgement: Judgement | None
    gates: tuple[GateResult, ...]
    """All that stands between this phase and the next: gates, bake time, freeze, decisions."""
    inputs: Inputs | None
    watch: Watch | None
    systems: tuple[SystemView, ...]
    workers: tuple[WorkerView, ...]
    events: tuple[Event, ...]
    """The last ones, newest last."""
    store_writable: bool = True
    mirror: MirrorView | None = None
    fleet: FleetView | None = None
    """None: this gateway stands alone."""
    confirmations: Confirmations | None = None
    """Who has confirmed the emergency stop that was just given."""


class ComparisonDesk(Protocol):
    """How far the two systems agree, and what people decide about it."""

    def view(self) -> ComparisonView:
        """Show how far the two systems agree."""
        ...

    def differences(self, *, before: int | None, limit: int) -> tuple[list[Example], int | None]:
        """Give kept differences, newest first, and where the next page begins."""
        ...

    async def decide(self, rule: Rule, *, by: Actor) -> ComparisonView:
        """Put a decision about differences in force; what is kept is scored again."""
        ...

    async def put_right(self, path: str | None, *, by: Actor, reason: str) -> ComparisonView:
        """Close what was found at a path (None: anywhere), and begin a new count."""
        ...


class Control(Protocol):
    """The handle of the running control plane; every change goes through it, in one order."""

    @property
    def store(self) -> StateStore:
        """For reading audit, decisions and events."""
        ...

    @property
    def comparison(self) -> ComparisonDesk:
        """How far the two systems agree."""
        ...

    def view(self) -> ControlView:
        """Show the present."""
        ...

    async def perform(self, command: Command, *, by: Actor, reason: str) -> ControlView:
        """Do as asked, durably; RefusedError (with gates) if the rules say no."""
        ...

    async def measure(self, measurement: MeasurementDraft) -> None:
        """Take in a figure from outside; InvalidRequestError if it cannot be one."""
        ...

    async def report(self, report: UserReport) -> None:
        """Take in a user report."""
        ...

    async def reload_policy(self, *, by: Actor, reason: str) -> ControlView:
        """Read the policy file again; PolicyError leaves the old one in force."""
        ...

    async def roll_workers(self, *, by: Actor, reason: str) -> None:
        """Replace the workers one after the other."""
        ...

    def subscribe(self) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Follow events from now on; a reader that falls behind misses the oldest."""
        ...

    def metrics_text(self, *, exemplars: bool = False) -> str:
        """Render the figures of the whole gateway; with `exemplars` as OpenMetrics."""
        ...

    def ready(self) -> tuple[bool, Sequence[str]]:
        """Whether traffic can be served, and if not, why."""
        ...

"""
The ports: what the drivers need from the world, and the values that cross between drivers.

Adapters satisfy these Protocols, drivers are written against them, bootstrap joins the two. The
values are plain and frozen; documents (`before`, `after`, `inputs`) are JSON objects, because the
store keeps what it is given and understands none of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from gateway.core.analysis import GateResult, Inputs, Judgement, Watch
    from gateway.core.model import Access, Variant
    from gateway.core.rollout import Plan, State

Document = Mapping[str, object]


# --- time --------------------------------------------------------------------------------------


class Clock(Protocol):
    """Two clocks, never confused.

    `now_us` is steady: it starts at the wall time of the start and advances with the monotonic
    clock, so spans, deadlines and bake time cannot jump. `wall_us` is what people read.
    """

    def now_us(self) -> int:
        """Steady microseconds; what every decision is given."""
        ...

    def wall_us(self) -> int:
        """Microseconds since the epoch, for timestamps only."""
        ...


# --- who and what ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asked: a token's name (or `syncgate` itself), from where and with what."""

    name: str
    ip: str | None = None
    user_agent: str | None = None


SYSTEM_ACTOR = Actor("syncgate")


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


# --- the durable record ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredState:
    """The rollout's state as stored: a version that only grows, and the document."""

    version: int
    document: Document


@dataclass(frozen=True, slots=True)
class AuditDraft:
    """One change to be remembered for good: who did what, from what to what, and why."""

    at_us: int
    actor: Actor
    action: str
    before: Document
    after: Document
    reason: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An `AuditDraft` in the chain: `digest` covers the entry and the digest before it."""

    seq: int
    at_us: int
    actor: Actor
    action: str
    before: Document
    after: Document
    reason: str
    previous: str
    digest: str


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """What walking the chain found: `faults` names every row that is missing or altered."""

    entries: int
    head: str
    faults: tuple[str, ...] = ()

    @property
    def intact(self) -> bool:
        """Whether every row is as it was written."""
        return not self.faults


@dataclass(frozen=True, slots=True)
class DecisionDraft:
    """One decision with everything it was taken on, so that it can be taken again."""

    at_us: int
    verdict: str
    sentence: str
    inputs: Document
    outcome: Document


@dataclass(frozen=True, slots=True)
class Decision:
    """A stored `DecisionDraft`."""

    seq: int
    at_us: int
    verdict: str
    sentence: str
    inputs: Document
    outcome: Document


@dataclass(frozen=True, slots=True)
class EventDraft:
    """Something an operator may want to know: `kind` is a dotted name, `text` one sentence."""

    at_us: int
    kind: str
    text: str
    data: Document = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """A stored `EventDraft`; `seq` only grows, so that a stream can be taken up again."""

    seq: int
    at_us: int
    kind: str
    text: str
    data: Document


@dataclass(frozen=True, slots=True)
class MeasurementDraft:
    """One figure from a poll or from outside; `variant` where it is per system."""

    at_us: int
    metric: str
    value: float
    variant: Variant | None = None
    sample: int | None = None
    source: str = "api"


class ReportSeverity(StrEnum):
    """How bad a user found it."""

    MINOR = "minor"
    SERIOUS = "serious"


@dataclass(frozen=True, slots=True)
class UserReport:
    """What a user reported, as an operator typed it in."""

    at_us: int
    severity: ReportSeverity
    text: str
    by: str


@dataclass(frozen=True, slots=True)
class Transition:
    """Everything one step changes; stored whole or not at all.

    `document` None leaves the state as it is (a record without a change).
    """

    expected_version: int
    document: Document | None = None
    audit: tuple[AuditDraft, ...] = ()
    decisions: tuple[DecisionDraft, ...] = ()
    events: tuple[EventDraft, ...] = ()
    measurements: tuple[MeasurementDraft, ...] = ()
    reports: tuple[UserReport, ...] = ()


@dataclass(frozen=True, slots=True)
class Committed:
    """What the store made of a `Transition`."""

    version: int
    audit: tuple[AuditEntry, ...] = ()
    events: tuple[Event, ...] = ()


class StateStore(Protocol):
    """The one durable record. Each call is one transaction on a thread or server of its own."""

    async def load(self) -> StoredState | None:
        """Read the state; None if none was ever stored; StateUnreadableError if it is no state."""
        ...

    async def commit(self, transition: Transition) -> Committed:
        """Store all of it durably, or raise (VersionConflictError, StoreUnavailableError)."""
        ...

    async def audit(self, *, before_seq: int | None = None, limit: int = 100) -> list[AuditEntry]:
        """Read audit entries, newest first."""
        ...

    async def verify_audit(self) -> AuditCheck:
        """Walk the whole chain."""
        ...

    async def decisions(self, *, before_seq: int | None = None, limit: int = 100) -> list[Decision]:
        """Read decisions, newest first."""
        ...

    async def events(self, *, after_seq: int = 0, limit: int = 100) -> list[Event]:
        """Read events after `after_seq`, oldest first."""
        ...

    async def latest_events(self, *, limit: int = 20) -> list[Event]:
        """Read the newest events, oldest of them first."""
        ...

    async def measurements(self, *, since_us: int) -> list[MeasurementDraft]:
        """Read measurements not older than `since_us`, oldest first."""
        ...

    async def reports(self, *, since_us: int) -> list[UserReport]:
        """Read user reports not older than `since_us`, oldest first."""
        ...

    async def close(self) -> None:
        """Finish what is under way and let go of the file."""
        ...


# --- the data plane as the controller sees it --------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker as operators see it: `state` is starting, ready, draining or dead."""

    worker: int
    pid: int
    state: str
    routing_version: int = 0
    restarts: int = 0
    connections: int = 0
    in_flight: int = 0


# --- the world around --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One call of a system's `/health`: `reason` says what was wrong."""

    variant: Variant
    at_us: int
    healthy: bool
    elapsed_us: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message for people; `level` is critical, high, medium or low, `key` folds repeats."""

    level: str
    title: str
    text: str
    at_us: int
    key: str = ""
    data: Document = field(default_factory=dict)


class Notifier(Protocol):
    """Tells people; may be slow and may fail, so it is only called by the dispatcher."""

    async def notify(self, notice: Notice) -> None:
        """Deliver, or raise UnreachableError."""
        ...


class Probe(Protocol):
    """Asks the two systems how they are."""

    async def health(self, variant: Variant) -> ProbeResult:
        """Call `/health` with a deadline; never raises."""
        ...

    async def metrics(self, variant: Variant) -> Document:
        """Read `/api/metrics`; UnreachableError when there is no well-formed answer."""
        ...

    async def stop_sync(self, variant: Variant) -> None:
        """Ask the system to stop the sync in progress; UnreachableError when it did not answer."""
        ...


class Lease(Protocol):
    """The right to decide. On one node it is always held; a fleet keeps it in Redis."""

    @property
    def held(self) -> bool:
        """Whether this process decides now."""
        ...

    @property
    def fencing_token(self) -> int:
        """Grows with every holder; a write with a lower one loses."""
        ...


# --- the control plane as people's drivers (admin, CLI) see it ---------------------------------


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


class Control(Protocol):
    """The handle of the running control plane; every change goes through it, in one order."""

    @property
    def store(self) -> StateStore:
        """For reading audit, decisions and events."""
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

    def metrics_text(self) -> str:
        """Render the Prometheus exposition of the whole gateway."""
        ...

    def ready(self) -> tuple[bool, Sequence[str]]:
        """Whether traffic can be served, and if not, why."""
        ...

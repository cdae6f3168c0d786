"""
The durable record: the state, who changed it and why, what was decided on what, what happened.

Documents (`before`, `after`, `inputs`) are JSON objects: the store keeps what it is given and
understands none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gateway.core.model import Variant

Document = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asked: a token's name (or `syncgate` itself), from where and with what."""

    name: str
    ip: str | None = None
    user_agent: str | None = None


SYSTEM_ACTOR = Actor("syncgate")


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

    `document` None leaves the state as it is (a record without a change). `token` > 0 is the
    fencing token of the lease under which the step was decided: a store that a fleet shares refuses
    one lower than the highest it has seen (FencedError). 0: a person's order, or a single node.
    """

    expected_version: int
    document: Document | None = None
    audit: tuple[AuditDraft, ...] = ()
    decisions: tuple[DecisionDraft, ...] = ()
    events: tuple[EventDraft, ...] = ()
    measurements: tuple[MeasurementDraft, ...] = ()
    reports: tuple[UserReport, ...] = ()
    token: int = 0


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

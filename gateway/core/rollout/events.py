"""
What can happen to a rollout, and what it then asks of the world.

Events are orders of people and judgements of the analysis. Actions are descriptions: the core never
performs them. They are performed in the order given, after the state was stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.core.model import Access, Weight  # noqa: TC001 - dataclass fields

if TYPE_CHECKING:
    from gateway.core.analysis import GateResult, Judgement, Note, Severity
    from gateway.core.rollout.state import State


# --- events ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Enter the first phase. `salt` is fresh randomness for the sticky split."""

    actor: str
    reason: str
    salt: str


@dataclass(frozen=True, slots=True)
class Promote:
    """Enter the next phase. `force`: although gates do not pass (the caller checked the scope)."""

    actor: str
    reason: str
    force: bool = False
    judgement: Judgement | None = None
    """What the gates say; the engine fills it in. None: unknown, and unknown does not promote."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Keep the weight, stop the clock of the phase; the guard stays on."""

    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on after a pause (answers open medium decisions), or leave `rolled_back` at weight 0."""

    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class SetWeight:
    """An operator's weight; `access` None: reads and writes alike."""

    actor: str
    reason: str
    weight_bp: Weight
    access: Access | None = None
    salt: str = ""
    """Fresh randomness, taken when the rollout has none yet (a weight tried before `start`)."""


@dataclass(frozen=True, slots=True)
class RollBack:
    """A person takes all traffic back."""

    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class EmergencyStop:
    """A person stops the new system; outranks everything, forced sides included."""

    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Release:
    """Leave the emergency stop, weight 0."""

    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    """A person answers a decision (None: all): no rollback at its deadline, for this reason."""

    actor: str
    reason: str
    decision: int | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """The analysis has looked."""

    judgement: Judgement


Order = Start | Promote | Pause | Resume | SetWeight | RollBack | EmergencyStop | Release | Hold
"""What people say; each carries who and why."""
Event = Order | Judged


# --- actions --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Route:
    """How requests are to be routed now; a higher version replaces a lower one, whole."""

    version: int
    salt: str
    write_bp: Weight
    read_bp: Weight
    phase: str
    status: str
    stopped: bool
    mirror_to: str | None
    mirror_rate: float
    mirror_dry: bool
    write_back: bool = False
    """What new writes is written to old as well, for real."""


@dataclass(frozen=True, slots=True)
class Publish:
    """Make this the routing of every worker."""

    route: Route


@dataclass(frozen=True, slots=True)
class StopCanarySync:
    """Stop the sync that the new system is running."""

    why: Note


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell people. `key` names the message template; `incident` lets alerts fold repeats."""

    key: str
    severity: Severity
    note: Note
    incident: str
    resolved: bool = False
    escalation: int = 0


@dataclass(frozen=True, slots=True)
class Audit:
    """Write down who changed what, and why."""

    actor: str
    action: str
    reason: str
    before: State
    after: State


Action = Publish | StopCanarySync | Notify | Audit


# --- answers --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """The new state and what is to be done; no actions: nothing that others must learn of."""

    state: State
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The order does not fit: nothing changed. `note` says why, `remedy` what to do instead."""

    code: str
    note: Note
    remedy: Note
    failing: tuple[GateResult, ...] = ()

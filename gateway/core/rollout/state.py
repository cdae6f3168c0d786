"""
Where a rollout stands: one frozen value, whole on disk and whole in memory.

`to_json` and `from_json` are exact opposites. A stored value that is foreign, of another version, too
large or inconsistent is refused with a sentence: nobody starts from a state they do not understand,
and the caller stays on the last good one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from gateway.core.analysis import Note, Severity
from gateway.core.analysis.sentences import note
from gateway.core.model import WEIGHT_NONE, Weight

STATE_FORMAT: Final = 1


class Status(StrEnum):
    """Where a rollout is."""

    IDLE = "idle"
    RUNNING = "running"
    PAUSED = "paused"
    ROLLED_BACK = "rolled_back"
    EMERGENCY_STOPPED = "emergency_stopped"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Decision:
    """Something found that waits for a person or for its deadline.

    High: at `deadline_us` traffic goes back unless somebody holds it. Medium: at `deadline_us` the
    next level of people is told (`escalations` counts), and again until somebody answers.
    """

    id: int
    key: str
    severity: Severity
    opened_at_us: int
    deadline_us: int
    note: Note
    escalations: int = 0
    held_by: str | None = None
    held_reason: str | None = None

    @property
    def open(self) -> bool:
        """Nobody has answered yet."""
        return self.held_by is None


@dataclass(frozen=True, slots=True)
class Incident:
    """Trouble that people were told of once; closed after a quiet time."""

    key: str
    severity: Severity
    since_us: int
    last_us: int
    note: Note


@dataclass(frozen=True, slots=True)
class State:
    """A rollout, complete. `version` grows with every change that others must learn of."""

    version: int = 0
    status: Status = Status.IDLE
    phase: int | None = None
    """Index into the plan's phases; None: never started."""
    write_bp: Weight = WEIGHT_NONE
    read_bp: Weight = WEIGHT_NONE
    override: bool = False
    """An operator's weight stands instead of the phase's."""
    salt: str = ""
    started_at_us: int | None = None
    phase_since_us: int | None = None
    bake_us: int = 0
    """Healthy time spent in this phase."""
    judged_at_us: int | None = None
    """The newest look; an older `now` changes nothing."""
    guard_since_us: int = 0
    """What was known before this is settled: older measurements and reports trip nothing."""
    waiting_since_us: int | None = None
    """All gates passed and baked: waits for a person to promote."""
    decisions: tuple[Decision, ...] = ()
    next_decision: int = 1
    incidents: tuple[Incident, ...] = ()
    rollbacks: int = 0
    why: Note = note("idle")
    changed_at_us: int | None = None

    @property
    def open_decisions(self) -> tuple[Decision, ...]:
        """The ones nobody has answered."""
        return tuple(decision for decision in self.decisions if decision.open)


class ForeignStateError(ValueError):
    """The stored state is not one this program wrote; the message says what is wrong with it."""


def to_json(state: State) -> dict[str, Any]:
    """Plain JSON values, with a format number."""
    raise NotImplementedError


def from_json(raw: object, *, phases: int) -> State:
    """The state that was stored; `phases` is how many the plan has. Raises ForeignStateError."""
    raise NotImplementedError

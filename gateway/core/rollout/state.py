"""
Where a rollout stands: one frozen value, whole on disk and whole in memory.

`to_json` and `from_json` are exact opposites. A stored value that is foreign, of another version,
too large or inconsistent is refused with a sentence: nobody starts from a state they do not
understand, and the caller stays on the last good one.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Final

from gateway.core.analysis import Note, Severity
from gateway.core.analysis.catalogue import CATALOGUE
from gateway.core.analysis.sentences import note
from gateway.core.model import WEIGHT_ALL, WEIGHT_NONE, Weight

STATE_FORMAT: Final = 1
MAX_STATE_BYTES: Final = 256 * 1024
_TROUBLES: Final = "incidents"
"""What troubles are called in states that are stored, whatever their name here."""


class Status(StrEnum):
    """Where a rollout is."""

    IDLE = "idle"
    RUNNING = "running"
    PAUSED = "paused"
    ROLLED_BACK = "rolled_back"
    EMERGENCY_STOPPED = "emergency_stopped"
    COMPLETED = "completed"


STANDING: Final = frozenset({Status.ROLLED_BACK, Status.EMERGENCY_STOPPED})
"""Weight 0 until a person leads out."""
NOTHING_STARTED: Final = note("idle")
_WITHOUT_PHASE: Final = STANDING | {Status.IDLE}


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
class Trouble:
    """What was found and people were told of once; over after a quiet time."""

    key: str
    severity: Severity
    since_us: int
    last_us: int
    note: Note
    paged: bool
    """People were told of it as such, not by a rollback or a decision that it led to."""


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
    troubles: tuple[Trouble, ...] = ()
    rollbacks: int = 0
    why: Note = NOTHING_STARTED
    changed_at_us: int | None = None

    @property
    def open_decisions(self) -> tuple[Decision, ...]:
        """The ones nobody has answered."""
        return tuple(decision for decision in self.decisions if decision.open)

    @property
    def carries(self) -> bool:
        """New gets some traffic."""
        return self.write_bp > 0 or self.read_bp > 0

    @property
    def guarded(self) -> bool:
        """There is something to take back: findings against new count."""
        if self.status is Status.IDLE:
            return self.carries
        return self.status not in STANDING


_NUMBERS: Final = (
    "version", "write_bp", "read_bp", "bake_us", "guard_since_us", "next_decision", "rollbacks",
)  # fmt: skip
_OPTIONAL: Final = (
    "phase", "started_at_us", "phase_since_us", "judged_at_us", "waiting_since_us", "changed_at_us",
)  # fmt: skip
_NOTED_NUMBERS: Final = frozenset(
    {"id", "opened_at_us", "deadline_us", "escalations", "since_us", "last_us"}
)


class ForeignStateError(ValueError):
    """The stored state is not one this program wrote; the message says what is wrong with it."""


def to_text(state: State) -> str:
    """One line of JSON."""
    return json.dumps(to_json(state), ensure_ascii=False, separators=(",", ":"))


def from_text(text: str | bytes, *, phases: int) -> State:
    """Read what `to_text` wrote. Raises ForeignStateError."""
    if len(text) > MAX_STATE_BYTES:
        raise ForeignStateError(f"larger than {MAX_STATE_BYTES} bytes")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ForeignStateError(f"not JSON: {error}") from error
    return from_json(raw, phases=phases)


def to_json(state: State) -> dict[str, Any]:
    """Plain JSON values, with a format number."""
    plain = asdict(state)
    plain["status"] = state.status.value
    plain["why"] = _note_to_json(state.why)
    plain["decisions"] = [_noted_to_json(decision) for decision in state.decisions]
    del plain["troubles"]
    plain[_TROUBLES] = [_noted_to_json(trouble) for trouble in state.troubles]
    return {"format": STATE_FORMAT, **plain}


def _noted_to_json(each: Decision | Trouble) -> dict[str, Any]:
    return asdict(each) | {"severity": each.severity.value, "note": _note_to_json(each.note)}


def _note_to_json(this: Note) -> dict[str, Any]:
    return {"key": this.key, "figures": dict(this.figures)}


def from_json(raw: object, *, phases: int) -> State:
    """Read what `to_json` gave; `phases` is how many the plan has. Raises ForeignStateError."""
    if not isinstance(raw, dict):
        raise ForeignStateError("not an object")
    plain: dict[str, Any] = dict(raw)
    if plain.pop("format", None) != STATE_FORMAT:
        raise ForeignStateError(f"another format than {STATE_FORMAT}")
    try:
        state = _state(plain)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ForeignStateError(f"not a state: {error!r}") from error
    faults = _inconsistencies(state, phases)
    if faults:
        raise ForeignStateError("; ".join(faults))
    return state


def _state(plain: dict[str, Any]) -> State:
    expected = {field.name for field in fields(State)} - {"troubles"} | {_TROUBLES}
    if plain.keys() != expected:
        raise ValueError(f"keys {sorted(plain.keys() ^ expected)}")
    plain["status"] = Status(plain["status"])
    plain["why"] = _note(plain["why"])
    plain["decisions"] = tuple(Decision(**_noted(each)) for each in plain["decisions"])
    plain["troubles"] = tuple(Trouble(**_noted(each)) for each in plain.pop(_TROUBLES))
    return State(**plain)


def _noted(each: dict[str, Any]) -> dict[str, Any]:
    wrong = [k for k, v in each.items() if k in _NOTED_NUMBERS and not _whole(v)]
    if wrong:
        raise ValueError(f"{wrong[0]} is not a whole number")
    severity, this = Severity(each["severity"]), _note(each["note"])
    return {**each, "severity": severity, "note": this}


def _note(plain: dict[str, Any]) -> Note:
    if plain["key"] not in CATALOGUE:
        raise ValueError(f"unknown sentence {plain['key']!r}")
    return Note(plain["key"], tuple(plain["figures"].items()))


def _inconsistencies(state: State, phases: int) -> list[str]:
    """Name what a stored state can claim that no rollout can be."""
    wrong = [name for name in _NUMBERS if not _whole(getattr(state, name))]
    wrong += [name for name in _OPTIONAL if not _whole(getattr(state, name), optional=True)]
    kinds: tuple[tuple[str, type], ...] = (("salt", str), ("override", bool))
    wrong += [name for name, kind in kinds if not isinstance(getattr(state, name), kind)]
    if wrong:
        return [f"not of the expected kind: {', '.join(wrong)}"]
    faults = []
    if max(state.write_bp, state.read_bp) > WEIGHT_ALL:
        faults.append("a weight outside 0..10000 basis points")
    if state.phase is not None and state.phase >= phases:
        faults.append(f"phase {state.phase} of a policy with {phases}")
    if state.phase is None and state.status not in _WITHOUT_PHASE:
        faults.append(f"{state.status.value} without a phase")
    if state.status in STANDING and (state.write_bp or state.read_bp):
        faults.append(f"{state.status.value} with a weight above 0")
    return faults


def _whole(value: object, *, optional: bool = False) -> bool:
    if value is None:
        return optional
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0

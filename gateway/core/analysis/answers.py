"""
What follows: a verdict per gate, a finding per trigger that tripped, a level per metric.

Every answer carries a note: the key of its sentence and the figures it rests on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.core.analysis.asked import Metric, Severity
    from gateway.core.analysis.sentences import Note, Sentence
    from gateway.core.model import Variant


class Level(StrEnum):
    """Where a metric stands against its limits."""

    OK = "ok"
    OFF_TARGET = "off_target"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


class Verdict(Enum):
    """Four different answers; only PASS promotes."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


class Blame(Enum):
    """Whose fault a finding is, as far as the evidence goes."""

    CANARY = "new"
    SHARED = "both"
    BASELINE = "old"
    UNDECIDED = "undecided"


class Reaction(Enum):
    """What a finding asks for."""

    ROLL_BACK = "roll_back"
    DECIDE = "decide"
    """A person decides within the deadline of its severity."""
    PAGE = "page"
    """People are told; traffic stays where it is."""
    WAIT = "wait"
    """Too early to say whose fault it is; time does not count as healthy."""


@dataclass(frozen=True, slots=True)
class GateResult:
    """What a gate says, with the figures it says it from."""

    name: str
    verdict: Verdict
    value: float | None
    threshold: float | None
    sample: int
    window_s: int
    note: Note

    @property
    def reason(self) -> str:
        """One sentence in English."""
        return self.note.sentence.en

    @property
    def reason_ja(self) -> str:
        """The same in Japanese."""
        return self.note.sentence.ja


@dataclass(frozen=True, slots=True)
class Finding:
    """One trigger that tripped, one source that is silent, or a system that is down."""

    key: str
    """Names the incident; the same trouble keeps the same key."""
    severity: Severity
    blame: Blame
    reaction: Reaction
    value: float | None
    threshold: float | None
    sample: int
    note: Note
    holds: bool = True
    """Time with it does not count as healthy."""

    @property
    def sentence(self) -> Sentence:
        """Why, for people."""
        return self.note.sentence


@dataclass(frozen=True, slots=True)
class LevelResult:
    """Where one metric of one system stands against its limits."""

    metric: Metric
    system: Variant | None
    level: Level
    value: float | None
    limit: float | None
    """The limit that was crossed last; None while all is well."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The whole answer of one look: gates, and findings with the worst first."""

    at_us: int
    gates: tuple[GateResult, ...]
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """All gates passed and nothing found speaks against it: time that counts as baked."""
        if any(finding.holds for finding in self.findings):
            return False
        return all(gate.verdict is Verdict.PASS for gate in self.gates)

"""What was compared between the two systems, as it is kept and as people see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.core.comparison import Cause, Comparison, Difference, Kind, Rule


@dataclass(slots=True)
class Tally:
    """Counts of one hour; `matched` and `answers` are of all shadows, the others of opened ones."""

    matched: int = 0
    """Listings of answers that are the same by their digests."""
    answers: int = 0
    """Answers that are not."""
    opened: int = 0
    opened_matched: int = 0
    opened_differed: int = 0
    """Listings of opened answers."""


@dataclass(frozen=True, slots=True)
class Example:
    """One difference as it was found, with all that leads back to it."""

    id: int
    at_us: int
    number: str | None
    sync_id: str
    request_id: str
    path: str
    difference: Difference


@dataclass(frozen=True, slots=True)
class AddedRule:
    """A decision about differences that was made while running."""

    rule: Rule
    by: str
    at_us: int


@dataclass(slots=True)
class History:
    """Everything that is kept of what was compared since the rollout began."""

    era: str = ""
    """Which rollout it is of; another start forgets it."""
    last_us: int = 0
    next_id: int = 1
    hours: dict[int, Tally] = field(default_factory=dict)
    listings: dict[int, Comparison] = field(default_factory=dict)
    """A fair sample of the listings that differ, by slot, for scoring again under other rules."""
    examples: dict[tuple[str, int], Example] = field(default_factory=dict)
    """A fair sample per field, kind and cause: by signature and place."""
    seen: dict[str, int] = field(default_factory=dict)
    means: dict[str, int] = field(default_factory=dict)
    rules: list[AddedRule] = field(default_factory=list)


@dataclass(slots=True)
class Changes:
    """What of a history is new since it was stored last."""

    forget: bool = False
    hours: set[int] = field(default_factory=set)
    listings: set[int] = field(default_factory=set)
    examples: set[tuple[str, int]] = field(default_factory=set)
    rules: bool = False

    @property
    def any(self) -> bool:
        """Whether there is anything to store."""
        return bool(self.forget or self.hours or self.listings or self.examples or self.rules)


class ComparisonStore(Protocol):
    """Keeps the history. Called from one thread; StoreUnavailableError when it cannot."""

    def load(self) -> History:
        """Read it; an empty one when there is none."""
        ...

    def save(self, history: History, changes: Changes) -> None:
        """Store what changed, whole or not at all."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


@dataclass(frozen=True, slots=True)
class DifferenceCount:
    """How many listings differ so; `counts` is whether that makes them disagree."""

    field: str
    kind: Kind
    cause: Cause
    count: int
    counts: bool
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """What is known of the agreement of the two systems now."""

    matched: int
    compared: int
    rate: float | None
    lower_bound: float
    confidence: float
    sentence: str
    answers_differed: int
    answers_opened: int
    last_us: int | None
    means: Mapping[str, int]
    differences: Sequence[DifferenceCount]
    rules: Sequence[AddedRule]
    standing_rules: Sequence[Rule]
    """Those of the configuration."""
    trouble: str = ""
    """Why what is found cannot be kept, if it cannot."""

"""What was compared between the two systems, as it is kept and as people see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.core.comparison import Cause, Comparison, Difference, Kind, MatchRate, Rule


@dataclass(slots=True)
class Tally:
    """Counts of some time, an hour at most.

    `matched`, `answers`, `compared` and what was lost are of all shadows, the rest of opened ones.
    """

    matched: int = 0
    """Listings of answers that are the same by their digests."""
    answers: int = 0
    """Answers that are not."""
    opened: int = 0
    opened_matched: int = 0
    opened_differed: int = 0
    """Listings of opened answers."""
    compared: int = 0
    """Shadows that answered."""
    listings_compared: int = 0
    listings_lost: int = 0
    """Listings of shadows that gave nothing to compare."""
    lost: dict[str, int] = field(default_factory=dict)
    """Those shadows, by reason."""
    timed: int = 0
    timed_listings: int = 0
    old_s: float = 0.0
    new_s: float = 0.0
    """How long syncs took that went well in both, in each of the two."""


class KeptListing(NamedTuple):
    """One listing that differed, with all its differences."""

    at_us: int
    comparison: Comparison


@dataclass(slots=True)
class Kept:
    """What is kept of one kind of shadow: those of the other system, or the controls."""

    tallies: dict[int, Tally] = field(default_factory=dict)
    """By the microsecond at which their time begins."""
    listings: dict[int, KeptListing] = field(default_factory=dict)
    """A fair sample of the listings that differ, by slot, for scoring again under other rules."""


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
    closed: bool = False
    """Somebody said since that it was put right."""


@dataclass(frozen=True, slots=True)
class AddedRule:
    """A decision about differences that was made while running."""

    rule: Rule
    by: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Fix:
    """A person says: what was found until then, at a path or anywhere, was put right."""

    path: str | None
    """A pattern like a rule's; None: everything."""
    reason: str
    by: str
    at_us: int


@dataclass(slots=True)
class History:
    """Everything that is kept of what was compared since the rollout began."""

    era: str = ""
    """Which rollout it is of; another start forgets it."""
    last_us: int = 0
    next_id: int = 1
    shadows: Kept = field(default_factory=Kept)
    controls: Kept = field(default_factory=Kept)
    examples: dict[tuple[str, int], Example] = field(default_factory=dict)
    """A fair sample per field, kind and cause: by signature and place. Those of differences that
    were put right stand under names of their own."""
    seen: dict[str, int] = field(default_factory=dict)
    means: dict[str, int] = field(default_factory=dict)
    rules: list[AddedRule] = field(default_factory=list)
    fixes: list[Fix] = field(default_factory=list)


@dataclass(slots=True)
class Changes:
    """What of a history is new since it was stored last; keys of `Kept` after its name there."""

    forget: bool = False
    tallies: set[tuple[str, int]] = field(default_factory=set)
    listings: set[tuple[str, int]] = field(default_factory=set)
    examples: set[tuple[str, int]] = field(default_factory=set)
    decisions: bool = False
    """Rules or fixes."""

    @property
    def any(self) -> bool:
        """Whether there is anything to store."""
        return bool(self.forget or self.tallies or self.listings or self.examples or self.decisions)


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


class Verdict(Enum):
    """What becomes of a difference when the match rate is counted."""

    REAL = "real"
    NOISE = "noise"
    """Old differs from itself as often."""
    HARMLESS = "harmless"
    """By its kind, or because somebody decided so."""


@dataclass(frozen=True, slots=True)
class DifferenceCount:
    """How many listings differ so, and in how many old differs from itself."""

    field: str
    kind: Kind
    cause: Cause
    count: int
    verdict: Verdict
    control_count: int = 0
    expected: float = 0.0
    """How many of `count` the control explains."""
    significance: float | None = None
    """How probable so many are if they were noise; None: it was never seen in a control."""
    examples: tuple[Example, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether it makes its listings disagree."""
        return self.verdict is Verdict.REAL


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of what was mirrored could be compared at all."""

    compared: int = 0
    """Shadows that answered."""
    lost: Mapping[str, int] = field(default_factory=dict)
    """Those that gave nothing to compare, by reason."""
    listings_compared: int = 0
    listings_lost: int = 0

    @property
    def due(self) -> int:
        """All shadows."""
        return self.compared + sum(self.lost.values())

    @property
    def ratio(self) -> float | None:
        """The share that was compared, of shadows or of listings, whichever is less."""
        if not self.due:
            return None
        listings = self.listings_compared + self.listings_lost
        by_listing = self.listings_compared / listings if listings else 1.0
        return min(self.compared / self.due, by_listing)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the same syncs took in both; a sync weighs by its time."""

    syncs: int = 0
    listings: int = 0
    old_s: float = 0.0
    new_s: float = 0.0

    @property
    def ratio(self) -> float | None:
        """The shadows' time as a multiple of old's; None: nothing was timed."""
        return self.new_s / self.old_s if self.old_s else None

    def per_1000(self, took_s: float) -> float | None:
        """Seconds per 1,000 listings; None: nothing was timed."""
        return took_s * 1000 / self.listings if self.listings else None


@dataclass(frozen=True, slots=True)
class Score:
    """What a history says under the rules in force."""

    rate: MatchRate
    """Of everything but what was put right."""
    judged: MatchRate
    """What a gate goes by: that, or only what came after the newest fix, whichever is less sure."""
    differences: tuple[DifferenceCount, ...] = ()
    controlled: int = 0
    """Listings of controls."""
    coverage: Coverage = Coverage()
    control_coverage: Coverage = Coverage()
    pace: Pace = Pace()


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """What is known of the agreement of the two systems now."""

    score: Score
    confidence: float
    answers_differed: int
    answers_opened: int
    last_us: int | None
    means: Mapping[str, int]
    rules: Sequence[AddedRule]
    standing_rules: Sequence[Rule]
    """Those of the configuration."""
    fixes: Sequence[Fix] = ()
    trouble: str = ""
    """Why what is found cannot be kept, if it cannot."""

"""
What the guard remembers between two looks.

For every error-rate rule two pieces of evidence run side by side, one per system, updated per
outcome in order (`gateway.core.evidence`). Beside the canary's stands what the baseline answered
over the same seconds, so that the two can be told apart the moment the evidence is complete. Once
complete, evidence counts as standing until half of it has gone: an error rate that hovers at the
threshold is one event, not fifty.

Outcomes come in batches; the order within a batch is the order in which requests finished.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gateway.core import evidence
from gateway.core.model import SECOND_US, Outcome, Variant

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Counts:
    """Answers of one system over some seconds; rejections are left out."""

    ok: int = 0
    errors: int = 0

    @property
    def sample(self) -> int:
        """How many the error ratio is of."""
        return self.ok + self.errors

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.ok + other.ok, self.errors + other.errors)


NOTHING = Counts()


@dataclass(frozen=True, slots=True)
class Track:
    """One rule's evidence on both systems."""

    rule: evidence.Rule
    canary: evidence.State = evidence.CLEAR
    baseline: evidence.State = evidence.CLEAR
    versus: Counts = NOTHING
    """The baseline over the seconds since the canary's evidence left zero."""
    fired_at_us: int | None = None
    """When the canary's evidence was complete; None: it does not stand."""
    baseline_fired: bool = False
    baseline_versus: Counts = NOTHING
    """The canary over the seconds since the baseline's evidence left zero."""

    @property
    def level(self) -> float:
        """The evidence bar: 0 nothing, 1 complete."""
        return evidence.level(self.canary, self.rule)


@dataclass(frozen=True, slots=True)
class Second:
    """Both systems in one second."""

    second: int
    canary: Counts = NOTHING
    baseline: Counts = NOTHING


@dataclass(frozen=True, slots=True)
class Watch:
    """All evidence, the last seconds, and since when each windowed trigger holds."""

    tracks: tuple[Track, ...]
    recent: tuple[Second, ...] = ()
    since: tuple[tuple[str, int], ...] = ()
    lookback_s: int = 60

    @property
    def alarmed(self) -> bool:
        """Some evidence against the canary is complete: look now, not at the next tick."""
        return any(track.fired_at_us is not None for track in self.tracks)

    def over_lookback(self, variant: Variant, now_us: int) -> Counts:
        """One system's answers over the last seconds."""
        raise NotImplementedError


def fresh(rules: Iterable[evidence.Rule], *, lookback_s: int = 60) -> Watch:
    """A watch that has seen nothing."""
    return Watch(tracks=tuple(Track(rule) for rule in rules), lookback_s=lookback_s)


def observe(watch: Watch, variant: Variant, outcome: Outcome, *, count: int, at_us: int) -> Watch:
    """`count` outcomes of one kind in a row. Rejected and ignored ones say nothing here."""
    raise NotImplementedError


def to_json(watch: Watch) -> dict[str, Any]:
    """Plain values, for a stored decision."""
    raise NotImplementedError


def from_json(raw: Any, rules: Iterable[evidence.Rule], *, lookback_s: int) -> Watch:
    """The stored watch, for these rules: unchanged rules keep their evidence, new ones start from
    what the last seconds still tell."""
    raise NotImplementedError

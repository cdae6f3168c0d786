"""
The book: every incident that is open, every silence, and what people were told of the rollout.

One frozen value, whole in the store and whole in memory. Times are the steady clock's microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.core.analysis import Sentence, Severity
    from gateway.core.analysis.sentences import Figure

MOST_OPEN: Final = 500
"""More open incidents than this are not kept apart: somebody has to look in any case."""
MOST_SILENCES: Final = 100
EVERYTHING: Final = "*"


@dataclass(frozen=True, slots=True)
class Ack:
    """Somebody has it."""

    by: str
    reason: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Incident:
    """One trouble of one rule and system, from its first sign until it was over."""

    number: int
    uid: str
    """Unique for good, whatever becomes of the book; never moved with a clock."""
    rule: str
    system: str | None
    """old, new, or None: the whole."""
    title: Sentence
    level: Severity
    """The worst it has reached."""
    why: Sentence
    """As it stood when this level was reached."""
    raised_us: int
    due_us: int | None = None
    """When it escalates unless somebody acknowledges; None: it does not."""
    value: float | None = None
    threshold: float | None = None
    sample: int = 0
    figures: tuple[tuple[str, Figure], ...] = ()
    message: str = "alert"
    todo: str = "syncgate status"
    business: bool = False
    clear_us: int | None = None
    """Since when all has been well; None: it is not."""
    told: bool = False
    """People know of it; not while a silence covers it."""
    step: int = 1
    """The rung of the ladder that is asked now."""
    followed: int = 0
    """How many follow-ups were told."""
    tells: int = 0
    ack: Ack | None = None
    ended_us: int | None = None
    ended_why: str = ""

    @property
    def key(self) -> tuple[str, str | None]:
        """What there is only one open incident of."""
        return self.rule, self.system


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing is told of a rule until the end, and everything that still stands then is."""

    id: int
    rule: str
    """Its name, or `*` for all."""
    system: str | None
    """None: whatever the system."""
    since_us: int
    until_us: int
    by: str
    reason: str

    def covers(self, incident: Incident, now_us: int) -> bool:
        """Whether nothing is to be told of it now."""
        return (
            now_us < self.until_us
            and self.rule in {EVERYTHING, incident.rule}
            and self.system in {None, incident.system}
        )


@dataclass(frozen=True, slots=True)
class Held:
    """Since when a thing has been that bad without a break, before it is an incident."""

    rule: str
    system: str | None
    level: Severity
    since_us: int


@dataclass(frozen=True, slots=True)
class Progress:
    """What people were told of the rollout's course."""

    version: int
    started_at_us: int | None
    phase: int | None
    status: str
    waiting: bool


@dataclass(frozen=True, slots=True)
class Book:
    """All of it; `at_us` is the newest look."""

    at_us: int = 0
    open: tuple[Incident, ...] = ()
    """Oldest first; never two of one rule and system."""
    silences: tuple[Silence, ...] = ()
    held: tuple[Held, ...] = ()
    progress: Progress | None = None
    next_number: int = 1
    next_silence: int = 1
    news: int = 0
    """How much was told that is no incident's."""

    def incident(self, number: int) -> Incident | None:
        """Find an open one by its number."""
        return next((one for one in self.open if one.number == number), None)

    def of(self, rule: str, system: str | None) -> Incident | None:
        """Find the open one of a rule and system."""
        return next((one for one in self.open if one.key == (rule, system)), None)

    def silenced(self, incident: Incident, now_us: int) -> bool:
        """Whether nothing is to be told of it now."""
        return any(silence.covers(incident, now_us) for silence in self.silences)

    def put(self, incident: Incident) -> Book:
        """Give the book with this incident as it is now: changed, added, or gone if it ended."""
        if incident.ended_us is not None:
            kept = tuple(one for one in self.open if one.number != incident.number)
        elif self.incident(incident.number) is None:
            kept = (*self.open, incident)
        else:
            kept = tuple(incident if o.number == incident.number else o for o in self.open)
        return replace(self, open=kept)

    def at(self, now_us: int) -> Book:
        """Move to a new instant; a clock that was set back moves every span with it."""
        back_us = self.at_us - now_us
        if back_us <= 0:
            return replace(self, at_us=now_us)
        return replace(
            self,
            at_us=now_us,
            open=tuple(_moved(one, back_us) for one in self.open),
            held=tuple(replace(one, since_us=one.since_us - back_us) for one in self.held),
        )


def _moved(incident: Incident, back_us: int) -> Incident:
    return replace(
        incident,
        raised_us=incident.raised_us - back_us,
        due_us=None if incident.due_us is None else incident.due_us - back_us,
        clear_us=None if incident.clear_us is None else incident.clear_us - back_us,
    )

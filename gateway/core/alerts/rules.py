"""
What is watched, who is told and how fast they answer; all of it comes from config/alerts.toml.

A rule speaks of one metric and has a step for each level it can reach, so that trouble which grows
worse stays one incident and only its level rises.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.core.analysis import Metric, Relation, Sentence, Severity
    from gateway.core.model import Variant


class Of(StrEnum):
    """What of the metric is compared with the threshold."""

    VALUE = "value"
    CHANGE = "change"
    """Its distance from the figure before, as a share of that: 0.2 is 20 % more or less."""


@dataclass(frozen=True, slots=True)
class Step:
    """From where on a rule speaks at one level, and where it must be back to be over."""

    level: Severity
    threshold: float
    clear: float
    """The trouble ends only when the comparison no longer holds against this value, which is
    `threshold` or lies on its good side (hysteresis)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can be wrong, per system."""

    name: str
    title: Sentence
    metric: Metric
    comparison: Relation
    steps: tuple[Step, ...]
    """Worst first."""
    systems: tuple[Variant | None, ...]
    """None: the whole, neither of the two in particular."""
    of: Of = Of.VALUE
    window_s: int = 300
    min_sample: int = 1
    max_age_s: int = 300
    """An older measurement is unknown."""
    for_s: int = 0
    """It must have been so for this long without a break."""
    clear_after_s: int = 300
    """It must have been well for this long without a break."""
    business: bool = False
    """Business impact or a breach: the last people of the ladder are told at once."""
    expected: bool = True
    """Somebody is to measure it: that nobody ever did is worth an alert."""
    todo: str = "syncgate status"
    """What to run next."""


@dataclass(frozen=True, slots=True)
class Level:
    """How one level is told, and how fast somebody has to answer."""

    level: Severity
    answer_within_s: int
    channels: tuple[str, ...]
    languages: tuple[str, ...]
    up_to: int = 4
    """The last rung of the ladder that an unanswered one climbs to."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the ladder: who is asked by name, and how long they have."""

    title: Sentence
    within_s: int
    names: tuple[str, ...]
    channels: tuple[str, ...] = ()
    """Besides those of the level."""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Something that is due a while after an incident of a rule began, as long as it is open."""

    rule: str
    after_s: int
    title: Sentence
    channels: tuple[str, ...]
    languages: tuple[str, ...]
    names: tuple[str, ...] = ()
    message: str = "follow_up"


@dataclass(frozen=True, slots=True)
class Silent:
    """What is said of a figure that nobody can tell any more."""

    after_s: int
    level: Severity
    """Of one that was there and is gone; one that never was is of the lowest level."""


@dataclass(frozen=True, slots=True)
class News:
    """Where what nobody has to answer is told."""

    channels: tuple[str, ...]
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AlertPlan:
    """The whole configuration, as far as deciding goes."""

    rules: tuple[Rule, ...]
    levels: tuple[Level, ...]
    """All four."""
    ladder: tuple[Rung, ...]
    silent: Silent
    news: News
    follow_ups: tuple[FollowUp, ...] = ()
    max_silence_s: int = 7 * 86_400

    def level(self, level: Severity) -> Level:
        """How this level is told."""
        return next(one for one in self.levels if one.level is level)

    def windows_s(self) -> tuple[int, ...]:
        """List the lengths of all windows that a reading is needed for."""
        return tuple(sorted({rule.window_s for rule in self.rules if rule.metric.from_window}))

"""
How sure are we that the error rate is bad? One Bernoulli CUSUM per rule (docstring to grow).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.core.proportion import Interval

FALSE_ALARM_REQUESTS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Rule:
    """An error rate of `healthy_ratio` is normal, one above `threshold_ratio` must be noticed.

    ValueError when 0 < healthy < threshold < 1 does not hold or the threshold is finer than a basis point.
    """

    name: str
    healthy_ratio: float
    threshold_ratio: float
    false_alarm_requests: float = FALSE_ALARM_REQUESTS


@dataclass(frozen=True, slots=True)
class State:
    """A rule's evidence: `score` in the rule's integer steps, and what was seen since it last left zero."""

    score: int = 0
    sample: int = 0
    errors: int = 0


CLEAR: Final = State()


@dataclass(frozen=True, slots=True)
class Estimate:
    """The error rate since the evidence last left zero (it starts with an error, so small samples look worse than they are)."""

    ratio: float
    interval: Interval
    sample: int
    errors: int


def observe(state: State, rule: Rule, *, error: bool, count: int = 1) -> State:
    """`count` outcomes of one kind in a row; exactly the same as one at a time."""
    raise NotImplementedError


def fired(state: State, rule: Rule) -> bool:
    """Whether the evidence is complete."""
    raise NotImplementedError


def level(state: State, rule: Rule) -> float:
    """The bar that is shown: 0 nothing, 1 fired."""
    raise NotImplementedError


def estimate(state: State, *, confidence: float = 0.95) -> Estimate | None:
    """The rate since the evidence last left zero; None when there is none."""
    raise NotImplementedError

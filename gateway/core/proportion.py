"""
What `k` of `n` says about the true share, and whether two such counts differ.

Both are exact (binomial and hypergeometric tails), because the decisions that hang on them are made on
few events: four failures, two mismatches in a thousand. Normal approximations are worst exactly there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Interval:
    """The true share lies between `low` and `high`, each side with the asked-for confidence."""

    low: float
    high: float


class Fault(Enum):
    """Which of two systems fails more often than the other, over the same seconds."""

    CANARY_WORSE = "canary_worse"
    BASELINE_WORSE = "baseline_worse"
    ALIKE = "alike"
    """Enough was seen to tell a gross difference, and there is none."""
    UNKNOWN = "unknown"
    """Too little was seen: even 'all of one, none of the other' would prove nothing."""


def lower_bound(hits: int, sample: int, *, confidence: float = 0.99) -> float:
    """The share is at least this, with one-sided `confidence` (Clopper-Pearson)."""
    raise NotImplementedError


def upper_bound(hits: int, sample: int, *, confidence: float = 0.99) -> float:
    """The share is at most this, with one-sided `confidence` (Clopper-Pearson)."""
    raise NotImplementedError


def interval(hits: int, sample: int, *, confidence: float = 0.95) -> Interval:
    """Both sides at once; `confidence` is of the interval as a whole."""
    raise NotImplementedError


def worse(hits: int, sample: int, other_hits: int, other_sample: int) -> float:
    """Fisher's exact test, one-sided: how probable so many hits or more are here if both shares are alike.

    Small means: this side's share is higher. 1.0 without data.
    """
    raise NotImplementedError


def whose_fault(
    canary_errors: int,
    canary_sample: int,
    baseline_errors: int,
    baseline_sample: int,
    *,
    alpha: float = 0.001,
) -> Fault:
    """Tell the two apart at significance `alpha` (one-sided); samples are ok + errors of the same seconds.

    A side without traffic is UNKNOWN here; what that means is the policy's business (a canary that fails
    while nobody uses the baseline has nobody else to blame).
    """
    raise NotImplementedError

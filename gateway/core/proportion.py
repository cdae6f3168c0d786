"""
What `k` of `n` says about the true share, and whether two such counts differ.

Both are exact (binomial and hypergeometric tails), because the decisions that hang on them are made
on few events: four failures, two mismatches in a thousand. Normal approximations, Wilson's
included, are worst exactly there, and one that promises less certainty than it has would let a gate
pass on luck. Clopper-Pearson errs to the careful side only.

The sums are finite and short: tails are added from their largest term outwards until a term no
longer counts, and the binomial tail is the incomplete beta function by its continued fraction.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import exp, lgamma, log, log1p
from typing import Final

_NEGLIGIBLE: Final = 1e-17
_CONVERGED: Final = 1e-14
_TINY: Final = 1e-300
_NEAR: Final = 1e-12

BLAME_SIGNIFICANCE: Final = 0.001
"""Asked anew every second while evidence stands, so stricter than a test that is asked once."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The true share lies between `low` and `high`."""

    low: float
    high: float


class Fault(Enum):
    """Which of two systems fails more often, over the same seconds."""

    CANARY_WORSE = "canary_worse"
    BASELINE_WORSE = "baseline_worse"
    ALIKE = "alike"
    """Enough was seen to tell a gross difference, and there is none."""
    UNKNOWN = "unknown"
    """Too little was seen: even "all of one, none of the other" would prove nothing."""


def lower_bound(hits: int, sample: int, *, confidence: float = 0.99) -> float:
    """Bound the share from below, with one-sided `confidence`; 0 when nothing was seen.

    The bound is where so many hits or more have the probability 1 - confidence. That probability's
    logarithm rises with the logarithm of the share, ever more slowly, so Newton's steps come from
    above once and then from below without passing the bound; a handful of them suffices.
    """
    _check(hits, sample)
    if hits == 0:
        return 0.0
    doubt = 1.0 - confidence
    if hits == sample:
        return float(doubt ** (1.0 / sample))
    low = 0.0
    high = share = hits / sample
    while True:
        tail, slope = _at_least(hits, sample, share)
        if tail < doubt:
            low = share
        else:
            high = share
        # A tail too small for a float says no more than which way to go.
        nearer = share * exp((log(doubt) - log(tail)) * tail / slope) if tail > 0.0 else low
        if not low < nearer < high:
            nearer = (low + high) / 2
        if abs(nearer - share) <= _NEAR * share:
            return nearer
        share = nearer


def upper_bound(hits: int, sample: int, *, confidence: float = 0.99) -> float:
    """Bound the share from above, with one-sided `confidence`; 1 when nothing was seen."""
    _check(hits, sample)
    return 1.0 - lower_bound(sample - hits, sample, confidence=confidence)


def interval(hits: int, sample: int, *, confidence: float = 0.95) -> Interval:
    """Bound both sides at once; `confidence` is of the interval as a whole."""
    one_sided = (1.0 + confidence) / 2
    return Interval(
        low=lower_bound(hits, sample, confidence=one_sided),
        high=upper_bound(hits, sample, confidence=one_sided),
    )


def worse(hits: int, sample: int, other_hits: int, other_sample: int) -> float:
    """
    Test whether this side's share is higher (Fisher's exact test, one-sided).

    The answer is how probable so many hits or more on this side are if both are alike: small means
    higher. 1.0 without data.
    """
    _check(hits, sample)
    _check(other_hits, other_sample)
    everything, all_hits = sample + other_sample, hits + other_hits
    if hits * everything > all_hits * sample:
        return min(1.0, _tail(hits, sample, all_hits, everything, step=1))
    return max(0.0, 1.0 - _tail(hits - 1, sample, all_hits, everything, step=-1))


def whose_fault(
    canary_errors: int,
    canary_sample: int,
    baseline_errors: int,
    baseline_sample: int,
    *,
    alpha: float = BLAME_SIGNIFICANCE,
) -> Fault:
    """
    Tell the two apart at significance `alpha`; samples are ok + errors of the same seconds.

    A side without traffic is UNKNOWN here; what that means is the policy's business (a canary that
    fails while nobody uses the baseline has nobody else to blame).
    """
    if worse(canary_sample, canary_sample, 0, baseline_sample) > alpha:
        return Fault.UNKNOWN
    if worse(canary_errors, canary_sample, baseline_errors, baseline_sample) <= alpha:
        return Fault.CANARY_WORSE
    if worse(baseline_errors, baseline_sample, canary_errors, canary_sample) <= alpha:
        return Fault.BASELINE_WORSE
    return Fault.ALIKE


def _check(hits: int, sample: int) -> None:
    if not 0 <= hits <= sample:
        raise ValueError(f"{hits} of {sample} is not a share")


def _tail(start: int, draws: int, hits: int, everything: int, *, step: int) -> float:
    """Add hypergeometric probabilities from `start` on, up or down, away from the mean."""
    least, most = max(0, draws + hits - everything), min(draws, hits)
    if not least <= start <= most:
        return 0.0
    misses = everything - hits
    term = exp(
        _log_choose(hits, start)
        + _log_choose(misses, draws - start)
        - _log_choose(everything, draws)
    )
    total, x, last = term, start, most if step > 0 else least
    while x != last and term > total * _NEGLIGIBLE:
        if step > 0:
            term *= (hits - x) * (draws - x) / ((x + 1) * (misses - draws + x + 1))
        else:
            term *= x * (misses - draws + x) / ((hits - x + 1) * (draws - x + 1))
        x += step
        total += term
    return total


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def _at_least(hits: int, sample: int, share: float) -> tuple[float, float]:
    """Give P(X >= hits), X binomial, and its slope over the share's logarithm.

    The first is the regularised incomplete beta function, the second its density times the share.
    """
    a, b = float(hits), float(sample - hits + 1)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(share) + b * log1p(-share))
    slope = front / (1.0 - share)
    if share < (a + 1.0) / (a + b + 2.0):
        return front * _beta_fraction(a, b, share) / a, slope
    return 1.0 - front * _beta_fraction(b, a, 1.0 - share) / b, slope


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Evaluate the incomplete beta function's continued fraction, by Lentz's method."""
    c, d = 1.0, 1.0 / _off_zero(1.0 - (a + b) * x / (a + 1.0))
    result, m = d, 0
    while True:
        m += 1
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0)),
        ):
            d = 1.0 / _off_zero(1.0 + numerator * d)
            c = _off_zero(1.0 + numerator / c)
            factor = c * d
            result *= factor
        if abs(factor - 1.0) < _CONVERGED:
            return result


def _off_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY

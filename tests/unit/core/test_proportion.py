"""Exact bounds and exact comparison of two shares, against sums by hand and published figures."""

from __future__ import annotations

from math import comb, exp, isclose, lgamma, log, log1p

import pytest

from gateway.core.proportion import (
    Fault,
    Interval,
    interval,
    lower_bound,
    upper_bound,
    whose_fault,
    worse,
)


def binomial_tail(hits: int, sample: int, share: float) -> float:
    """P(X >= hits), added up term by term."""
    return sum(
        comb(sample, k) * share**k * (1 - share) ** (sample - k) for k in range(hits, sample + 1)
    )


def binomial_tail_below(hits: int, sample: int, share: float) -> float:
    """The same for a share far below, where the first terms are all there is of it."""
    ways, odds, total = binomial(hits, sample, share), share / (1 - share), 0.0
    for more in range(200):
        total += ways
        ways *= odds * (sample - hits - more) / (hits + more + 1)
    return total


def binomial(hits: int, sample: int, share: float) -> float:
    """P(X = hits), by logarithms."""
    log_ways = lgamma(sample + 1) - lgamma(hits + 1) - lgamma(sample - hits + 1)
    return exp(log_ways + hits * log(share) + (sample - hits) * log1p(-share))


def hypergeometric_tail(hits: int, sample: int, other_hits: int, other_sample: int) -> float:
    """P(X >= hits) with both margins fixed, in whole numbers until the last division."""
    all_hits, everything = hits + other_hits, sample + other_sample
    ways = sum(
        comb(all_hits, k) * comb(everything - all_hits, sample - k)
        for k in range(hits, min(all_hits, sample) + 1)
    )
    return ways / comb(everything, sample)


@pytest.mark.parametrize(
    ("hits", "sample"), [(1, 1), (1, 30), (15, 30), (29, 30), (30, 30), (3, 400)]
)
@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_the_lower_bound_is_where_the_tail_equals_the_doubt(hits, sample, confidence):
    """At the bound, so many hits or more are exactly as improbable as allowed."""
    bound = lower_bound(hits, sample, confidence=confidence)
    assert isclose(binomial_tail(hits, sample, bound), 1 - confidence, rel_tol=1e-9)


def test_the_upper_bound_mirrors_the_lower():
    """None of 100 leaves at most 3 % with 95 % confidence, the rule of three."""
    assert isclose(upper_bound(0, 100, confidence=0.95), 1 - 0.05 ** (1 / 100), rel_tol=1e-9)
    assert upper_bound(100, 100) == 1.0


def test_nothing_seen_is_nothing_known():
    """Without a sample the share may be anything."""
    assert interval(0, 0) == Interval(0.0, 1.0)


def test_published_interval():
    """Ten of a hundred lie within 4.9 % and 17.6 %, as every table of Clopper-Pearson says."""
    found = interval(10, 100)
    assert round(found.low, 4) == 0.0490
    assert round(found.high, 4) == 0.1762


def test_the_sentence_of_the_first_phase():
    """99.3 % of 14,210 is at least 99.1 % with 99 % confidence."""
    assert round(lower_bound(14_111, 14_210) * 100, 1) == 99.1


def test_large_samples_stay_exact():
    """A share of ten million is bounded as the normal approximation, good there, says."""
    sample, share = 10_000_000, 0.993
    normal = share - 2.3263479 * (share * (1 - share) / sample) ** 0.5
    assert isclose(lower_bound(int(sample * share), sample), normal, abs_tol=1e-6)


@pytest.mark.parametrize(("hits", "sample"), [(1, 2_498_339), (500, 1_000), (9_999, 10_000)])
def test_a_doubt_as_small_as_a_float_can_say_is_met(hits, sample):
    """So far from what was seen that the first step lands where the tail is no float any more."""
    doubt = 2.0**-52
    bound = lower_bound(hits, sample, confidence=1 - doubt)
    assert 0.0 < bound < hits / sample
    assert isclose(log(binomial_tail_below(hits, sample, bound)), log(doubt), rel_tol=1e-6)


def test_a_bound_is_met_whatever_the_size():
    """Five million of ten million, as certain as can be said: eight standard deviations below."""
    bound = lower_bound(5_000_000, 10_000_000, confidence=1 - 2.0**-52)
    assert isclose(bound, 0.5 - 8.1258 * (0.25 / 10_000_000) ** 0.5, rel_tol=1e-6)


@pytest.mark.parametrize(("hits", "sample"), [(-1, 3), (4, 3)])
def test_impossible_counts_are_refused(hits, sample):
    """More hits than sample is a mistake of the caller, not a share."""
    with pytest.raises(ValueError, match="not a share"):
        lower_bound(hits, sample)


@pytest.mark.parametrize(
    "counts",
    [(4, 4, 0, 36), (3, 10, 1, 20), (1, 10, 3, 20), (5, 50, 5, 50), (0, 5, 5, 5), (7, 7, 7, 9)],
)
def test_the_comparison_is_fishers(counts):
    """Each way round it equals the sum over all tables at least as extreme."""
    assert isclose(worse(*counts), hypergeometric_tail(*counts), rel_tol=1e-9)


def test_a_comparison_without_data_proves_nothing():
    """No sample on a side, or none at all, is significance 1."""
    assert worse(0, 0, 0, 0) == worse(4, 4, 0, 0) == worse(0, 0, 4, 9) == 1.0


def test_hopeless_differences_do_not_underflow_to_an_error():
    """All of a million against none of a million is as significant as a float can say."""
    assert worse(10**6, 10**6, 0, 10**6) == 0.0


@pytest.mark.parametrize(
    ("counts", "fault"),
    [
        # A hard outage at 10 %: four failures against 36 successes settle it.
        ((4, 4, 0, 36), Fault.CANARY_WORSE),
        ((0, 36, 4, 4), Fault.BASELINE_WORSE),
        # Both fail alike, for long.
        ((300, 1000, 2700, 9000), Fault.ALIKE),
        ((0, 1000, 0, 9000), Fault.ALIKE),
        # Too little to tell whatever happens.
        ((4, 4, 0, 4), Fault.UNKNOWN),
        ((4, 4, 0, 0), Fault.UNKNOWN),
        ((0, 0, 4, 4), Fault.UNKNOWN),
    ],
)
def test_whose_fault(counts, fault):
    """Blame needs proof, and the lack of proof is told apart from proof of likeness."""
    assert whose_fault(*counts) is fault

"""The match rate says how sure it is, and noise is only what a control shows."""

from __future__ import annotations

import pytest

from gateway.core.comparison import (
    Cause,
    Kind,
    MatchRate,
    Signature,
    disagreement,
    separate,
)

STAMP = Signature("updatedAt", Kind.VALUE, Cause.GENERATED)
LOST = Signature("updatedAt", Kind.MISSING, Cause.REAL)
PRICE = Signature("price", Kind.VALUE, Cause.REAL)


def test_the_sentence():
    """Rate and bound, cut to one decimal, never rounded up."""
    assert MatchRate(14_111, 14_210).sentence() == (
        "99.3 % of 14,210 listings agree (at least 99.1 % with 99 % confidence)"
    )
    assert MatchRate(9_999, 10_000).sentence(0.95).startswith("99.9 % of 10,000 listings agree")
    assert MatchRate(100, 100).sentence() == (
        "100 % of 100 listings agree (at least 95.4 % with 99 % confidence)"
    )


def test_nothing_compared_is_nothing_known():
    """No rate, no promise, and a sentence that says so."""
    nothing = MatchRate(0, 0)
    assert nothing.rate is None
    assert nothing.lower_bound() == 0.0
    assert nothing.sentence() == "nothing was compared yet"


def test_few_listings_prove_little():
    """All of twenty agree, and still only 79 % is certain."""
    assert 0.79 < MatchRate(20, 20).lower_bound() < 0.80


def test_noise_is_what_the_control_shows_as_often():
    """A stamp that differs in every control is noise; the same field missing is not."""
    stamp, lost = sorted(
        separate({STAMP: 1000, LOST: 30}, 1000, {STAMP: 100}, 100), key=lambda f: not f.noise
    )
    assert (stamp.signature, stamp.noise, stamp.excess) == (STAMP, True, 0.0)
    assert (lost.signature, lost.noise, lost.excess, lost.expected) == (LOST, False, 30, 0.0)


def test_more_than_noise_is_shown_without_the_noise():
    """Differing in 9 % where the control differs in 5 % leaves 4 % that are real."""
    [found] = separate({PRICE: 900}, 10_000, {PRICE: 500}, 10_000)
    assert not found.noise
    assert found.excess == pytest.approx(400)
    assert found.significance < 0.001


def test_a_small_control_excuses_nothing_it_did_not_show():
    """Ten clean repetitions do not make a difference noise, however little they prove."""
    [found] = separate({PRICE: 3}, 100, {}, 10)
    assert not found.noise
    assert found.excess == 3


def test_without_a_control_nothing_is_noise():
    """What was never repeated is taken as real."""
    [found] = separate({PRICE: 1}, 100, {}, 0)
    assert (found.noise, found.excess, found.significance) == (False, 1, 0.0)


def test_the_largest_excess_comes_first():
    """People look at the top of a list."""
    found = separate({PRICE: 5, LOST: 9, STAMP: 50}, 100, {STAMP: 50}, 100)
    assert [finding.signature for finding in found] == [LOST, PRICE, STAMP]


def test_a_small_control_excuses_in_the_rate_and_not_in_the_promise():
    """One noisy repetition of ten explains a tenth, and proves next to nothing."""
    [found] = separate({PRICE: 10}, 100, {PRICE: 1}, 10)
    assert found.noise
    assert (found.excess, found.weight) == (0.0, 0.0)
    assert found.proven < 0.2
    assert found.cautious_weight > 0.98
    [found] = separate({PRICE: 1_000}, 10_000, {PRICE: 1_000}, 10_000)
    assert found.noise
    assert 0.0 < found.cautious_weight < 0.1


def test_more_proof_than_differences_leaves_nothing_in_doubt():
    """A canary that differs less often than the control is not to blame at all."""
    [found] = separate({STAMP: 10}, 1_000, {STAMP: 500}, 1_000)
    assert (found.noise, found.cautious_weight) == (True, 0.0)


def test_a_listing_differs_as_surely_as_its_findings_together():
    """Half noise twice leaves three quarters; one that is real leaves no doubt; none, no one."""
    half = separate({PRICE: 1_000}, 10_000, {PRICE: 500}, 10_000)
    assert disagreement(half) == pytest.approx(0.5)
    assert disagreement(half * 2) == pytest.approx(0.75)
    assert disagreement(half * 2, cautious=True) > 0.75
    assert disagreement(half + separate({LOST: 3}, 10_000, {}, 0)) == 1.0
    assert disagreement(()) == 0.0


def test_doubt_lowers_the_promise_alone():
    """What is only taken for noise counts as agreeing in the rate, not in the bound."""
    sure, doubted = MatchRate(1_000, 1_000), MatchRate(1_000, 1_000, doubted=100)
    assert doubted.rate == sure.rate == 1.0
    assert doubted.lower_bound() < 0.9 < sure.lower_bound()
    assert doubted.sentence().startswith("100 % of 1,000 listings agree (at least 87.")
    assert MatchRate(5, 10, doubted=9).certain == 0

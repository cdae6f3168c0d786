"""The match rate says how sure it is, and noise is only what a control shows."""

from __future__ import annotations

import pytest

from gateway.core.comparison import (
    Cause,
    Comparison,
    Kind,
    MatchRate,
    Rule,
    Rules,
    Signature,
    agrees,
    compare,
    score,
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
    assert nothing + MatchRate(2, 3) == MatchRate(2, 3)


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


def test_history_is_scored_anew():
    """Equal ones stay equal; the others are judged by the rules and noise of today."""
    differing = [
        compare({"price": 1, "at": n}, {"price": 1, "at": n + 1}, Rules()) for n in range(5)
    ]
    differing.append(compare({"price": 1}, {"price": 2}, Rules()))
    assert score(94, differing, Rules()) == MatchRate(94, 100)
    ignoring = Rules([Rule("at", "made anew by each answer", ignore=True)])
    assert score(94, differing, ignoring) == MatchRate(99, 100)
    noise = frozenset({Signature("at", Kind.VALUE, Cause.REAL)})
    assert score(94, differing, Rules(), noise) == MatchRate(99, 100)


def test_cut_off_differences_never_agree():
    """Behind the cut there may be a real one."""
    assert agrees(Comparison(), Rules())
    assert not agrees(Comparison((), truncated=True), Rules())

"""The breaker's arrows, one test each, and the late, lost and doubtful results."""

from __future__ import annotations

import pytest

from gateway.core.breaker import (
    CLOSED,
    Behaviour,
    Breaker,
    BreakerState,
    Permit,
    Rejected,
    admit,
    isolate,
    record,
    release,
)

NOW_US = 1_790_000_000_000_000
THREE = Behaviour(failures=3, open_us=60_000_000)


def fail(breaker: Breaker, times: int, behaviour: Behaviour = THREE) -> Breaker:
    """So many failures in a row."""
    for _ in range(times):
        breaker = record(breaker, behaviour, breaker.permit, ok=False, now_us=NOW_US)
    return breaker


def probing(behaviour: Behaviour = THREE) -> tuple[Permit, Breaker]:
    """A breaker whose wait is over, with its first probe out."""
    permit, breaker = admit(fail(CLOSED, 3, behaviour), behaviour, NOW_US + behaviour.open_us)
    assert isinstance(permit, Permit)
    return permit, breaker


def test_a_healthy_upstream_costs_nothing():
    """Admission and success return the very same objects."""
    permit, breaker = admit(CLOSED, THREE, NOW_US)
    assert permit is CLOSED.permit
    assert breaker is CLOSED
    assert record(CLOSED, THREE, CLOSED.permit, ok=True, now_us=NOW_US) is CLOSED
    assert record(CLOSED, THREE, CLOSED.permit, ok=None, now_us=NOW_US) is CLOSED


def test_only_failures_in_a_row_open_it():
    """A success in between forgives; a result that says nothing does not."""
    forgiven = record(fail(CLOSED, 2), THREE, CLOSED.permit, ok=True, now_us=NOW_US)
    assert forgiven.failures == 0
    assert fail(forgiven, 2).state is BreakerState.CLOSED
    doubtful = record(fail(CLOSED, 2), THREE, CLOSED.permit, ok=None, now_us=NOW_US)
    assert fail(doubtful, 1).state is BreakerState.OPEN


def test_open_says_how_long():
    """Nobody is let through, and everybody is told when to come back."""
    opened = fail(CLOSED, 3)
    assert opened == Breaker(BreakerState.OPEN, Permit(1), since_us=NOW_US)
    assert opened.generation == 1
    assert admit(opened, THREE, NOW_US + 1) == (Rejected(59_999_999), opened)


def test_half_open_lets_exactly_one_through():
    """The first after the wait probes; the next is told to wait, however many come."""
    permit, half_open = probing()
    assert half_open.state is BreakerState.HALF_OPEN
    answer, same = admit(half_open, THREE, NOW_US + 60_000_001)
    assert answer == Rejected(59_999_999)
    assert same is half_open
    closed = record(half_open, THREE, permit, ok=True, now_us=NOW_US + 60_000_002)
    assert closed == Breaker(BreakerState.CLOSED, Permit(3), since_us=NOW_US + 60_000_002)


def test_a_failed_probe_opens_it_again():
    """The wait starts anew."""
    permit, half_open = probing()
    opened = record(half_open, THREE, permit, ok=False, now_us=NOW_US + 60_000_005)
    assert opened.state is BreakerState.OPEN
    assert admit(opened, THREE, NOW_US + 60_000_005)[0] == Rejected(60_000_000)


def test_all_probes_must_succeed():
    """With two probes, two are let through and the first success alone does not close it."""
    two = Behaviour(failures=3, open_us=60_000_000, probes=2)
    first, half_open = probing(two)
    second, half_open = admit(half_open, two, NOW_US + 60_000_000)
    assert second == first
    assert isinstance(admit(half_open, two, NOW_US + 60_000_000)[0], Rejected)
    half_open = record(half_open, two, first, ok=True, now_us=NOW_US + 60_000_000)
    assert half_open.state is BreakerState.HALF_OPEN
    closed = record(half_open, two, first, ok=True, now_us=NOW_US + 60_000_000)
    assert closed.state is BreakerState.CLOSED


def test_a_probe_that_says_nothing_frees_its_place():
    """The client of the probe went away: the next request probes instead."""
    permit, half_open = probing()
    freed = record(half_open, THREE, permit, ok=None, now_us=NOW_US + 60_000_001)
    assert freed.probes_out == 0
    assert isinstance(admit(freed, THREE, NOW_US + 60_000_002)[0], Permit)


def test_a_lost_probe_does_not_hold_the_place_for_ever():
    """After one more wait another may probe, and the lost one's late result says nothing."""
    lost, half_open = probing()
    permit, again = admit(half_open, THREE, NOW_US + 120_000_000)
    assert isinstance(permit, Permit)
    assert permit != lost
    assert record(again, THREE, lost, ok=True, now_us=NOW_US + 120_000_001) is again


def test_late_results_say_nothing():
    """A request sent before the breaker opened neither closes nor re-opens it."""
    opened = fail(CLOSED, 3)
    assert record(opened, THREE, CLOSED.permit, ok=True, now_us=NOW_US) is opened
    _, half_open = probing()
    assert record(half_open, THREE, CLOSED.permit, ok=False, now_us=NOW_US) is half_open


def test_a_permit_nobody_was_given_says_nothing():
    """While open no permit is given out, so a result of that generation is made up."""
    opened = fail(CLOSED, 3)
    assert record(opened, THREE, opened.permit, ok=True, now_us=NOW_US) is opened


def test_isolation_lasts_until_released():
    """No time and no result leads out of it, and release begins with a clean record."""
    isolated = isolate(fail(CLOSED, 2), NOW_US)
    assert isolate(isolated, NOW_US + 1) is isolated
    assert admit(isolated, THREE, NOW_US + 10**12) == (Rejected(None), isolated)
    released = release(isolated, NOW_US + 2)
    assert released == Breaker(BreakerState.CLOSED, Permit(2), since_us=NOW_US + 2)
    assert release(released, NOW_US + 3) is released


def test_a_clock_that_runs_back_neither_shortens_nor_stretches_the_wait():
    """After an hour's jump back the wait starts again and lasts exactly once."""
    opened = fail(CLOSED, 3)
    back_us = NOW_US - 3_600_000_000
    answer, restarted = admit(opened, THREE, back_us)
    assert answer == Rejected(60_000_000)
    assert isinstance(admit(restarted, THREE, back_us + 59_999_999)[0], Rejected)
    assert isinstance(admit(restarted, THREE, back_us + 60_000_000)[0], Permit)


def test_zero_failures_switches_it_off():
    """A breaker with no threshold never opens."""
    off = Behaviour(failures=0)
    assert fail(CLOSED, 1000, off) is CLOSED


@pytest.mark.parametrize("wrong", [{"failures": -1}, {"open_us": 0}, {"probes": 0}])
def test_impossible_behaviour_is_refused(wrong):
    """A breaker must be able to open, to wait and to probe."""
    with pytest.raises(ValueError, match="a breaker needs"):
        Behaviour(**wrong)

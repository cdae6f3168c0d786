"""GCRA: bursts, even spacing, exact rates, clocks that run back, and a table that stays small."""

from __future__ import annotations

import pytest

from gateway.core.limiter import ALLOWED, LUA_EXACT, Quota, Table, admit

NOW_US = 1_790_000_000_000_000
SECOND_US = 1_000_000


def admitted(quota: Quota, arrivals: list[int]) -> list[bool]:
    """Which of the arrivals are let in."""
    tat, answers = 0, []
    for now_us in arrivals:
        admission, tat = admit(tat, now_us, quota)
        answers.append(admission.allowed)
    return answers


def test_a_burst_then_even_spacing():
    """Three at once, then one per 100 ms and no sooner."""
    quota = Quota.per_second(10, 3)
    assert admitted(quota, [NOW_US] * 4) == [True, True, True, False]
    later = [NOW_US] * 3 + [NOW_US + 99_999, NOW_US + 100_000, NOW_US + 100_001]
    assert admitted(quota, later) == [True, True, True, False, True, False]


def test_retry_after_is_exactly_when_the_next_one_is_let_in():
    """Coming back as told succeeds, one microsecond earlier does not, fractions or not."""
    quota = Quota.per_second(3, 1)
    _, tat = admit(0, NOW_US, quota)
    refused, tat = admit(tat, NOW_US, quota)
    assert not refused.allowed
    assert refused.retry_after_us == 333_334
    assert not admit(tat, NOW_US + refused.retry_after_us - 1, quota)[0].allowed
    assert admit(tat, NOW_US + refused.retry_after_us, quota)[0] is ALLOWED


@pytest.mark.parametrize(
    ("rate", "span_us"), [(1, SECOND_US), (3, SECOND_US), (997, SECOND_US), (3_000_001, 1_000)]
)
def test_no_rate_is_rounded(rate, span_us):
    """After the burst exactly the rate passes, thirds and sub-microseconds included."""
    steps = 1_000
    burst = rate * span_us // SECOND_US // steps + 5
    quota = Quota.per_second(rate, burst)
    tat, passed = 0, -burst
    for step in range(steps + 1):
        for _ in range(burst + 1):
            admission, tat = admit(tat, NOW_US + span_us * step // steps, quota)
            passed += admission.allowed
    assert passed == rate * span_us // SECOND_US


def test_rates_below_one_a_second():
    """0.5 is one every two seconds."""
    quota = Quota.per_second(0.5, 1)
    assert admitted(quota, [NOW_US, NOW_US + 1_999_999, NOW_US + 2_000_000]) == [True, False, True]


@pytest.mark.parametrize("quota", [Quota.per_second(0, 5), Quota.per_second(5, 0)])
def test_zero_is_off(quota):
    """A rate or burst of 0 lets everything through and keeps nothing."""
    assert admitted(quota, [NOW_US] * 1000) == [True] * 1000
    table = Table(quota)
    assert table.admit("a", NOW_US) is ALLOWED
    assert len(table) == 0


def test_a_clock_that_runs_back_costs_one_burst_at_most():
    """After an hour's jump back the client waits one interval, not an hour, and it does end."""
    quota = Quota.per_second(10, 2)
    _, tat = admit(0, NOW_US + 3600 * SECOND_US, quota)
    refused, tat = admit(tat, NOW_US, quota)
    assert refused.retry_after_us == 100_000
    assert admit(tat, NOW_US + 100_000, quota)[0] is ALLOWED


@pytest.mark.parametrize(
    ("requests", "period_us", "burst", "message"),
    [
        (-1, 1, 1, "requests >= 0"),
        (1, 0, 1, "period > 0"),
        (1, 1, -1, "burst >= 0"),
        (1, SECOND_US, LUA_EXACT // SECOND_US, "Lua"),
        (LUA_EXACT, 1, 1, "Lua"),
    ],
)
def test_impossible_quotas_are_refused(requests, period_us, burst, message):
    """Negative figures make no sense; huge ones the shared limiter could not count exactly."""
    with pytest.raises(ValueError, match=message):
        Quota(requests, period_us, burst)


def test_clients_do_not_share():
    """One client's burst is not another's."""
    table = Table(Quota.per_second(1, 1))
    assert table.admit("a", NOW_US).allowed
    assert not table.admit("a", NOW_US).allowed
    assert table.admit("b", NOW_US).allowed


def test_a_client_that_comes_back_has_its_whole_burst():
    """Long idle saves up one burst, not more."""
    table = Table(Quota.per_second(1, 2))
    assert table.admit("a", NOW_US).allowed
    later_us = NOW_US + 3600 * SECOND_US
    assert [table.admit("a", later_us).allowed for _ in range(3)] == [True, True, False]


def test_keys_whose_time_is_past_are_forgotten():
    """A key that could not be told from a new one takes no room."""
    table = Table(Quota.per_second(1, 1))
    for client in range(10):
        table.admit(f"early-{client}", NOW_US)
    for client in range(5):
        table.admit(f"late-{client}", NOW_US + 2 * SECOND_US)
    assert len(table) == 5


def test_a_flood_of_keys_takes_bounded_room():
    """A million keys cannot fill memory; the oldest go, and strangers are still let in."""
    table = Table(Quota.per_second(0.01, 1), capacity=100)
    for client in range(5_000):
        assert table.admit(f"{client}", NOW_US + client).allowed
        assert len(table) <= 100


def test_a_table_needs_room():
    """A table for no key at all is a mistake."""
    with pytest.raises(ValueError, match="room"):
        Table(Quota.per_second(1, 1), capacity=0)

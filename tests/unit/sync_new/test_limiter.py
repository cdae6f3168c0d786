"""The call budget: never more than its rate, and never slower than it must be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sync_new.limiter import CallBudget, Gcra

SECOND_US = 1_000_000


@given(
    rate=st.integers(1, 200),
    gaps_us=st.lists(st.integers(0, 3 * SECOND_US), min_size=1, max_size=200),
)
def test_no_window_carries_more_than_rate_and_burst(rate: int, gaps_us: list[int]) -> None:
    """However calls arrive, any span of time carries at most its share plus one burst."""
    rule = Gcra.per_second(rate)
    tat_us = now_us = 0
    made: list[int] = []
    for gap_us in gaps_us:
        now_us += gap_us
        tat_us, wait_us = rule.reserve(tat_us, now_us)
        made.append(now_us + wait_us)
    for i, start in enumerate(made):
        for j in range(i, len(made)):
            span_us = made[j] - start
            assert (j - i + 1 - rule.burst) * rule.interval_us <= span_us


@given(rate=st.integers(1, 200), calls=st.integers(1, 300))
def test_nobody_waits_longer_than_needed(rate: int, calls: int) -> None:
    """Calls that come all at once are spread at exactly the rate after the burst."""
    rule = Gcra.per_second(rate)
    tat_us = 0
    waits = []
    for _ in range(calls):
        tat_us, wait_us = rule.reserve(tat_us, 0)
        waits.append(wait_us)
    expected = [max(0, (n - rule.burst + 1) * rule.interval_us) for n in range(calls)]
    assert waits == expected


def test_an_idle_budget_is_whole_again() -> None:
    """After a pause the burst is there again, and not more of it."""
    rule = Gcra.per_second(10)
    tat_us = 0
    for _ in range(50):
        tat_us, _ = rule.reserve(tat_us, 0)
    waits = []
    for _ in range(rule.burst + 1):
        tat_us, wait_us = rule.reserve(tat_us, 60 * SECOND_US)
        waits.append(wait_us)
    assert waits == [0] * rule.burst + [100_000]


async def test_usage_is_a_mean_of_ten_seconds() -> None:
    """A saturated budget is used wholly; one that rests is used less and less."""
    budget = CallBudget(10)
    now_us = 0
    for _ in range(200):
        now_us += await budget.reserve(now_us)
    assert 9 <= budget.used(now_us) <= 11
    assert budget.used(now_us + 5 * SECOND_US) < 6
    assert budget.used(now_us + 11 * SECOND_US) == 0


async def test_without_a_rate_nobody_waits() -> None:
    """A rate of 0 sets no limit, and still counts."""
    budget = CallBudget(0)
    assert [await budget.reserve(0) for _ in range(1000)] == [0] * 1000
    assert budget.used(0) == 100

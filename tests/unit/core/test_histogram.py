"""Log-linear buckets: exact where small, never more than 1/32 too high, and additive."""

from __future__ import annotations

import pytest

from gateway.core import histogram
from gateway.core.histogram import (
    BUCKETS,
    MAX_VALUE,
    bucket_of,
    lower_bound,
    merge,
    quantile,
    size,
    sparse,
    upper_bound,
)

TEN_MINUTES_US = 600_000_000


def test_small_values_have_a_bucket_each():
    """Below 64 a bucket holds one value, so nothing is rounded."""
    assert [bucket_of(value) for value in range(64)] == list(range(64))
    assert all(lower_bound(bucket) == upper_bound(bucket) == bucket for bucket in range(64))


def test_buckets_meet_without_gap_or_overlap():
    """Each bucket begins right after the one before it, up to the last."""
    for bucket in range(1, BUCKETS):
        assert lower_bound(bucket) == upper_bound(bucket - 1) + 1
        assert bucket_of(lower_bound(bucket)) == bucket_of(upper_bound(bucket)) == bucket


def test_a_bucket_is_narrow():
    """From 50 us to beyond ten minutes the upper edge is at most 3.2 % above any value inside."""
    widest = max(
        (upper_bound(bucket) - lower_bound(bucket)) / lower_bound(bucket)
        for bucket in range(bucket_of(50), bucket_of(TEN_MINUTES_US) + 2)
    )
    assert widest < 1 / 32
    assert upper_bound(BUCKETS - 1) == MAX_VALUE > 3 * TEN_MINUTES_US


@pytest.mark.parametrize(("value", "bucket"), [(-5, 0), (0, 0), (10**15, BUCKETS - 1)])
def test_impossible_values_go_to_the_ends(value, bucket):
    """A clock that ran backwards counts as zero, an absurd span as the longest one."""
    assert bucket_of(value) == bucket


def test_quantile_of_nothing_is_unknown():
    """An empty histogram has no median: None, never zero and never NaN."""
    assert quantile(histogram.EMPTY, 0.5) is None


@pytest.mark.parametrize(("q", "expected"), [(0.0, 1), (0.07, 7), (0.5, 50), (0.95, 63), (1.0, 63)])
def test_quantile_is_the_nearest_rank(q, expected):
    """Of 1..50 and fifty times 63 each is found by rank; rounding q times n slips none on."""
    counts = merge([sparse(dict.fromkeys(range(1, 51), 1)), ((63, 50),)])
    assert quantile(counts, q) == expected


def test_a_small_p95_is_the_largest_of_few():
    """Of three values the 95th percentile is the third: the slow one is not averaged away."""
    assert quantile(((1, 1), (2, 1), (60, 1)), 0.95) == 60


@pytest.mark.parametrize("q", [-0.1, 1.1, float("nan")])
def test_a_quantile_outside_its_range_is_refused(q):
    """Only shares between 0 and 1 have a quantile."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        quantile(((1, 1),), q)


def test_merging_adds_counts():
    """Two workers' counts become one, each bucket once and in order."""
    assert merge([((3, 1), (9, 2)), (), ((1, 4), (9, 1))]) == ((1, 4), (3, 1), (9, 3))
    assert size(((1, 4), (9, 3))) == 7

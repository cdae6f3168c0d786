"""
Counting how long things took, so that counts of many workers add up.

Buckets are log-linear: every power of two is cut into `SUB_BUCKETS` equal parts, so a bucket is
never wider than 1/32 of its lower edge and a quantile read from it is at most 3.2 % too high.
Averages of quantiles mean nothing; sums of counts do, and with edges that never move, two workers,
two seconds or two replicas merge by adding. A bucket number is two shifts away from the value: no
search, no table, no floating point. Values below 64 have a bucket each; values above `MAX_VALUE`
(38 minutes in microseconds, 10 times the longest deadline anybody sets) share the last one.

The unit belongs to the caller. Latencies are microseconds; sync pace is milliseconds per 1,000
listings. `Counts` is sparse, sorted by bucket: one second of one system touches few of the buckets.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Counts = tuple[tuple[int, int], ...]
"""(bucket, count) pairs, each bucket once, in rising order, no count of zero."""

SUB_BUCKET_BITS: Final = 5
SUB_BUCKETS: Final = 1 << SUB_BUCKET_BITS
MAX_VALUE: Final = (1 << 31) - 1
_WHOLE_BITS: Final = SUB_BUCKET_BITS + 1
_RANK_SLACK: Final = 1e-9  # 0.07 * 100 is 7.000000000000001 and must still be the 7th value

EMPTY: Final[Counts] = ()


def bucket_of(value: int) -> int:
    """Find the bucket of a value; below zero (a clock that ran backwards) counts as zero."""
    if value <= 0:
        return 0
    value = min(value, MAX_VALUE)
    shift = value.bit_length() - _WHOLE_BITS
    if shift <= 0:
        return value
    return (shift << SUB_BUCKET_BITS) + (value >> shift)


BUCKETS: Final = bucket_of(MAX_VALUE) + 1


def lower_bound(bucket: int) -> int:
    """Give the smallest value of the bucket."""
    shift = (bucket >> SUB_BUCKET_BITS) - 1
    if shift <= 0:
        return bucket
    return (bucket - (shift << SUB_BUCKET_BITS)) << shift


def upper_bound(bucket: int) -> int:
    """Give the largest value of the bucket, in the caller's unit."""
    return lower_bound(bucket + 1) - 1


def sparse(counts: Mapping[int, int]) -> Counts:
    """Freeze a dictionary bucket -> count."""
    return tuple(sorted(counts.items()))


def merge(parts: Iterable[Counts]) -> Counts:
    """Add many; adding is associative and commutative, so the order says nothing."""
    total: dict[int, int] = {}
    for part in parts:
        for bucket, count in part:
            total[bucket] = total.get(bucket, 0) + count
    return sparse(total)


def size(counts: Counts) -> int:
    """Say how many values were counted."""
    return sum(count for _, count in counts)


def quantile(counts: Counts, q: float) -> int | None:
    """
    Find the value at or below which a share `q` (0..1) of all lies; None when nothing was counted.

    Nearest rank, answered with the upper edge of its bucket: never too low, at most 1/32 too high.
    """
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"a quantile is between 0 and 1, not {q}")
    rank = max(1, ceil(q * size(counts) - _RANK_SLACK))
    reached = 0
    for bucket, count in counts:
        reached += count
        if reached >= rank:
            return upper_bound(bucket)
    return None

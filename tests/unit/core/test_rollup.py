"""Buckets of hours: what adds up, what stays unknown, what is stored and read back."""

from __future__ import annotations

import json

import pytest

from gateway.core import histogram
from gateway.core.rollup import (
    Bucket,
    Counted,
    ForeignBucketError,
    Level,
    Standing,
    counted,
    from_json,
    gaps,
    merged,
    to_json,
)
from gateway.core.window import VariantSecond


def timed(*latencies_us: int) -> histogram.Counts:
    """A histogram of these."""
    return histogram.merge([((histogram.bucket_of(one), 1),) for one in latencies_us])


def test_quantiles_of_hours_are_those_of_their_requests() -> None:
    """99 quick requests of one hour and one slow one of another: the slow one is not the median."""
    quick = Counted(ok=99, latency=timed(*[10_000] * 99), pace=timed(4_000))
    slow = Counted(ok=1, latency=timed(900_000), syncs=1, listings=500)
    both = counted((quick, slow))
    assert (both.ok, both.syncs, both.listings) == (100, 1, 500)
    assert both.latency_ms(0.5) == pytest.approx(10, rel=0.04)
    assert both.latency_ms(1.0) == pytest.approx(900, rel=0.04)
    assert both.pace_s(0.5) == pytest.approx(4, rel=0.04)


def test_what_was_never_asked_has_no_ratio_and_no_times() -> None:
    """Nothing counted gives None, never zero; rejections are requests but are not judged."""
    nothing = Counted(rejected=3)
    assert (nothing.requests, nothing.error_ratio) == (3, None)
    assert (nothing.latency_ms(0.5), nothing.pace_s(0.5)) == (None, None)
    assert Counted(ok=3, errors=1, rejected=6).error_ratio == 0.25


def test_an_hour_grows_by_seconds_looks_and_what_happened() -> None:
    """Seconds add per system; a level keeps average and worst; only what happened is named."""
    bucket = Bucket(7).plus_seconds(10, {"old": VariantSecond(ok=5), "new": VariantSecond()})
    bucket = bucket.plus_seconds(5, {"old": VariantSecond(ok=1, errors=2, syncs=1, listings=9)})
    bucket = bucket.plus_levels([("cpu_ratio", 0.2), ("disk_ratio", 0.5)])
    bucket = bucket.plus_levels([("cpu_ratio", 0.6)])
    bucket = bucket.plus_happened({"rollbacks": 1, "decisions": 0}).plus_happened({"rollbacks": 1})
    assert (bucket.covered_s, bucket.of("old").ok, bucket.of("old").errors) == (15, 6, 2)
    assert bucket.of("new") == Counted()
    assert bucket.of("nobody") == Counted()
    assert bucket.levels["cpu_ratio"].average == pytest.approx(0.4)
    assert bucket.levels["cpu_ratio"].most == 0.6
    assert bucket.happened == {"rollbacks": 2}


def test_a_day_is_the_sum_of_its_hours_and_stands_where_the_last_stood() -> None:
    """Missing hours stay uncovered; the order in which hours come says nothing."""
    early = Bucket(
        10, covered_s=3600, systems={"old": Counted(ok=1)},
        levels={"cpu_ratio": Level(1, 0.2, 0.2)},
        happened={"rollbacks": 1}, standing=Standing(1, "running", "small", 10.0),
    )  # fmt: skip
    late = Bucket(
        20, covered_s=60, systems={"old": Counted(ok=2)}, levels={"cpu_ratio": Level(1, 0.4, 0.4)},
        standing=Standing(2, "rolled_back", "small", 0.0),
    )  # fmt: skip
    for order in ((early, late), (late, early)):
        day = merged(order, hour=0, hours=24)
        assert (day.hour, day.end_hour, day.covered_s) == (0, 24, 3660)
        assert day.of("old").ok == 3
        assert day.levels["cpu_ratio"] == Level(2, pytest.approx(0.6), 0.4)
        assert day.happened == {"rollbacks": 1}
        assert day.standing == late.standing
    assert merged((), hour=0, hours=24).standing is None


def test_hours_without_anything_are_gaps() -> None:
    """At the beginning, in between, at the end; an hour with a row but without a second is one."""
    known = [Bucket(3, covered_s=1), Bucket(2, covered_s=9), Bucket(5), Bucket(6, 2, covered_s=4)]
    assert gaps(known, from_hour=0, to_hour=10) == ((0, 2), (4, 6), (8, 10))
    assert gaps((), from_hour=0, to_hour=3) == ((0, 3),)
    assert gaps([Bucket(0, 3, covered_s=5)], from_hour=0, to_hour=3) == ()


def test_a_bucket_survives_being_written_down() -> None:
    """The exact opposite of each other, through JSON's own lists."""
    bucket = Bucket(
        494_000, 24, 80_000,
        {"old": Counted(5, 1, 0, 2, 40, timed(700, 900), timed(12)), "new": Counted()},
        {"cpu_ratio": Level(3, 1.5, 0.9)}, {"decisions": 2},
        Standing(5, "running", None, 12.5, 0.993, 4_000),
    )  # fmt: skip
    assert from_json(json.loads(json.dumps(to_json(bucket)))) == bucket
    assert from_json(json.loads(json.dumps(to_json(Bucket(1))))) == Bucket(1)


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        {},
        {"format": 2},
        {"format": 1},
        to_json(Bucket(1)) | {"hour": "x"},
        to_json(Bucket(1)) | {"systems": []},
        to_json(Bucket(1)) | {"levels": {"cpu": {"foreign": 1}}},
    ],
)
def test_what_is_no_bucket_is_refused(raw: object) -> None:
    """Another format, a missing key, another type: said, never guessed at."""
    with pytest.raises(ForeignBucketError):
        from_json(raw)

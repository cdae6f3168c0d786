"""Seconds counted, handed over, added up and read back; what was not seen stays unknown."""

from __future__ import annotations

import pytest

from gateway.core import histogram
from gateway.core.histogram import bucket_of, upper_bound
from gateway.core.model import SECOND_US, Outcome, Variant
from gateway.core.window import (
    FUTURE_S,
    SILENT,
    Recorder,
    Snapshot,
    Timeline,
    VariantSecond,
    merge,
)

START = 1_790_000_000 // 3600 * 3600  # a whole hour, so that edges are easy to see
START_US = START * SECOND_US
NEW = Variant.CANARY


def second(ok: int = 0, errors: int = 0, latency_us: int = 1000) -> VariantSecond:
    """A second with so many answers."""
    latency = ((bucket_of(latency_us), ok),) if ok else ()
    return VariantSecond(ok=ok, errors=errors, latency=latency)


def test_outcomes_are_counted_apart():
    """Each outcome has its count; what is ignored shows up nowhere."""
    recorder = Recorder(START_US)
    for outcome in (Outcome.OK, Outcome.ERROR, Outcome.REJECTED, Outcome.IGNORED):
        recorder.record(START_US, outcome, 1000)
    assert recorder.take(START_US) == ()
    assert recorder.take(START_US + SECOND_US) == (
        (START, VariantSecond(ok=1, errors=1, rejected=1, latency=((bucket_of(1000), 1),))),
    )
    assert recorder.take(START_US + SECOND_US) == ()


@pytest.mark.parametrize("latency_us", [-1, 0, 63, 64, 12_345, 2**31 - 1, 2**31, 10**15])
def test_the_hot_path_finds_the_same_bucket(latency_us):
    """The inlined arithmetic agrees with the histogram's for every kind of value."""
    recorder = Recorder(START_US)
    recorder.record(START_US, Outcome.OK, latency_us)
    recorder.record(START_US, Outcome.OK, latency_us)
    [(_, counts)] = recorder.take(START_US + SECOND_US)
    assert counts.latency == ((bucket_of(latency_us), 2),)


def test_syncs_have_a_pace():
    """Ten listings in 5 ms are 500 ms per 1,000; an empty or failed sync has no pace."""
    recorder = Recorder(START_US)
    recorder.record_sync(START_US, Outcome.OK, 5_000, 10)
    recorder.record_sync(START_US, Outcome.OK, 5_000, 0)
    recorder.record_sync(START_US, Outcome.ERROR, 5_000, 10)
    [(_, counts)] = recorder.take(START_US + SECOND_US)
    assert (counts.ok, counts.errors, counts.syncs, counts.listings) == (2, 1, 2, 10)
    assert counts.pace == ((bucket_of(500), 1),)


def test_silent_seconds_are_reported_as_silent():
    """A second in which nothing happened is known to have been idle."""
    recorder = Recorder(START_US)
    recorder.record(START_US, Outcome.OK, 1)
    recorder.record(START_US + 3 * SECOND_US, Outcome.OK, 1)
    taken = recorder.take(START_US + 4 * SECOND_US)
    assert [at for at, _ in taken] == [START, START + 1, START + 2, START + 3]
    assert taken[1][1] is taken[2][1] is SILENT


def test_a_clock_that_runs_a_little_back_counts_to_the_newest_second():
    """Nothing is lost and no second is reported twice."""
    recorder = Recorder(START_US)
    recorder.record(START_US, Outcome.OK, 1)
    recorder.record(START_US - SECOND_US, Outcome.OK, 1)
    taken = recorder.take(START_US + SECOND_US)
    assert [(at, counts.ok) for at, counts in taken] == [(START, 2)]


def test_a_jump_forward_is_a_gap_and_its_correction_is_believed():
    """A year's jump fills no memory with silence, and counting goes on when it is set right."""
    recorder = Recorder(START_US)
    year = 365 * 86_400
    recorder.record(START_US + year * SECOND_US, Outcome.OK, 1)
    recorder.record(START_US + SECOND_US, Outcome.OK, 1)
    taken = recorder.take(START_US + 2 * SECOND_US)
    assert [(at, counts.ok) for at, counts in taken] == [
        (START, 0),
        (START + year, 1),
        (START + 1, 1),
    ]


def test_what_nobody_takes_is_bounded():
    """A parent that does not ask for an hour finds the last seconds, not an hour of them."""
    recorder = Recorder(START_US, keep_seconds=5)
    for at in range(3600):
        recorder.record(START_US + at * SECOND_US, Outcome.OK, 1)
    taken = recorder.take(START_US + 3600 * SECOND_US)
    assert [at for at, _ in taken] == [START + at for at in range(3595, 3600)]


def test_unknown_is_none():
    """A span without a sample has no ratio, no latency and no pace."""
    nothing = Snapshot(NEW, START, START, 0)
    assert nothing.requests == nothing.judged == 0
    figures = (
        nothing.error_ratio,
        nothing.success_ratio,
        nothing.rejected_ratio,
        nothing.latency_p50_ms,
        nothing.latency_p95_ms,
        nothing.latency_p99_ms,
        nothing.sync_seconds_per_1000,
    )
    assert set(figures) == {None}


def test_figures_of_a_snapshot():
    """Rejections do not dilute the error ratio, and quantiles come in the units of the metrics."""
    pace = histogram.merge([((bucket_of(40), 9),), ((bucket_of(60_000), 1),)])
    latency = histogram.merge([((bucket_of(32), 96),), ((bucket_of(50_000), 4),)])
    snapshot = Snapshot(
        NEW, START, START + 10, 5, ok=96, errors=4, rejected=100, latency=latency, pace=pace
    )
    assert (snapshot.requests, snapshot.judged) == (200, 100)
    assert (snapshot.error_ratio, snapshot.success_ratio) == (0.04, 0.96)
    assert snapshot.rejected_ratio == 0.5
    assert snapshot.latency_p50_ms == snapshot.latency_p95_ms == 0.032
    assert snapshot.latency_p99_ms == upper_bound(bucket_of(50_000)) / 1000
    assert snapshot.sync_seconds_per_1000 == upper_bound(bucket_of(60_000)) / 1000


def test_merging_workers():
    """Seconds of two workers add; the span is what they named."""
    merged = merge(
        NEW, [(START, second(ok=3)), (START + 4, second(errors=1)), (START, second(ok=2))]
    )
    assert merged == Snapshot(
        NEW, START, START + 5, 2, ok=5, errors=1, latency=((bucket_of(1000), 5),)
    )
    assert merge(NEW, []) == Snapshot(NEW, 0, 0, 0)


def fed(seconds: range, *, workers: int = 1, reporting: int = 1) -> Timeline:
    """A timeline that got one success and one error per second and reporting worker."""
    timeline = Timeline(workers=workers)
    for at in seconds:
        for worker in range(reporting):
            assert timeline.add((at + 1) * SECOND_US, worker, at, {NEW: second(ok=1, errors=1)})
    return timeline


def test_a_span_is_read_back():
    """Any span of the last ten minutes comes back to the second, the other variant empty."""
    timeline = fed(range(START, START + 100))
    read = timeline.snapshot(NEW, START + 7, START + 93)
    assert (read.ok, read.errors, read.seconds_covered) == (86, 86, 86)
    assert (read.from_second, read.to_second) == (START + 7, START + 93)
    assert timeline.snapshot(Variant.BASELINE, START, START + 100).requests == 0


def test_a_second_counts_as_covered_when_all_workers_reported():
    """One of two silent: what the other saw is there, but the time is not covered."""
    half = fed(range(START, START + 10), workers=2, reporting=1).snapshot(NEW, START, START + 10)
    assert (half.ok, half.seconds_covered) == (10, 0)
    timeline = fed(range(START, START + 10), workers=2, reporting=3)
    whole = timeline.snapshot(NEW, START, START + 10)
    assert (whole.ok, whole.seconds_covered) == (30, 10)


def test_a_second_reported_twice_is_covered_once():
    """A worker whose clock was set back names a second again: the counts add, the time does not."""
    timeline = fed(range(START, START + 1), workers=1)
    assert timeline.add(START_US + SECOND_US, 0, START, {NEW: second(ok=5)})
    read = timeline.snapshot(NEW, START, START + 1)
    assert (read.ok, read.seconds_covered) == (6, 1)


@pytest.mark.parametrize("off_s", [FUTURE_S + 1, -600])
def test_reports_from_impossible_seconds_are_refused(off_s):
    """A report from the future or from beyond memory is not believed."""
    timeline = Timeline()
    assert not timeline.add(START_US, 0, START + off_s, {NEW: second(ok=1)})
    assert timeline.add(START_US, 0, START + off_s - (1 if off_s > 0 else -1), {NEW: second(ok=1)})


def test_older_spans_are_remembered_by_the_minute_and_hour():
    """Four hours on, whole hours come back; parts too old for their edges are not covered."""
    timeline = fed(range(START, START + 4 * 3600 + 30))
    everything = timeline.snapshot(NEW, START, START + 4 * 3600 + 30)
    assert everything.ok == everything.seconds_covered == 4 * 3600 + 30
    ragged = timeline.snapshot(NEW, START + 1, START + 2 * 3600)
    assert ragged.ok == ragged.seconds_covered == 3600
    minutes = timeline.snapshot(NEW, START + 2 * 3600 + 1, START + 2 * 3600 + 180)
    assert minutes.ok == 120


def test_memory_is_bounded():
    """Eleven days later the first day is gone, and all time is what is left."""
    timeline = fed(range(START, START + 10))
    later = START + 11 * 86_400
    timeline.add(later * SECOND_US, 0, later, {NEW: second(ok=1)})
    assert timeline.snapshot(NEW, 0, 10**12).ok == 1
    assert timeline.snapshot(NEW, START, START + 3600).ok == 0

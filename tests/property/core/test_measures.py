"""Laws of the measuring core that hold for every input, not only for chosen ones."""

from __future__ import annotations

import random
from fractions import Fraction
from math import ceil, exp, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import histogram
from gateway.core.evidence import CLEAR, Rule, fired, level, observe
from gateway.core.limiter import Quota, Table, admit
from gateway.core.model import SECOND_US, Outcome, Variant
from gateway.core.proportion import lower_bound, upper_bound, worse
from gateway.core.window import Recorder, Timeline, VariantSecond, merge
from tests.bench.evidence_table import REQUIRED_RULES, mean_run_length, median_run_length
from tests.support.scale import scale

EXAMPLES = scale(full=2_000, quick=60)
rules = st.sampled_from(REQUIRED_RULES)
outcomes = st.lists(st.booleans(), max_size=200)
values = st.integers(0, 10**9)


@settings(max_examples=EXAMPLES, deadline=None)
@given(rules, st.lists(st.tuples(st.booleans(), st.integers(1, 80)), max_size=20))
def test_a_run_is_its_single_steps(rule, runs):
    """However outcomes are batched, evidence, sample and alarm are the same."""
    at_once = one_by_one = CLEAR
    for error, count in runs:
        at_once = observe(at_once, rule, error=error, count=count)
        for _ in range(count):
            one_by_one = observe(one_by_one, rule, error=error)
        assert at_once == one_by_one
        assert 0 <= at_once.score <= rule.limit
        assert fired(at_once, rule) == (level(at_once, rule) == 1.0)


@settings(max_examples=EXAMPLES, deadline=None)
@given(rules, outcomes, st.data())
def test_more_errors_never_look_better(rule, errors, data):
    """Turning successes into errors, or putting errors in between, never lowers the evidence."""
    better = worse_one = CLEAR
    for error in errors:
        turned = error or data.draw(st.booleans())
        if data.draw(st.booleans()):
            worse_one = observe(worse_one, rule, error=True)
        better = observe(better, rule, error=error)
        worse_one = observe(worse_one, rule, error=turned)
        assert worse_one.score >= better.score


def walk(rule: Rule, error_ratio: float, requests: int, draw: random.Random) -> tuple[int, int]:
    """Count the alarms of so many requests, and the requests until the first."""
    state, alarms, first, done = CLEAR, 0, 0, 0
    while True:
        successes = int(log(1.0 - draw.random()) / log(1.0 - error_ratio))
        if done + successes >= requests:
            return alarms, first
        done += successes + 1
        state = observe(state, rule, error=False, count=successes)
        state = observe(state, rule, error=True)
        if fired(state, rule):
            alarms, first, state = alarms + 1, first or done, CLEAR


@pytest.mark.parametrize("rule", REQUIRED_RULES, ids=lambda rule: rule.name)
def test_false_alarms_are_as_rare_as_computed(rule):
    """Healthy traffic raises no more alarms than the exact mean allows (Poisson, one in 10^6)."""
    seeds, requests = scale(full=1_000, quick=10), 100_000
    alarms = sum(
        walk(rule, rule.healthy_ratio, requests, random.Random(seed))[0] for seed in range(seeds)
    )
    expected = seeds * requests / mean_run_length(rule, rule.healthy_ratio)
    still_likely, term, total = 0, exp(-expected), exp(-expected)
    while 1.0 - total > 1e-6:
        still_likely += 1
        term *= expected / still_likely
        total += term
    assert alarms <= still_likely


@pytest.mark.parametrize("rule", REQUIRED_RULES, ids=lambda rule: rule.name)
def test_delays_are_as_short_as_computed(rule):
    """Bad traffic is noticed by the exact median in half of all runs, give or take 4.9 sigma."""
    seeds = scale(full=1_000, quick=200)
    median = median_run_length(rule, rule.suspect_ratio)
    firsts = [
        walk(rule, rule.suspect_ratio, 20 * median, random.Random(seed))[1] for seed in range(seeds)
    ]
    assert all(firsts)
    slack = 4.9 * (seeds * 0.25) ** 0.5
    assert sum(first <= median for first in firsts) >= seeds / 2 - slack
    assert sum(first >= median for first in firsts) >= seeds / 2 - slack


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(values, min_size=1, max_size=100), st.floats(0, 1))
def test_a_quantile_is_never_too_low_and_hardly_too_high(seen, q):
    """It lies between the true nearest-rank value and 1/32 above it."""
    counts = histogram.merge([((histogram.bucket_of(value), 1),) for value in seen])
    true = sorted(seen)[max(1, ceil(q * len(seen) - 1e-9)) - 1]
    found = histogram.quantile(counts, q)
    assert found is not None
    assert true <= found <= true * (1 + 1 / 32)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.lists(values, max_size=20), max_size=6), st.randoms(use_true_random=False))
def test_merging_forgets_order_and_grouping(groups, shuffle):
    """Whichever workers are added first, alone or in bunches, the sum is the same."""
    parts = [
        histogram.merge([((histogram.bucket_of(value), 1),) for value in group]) for group in groups
    ]
    straight = histogram.merge(parts)
    shuffle.shuffle(parts)
    middle = len(parts) // 2
    bunched = histogram.merge([histogram.merge(parts[:middle]), histogram.merge(parts[middle:])])
    assert straight == bunched
    assert histogram.size(straight) == sum(map(len, groups))


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3) | st.integers(-(10**6), 10**6), values), max_size=60))
def test_nothing_recorded_is_lost_or_invented(steps):
    """Whatever the clock does, every answer is handed over exactly once."""
    now_us = 1_790_000_000 * SECOND_US
    recorder = Recorder(now_us)
    taken: list[tuple[int, VariantSecond]] = []
    latest_us = now_us
    for step_s, latency_us in steps:
        now_us += step_s * SECOND_US
        latest_us = max(latest_us, now_us)
        recorder.record(now_us, Outcome.OK, latency_us)
        taken.extend(recorder.take(now_us))
    taken.extend(recorder.take(latest_us + SECOND_US))
    total = merge(Variant.CANARY, taken)
    assert total.ok == len(steps) == histogram.size(total.latency)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 2), st.integers(0, 5)), max_size=60),
    st.integers(0, 200),
    st.integers(0, 200),
)
def test_a_timeline_reads_back_what_was_added(reports, one, other):
    """Any span equals the plain sum of the reports that lie in it, whatever its cells."""
    base = 1_790_000_040  # the span holds whole minutes
    timeline = Timeline(workers=3)
    for at, worker, count in reports:
        assert timeline.add(
            (base + 200) * SECOND_US, worker, base + at, {Variant.CANARY: VariantSecond(ok=count)}
        )
    begin, end = sorted((one, other))
    read = timeline.snapshot(Variant.CANARY, base + begin, base + end)
    inside = [(at, worker, count) for at, worker, count in reports if begin <= at < end]
    assert read.ok == sum(count for *_, count in inside)
    workers_of = {at: {w for a, w, _ in inside if a == at} for at, *_ in inside}
    assert read.seconds_covered == sum(len(workers) == 3 for workers in workers_of.values())


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.integers(1, 10**7),
    st.integers(1, 20),
    st.lists(st.integers(-2_000_000, 2_000_000), max_size=80),
)
def test_gcra_is_a_bucket_that_fills_evenly(rate, burst, steps):
    """Exact token arithmetic in fractions gives every answer and every waiting time."""
    quota = Quota.per_second(rate, burst)
    tokens, last_us, now_us, tat = Fraction(burst), 0, 1_790_000_000_000_000, 0
    for step in steps:
        # Three kinds of step: the same instant, a few microseconds, and up to seconds, either way.
        now_us += (0, step // 1000, step)[step % 3]
        filled = tokens + Fraction((now_us - last_us) * rate, SECOND_US)
        tokens, last_us = max(Fraction(0), min(Fraction(burst), filled)), now_us
        admission, tat = admit(tat, now_us, quota)
        assert admission.allowed == (tokens >= 1)
        if admission.allowed:
            tokens -= 1
        else:
            assert admission.retry_after_us == ceil((1 - tokens) * SECOND_US / rate)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 400_000)), max_size=150))
def test_forgetting_changes_no_answer(arrivals):
    """A table that forgets past keys answers like one that keeps every key for ever."""
    quota = Quota.per_second(5, 2)
    table, kept, now_us = Table(quota), dict[str, int](), 1_790_000_000_000_000
    for client, step_us in arrivals:
        now_us += step_us
        key = f"client-{client}"
        expected, kept[key] = admit(kept.get(key, 0), now_us, quota)
        assert table.admit(key, now_us) == expected
        assert len(table) <= len(kept)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 500), st.integers(1, 500), st.floats(0.5, 0.999))
def test_bounds_enclose_the_share(hits, sample, confidence):
    """The share lies between its bounds, and more confidence never narrows them."""
    hits = min(hits, sample)
    low, high = (
        lower_bound(hits, sample, confidence=confidence),
        upper_bound(hits, sample, confidence=confidence),
    )
    assert 0.0 <= low <= hits / sample <= high <= 1.0
    surer = (1 + confidence) / 2
    assert lower_bound(hits, sample, confidence=surer) <= low
    assert upper_bound(hits, sample, confidence=surer) >= high


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_more_hits_are_never_less_significant(sample, hits, other_sample, other_hits):
    """One more error makes blame no less, one more of the other side no more, significant."""
    hits, other_hits = min(hits, sample), min(other_hits, other_sample)
    here = worse(hits, sample, other_hits, other_sample)
    assert 0.0 <= here <= 1.0
    if hits < sample:
        assert worse(hits + 1, sample, other_hits, other_sample) <= here + 1e-12
    if other_hits < other_sample:
        assert worse(hits, sample, other_hits + 1, other_sample) >= here - 1e-12


@given(
    st.integers(1, 500).flatmap(
        lambda healthy: st.tuples(st.just(healthy), st.integers(healthy + 1, 9_000))
    ),
    st.lists(st.tuples(st.booleans(), st.integers(1, 40)), min_size=1, max_size=60),
)
def test_evidence_never_speaks_of_a_run_that_is_not_above_the_threshold(basis_points, runs):
    """Any rule, any sequence, the cap included: while evidence is left, its run is above T."""
    healthy, threshold = basis_points
    rule = Rule("any", healthy / 10_000, threshold / 10_000)
    state = CLEAR
    for error, count in runs:
        for _ in range(count):
            state = observe(state, rule, error=error)
            if state.score:
                assert state.errors * 10_000 > threshold * state.sample
        assert state.score or not fired(state, rule)

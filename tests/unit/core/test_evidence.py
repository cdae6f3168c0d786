"""The CUSUM rules: their figures, their steps, and what they promise, exactly."""

from __future__ import annotations

from math import isclose, log

import pytest

from gateway.core.evidence import (
    CLEAR,
    Rule,
    State,
    estimate,
    fired,
    level,
    observe,
)
from tests.bench.evidence_table import (
    REQUIRED_RULES,
    alarms,
    drift,
    drift_signs,
    mean_run_length,
    median_run_length,
    policy_rules,
    promise,
    table,
)
from tests.support.scale import scale

TEN_PERCENT = Rule("critical", 0.01, 0.10)


@pytest.mark.parametrize(
    ("threshold", "suspect", "failures_in_a_row"),
    [(0.02, 0.035, 12), (0.05, 0.138, 6), (0.10, 0.328, 4)],
)
def test_the_figures_of_the_rules(threshold, suspect, failures_in_a_row):
    """p1 is 3.5, 14 and 33 %; six failures in a row fire the 5 % rule, four the 10 % rule."""
    rule = Rule("rule", 0.01, threshold)
    assert round(rule.suspect_ratio, 3) == suspect
    state = CLEAR
    for failure in range(1, failures_in_a_row + 1):
        state = observe(state, rule, error=True)
        assert fired(state, rule) == (failure == failures_in_a_row)


@pytest.mark.parametrize("rule", REQUIRED_RULES, ids=lambda rule: rule.name)
def test_the_steps_are_the_likelihood_ratios(rule):
    """Whole steps are the logarithms of the theory in one unit, and h is reached, not missed."""
    p0, p1 = rule.healthy_ratio, rule.suspect_ratio
    unit = log((1 - p0) / (1 - p1)) / rule.fall
    assert isclose(rule.rise * unit, log(p1 / p0), rel_tol=1e-9)
    h = log(rule.false_alarm_requests)
    assert (rule.limit - 1) * unit < h <= rule.limit * unit


@pytest.mark.parametrize("rule", REQUIRED_RULES, ids=lambda rule: rule.name)
def test_the_drift_changes_sign_exactly_at_the_threshold(rule):
    """One basis point below the threshold evidence shrinks in the long run, one above it grows."""
    assert (
        drift(rule, rule.threshold_ratio - 0.0001) < 0 < drift(rule, rule.threshold_ratio + 0.0001)
    )
    assert isclose(drift(rule, rule.threshold_ratio), 0.0, abs_tol=1e-9)


@pytest.mark.parametrize("rule", REQUIRED_RULES, ids=lambda rule: rule.name)
def test_what_every_rule_promises(rule):
    """A million healthy requests between false alarms; at p1 nobody is a quarter quicker."""
    row = promise(rule)
    assert row.false_alarm_requests >= 1_000_000
    assert row.ratio <= 1.25


def test_what_the_shipped_policy_promises():
    """The same for every rule of the policy that ships."""
    rules = policy_rules()
    assert rules
    for rule in rules:
        row = promise(rule)
        assert row.false_alarm_requests >= 1_000_000, rule
        assert row.ratio <= 1.25, rule


def test_the_exact_run_length_of_a_rule_that_can_be_done_by_hand():
    """At p0 1 %, T 50 % an error is one up, a success one down: a fair gambler needs 20 rounds."""
    rule = Rule("half", 0.01, 0.50)
    assert (rule.rise, rule.fall, rule.limit) == (1, 1, 4)
    # Reflected at zero by staying there: from zero to n takes n * (n + 1) fair rounds.
    assert isclose(mean_run_length(rule, 0.5), 20.0, rel_tol=1e-12)
    assert median_run_length(rule, 1.0) == 4


def test_the_table_can_be_read():
    """One line per rule under the heading, each with its name."""
    lines = table(REQUIRED_RULES[:2]).splitlines()
    assert [line.split("  ")[0] for line in lines[5:]] == [rule.name for rule in REQUIRED_RULES[:2]]


def test_evidence_never_leaves_its_range():
    """Successes buy no credit below zero; a long outage is forgiven as soon as a short one."""
    assert observe(CLEAR, TEN_PERCENT, error=False, count=10**6) is CLEAR
    outage = observe(CLEAR, TEN_PERCENT, error=True, count=10**6)
    assert outage.score == TEN_PERCENT.limit
    assert level(outage, TEN_PERCENT) == 1.0
    assert not fired(observe(outage, TEN_PERCENT, error=False), TEN_PERCENT)
    assert observe(outage, TEN_PERCENT, error=False, count=TEN_PERCENT.limit) is CLEAR


def test_what_was_seen_since_evidence_began():
    """The sample starts with the error that left zero and ends when zero is reached again."""
    state = observe(CLEAR, TEN_PERCENT, error=True, count=2)
    state = observe(state, TEN_PERCENT, error=False, count=3)
    assert state == State(score=15, sample=5, errors=2)
    assert level(state, TEN_PERCENT) == 15 / 36
    seen = estimate(state)
    assert seen is not None
    assert (seen.ratio, seen.sample, seen.errors) == (0.4, 5, 2)
    assert seen.interval.low < 0.1
    assert seen.interval.high > 0.8
    assert estimate(CLEAR) is None


def test_runs_of_no_length_and_of_negative_length():
    """No outcome changes nothing; fewer than none is a mistake."""
    state = observe(CLEAR, TEN_PERCENT, error=True)
    assert observe(state, TEN_PERCENT, error=True, count=0) is state
    with pytest.raises(ValueError, match="a run has a length"):
        observe(state, TEN_PERCENT, error=False, count=-1)


@pytest.mark.parametrize(
    ("healthy", "threshold"),
    [(0.0, 0.1), (0.1, 0.1), (0.2, 0.1), (0.01, 1.0), (float("nan"), 0.1), (0.01, float("nan"))],
)
def test_rules_that_divide_nothing_are_refused(healthy, threshold):
    """A threshold at or below the healthy rate has no bad side."""
    with pytest.raises(ValueError, match="0 < healthy < threshold < 1"):
        Rule("rule", healthy, threshold)


@pytest.mark.parametrize("requests", [1.0, 0.0, float("inf"), float("nan")])
def test_rules_without_a_limit_are_refused(requests):
    """Alarms on every request, or never, are no detector."""
    with pytest.raises(ValueError, match="between false alarms"):
        Rule("rule", 0.01, 0.1, requests)


def test_thresholds_are_whole_basis_points():
    """A finer threshold would need a chain too long to be computed."""
    with pytest.raises(ValueError, match="finer than"):
        Rule("rule", 0.01, 0.033333)


def test_extreme_thresholds_have_their_rule_too():
    """p1 nearer to 1 than a float can say still gives whole steps and a reachable limit."""
    rule = Rule("nearly all", 0.01, 0.9999)
    assert (rule.rise, rule.fall, rule.limit) == (1, 9999, 3)


@pytest.mark.parametrize("rule", REQUIRED_RULES, ids=lambda rule: rule.name)
def test_the_drift_is_zero_at_the_threshold_and_nowhere_else(rule):
    """A thousand-millionth below T evidence falls in the long run, above it grows: in fractions."""
    assert drift_signs(rule) == (-1, 0, 1)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("rule", policy_rules(), ids=lambda rule: rule.name)
def test_no_alarm_comes_from_a_run_that_is_not_above_the_threshold(rule):
    """Random requests close below, at and above T: every alarm's own run is above T."""
    raised = 0
    for seed in range(scale(full=1_000, quick=2)):
        ratio = rule.threshold_ratio * (0.9, 1.0, 1.1)[seed % 3]
        requests = scale(full=100_000, quick=20_000)
        found, unfounded = alarms(rule, ratio, requests=requests, seed=seed)
        assert unfounded == 0
        raised += found
    assert raised

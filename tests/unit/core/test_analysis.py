"""What the analysis answers: gates, findings, blame, levels, and their sentences."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gateway.core import evidence
from gateway.core.analysis import (
    Basis,
    Blame,
    BreakerReading,
    Gate,
    Inputs,
    Level,
    Limit,
    Measurement,
    Metric,
    Note,
    Probe,
    Reaction,
    Relation,
    Severity,
    Trigger,
    UserReport,
    Verdict,
    evaluate,
    fresh,
    inputs_from_json,
    inputs_to_json,
    judge_gate,
    levels,
    note,
    observe,
)
from gateway.core.analysis import watch as watches
from gateway.core.analysis.catalogue import CATALOGUE
from gateway.core.analysis.sentences import span
from gateway.core.model import SECOND_US, Outcome
from gateway.core.rollout import questions
from tests.support.rollouts import (
    ERROR,
    NEW,
    OK,
    OLD,
    T0,
    all_well,
    engine_in,
    later,
    measured,
    reading,
    shipped_plan,
    with_measurement,
    with_probe,
    with_readings,
)

PLAN = shipped_plan()
TEN = evidence.Rule("errors_critical", 0.01, 0.10)


def asked(phase: int | None = 1):
    """The questions of the shipped policy in a phase."""
    return questions(engine_in(phase).state, PLAN)


def gate(**more) -> Gate:
    """An error-rate gate, with what differs."""
    plain = {
        "name": "g", "metric": Metric.ERROR_RATIO, "comparison": Relation.BELOW,
        "threshold": 0.01, "window_s": 3600, "min_sample": 100,
    }  # fmt: skip
    return Gate(**plain | more)


def trigger(**more) -> Trigger:
    """A CPU trigger, with what differs."""
    plain = {
        "name": "t", "severity": Severity.HIGH, "metric": Metric.CPU_RATIO,
        "comparison": Relation.ABOVE, "threshold": 0.95,
    }  # fmt: skip
    return Trigger(**plain | more)


def look(watch, inputs, *, phase=1, **changes):
    """One look with the questions of a phase."""
    return evaluate(replace(asked(phase), **changes), inputs, watch)


def watch_of(*runs, at_us=T0, rules=None):
    """A watch that saw these runs within one second."""
    watch = fresh(rules or PLAN.rules())
    for variant, outcome, count in runs:
        watch = observe(watch, variant, outcome, count=count, at_us=at_us)
    return watch


def keys(judgement) -> list[str]:
    """The keys of what was found."""
    return [finding.key for finding in judgement.findings]


# --- gates ----------------------------------------------------------------------------------------


def test_all_well_means_every_gate_passes_and_nothing_is_found():
    """The healthy world is healthy in every phase that has gates."""
    for phase in range(4):
        judgement, _ = look(fresh(PLAN.rules()), all_well(), phase=phase)
        assert [g.verdict for g in judgement.gates] == [Verdict.PASS] * len(judgement.gates)
        assert judgement.findings == ()
        assert judgement.healthy


@pytest.mark.parametrize(
    ("errors", "ok", "verdict"),
    [(0, 1000, Verdict.PASS), (9, 991, Verdict.PASS), (10, 990, Verdict.FAIL),
     (0, 99, Verdict.INCONCLUSIVE), (99, 0, Verdict.INCONCLUSIVE), (0, 0, Verdict.INCONCLUSIVE)],
)  # fmt: skip
def test_an_error_rate_needs_its_sample(errors, ok, verdict):
    """Below the minimum sample the answer is inconclusive, whatever the rate."""
    inputs = with_readings(all_well(), NEW, errors=errors, ok=ok)
    result = judge_gate(gate(), inputs, asked())
    assert result.verdict is verdict
    assert result.sample == errors + ok


@pytest.mark.parametrize(
    ("comparison", "value", "holds"),
    [
        (Relation.BELOW, 1.0, False),
        (Relation.AT_MOST, 1.0, True),
        (Relation.ABOVE, 1.0, False),
        (Relation.AT_LEAST, 1.0, True),
        (Relation.ABOVE, 1.1, True),
        (Relation.BELOW, 0.9, True),
    ],
)
def test_comparisons_at_their_edge(comparison, value, holds):
    """The equal sign is where it is written."""
    assert comparison.holds(value, 1.0) is holds
    assert not comparison.holds(float("nan"), 1.0)


@pytest.mark.parametrize(
    ("metric", "value"),
    [(Metric.SUCCESS_RATIO, 0.99), (Metric.REJECTED_RATIO, 10 / 1010),
     (Metric.LATENCY_P95_MS, 12.5), (Metric.SYNC_SECONDS_PER_1000, 33.0)],
)  # fmt: skip
def test_what_the_gateway_counts_itself(metric, value):
    """Each windowed metric is taken from the canary's reading."""
    inputs = with_readings(
        all_well(), NEW,
        ok=990, errors=10, rejected=10, latency_p95_ms=12.5, sync_s_per_1000=33.0, syncs=500,
    )  # fmt: skip
    result = judge_gate(gate(metric=metric, threshold=1e9), inputs, asked())
    assert result.value == pytest.approx(value)


@pytest.mark.parametrize("bad", ["missing", "stale", "future", "nan", "none"])
def test_a_window_that_cannot_be_read_is_an_error(bad):
    """Missing, stale, from the future or not a number: never a pass, and it says so."""
    inputs = all_well()
    if bad == "missing":
        inputs = replace(inputs, readings=())
    else:
        figures = {
            "stale": {"at_us": T0 - 60 * SECOND_US},
            "future": {"at_us": T0 + 120 * SECOND_US},
            "nan": {"latency_p95_ms": float("nan")},
            "none": {"latency_p95_ms": None},
        }[bad]
        inputs = with_readings(inputs, NEW, **figures)
    result = judge_gate(gate(metric=Metric.LATENCY_P95_MS, threshold=100), inputs, asked())
    assert result.verdict is Verdict.ERROR
    assert result.reason
    assert result.reason_ja


def test_a_ratio_to_old_needs_both_sides():
    """Old without a sample, with nothing but zero, or unreadable: no comparison, no pass."""
    compared = gate(
        metric=Metric.SYNC_SECONDS_PER_1000, basis=Basis.RATIO_TO_OLD, threshold=1.05,
        comparison=Relation.AT_MOST, min_sample=10,
    )  # fmt: skip
    twice = with_readings(all_well(), NEW, sync_s_per_1000=200.0)
    assert judge_gate(compared, twice, asked()).value == 2.0
    assert judge_gate(compared, twice, asked()).verdict is Verdict.FAIL
    idle = with_readings(all_well(), OLD, syncs=0)
    assert judge_gate(compared, idle, asked()).verdict is Verdict.INCONCLUSIVE
    zero = with_readings(all_well(), OLD, sync_s_per_1000=0.0)
    assert judge_gate(compared, zero, asked()).verdict is Verdict.INCONCLUSIVE
    excess = replace(compared, basis=Basis.EXCESS_OVER_OLD, threshold=50.0)
    assert judge_gate(excess, twice, asked()).value == 100.0


def test_a_measurement_has_an_age_and_a_sample():
    """Stale is an error, too small a sample inconclusive, the canary's own beats the machine's."""
    cpu = gate(metric=Metric.CPU_RATIO, threshold=0.8, min_sample=1, max_age_s=300)
    assert judge_gate(cpu, all_well(), asked()).verdict is Verdict.PASS
    old = with_measurement(all_well(), measured(Metric.CPU_RATIO, 0.1, T0 - 301 * SECOND_US))
    assert judge_gate(cpu, old, asked()).verdict is Verdict.ERROR
    nan = with_measurement(all_well(), measured(Metric.CPU_RATIO, float("nan")))
    assert judge_gate(cpu, nan, asked()).verdict is Verdict.ERROR
    assert judge_gate(cpu, Inputs(now_us=T0), asked()).verdict is Verdict.ERROR
    few = judge_gate(replace(cpu, min_sample=5), all_well(), asked())
    assert few.verdict is Verdict.INCONCLUSIVE
    both = with_measurement(
        all_well(), measured(Metric.CPU_RATIO, 0.1), measured(Metric.CPU_RATIO, 0.9, system=NEW)
    )
    assert judge_gate(cpu, both, asked()).value == 0.9


def test_a_measurement_of_both_sides_can_be_compared():
    """A ratio to old works for measurements too, when old was measured."""
    load = gate(
        metric=Metric.DATABASE_LOAD_RATIO, basis=Basis.RATIO_TO_OLD, threshold=1.5, min_sample=1
    )
    assert judge_gate(load, all_well(), asked()).verdict is Verdict.ERROR
    both = with_measurement(
        all_well(),
        measured(Metric.DATABASE_LOAD_RATIO, 0.4, system=NEW),
        measured(Metric.DATABASE_LOAD_RATIO, 0.2, system=OLD),
    )
    assert judge_gate(load, both, asked()).value == 2.0


def test_the_match_rate_is_judged_by_its_lower_bound():
    """99.2 % of 1,000 is not 'at least 99 %' with 99 % confidence; of 100,000 it is."""
    match = gate(
        metric=Metric.MATCH_RATIO, comparison=Relation.AT_LEAST, threshold=0.99,
        confidence=0.99, max_age_s=3600,
    )  # fmt: skip
    few = with_measurement(all_well(), measured(Metric.MATCH_RATIO, 0.992, sample=1_000))
    many = with_measurement(all_well(), measured(Metric.MATCH_RATIO, 0.992, sample=100_000))
    assert judge_gate(match, few, asked()).verdict is Verdict.FAIL
    assert judge_gate(match, many, asked()).verdict is Verdict.PASS
    assert judge_gate(match, Inputs(now_us=T0), asked()).verdict is Verdict.INCONCLUSIVE
    upper = judge_gate(gate(confidence=0.99), with_readings(all_well(), NEW, ok=9_900), asked())
    assert upper.value > 10 / 9_910
    told = judge_gate(match, few, asked()).note.sentence
    assert "match rate of new is at least 98.3 % with 99 % confidence, asked is >= 99 %" in told.en
    assert "信頼度 99 % で少なくとも 98.3 %" in told.ja
    assert "error rate of new is at most" in upper.note.sentence.en


def test_who_says_a_figure_is_named_in_the_readers_language():
    """What both systems say together is no English name in a Japanese sentence."""
    for system, english, japanese in (
        ("old and new", "old and new", "新旧"),
        ("b", "of b", "b の"),
    ):
        said = note("sample_short", metric="match_ratio", system=system, sample=1, wanted=2)
        assert english in said.sentence.en
        assert japanese in said.sentence.ja


def test_a_match_rate_without_a_mirror_is_an_error():
    """Writes are not mirrored: the old figure proves nothing any more, and the gate says why."""
    match = gate(metric=Metric.MATCH_RATIO, comparison=Relation.AT_LEAST, threshold=0.99)
    off = replace(all_well(), mirror_off="new could not prove its dry run")
    result = judge_gate(match, off, asked())
    assert result.verdict is Verdict.ERROR
    assert "could not prove" in result.reason


def test_a_gate_on_events_does_not_take_silence_for_zero():
    """That nobody measured the integrity is no proof of it; a trigger on it stays quiet."""
    integrity = gate(
        metric=Metric.INTEGRITY_MISMATCHES, comparison=Relation.AT_MOST, threshold=0, min_sample=1
    )
    assert judge_gate(integrity, all_well(), asked()).verdict is Verdict.ERROR
    known = with_measurement(all_well(), measured(Metric.INTEGRITY_MISMATCHES, 0))
    assert judge_gate(integrity, known, asked()).verdict is Verdict.PASS


def test_user_reports_count_within_their_window_and_since_the_guard_began():
    """Settled reports and old ones trip nothing; serious ones count twice: as both kinds."""
    reports = gate(
        metric=Metric.USER_REPORTS, comparison=Relation.AT_MOST, threshold=0, window_s=86_400
    )
    known = replace(
        all_well(),
        reports=(UserReport(T0 - 10, serious=False), UserReport(T0 - 10**12, serious=True)),
    )
    mine = replace(asked(), guard_since_us=0)
    assert judge_gate(reports, known, mine).value == 1
    serious = replace(reports, metric=Metric.SERIOUS_USER_REPORTS)
    assert judge_gate(serious, known, mine).value == 0
    settled = replace(mine, guard_since_us=T0)
    assert judge_gate(reports, known, settled).value == 0


# --- evidence and blame ---------------------------------------------------------------------------


def test_four_failures_in_a_row_are_enough_while_old_is_well():
    """The 10 % rule fires at the fourth; three say nothing yet."""
    at_ten_percent = ((OLD, OK, 9), (NEW, ERROR, 1))
    assert not watch_of(*at_ten_percent * 3).alarmed
    four = watch_of(*at_ten_percent * 4)
    assert four.alarmed
    judgement, seen = look(four, all_well())
    worst = judgement.findings[0]
    assert (worst.key, worst.blame, worst.reaction) == (
        "errors_critical", Blame.CANARY, Reaction.ROLL_BACK,
    )  # fmt: skip
    assert "4 of 4" in worst.sentence.en
    assert not seen.alarmed
    assert seen.fired


def test_both_failing_is_one_page_and_nobodys_fault():
    """The same share of failures on both sides takes no traffic from anybody."""
    both = watch_of((OLD, ERROR, 40), (NEW, ERROR, 12))
    judgement, _ = look(both, all_well())
    assert keys(judgement) == ["shared_fault"]
    assert judgement.findings[0].reaction is Reaction.PAGE
    assert not judgement.healthy


def test_alike_without_old_being_proven_bad_is_shared_too():
    """Old failed 3 of 11 over the same second: no proof against old, and none against new."""
    watch = watch_of(
        (OLD, OK, 3), (OLD, ERROR, 1), (OLD, OK, 3), (OLD, ERROR, 1), (OLD, OK, 2),
        (OLD, ERROR, 1), (NEW, ERROR, 4), rules=[TEN],
    )  # fmt: skip
    assert watch.fired == (TEN.name,)
    assert not watch.track(TEN.name).baseline_fired
    only = tuple(each for each in PLAN.triggers if each.name == TEN.name)
    judgement, _ = look(watch, all_well(), triggers=only)
    assert keys(judgement) == ["shared_fault"]


def test_a_streak_of_new_is_no_proof_while_old_is_above_the_threshold_too():
    """Four failures in a row happen by chance when both fail 11 % of the time."""
    watch = fresh([TEN])
    for outcome, count in watches.spread(watches.Counts(ok=87, errors=13)):
        watch = observe(watch, OLD, outcome, count=count, at_us=T0 - 5 * SECOND_US)
    watch = observe(watch, OLD, OK, count=20, at_us=T0)
    watch = observe(watch, NEW, ERROR, count=4, at_us=T0)
    assert not watch.track(TEN.name).baseline_fired
    only = tuple(each for each in PLAN.triggers if each.name == TEN.name)
    judgement, _ = look(watch, all_well(), triggers=only)
    assert keys(judgement) == ["shared_fault"]


def test_old_failing_more_is_never_a_reason_to_go_back():
    """Both fail, old all of it: traffic stays."""
    watch = watch_of((NEW, ERROR, 4), (OLD, ERROR, 60), (NEW, OK, 10), (NEW, ERROR, 9))
    watch = observe(watch, NEW, OK, count=8, at_us=T0)
    judgement, _ = look(watch, all_well())
    assert "old_worse" in keys(judgement)
    worse = next(f for f in judgement.findings if f.key == "old_worse")
    assert worse.blame is Blame.BASELINE
    assert worse.reaction is Reaction.PAGE
    assert all(f.reaction is Reaction.PAGE for f in judgement.findings)


def test_without_traffic_on_old_there_is_nobody_else_to_blame():
    """At 100 % the canary answers for itself, at once; below, old is given a moment to answer."""
    watch = watch_of((NEW, ERROR, 6))
    judgement, _ = look(watch, all_well(), phase=3)
    assert judgement.findings[0].blame is Blame.CANARY
    judgement, _ = look(watch, all_well(), phase=2)
    assert judgement.findings[0].blame is Blame.UNDECIDED
    judgement, _ = look(watch, all_well(T0 + 2 * SECOND_US), phase=2)
    assert judgement.findings[0].blame is Blame.CANARY


def test_little_traffic_on_old_is_waited_for_whatever_it_did_before():
    """Good answers of old from before the trouble clear nobody; those that follow do."""
    watch = watch_of((OLD, OK, 300), at_us=T0 - 20 * SECOND_US)
    watch = observe(watch, NEW, ERROR, count=4, at_us=T0)
    first, watch = look(watch, all_well(T0))
    assert first.findings[0].blame is Blame.UNDECIDED
    assert first.findings[0].reaction is Reaction.WAIT
    assert not first.healthy
    later_us = T0 + 5 * SECOND_US
    second, watch = look(watch, all_well(later_us))
    assert second.findings[0].reaction is Reaction.WAIT
    watch = observe(watch, OLD, OK, count=12, at_us=later_us)
    third, _ = look(watch, all_well(later_us))
    assert third.findings[0].reaction is Reaction.ROLL_BACK


def test_one_failure_of_old_among_few_answers_is_waited_on_too():
    """Six of six against two of three: nobody can tell, so nobody is blamed for it."""
    runs = ((NEW, ERROR, 3), (OLD, OK, 1), (OLD, ERROR, 1), (NEW, ERROR, 3), (OLD, ERROR, 1))
    watch = watch_of(*runs, rules=[TEN])
    only = tuple(each for each in PLAN.triggers if each.name == TEN.name)
    judgement, _ = look(watch, all_well(T0 + 3 * SECOND_US), triggers=only)
    assert {f.reaction for f in judgement.findings} <= {Reaction.WAIT, Reaction.PAGE}


def test_a_wait_that_lasts_is_told_to_people():
    """After a minute without knowing whose fault it is, people are asked to look."""
    watch = watch_of((NEW, ERROR, 6))
    watch = observe(watch, OLD, OK, count=1, at_us=T0 + 59 * SECOND_US)
    judgement, _ = look(watch, all_well(T0 + 59 * SECOND_US))
    assert judgement.findings[0].reaction is Reaction.WAIT
    judgement, _ = look(watch, all_well(T0 + 60 * SECOND_US))
    assert [(f.key, f.reaction) for f in judgement.findings] == [("whose_fault", Reaction.PAGE)]


def test_old_that_answered_long_after_new_did_not_answer_in_the_same_seconds():
    """A minute after a blip that both shared, old's good answers do not make new the worse one."""
    watch = watch_of((NEW, ERROR, 2), (OLD, ERROR, 2), (NEW, ERROR, 2), (OLD, ERROR, 1))
    watch = observe(watch, OLD, OK, count=500, at_us=T0 + 3 * SECOND_US)
    assert watch.track("errors_critical").versus == watches.Counts(errors=3)
    clean = observe(watch_of((NEW, ERROR, 4)), OLD, OK, count=7, at_us=T0 + 10 * SECOND_US)
    assert clean.track("errors_critical").versus == watches.Counts(ok=7)
    clean = observe(clean, OLD, OK, count=7, at_us=T0 + 11 * SECOND_US)
    assert clean.track("errors_critical").versus == watches.Counts(ok=7)


def test_failures_of_a_shared_trouble_convict_nobody_when_old_is_well_again():
    """Both failed; then old is well: new is judged anew, by failures of its own."""
    both = watch_of((OLD, ERROR, 40), (NEW, ERROR, 12))
    judgement, watch = look(both, all_well())
    assert keys(judgement) == ["shared_fault"]
    later_us = T0 + 30 * SECOND_US
    watch = observe(watch, NEW, OK, count=1, at_us=later_us)
    watch = observe(watch, OLD, OK, count=2_000, at_us=later_us)
    assert watch.fired
    judgement, watch = look(watch, all_well(later_us))
    assert judgement.findings == ()
    assert not watch.fired
    assert not any(track.canary.score for track in watch.tracks)
    for _ in range(4):
        watch = observe(watch, NEW, ERROR, count=1, at_us=later_us)
        watch = observe(watch, OLD, OK, count=10, at_us=later_us)
    judgement, _ = look(watch, all_well(later_us))
    assert judgement.findings[0].reaction is Reaction.ROLL_BACK


def test_a_breaker_that_opened_while_both_failed_is_not_believed_until_it_was_closed():
    """It stays open for a minute after a blip of seconds; old's may close before it."""
    both = watch_of((OLD, ERROR, 40), (NEW, ERROR, 12))
    _, watch = look(both, all_well())
    opened = replace(all_well(), breakers=(BreakerReading(NEW, "a", open=True),))
    _, watch = look(watch, opened)
    assert "closed:new:a" not in dict(watch.since)
    quiet = replace(fresh(PLAN.rules()), since=watch.since)
    judgement, _ = look(quiet, opened)
    assert judgement.findings == ()


def test_breakers_are_judged_by_the_failures_that_opened_them():
    """Old failed over the same seconds too, or has not answered yet: new is not called down."""
    opened = replace(
        all_well(),
        breakers=(BreakerReading(NEW, "a", open=True), BreakerReading(OLD, "a", open=False)),
    )
    for runs, reaction in (
        (((NEW, ERROR, 3), (OLD, ERROR, 3)), Reaction.PAGE),
        (((OLD, OK, 5), (NEW, ERROR, 3)), Reaction.WAIT),
        (((NEW, ERROR, 1), (OLD, OK, 90), (NEW, ERROR, 3)), Reaction.ROLL_BACK),
    ):
        _, watch = look(watch_of((OLD, OK, 1)), all_well())
        for variant, outcome, count in runs:
            watch = observe(watch, variant, outcome, count=count, at_us=T0)
        judgement, _ = look(watch, opened)
        assert judgement.findings[0].reaction is reaction


def test_old_that_is_down_cannot_take_traffic_back():
    """Canary evidence while old's probe fails is a shared fault, and the way back is closed."""
    watch = watch_of((NEW, ERROR, 6))
    judgement, _ = look(watch, with_probe(all_well(), OLD, failures=3), phase=3)
    assert "shared_fault" in keys(judgement)
    assert "standby_down" in keys(judgement)
    assert all(f.reaction is Reaction.PAGE for f in judgement.findings)


def test_evidence_stands_until_half_of_it_is_gone():
    """A rate that hovers at the threshold is one event; a long clean run ends it."""
    watch = watch_of((OLD, OK, 50), (NEW, ERROR, 6))
    assert "errors_critical" in watch.fired
    watch = observe(watch, NEW, OK, count=8, at_us=T0)
    assert "errors_critical" in watch.fired
    watch = observe(watch, NEW, OK, count=12, at_us=T0)
    assert "errors_critical" not in watch.fired
    assert watch.track("errors_critical").level > 0
    watch = observe(watch, NEW, OK, count=10_000, at_us=T0)
    assert watch.track("errors_critical") == watches.Track(watch.track("errors_critical").rule)


def test_what_says_nothing_changes_nothing():
    """Rejected, ignored and zero outcomes leave the watch as it is."""
    watch = fresh(PLAN.rules())
    assert observe(watch, NEW, Outcome.REJECTED, count=5, at_us=T0) is watch
    assert observe(watch, NEW, Outcome.IGNORED, count=5, at_us=T0) is watch
    assert observe(watch, NEW, OK, count=0, at_us=T0) is watch


def test_the_lookback_forgets_and_survives_a_clock_that_runs_back():
    """Only the last seconds are kept; an earlier outcome counts to the newest second."""
    watch = watch_of((OLD, OK, 5), at_us=T0)
    watch = observe(watch, OLD, OK, count=7, at_us=T0 - 10 * SECOND_US)
    assert len(watch.recent) == 1
    assert watch.over_lookback(OLD, T0).sample == 12
    watch = observe(watch, NEW, ERROR, count=2, at_us=T0 + 59 * SECOND_US)
    assert watch.over_lookback(OLD, T0 + 59 * SECOND_US).sample == 12
    watch = observe(watch, NEW, ERROR, count=1, at_us=T0 + 70 * SECOND_US)
    assert watch.over_lookback(OLD, T0 + 70 * SECOND_US).sample == 0
    assert watch.over_lookback(NEW, T0 + 70 * SECOND_US).errors == 3
    assert watch.over_lookback(NEW, T0 + 200 * SECOND_US).errors == 0


def test_old_failing_alone_is_told_but_holds_nothing():
    """Old's trouble is a reason to move on, not to stop."""
    watch = watch_of((NEW, OK, 20), (OLD, ERROR, 40))
    judgement, _ = look(watch, all_well())
    assert keys(judgement) == ["old_failing"]
    assert judgement.healthy


def test_old_failing_first_waits_for_news_share_of_the_trouble():
    """Old shows a shared trouble sooner, having more traffic: no separate page for that."""
    judgement, _ = look(watch_of((OLD, ERROR, 9), (NEW, ERROR, 1)), all_well())
    assert judgement.findings == ()


def test_old_failing_without_traffic_on_new_is_told_after_a_moment():
    """Nothing to compare with: a moment is waited, then people are told."""
    watch = watch_of((OLD, ERROR, 40))
    judgement, watch = look(watch, all_well())
    assert judgement.findings == ()
    judgement, _ = look(watch, all_well(T0 + 2 * SECOND_US))
    assert keys(judgement) == ["old_failing"]


def test_a_fault_that_strikes_both_in_one_second_is_not_hidden_by_what_went_well_before():
    """A thousand good answers of old, then both fail: nobody is blamed, neither now nor later."""
    struck = watch_of((OLD, OK, 1_000), (NEW, OK, 1_000), *((NEW, ERROR, 1), (OLD, ERROR, 1)) * 4)
    judgement, _ = look(struck, all_well())
    assert not {f.reaction for f in judgement.findings} & {Reaction.ROLL_BACK, Reaction.DECIDE}


def test_one_error_of_old_makes_new_wait_a_moment_and_no_longer():
    """Old's stray error may be the beginning of its own trouble; when none follows, new is it."""
    rounds = ((OLD, OK, 9), (NEW, ERROR, 1)) * 3
    watch = watch_of(*rounds, (OLD, OK, 8), (OLD, ERROR, 1), (NEW, ERROR, 1))
    first, _ = look(watch, all_well())
    assert first.findings[0].reaction is Reaction.WAIT
    then, _ = look(watch, all_well(T0 + 2 * SECOND_US))
    assert then.findings[0].reaction is Reaction.WAIT
    watch = observe(watch, OLD, OK, count=12, at_us=T0 + 2 * SECOND_US)
    then, _ = look(watch, all_well(T0 + 2 * SECOND_US))
    assert then.findings[0].reaction is Reaction.ROLL_BACK


def test_old_that_goes_on_stumbling_shares_the_fault():
    """Half of what its own evidence needs: not enough to blame old, enough not to blame new."""
    rounds = ((OLD, OK, 9), (NEW, ERROR, 1)) * 4
    watch = watch_of(*rounds, (OLD, ERROR, 2), at_us=T0)
    later, _ = look(watch, all_well(T0 + 2 * SECOND_US))
    assert later.findings[0].blame is Blame.SHARED


# --- systems that are down ------------------------------------------------------------------------


def test_three_failed_probes_mean_down():
    """Two say nothing, three roll back while old is well."""
    watch = fresh(PLAN.rules())
    two, _ = look(watch, with_probe(all_well(), NEW, failures=2))
    assert two.findings == ()
    three, _ = look(watch, with_probe(all_well(), NEW, failures=3))
    assert [(f.key, f.reaction) for f in three.findings] == [("system_down", Reaction.ROLL_BACK)]
    assert "3 health probes" in three.findings[0].sentence.en


def test_a_probe_that_contradicts_clean_traffic_moves_nothing():
    """Twenty clean answers in the last minute: somebody should look at the probe."""
    watch = watch_of((NEW, OK, 20), (OLD, OK, 100))
    judgement, _ = look(watch, with_probe(all_well(), NEW, failures=5))
    assert [(f.key, f.reaction) for f in judgement.findings] == [("probe_disagrees", Reaction.PAGE)]


def test_a_clean_record_that_ended_with_the_probe_contradicts_nothing():
    """New hangs and its clients give up first: no errors, but no answers either."""
    watch = watch_of((NEW, OK, 20), (OLD, OK, 100))
    hanging = with_probe(all_well(), NEW, failures=3, since_us=T0)
    judgement, _ = look(watch, hanging)
    assert [(f.key, f.reaction) for f in judgement.findings] == [
        ("system_down", Reaction.ROLL_BACK)
    ]
    answering = with_probe(all_well(), NEW, failures=3, since_us=T0 - 4 * SECOND_US)
    judgement, _ = look(watch, answering)
    assert [f.key for f in judgement.findings] == ["probe_disagrees"]


def test_an_old_that_fails_its_probe_as_well_is_waited_for():
    """Old's third failed probe comes seconds after new's; and new recovers seconds after old."""
    fading = with_probe(with_probe(all_well(), NEW, failures=3), OLD, failures=1)
    judgement, watch = look(fresh(PLAN.rules()), fading)
    assert [(f.key, f.reaction) for f in judgement.findings] == [("system_down", Reaction.WAIT)]
    both = with_probe(with_probe(all_well(), NEW, failures=3), OLD, failures=3)
    _, watch = look(watch, both)
    for after_s, reaction in ((5, Reaction.WAIT), (14, Reaction.WAIT), (15, Reaction.ROLL_BACK)):
        now = all_well(T0 + after_s * SECOND_US)
        judgement, watch = look(watch, with_probe(now, NEW, failures=4))
        assert [f.reaction for f in judgement.findings] == [reaction]


def test_old_that_is_down_is_told_at_once_when_new_is_well():
    """While it may be both, the page waits a moment for new's part; the way back is closed."""
    down = with_probe(all_well(), OLD, failures=3)
    for runs, later_s, reaction in (
        (((NEW, OK, 5),), 2, Reaction.WAIT),
        (((NEW, OK, 5),), 15, Reaction.PAGE),
        (((NEW, ERROR, 1),), 15, Reaction.WAIT),
        (((NEW, ERROR, 1),), 60, Reaction.PAGE),
        ((), 0, Reaction.PAGE),
    ):
        _, watch = look(watch_of(*runs), down)
        judgement, _ = look(watch, replace(down, now_us=T0 + later_s * SECOND_US))
        told = [(f.key, f.reaction) for f in judgement.findings if f.key == "old_down"]
        assert told in ([("old_down", reaction)], [])
    _, watch = look(watch_of((NEW, OK, 5)), down)
    watch = observe(watch, NEW, OK, count=1, at_us=T0 + SECOND_US)
    judgement, _ = look(watch, down)
    assert judgement.findings[0].reaction is Reaction.PAGE


def test_both_probes_failing_is_shared():
    """Nobody is blamed when neither answers."""
    down = with_probe(with_probe(all_well(), NEW, failures=3), OLD, failures=3)
    judgement, _ = look(fresh(PLAN.rules()), down)
    assert set(keys(judgement)) == {"shared_fault", "old_down"}


def test_a_stale_probe_says_nothing():
    """An old probe neither condemns nor clears."""
    stale = replace(
        all_well(),
        probes=(Probe(NEW, ok=False, at_us=T0 - 60 * SECOND_US, failures=9),),
    )
    judgement, _ = look(fresh(PLAN.rules()), stale)
    assert judgement.findings == ()


def test_a_standby_nobody_probes_holds():
    """At 100 % the way back must be known to work."""
    judgement, _ = look(fresh(PLAN.rules()), replace(all_well(), probes=()), phase=3)
    assert keys(judgement) == ["standby_unknown"]
    assert not judgement.healthy


def test_one_replicas_breaker_pages_most_of_them_roll_back():
    """A replica may be cut off, a fleet is not; one never seen closed tells of settled trouble."""

    def fleet(*opened):
        return replace(
            all_well(),
            breakers=tuple(BreakerReading(NEW, f"r{n}", open=o) for n, o in enumerate(opened)),
        )  # fmt: skip

    _, watch = look(fresh(PLAN.rules()), fleet(False, False, False))
    one, _ = look(watch, fleet(True, False, False))
    assert [(f.key, f.reaction) for f in one.findings] == [("one_breaker", Reaction.PAGE)]
    most, _ = look(watch, fleet(True, True, False))
    assert [(f.key, f.reaction) for f in most.findings] == [("system_down", Reaction.ROLL_BACK)]
    assert "circuit breakers" in most.findings[0].sentence.en
    half, _ = look(watch, fleet(True, False))
    assert keys(half) == ["one_breaker"]
    unseen, _ = look(fresh(PLAN.rules()), fleet(True, True, True))
    assert unseen.findings == ()


def test_down_by_word_from_outside():
    """Somebody outside may say so; a word older than the guard is settled."""
    told = with_measurement(all_well(), measured(Metric.SYSTEM_DOWN, 1, system=NEW))
    judgement, _ = look(fresh(PLAN.rules()), told)
    assert "reported down" in judgement.findings[0].sentence.en
    settled, _ = look(fresh(PLAN.rules()), told, guard_since_us=T0 + 1)
    assert settled.findings == ()


def test_down_is_weighed_against_the_traffic():
    """A canary called down is not blamed while old fails as much or more."""
    down = with_probe(all_well(), NEW, failures=3)
    worse = watch_of((NEW, OK, 19), (NEW, ERROR, 1), (OLD, ERROR, 200))
    alike = watch_of((NEW, OK, 30), (NEW, ERROR, 3), (OLD, ERROR, 30), (OLD, OK, 300))
    first, _ = look(worse, down)
    assert next(f for f in first.findings if f.key == "system_down").blame is Blame.BASELINE
    second, _ = look(alike, down)
    assert "shared_fault" in keys(second)


# --- triggers by figure ---------------------------------------------------------------------------


def test_a_trigger_must_hold_without_a_break():
    """CPU above 95 % for five minutes; a dip begins anew."""
    questions_ = replace(asked(), triggers=(trigger(for_s=300),))
    hot = with_measurement(all_well(), measured(Metric.CPU_RATIO, 0.97))
    watch = fresh(PLAN.rules())
    judgement, watch = evaluate(questions_, hot, watch)
    assert judgement.findings == ()
    judgement, watch = evaluate(questions_, later(hot, 299), watch)
    assert judgement.findings == ()
    judgement, _ = evaluate(questions_, later(hot, 300), watch)
    assert [(f.key, f.reaction) for f in judgement.findings] == [("t", Reaction.DECIDE)]
    _, cooled = evaluate(questions_, later(all_well(), 299), watch)
    judgement, _ = evaluate(questions_, later(hot, 300), cooled)
    assert judgement.findings == ()


def test_a_trigger_without_enough_data_stays_quiet():
    """Inconclusive is no reason to take traffic back, and none to page."""
    slow = trigger(
        metric=Metric.SYNC_SECONDS_PER_1000, basis=Basis.RATIO_TO_OLD, threshold=3,
        window_s=1800, min_sample=1000,
    )  # fmt: skip
    judgement, _ = look(fresh(PLAN.rules()), all_well(), triggers=(slow,))
    assert judgement.findings == ()


def test_what_stays_unmeasured_is_told_after_a_grace():
    """A dead source: one finding per metric, high, that moves nothing."""
    blind = replace(all_well(), measurements=())
    watch = fresh(PLAN.rules())
    judgement, watch = look(watch, blind, phase=2)
    assert judgement.findings == ()
    assert not judgement.healthy
    judgement, _ = look(watch, later(blind, 60), phase=2)
    assert "unmeasured:cpu_ratio" in keys(judgement)
    assert len(keys(judgement)) == len(set(keys(judgement)))
    assert all(f.reaction is Reaction.PAGE for f in judgement.findings)


def test_a_source_that_never_was_is_told_quietly_one_that_died_holds():
    """No gate asks for it: nobody ever measured is a gap in the set-up, gone silent is trouble."""
    never = with_measurement(all_well())
    never = replace(
        never, measurements=tuple(m for m in never.measurements if m.metric is not Metric.CPU_RATIO)
    )
    _, watch = look(fresh(PLAN.rules()), never)
    judgement, _ = look(watch, later(never, 60))
    (gap,) = judgement.findings
    assert (gap.key, gap.severity, gap.holds) == ("unmeasured:cpu_ratio", Severity.LOW, False)
    assert judgement.healthy
    died = with_measurement(all_well(), measured(Metric.CPU_RATIO, 0.3, T0 - 10**9))
    _, watch = look(fresh(PLAN.rules()), died)
    again = replace(died, now_us=T0 + 10 * SECOND_US)
    judgement, _ = look(watch, again, unknown_grace_us=10 * SECOND_US)
    assert [(f.severity, f.holds) for f in judgement.findings] == [(Severity.HIGH, True)]
    assert not judgement.healthy


def test_data_loss_counts_until_it_is_withdrawn():
    """An event does not age; a newer zero ends it; what was settled stays settled."""
    lost = with_measurement(all_well(), measured(Metric.DATA_LOSS, 1, T0 - 3600 * SECOND_US))
    judgement, _ = look(fresh(PLAN.rules()), lost, guard_since_us=0)
    assert [(f.key, f.reaction) for f in judgement.findings] == [("data_loss", Reaction.ROLL_BACK)]
    judgement, _ = look(fresh(PLAN.rules()), lost, guard_since_us=T0)
    assert judgement.findings == ()
    over = with_measurement(all_well(), measured(Metric.DATA_LOSS, 0))
    judgement, _ = look(fresh(PLAN.rules()), over)
    assert judgement.findings == ()


# --- limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "level"),
    [(0.5, Level.OK), (0.75, Level.OFF_TARGET), (0.85, Level.WARNING), (0.95, Level.CRITICAL)],
)
def test_levels_of_a_limit(value, level):
    """Target, warning, critical: the worst that is crossed."""
    inputs = with_measurement(all_well(), measured(Metric.CPU_RATIO, value))
    results = {r.metric: r for r in levels(PLAN.limits, inputs, asked())}
    assert results[Metric.CPU_RATIO].level is level
    assert results[Metric.SUCCESS_RATIO].level is Level.OK


def test_levels_know_what_they_do_not_know():
    """Nothing measured is unknown, never fine; a change needs the figure before."""
    results = {r.metric: r for r in levels(PLAN.limits, Inputs(now_us=T0), asked())}
    assert results[Metric.CPU_RATIO].level is Level.UNKNOWN
    assert results[Metric.LISTINGS_SYNCED].level is Level.UNKNOWN
    assert results[Metric.USER_REPORTS].level is Level.OK
    fewer = Measurement(Metric.LISTINGS_SYNCED, 70, T0, system=NEW, previous=100.0)
    results = {r.metric: r for r in levels(PLAN.limits, Inputs(T0, (), (fewer,)), asked())}
    assert results[Metric.LISTINGS_SYNCED].level is Level.WARNING
    same = replace(fewer, value=100)
    results = {r.metric: r for r in levels(PLAN.limits, Inputs(T0, (), (same,)), asked())}
    assert results[Metric.LISTINGS_SYNCED].level is Level.OK
    bare = Limit(Metric.CPU_RATIO, Relation.ABOVE, None, 0.9, None, every_s=60)
    assert levels((bare,), all_well(), asked())[0].level is Level.OK


# --- sentences and paper --------------------------------------------------------------------------


def test_every_sentence_exists_in_both_languages_and_knows_its_figures():
    """No key renders to a hole when its figures are there, in either language."""
    for key, (english, japanese) in CATALOGUE.items():
        assert english, key
        assert japanese, key
        assert Note(key).sentence.en.count("{") == 0


@pytest.mark.parametrize(
    ("figures", "english", "japanese"),
    [
        ({"age_s": 40, "limit_s": 300}, "is 40 s old; 5 min", "40 秒前"),
        ({"age_s": 7200, "limit_s": 86_400}, "is 2 h old; 1 d", "2 時間前"),
    ],
)
def test_figures_are_shown_as_people_say_them(figures, english, japanese):
    """Spans, percentages, counts."""
    said = note("stale", metric="cpu_ratio", system="new", **figures).sentence
    assert english in said.en
    assert japanese in said.ja


def test_figures_by_unit():
    """A ratio is shown as percent, a large number without decimals, None as unknown."""
    ratio = note("gate_fail_value", metric="error_ratio", value=0.0345, comparison="<",
                 threshold=0.01, sample=12_345)  # fmt: skip
    assert "3.45 %" in ratio.sentence.en
    assert "12,345" in ratio.sentence.en
    assert ratio.figure("sample") == 12_345
    assert ratio.figure("nothing") is None
    seconds = note("gate_fail_value", metric="sync_seconds_per_1000", value=612.34, threshold=7.5)
    assert "612" in seconds.sentence.en
    assert "7.5" in seconds.sentence.en
    assert "?" in seconds.sentence.en
    unknown = note("old_failing", metric="error_ratio", value=None)
    assert "unknown" in unknown.sentence.en
    assert "不明" in unknown.sentence.ja
    assert "12.5 %" in note("paused", actor="ann", weight_bp=1250).sentence.en
    assert span(90) == "90 s"


def test_inputs_survive_paper():
    """Stored and read again they are the same; what is no number keeps being none."""
    inputs = replace(
        all_well(),
        breakers=(BreakerReading(NEW, "r1", open=True),),
        reports=(UserReport(T0, serious=True),),
    )
    assert inputs_from_json(json.loads(json.dumps(inputs_to_json(inputs)))) == inputs
    odd = Inputs(
        now_us=T0,
        readings=(reading(NEW, 60, latency_p95_ms=float("inf")),),
        measurements=(measured(Metric.CPU_RATIO, float("nan")),),
    )
    again = inputs_from_json(json.loads(json.dumps(inputs_to_json(odd))))
    assert again.readings[0].latency_p95_ms == float("inf")
    assert again.measurements[0].value != again.measurements[0].value


def test_a_watch_survives_paper_and_a_changed_policy():
    """Unchanged rules keep their evidence; a new rule is fed what the last minute still tells."""
    watch = watch_of((OLD, OK, 30), (NEW, OK, 3), (NEW, ERROR, 3), (OLD, ERROR, 1))
    watch = observe(watch, NEW, ERROR, count=1, at_us=T0 + SECOND_US)
    watch = replace(watch, since=(("t", T0),))
    again = watches.from_json(
        json.loads(json.dumps(watches.to_json(watch))), PLAN.rules(), lookback_s=60
    )
    assert again == watch
    sharper = evidence.Rule("errors_critical", 0.01, 0.08)
    changed = watches.from_json(watches.to_json(watch), [sharper], lookback_s=60)
    assert changed.track("errors_critical").canary.errors == 4
    assert changed.recent == watch.recent

"""What old itself differs in, what was put right, and what could not be compared at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.control.collecting import KEPT_CLOSED
from gateway.control.comparing import MOST_FIXES, SETTLING_US, WAITING
from gateway.control.counting import Totals, added
from gateway.core.comparison import MatchRate, Rule
from gateway.link import NOT_OPENED, NOTHING_TO_COMPARE_WITH, MirrorCounts, ShadowCounts
from gateway.ports.compared import Verdict
from tests.unit.control.test_comparing import (
    HOUR_US,
    HandClock,
    comparing,
    differed,
    settled,
    told,
)

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.control.comparing import Comparing

NOISE = ({"token": "a1"}, {"token": "b2"})
DRIFT = ({"priceYen": 1500}, {"priceYen": 1000})


async def see(
    one: Comparing, pair: tuple[dict, dict], times: int, *, control: bool = False
) -> None:
    """Let listings differ so, each in an answer of its own."""
    for start in range(0, times, WAITING):
        for _ in range(min(WAITING, times - start)):
            one.differed(replace(differed(*pair), control=control))
        await settled(one)


def verdicts(one: Comparing) -> dict[str, tuple[Verdict, int]]:
    """What is found per field."""
    return {each.field: (each.verdict, each.count) for each in one.view().score.differences}


async def test_what_old_differs_in_itself_is_noise_and_a_real_change_beside_it_is_not(
    tmp_path: Path,
) -> None:
    """A field that always differs is taken away once the control proves it; the others stay."""
    one = await comparing(tmp_path, HandClock())
    await see(one, ({**NOISE[0], **DRIFT[0]}, {**NOISE[1], **DRIFT[1]}), 5)
    await see(one, NOISE, 95)
    assert verdicts(one) == {"token": (Verdict.REAL, 100), "priceYen": (Verdict.REAL, 5)}
    assert one.view().score.judged.rate == 0.0
    await see(one, NOISE, 60, control=True)
    assert verdicts(one) == {"token": (Verdict.NOISE, 100), "priceYen": (Verdict.REAL, 5)}
    judged = one.view().score.judged
    assert (judged.matched, judged.compared) == (95, 100)
    assert judged.certain < 90
    assert one.tick(told(), "rollout-1")[0].value == judged.certain / 100
    token = next(each for each in one.view().score.differences if each.field == "token")
    assert (token.control_count, one.view().score.controlled) == (60, 60)
    assert token.significance == pytest.approx(1.0)
    await see(one, NOISE, 600, control=True)
    assert one.view().score.judged.certain > 93
    await one.close()


async def test_more_than_noise_counts_by_what_is_more(tmp_path: Path) -> None:
    """Old differs from itself in 10 %, new in 40 %: three quarters of that are real."""
    one = await comparing(tmp_path, HandClock())
    await see(one, NOISE, 400)
    await see(one, NOISE, 100, control=True)
    one.tick(told(600, controls=ShadowCounts(listings_matched=900)), "rollout-1")
    assert verdicts(one) == {"token": (Verdict.REAL, 400)}
    view = one.view().score
    assert view.judged.matched == 700
    assert view.judged.certain < 700
    assert view.differences[0].expected == pytest.approx(100)
    assert view.differences[0].significance < 1e-20
    await one.close()


async def test_controls_survive_a_restart_and_are_scored_by_later_rules(tmp_path: Path) -> None:
    """They are kept as shadows are, and neither their examples nor their answers mix."""
    clock = HandClock()
    one = await comparing(tmp_path, clock)
    await see(one, NOISE, 10)
    await see(one, NOISE, 10, control=True)
    one.tick(told(10, controls=ShadowCounts(listings_matched=10)), "rollout-1")
    before = one.view()
    await one.close()
    again = await comparing(tmp_path, clock)
    assert again.view().score == before.score
    assert (before.answers_opened, before.score.controlled) == (10, 20)
    assert len(again.examples(before=None, limit=100)[0]) == 3
    again.add_rule(Rule("token", "personal", mask=True), by="alice")
    again.add_rule(Rule("token", "made anew", ignore=True), by="alice")
    assert verdicts(again) == {"token": (Verdict.HARMLESS, 10)}
    assert again.view().score.judged == MatchRate(20, 20)
    await again.close()


async def test_a_fixed_path_is_counted_anew_and_cannot_hide_behind_the_time_before(
    tmp_path: Path,
) -> None:
    """The rate recovers with what is compared since; a fix that fixes nothing shows at once."""
    clock = HandClock()
    one = await comparing(tmp_path, clock)
    await see(one, DRIFT, 30)
    await see(one, ({"b": 1}, {}), 10)
    one.tick(told(960), "rollout-1")
    assert one.view().score.judged == MatchRate(960, 1000)
    one.put_right("priceYen", by="alice", reason="new reads it now")
    clock.us += SETTLING_US
    found = one.view().score
    assert found.rate == MatchRate(960, 970)
    assert found.judged == MatchRate(0, 0)
    assert one.tick(told(960), "rollout-1") == ()
    assert verdicts(one) == {"b": (Verdict.REAL, 10)}
    await see(one, DRIFT, 10)
    one.tick(told(1050), "rollout-1")
    assert one.view().score.judged == MatchRate(90, 100)
    assert verdicts(one)["priceYen"] == (Verdict.REAL, 10)
    examples = one.examples(before=None, limit=100)[0]
    assert [each.closed for each in examples if each.difference.field == "priceYen"] == [
        False, False, False, True, True, True,
    ]  # fmt: skip
    before = one.view()
    await one.close()
    again = await comparing(tmp_path, clock)
    assert again.view().score == before.score
    assert again.view().fixes[0].reason == "new reads it now"
    assert again.examples(before=None, limit=100)[0] == examples
    await again.close()


async def test_everything_can_be_counted_anew_and_stays_exportable(tmp_path: Path) -> None:
    """Nothing is judged until something is compared again; the examples remain, closed."""
    clock = HandClock()
    one = await comparing(tmp_path, clock)
    await see(one, DRIFT, 5)
    await see(one, NOISE, 5, control=True)
    one.tick(told(95), "rollout-1")
    one.put_right(None, by="alice", reason="another version of new")
    assert one.view().score.rate == MatchRate(0, 0)
    assert one.tick(told(99), "rollout-1") == ()  # told late
    clock.us += SETTLING_US
    one.tick(told(109), "rollout-1")
    assert one.view().score.judged == MatchRate(10, 10)
    assert verdicts(one) == {}
    await one.close()
    again = await comparing(tmp_path, clock)
    assert again.view().score.judged == MatchRate(10, 10)
    assert [each.closed for each in again.examples(before=None, limit=10)[0]] == [True] * 3
    again.tick(told(), "rollout-2")
    assert again.view().fixes == ()
    await again.close()


async def test_closed_examples_and_fixes_are_bounded(tmp_path: Path) -> None:
    """The oldest closed examples go first; at some point only everything can be closed."""
    one = await comparing(tmp_path, HandClock())
    for _ in range(2):
        await see(one, ({f"f{number}": 1 for number in range(99)}, {}), 3)
        await see(one, ({f"g{number}": 1 for number in range(99)}, {}), 3)
        await see(one, ({f"h{number}": 1 for number in range(99)}, {}), 3)
        await see(one, ({f"i{number}": 1 for number in range(99)}, {}), 3)
        one.put_right(None, by="alice", reason="again")
    for number in range(MOST_FIXES - 1):
        assert not one.full_of_fixes
        one.put_right(f"f{number}", by="alice", reason="again")
    examples = one.examples(before=None, limit=10_000)[0]
    assert len(examples) == KEPT_CLOSED
    assert min(each.id for each in examples) > 1
    assert one.full_of_fixes
    await one.close()


async def test_shadows_without_an_answer_are_shown_apart(tmp_path: Path) -> None:
    """Dead, dropped and slow ones by reason; the share that was compared is of the worse count."""
    clock = HandClock()
    one = await comparing(tmp_path, clock)
    of_shadows = ShadowCounts(
        matched=6, listings_matched=18, listings_lost=82, unanswered={"no answer in time": 2},
        dropped={"queue_full": 1, NOTHING_TO_COMPARE_WITH: 5, NOT_OPENED: 0},
    )  # fmt: skip
    mirror = MirrorCounts(of_shadows, ShadowCounts(listings_lost=3, dropped={"queue_full": 7}))
    figures = {each.metric: each for each in one.tick(Totals(mirror=mirror), "rollout-1")}
    coverage = one.view().score.coverage
    assert coverage.lost == {"no answer in time": 2, "queue_full": 1}
    assert (coverage.compared, coverage.due, coverage.ratio) == (6, 9, 0.18)
    assert (figures["compared_ratio"].value, figures["compared_ratio"].sample) == (0.18, 9)
    assert one.view().score.control_coverage.lost == {"queue_full": 7}
    clock.us += HOUR_US
    of_shadows = replace(of_shadows, unanswered={"no answer in time": 5})
    one.tick(Totals(mirror=replace(mirror, shadows=of_shadows)), "rollout-1")
    assert one.view().score.coverage.lost["no answer in time"] == 5
    await one.close()
    again = await comparing(tmp_path, clock)
    assert again.view().score.coverage.lost == {"no answer in time": 5, "queue_full": 1}
    await again.close()


async def test_the_same_syncs_are_timed_in_both(tmp_path: Path) -> None:
    """Sums of both over sums of listings, so that a large sync weighs more than a small one."""
    one = await comparing(tmp_path, HandClock())
    timed = ShadowCounts(
        timed=12, timed_listings=400, timed_old_us=8_000_000, timed_shadow_us=6_500_000
    )
    mirror = MirrorCounts(timed)
    (figure,) = one.tick(Totals(mirror=mirror), "rollout-1")
    assert (figure.metric, figure.value, figure.sample) == ("sync_time_to_old", 0.8125, 12)
    pace = one.view().score.pace
    assert (pace.per_1000(pace.old_s), pace.per_1000(pace.new_s)) == (20.0, 16.25)
    one.tick(Totals(mirror=added(mirror, mirror)), "rollout-1")
    assert one.view().score.pace.syncs == 24
    assert one.view().score.pace.ratio == 0.8125
    await one.close()

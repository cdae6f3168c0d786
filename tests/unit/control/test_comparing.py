"""The comparison of one gateway: what comes in, what it says, what survives a restart."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from gateway.adapters.comparison_store import COMPARISONS_FILE, SqliteComparisons
from gateway.control.collecting import KEPT_US
from gateway.control.comparing import SETTLING_US, WAITING, Bounds, Comparing
from gateway.control.counting import Totals
from gateway.core.comparison import Cause, Kind, MatchRate, Rule, Rules
from gateway.link import NOT_OPENED, MirrorCounts, ShadowCounts, ShadowDiffered

if TYPE_CHECKING:
    from pathlib import Path

HOUR_US = 3_600_000_000


def told(matched: int = 0, not_opened: int = 0, **more: Any) -> Totals:
    """What workers counted: listings that agree, differences nobody opens; more of shadows."""
    controls = more.pop("controls", ShadowCounts())
    dropped = {NOT_OPENED: not_opened, **more.pop("dropped", {})}
    return Totals(
        mirror=MirrorCounts(
            ShadowCounts(listings_matched=matched, dropped=dropped, **more), controls
        )
    )


class HandClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.us = 100 * HOUR_US

    def now_us(self) -> int:
        """The time."""
        return self.us

    wall_us = now_us


def differed(old: dict[str, Any], new: dict[str, Any], *, agree: int = 0) -> ShadowDiffered:
    """A pair of answers with one listing that differs so, and some that agree."""
    same = [{"propertyNumber": f"s{i}", "digest": "d"} for i in range(agree)]
    bodies = [
        {"records": [*same, {"propertyNumber": "x", "digest": "1"}]},
        {
            "records": [
                *same, {"propertyNumber": "x", "digest": "2", "shadowOfRow": old, "row": new}
            ],
            "dryRunMeans": "raise",
        },
    ]  # fmt: skip
    encoded = [b64encode(json.dumps(body).encode()).decode() for body in bodies]
    return ShadowDiffered(
        worker=1, at_us=5, variant="new", sync_id="sync", path="/sync", statuses=(200, 200),
        digests=("1", "2"), records=(agree + 1, agree + 1), bodies=(encoded[0], encoded[1]),
        request_id="request",
    )  # fmt: skip


async def comparing(folder: Path, clock: HandClock, *rules: Rule) -> Comparing:
    """One that has taken up what is in the folder."""
    made = Comparing(
        SqliteComparisons(folder), Bounds(Rules(rules), examples_per_field=3), clock=clock,
        chance=random.Random(7),
    )  # fmt: skip
    await made.restore()
    made.tick(told(), "rollout-1")
    clock.us += SETTLING_US
    return made


async def settled(one: Comparing) -> None:
    """Wait until nothing is being opened."""
    while one._opening:
        await asyncio.sleep(0.001)


async def test_the_rate_counts_listings_and_says_how_sure_it_is(tmp_path: Path) -> None:
    """Nine answers of 100 agree by digest, one differs in one of its 100 listings."""
    one = await comparing(tmp_path, HandClock())
    assert one.tick(told(), "rollout-1") == ()
    one.differed(differed({"priceYen": 1500}, {"priceYen": 1000}, agree=99))
    await settled(one)
    (figure,) = one.tick(told(900), "rollout-1")
    assert (figure.metric, figure.value, figure.sample) == ("match_ratio", 0.999, 1000)
    view = one.view()
    rate = view.score.judged
    assert rate.rate == 0.999
    assert 0.99 < rate.lower_bound() < 0.999
    assert "99.9 % of 1,000 listings agree" in rate.sentence()
    (difference,) = view.score.differences
    assert (difference.field, difference.kind, difference.cause, difference.count) == (
        "priceYen", Kind.VALUE, Cause.REAL, 1,
    )  # fmt: skip
    (example,) = difference.examples
    assert (example.number, example.sync_id, example.request_id) == ("x", "sync", "request")
    assert (example.difference.left, example.difference.right) == (1500, 1000)
    assert view.means == {"raise": 1}
    await one.close()


async def test_what_was_not_opened_weighs_the_matching_down(tmp_path: Path) -> None:
    """Of four answers that differ one was opened: a quarter of the matching ones counts with it."""
    one = await comparing(tmp_path, HandClock())
    one.differed(differed({"a": 1}, {"a": 2}, agree=9))
    await settled(one)
    one.tick(told(400, not_opened=3), "rollout-1")
    view = one.view()
    assert view.score.judged == MatchRate(109, 110)
    assert (view.answers_differed, view.answers_opened) == (4, 1)
    await one.close()


async def test_differences_nobody_could_open_still_count(tmp_path: Path) -> None:
    """Each is at least one listing that differs, and the matching ones are not lost."""
    one = await comparing(tmp_path, HandClock())
    one.tick(told(98, not_opened=2), "rollout-1")
    assert one.view().score.judged == MatchRate(98, 100)
    await one.close()


async def test_rules_added_later_score_the_history_again_even_after_a_restart(
    tmp_path: Path,
) -> None:
    """A tolerance forgives what it covers and nothing else; rule and history survive."""
    clock = HandClock()
    one = await comparing(tmp_path, clock)
    for right in (1001, 1900):
        one.differed(differed({"priceYen": 1000}, {"priceYen": right}))
    await settled(one)
    one.tick(told(8), "rollout-1")
    assert one.view().score.judged.rate == 0.8
    one.add_rule(Rule("priceYen", "rounded by design", tolerance=10), by="alice")
    assert one.view().score.judged.rate == 0.9
    await one.close()

    again = await comparing(tmp_path, clock)
    view = again.view()
    assert (view.score.judged, view.rules[0].by) == (MatchRate(9, 10), "alice")
    (difference,) = view.score.differences
    assert (difference.count, difference.counts) == (1, True)
    assert len(again.examples(before=None, limit=10)[0]) == 2
    again.add_rule(Rule("priceYen", "personal", mask=True), by="alice")
    assert {each.difference.left for each in again.examples(before=None, limit=9)[0]} == {"***"}
    await again.close()
    assert "1900" not in _rows(tmp_path)


def _rows(folder: Path) -> str:
    with sqlite3.connect(folder / COMPARISONS_FILE.name) as database:
        kept = database.execute("select comparison from kept").fetchall()
        return repr(kept + database.execute("select example from examples").fetchall())


async def test_another_rollout_and_last_week_are_forgotten(tmp_path: Path) -> None:
    """The rate is of this rollout and of the last seven days; rules are decisions and stay."""
    clock = HandClock()
    one = await comparing(tmp_path, clock)
    one.add_rule(Rule("a", "why", ignore=True), by="bob")
    one.tick(told(10), "rollout-1")
    clock.us += KEPT_US + HOUR_US
    one.tick(told(15), "rollout-1")
    assert one.view().score.judged.compared == 5
    assert one.tick(told(15), "rollout-2") == ()
    assert one.tick(told(18), "rollout-2") == ()  # told late
    assert one.view().score.judged.compared == 0
    assert [each.rule.path for each in one.view().rules] == ["a"]
    await one.close()
    again = await comparing(tmp_path, clock)
    assert again.view().score.judged.compared == 0
    await again.close()


async def test_examples_are_bounded_and_paged(tmp_path: Path) -> None:
    """Three of a hundred are kept per field and cause; pages join without gap or repetition."""
    one = await comparing(tmp_path, HandClock())
    for batch in range(4):
        for i in range(25):
            one.differed(differed({"a": f"v{batch}"}, {"a": f"w{i}"}))
        await settled(one)
    one.differed(differed({"b": 1}, {}))
    await settled(one)
    everything, following = one.examples(before=None, limit=100)
    assert (len(everything), following) == (4, None)
    paged, before = [], None
    while True:
        page, before = one.examples(before=before, limit=2)
        paged += page
        if before is None:
            break
    assert paged == everything
    assert one.view().score.differences[0].count == 100
    await one.close()


async def test_a_flood_is_dropped_and_a_broken_answer_is_counted(tmp_path: Path) -> None:
    """Beyond the queue's bound nothing waits; what is no JSON or base64 is unreadable."""
    one = await comparing(tmp_path, HandClock())
    opened = [one.differed(differed({"a": 1}, {"a": 2})) for _ in range(WAITING + 10)]
    assert opened == WAITING * [True] + 10 * [False]
    assert one.view().answers_differed == 10
    await settled(one)
    broken = differed({}, {})
    for bodies in (("!", "!"), (broken.bodies[0], b64encode(b"{").decode())):  # type: ignore[index]
        one.differed(
            ShadowDiffered(**{name: getattr(broken, name) for name in broken.__slots__}
                           | {"bodies": bodies})
        )  # fmt: skip
    await settled(one)
    one.tick(told(), "rollout-1")
    found = {(each.field, each.cause): each.count for each in one.view().score.differences}
    assert found == {("a", Cause.REAL): WAITING, ("answer", Cause.UNREADABLE): 2}
    await one.close()


@pytest.mark.parametrize("content", [b"not a database at all, really", b""])
async def test_a_file_that_is_none_is_said_and_hurts_nobody(tmp_path: Path, content: bytes) -> None:
    """A foreign file is left as it is, the comparison goes on in memory; an empty one is filled."""
    path = tmp_path / COMPARISONS_FILE.name
    path.write_bytes(content * 100)
    one = await comparing(tmp_path, HandClock())
    one.tick(told(7), "rollout-1")
    await asyncio.sleep(0)
    assert one.view().score.judged.compared == 7
    await one.close()
    assert bool(one.trouble) is bool(content)
    if content:
        assert path.read_bytes() == content * 100


async def test_a_file_of_the_version_before_keeps_what_people_decided(tmp_path: Path) -> None:
    """Its counts cannot be told from controls and go; its rules stay."""
    rule = {"rule": {"path": "a", "reason": "why", "ignore": True}, "by": "bob", "at_us": 7}
    with sqlite3.connect(tmp_path / COMPARISONS_FILE.name) as database:
        database.executescript(
            """
            create table facts (name text primary key, value text not null) strict;
            create table hours (hour integer primary key, tally text not null) strict;
            create table listings (slot integer primary key, comparison text not null) strict;
            create table examples (
              name text not null, place integer not null, example text not null,
              primary key (name, place)
            ) strict;
            create table rules (seq integer primary key, rule text not null) strict;
            insert into facts values ('era', 'rollout-1');
            insert into hours values (1, '{"matched": 5}');
            pragma user_version = 1;
            """
        )
        database.execute("insert into rules values (0, ?)", (json.dumps(rule),))
    one = await comparing(tmp_path, HandClock())
    assert one.trouble == ""
    assert [(each.rule.path, each.by) for each in one.view().rules] == [("a", "bob")]
    assert one.view().score.rate == MatchRate(0, 0)
    one.tick(told(3), "rollout-1")
    await one.close()
    again = await comparing(tmp_path, HandClock())
    assert again.view().score.rate.matched == 3
    await again.close()

"""What replicas tell one another: read whole or not at all, once, in order, whatever is lost."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.clock import SystemClock
from gateway.control.fleet import postings
from gateway.control.fleet.members import GONE_US, Members
from gateway.control.fleet.outbox import MOST_RUNS, Outbox
from gateway.control.fleet.postings import (
    Copies,
    Figure,
    ForeignPostingError,
    PostingBody,
    Runs,
    Seconds,
    Told,
)
from gateway.core.model import Outcome, Variant
from gateway.core.window import VariantSecond
from gateway.ports import MeasurementDraft, ReportSeverity, UserReport
from gateway.ports.fleet import MAX_POSTING_BYTES, BoardReading, Posting

OLD, NEW = Variant.BASELINE, Variant.CANARY
NOW_US = 1_800_000_000_000_000

BODY = PostingBody(
    boot="b1",
    software="1.2",
    now_us=NOW_US,
    complete_second=NOW_US // 1_000_000 - 1,
    routing_version=7,
    state_version=9,
    weight_bp=1_000,
    workers=2,
    requests_per_s=12.5,
    breakers={OLD: False, NEW: True},
    figures=(MeasurementDraft(NOW_US, "cpu_ratio", 0.5, None, 1, "psutil"),),
    items=(
        (1, Seconds(1_800_000_000, {OLD: VariantSecond(ok=3, latency=((5, 3),), syncs=1)})),
        (2, Runs(((OLD, Outcome.OK, 4), (NEW, Outcome.ERROR, 1)))),
        (3, Figure(MeasurementDraft(NOW_US, "data_loss", 1.0, NEW, None, "api:alice"))),
        (4, Told(UserReport(NOW_US, ReportSeverity.SERIOUS, "rows are gone", "alice"))),
        (5, Copies(1_800_000_000, {OLD: VariantSecond(ok=1, latency=((5, 1),))})),
    ),
)


def wire(body: PostingBody) -> dict[str, Any]:
    """As it comes from the board."""
    return orjson.loads(orjson.dumps(postings.write(body)))


def posted(name: str, body: PostingBody, *, age_us: int = 0, **changes: Any) -> BoardReading:
    """One replica's posting on the board."""
    return BoardReading(NOW_US, 1, (Posting(name, age_us, {**wire(body), **changes}),))


def test_a_posting_is_read_as_it_was_written() -> None:
    """Nothing is lost or changed on the way."""
    assert postings.read(wire(BODY)) == BODY


def test_a_newer_release_is_understood_as_far_as_possible() -> None:
    """New fields and new kinds of items are passed over; the numbers go on."""
    document = wire(BODY) | {"mood": "fine", "items": [[8, "x", {}], [9, "r", [["old", 0, 1]]]]}
    assert postings.read(document).items == ((9, Runs(((OLD, Outcome.OK, 1),))),)


def test_another_format_is_named_and_counts_as_unknown() -> None:
    """A replica whose words we do not understand is part of the fleet, by name, and holds it."""
    members = Members("a", "boot")
    changes, heard = members.take(posted("b", BODY, format=2), NOW_US)
    assert [change.change for change in changes] == ["joined"]
    assert heard == ()
    assert members.unknown() == ("b",)
    [member] = members
    assert "format 2" in member.trouble


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=8,
    ),
    st.sampled_from(sorted(wire(BODY))),
)
def test_nonsense_in_any_place_is_refused_or_harmless(value: Any, place: str) -> None:
    """Whatever stands in a field, reading it gives a posting or the one error."""
    try:
        read = postings.read(wire(BODY) | {place: value})
    except ForeignPostingError:
        return
    assert isinstance(read, PostingBody)
    postings.write(read)


def test_each_item_is_heard_once_and_none_is_missed() -> None:
    """Postings overlap: what was read is passed over, what was missed comes with the next one."""
    members = Members("a", "boot")
    _, first = members.take(posted("b", replace(BODY, items=BODY.items[:2])), NOW_US)
    _, again = members.take(posted("b", replace(BODY, items=BODY.items[:2])), NOW_US)
    _, rest = members.take(posted("b", BODY), NOW_US)
    assert (len(first), len(again), len(rest)) == (2, 0, 3)
    _, restarted = members.take(posted("b", replace(BODY, boot="b2")), NOW_US)
    assert len(restarted) == 5


def test_a_clock_that_is_an_hour_ahead_is_translated() -> None:
    """What happened in its last second happened in ours."""
    members = Members("a", "boot")
    ahead = replace(
        BODY,
        now_us=NOW_US + 3_600_000_000,
        items=((1, Seconds(1_800_003_599, {OLD: VariantSecond(ok=1)})),),
    )
    _, [heard] = members.take(posted("b", ahead, age_us=200_000), NOW_US)
    assert isinstance(heard.item, Seconds)
    assert heard.item.second in {1_799_999_998, 1_799_999_999}


def test_a_replica_comes_falls_silent_comes_back_leaves_and_may_be_gone() -> None:
    """Every change is told once, and the one who is silent is named as long as it is."""
    members = Members("a", "boot")
    seen = [change.change for change in members.take(posted("b", BODY), NOW_US)[0]]
    seen += [change.change for change in members.age(NOW_US + 4_000_000)]
    assert members.unknown() == ("b",)
    seen += [change.change for change in members.age(NOW_US + 5_000_000)]
    back = members.take(posted("b", BODY), NOW_US + 6_000_000)[0]
    seen += [change.change for change in back]
    assert members.unknown() == ()
    seen += [change.change for change in members.age(NOW_US + 6_000_000 + GONE_US)]
    assert seen == ["joined", "silent", "back", "gone"]
    assert len(members) == 0
    members.take(posted("b", BODY), NOW_US)
    left, _ = members.take(posted("b", replace(BODY, leaving=True)), NOW_US)
    assert [(change.change, change.replica) for change in left] == [("left", "b")]
    assert all(change.text and change.text_ja for change in (*back, *left))


def test_two_processes_of_one_name_are_noticed() -> None:
    """Another one posts under our name: it is said, and neither seeks the lease meanwhile."""
    members = Members("a", "ours")
    members.take(posted("a", replace(BODY, boot="theirs")), NOW_US)
    assert members.namesake
    members.take(posted("a", replace(BODY, boot="ours")), NOW_US)
    assert not members.namesake


def test_items_are_repeated_until_they_were_surely_read() -> None:
    """An item is in every posting for three seconds after the first that arrived."""
    outbox = Outbox()
    outbox.outcomes([(OLD, Outcome.OK, 1), (OLD, Outcome.OK, 2), (NEW, Outcome.ERROR, 1)])
    outbox.second(10, {OLD: VariantSecond(ok=1, latency=((3, 1),))})
    outbox.second(10, {OLD: VariantSecond(ok=2, latency=((3, 1), (4, 1)))})
    items = outbox.items(NOW_US)
    assert items == (
        (1, Seconds(10, {OLD: VariantSecond(ok=3, latency=((3, 2), (4, 1)))})),
        (2, Runs(((OLD, Outcome.OK, 3), (NEW, Outcome.ERROR, 1)))),
    )
    assert outbox.items(NOW_US + 2_000_000) == items, "nobody has read it yet"
    outbox.posted(2, NOW_US + 2_000_000)
    assert outbox.items(NOW_US + 4_000_000) == items
    assert outbox.items(NOW_US + 6_000_000) == ()


def test_shadows_are_in_the_second_and_named_after_it() -> None:
    """A replica that does not know the second item judges as before."""
    outbox = Outbox()
    copy = VariantSecond(ok=1, latency=((9, 1),))
    outbox.second(10, {NEW: VariantSecond(ok=2)}, {NEW: copy})
    outbox.second(10, {NEW: VariantSecond(ok=4)})
    assert outbox.items(NOW_US) == (
        (1, Seconds(10, {NEW: VariantSecond(ok=7, latency=((9, 1),))})),
        (2, Copies(10, {NEW: copy})),
    )
    assert outbox.requests_per_s() == 6


@pytest.mark.parametrize("requests", [10, 60_000])
def test_many_runs_are_bounded_and_lose_no_count(requests: int) -> None:
    """A busy second in which good and bad alternate still fits, with every answer counted."""
    outbox = Outbox()
    for _ in range(requests // 2):
        outbox.outcomes([(OLD, Outcome.OK, 1), (NEW, Outcome.ERROR, 1)])
    [(_, item)] = outbox.items(NOW_US)
    assert isinstance(item, Runs)
    assert len(item.runs) <= MOST_RUNS
    for variant, outcome in ((OLD, Outcome.OK), (NEW, Outcome.ERROR)):
        assert sum(n for v, o, n in item.runs if (v, o) == (variant, outcome)) == requests // 2
    posting = postings.write(replace(BODY, items=((1, item),)))
    assert len(orjson.dumps(posting)) < MAX_POSTING_BYTES


def test_a_clock_is_led_and_never_runs_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind: it steps or catches up. Ahead: it goes more slowly, and never back."""
    steady = [5_000_000_000]
    monkeypatch.setattr(time, "monotonic_ns", lambda: steady[0])
    clock = SystemClock(begin_us=NOW_US)
    assert clock.now_us() == NOW_US
    clock.follow(NOW_US + 3_600_000_000)
    assert clock.now_us() == NOW_US + 3_600_000_000
    theirs, before = NOW_US, clock.now_us()
    for _ in range(20):
        steady[0] += 1_000_000_000
        theirs += 1_000_000
        clock.follow(theirs)
        now = clock.now_us()
        assert before <= now <= before + 1_000_000
        before = now

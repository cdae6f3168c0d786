"""The life of an incident: begun, grown worse, acknowledged, escalated, silenced, over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.alerts import (
    Ack,
    FollowUp,
    Said,
    Silence,
    acknowledge,
    lift,
    silence,
)
from gateway.core.alerts.book import MOST_OPEN
from gateway.core.analysis import Metric, Severity
from gateway.core.model import SECOND_US
from tests.support.alerts import NEW, OLD, World, plan, rule, sentence

HOUR = 3_600


def failing(ratio: float = 0.02) -> World:
    """New fails so much of its requests, seen once."""
    world = World()
    world.look(0)
    world.errors[NEW] = ratio
    world.look(1)
    return world


def ack(world: World, number: int = 1) -> None:
    """Somebody has it."""
    answer = Ack("jun", "on it", world.now_us)
    world.take(acknowledge(world.book, world.alerts, number, answer))


def quiet(world: World, *, rule_name: str = "*", until_s: float, system: str | None = None) -> None:
    """Silence alerts until then."""
    until_us = world.now_us + round((until_s - world.now_s) * SECOND_US)
    wish = Silence(0, rule_name, system, world.now_us, until_us, "jun", "work")
    world.book = silence(world.book, wish)


def test_it_is_told_once_however_long_it_lasts() -> None:
    """An alert that repeats itself is one that people stop reading."""
    world = failing()
    world.look_every(1, 300)
    assert world.told() == ["raised errors"]
    (tell,) = world.tells
    assert (tell.level, tell.channels, tell.names) == (Severity.HIGH, ("chat-high",), ("Dev",))
    assert tell.languages == ("ja", "en")
    assert "2 %" in tell.why.en
    assert "2 %" in tell.why.ja


def test_worse_is_an_update_on_the_worse_levels_channels() -> None:
    """The same trouble, but now those of the higher level must know."""
    world = failing()
    world.errors[NEW] = 0.2
    world.look(2)
    world.errors[NEW] = 0.02
    world.look_every(1, 60)
    assert world.told() == ["raised errors", "updated errors"]
    assert world.tells[1].channels == ("chat-critical",)
    assert world.book.open[0].level is Severity.CRITICAL


def test_it_is_over_only_when_it_was_well_for_long_enough() -> None:
    """Between the two thresholds nothing begins and nothing ends."""
    world = failing()
    world.errors[NEW] = 0.009
    world.look_every(1, 200)
    assert world.book.open
    world.errors[NEW] = 0.0
    world.look_every(1, 259)
    assert world.book.open
    world.errors[NEW] = 0.009
    world.look(260)
    world.errors[NEW] = 0.0
    world.look_every(1, 320)
    assert world.book.open, "the break between began the wait anew"
    world.look(321)
    assert world.told() == ["raised errors", "resolved errors"]
    (over,) = world.ended
    assert (over.ended_us - over.raised_us) // SECOND_US == 320


def test_flapping_stays_one_incident() -> None:
    """Bad and well in turn every five seconds, for an hour: one alert, not hundreds."""
    world = World()
    for at_s in range(HOUR):
        world.errors[NEW] = 0.03 if at_s // 5 % 2 == 0 else 0.0
        world.look(at_s)
    assert world.told() == ["raised errors"]


def test_unknown_neither_begins_nor_ends() -> None:
    """Too little traffic, or no figures at all: what was stands."""
    world = failing()
    world.errors[NEW] = None
    world.look_every(10, 600)
    assert world.told() == ["raised errors"]
    world.errors[NEW] = 0.0
    world.look_every(10, 640)
    world.errors[NEW] = None
    world.look(650)
    world.errors[NEW] = 0.0
    world.look_every(10, 700)
    assert world.told() == ["raised errors"], "the unknown second broke the well ones"
    world.look_every(10, 720)
    assert world.told() == ["raised errors", "resolved errors"]


def test_a_rule_may_ask_for_patience() -> None:
    """A short peak is no alert, each level is waited for by itself."""
    world = World(plan(rule(for_s=60)))
    world.look(0)
    world.errors[NEW] = 0.02
    world.look_every(1, 30)
    world.errors[NEW] = 0.0
    world.look(31)
    world.errors[NEW] = 0.02
    world.look_every(1, 91)
    assert world.told() == []
    world.look(92)
    assert world.told() == ["raised errors"]
    world.errors[NEW] = 0.5
    world.look_every(1, 152)
    assert world.told() == ["raised errors"]
    world.look(153)
    assert world.told() == ["raised errors", "updated errors"]


def test_unacknowledged_it_climbs_by_name() -> None:
    """Developer, then senior, tech lead and CTO, each when the one before has had their time."""
    world = failing(0.2)
    begun = world.now_s
    climbed = []
    while world.now_s < begun + 6 * HOUR:
        before = len(world.tells)
        world.look(world.now_s + 10)
        climbed += [(world.now_s - begun, t.names, t.channels) for t in world.tells[before:]]
    assert climbed == [
        (900, ("Sen",), ("chat-critical", "pager")),
        (900 + HOUR, ("Lee",), ("chat-critical", "pager")),
        (900 + 5 * HOUR, ("Cho",), ("chat-critical", "pager")),
    ]
    world.look_every(600, begun + 48 * HOUR)
    assert len(world.tells) == 4


@pytest.mark.parametrize(
    ("level", "first_s", "names"),
    [
        (Severity.HIGH, HOUR, [("Sen",), ("Lee",), ("Cho",)]),
        (Severity.MEDIUM, 4 * HOUR, [("Sen",), ("Lee",)]),
        (Severity.LOW, 24 * HOUR, [("Sen",)]),
    ],
)
def test_each_level_has_its_own_time_and_end(
    level: Severity, first_s: int, names: list[tuple[str, ...]]
) -> None:
    """What answers within a day does not wake the CTO."""
    steps = (replace(rule().steps[0], level=level),)
    world = World(plan(rule(steps=steps)))
    world.errors[NEW] = 0.5
    world.look(0)
    world.look_every(60, first_s - 1)
    assert world.told() == ["raised errors"]
    world.look(first_s)
    world.look_every(600, 200 * HOUR)
    assert [tell.names for tell in world.tells[1:]] == names


def test_business_impact_is_told_the_last_rung_at_once() -> None:
    """A breach does not wait for three people to sleep through it."""
    world = World(plan(rule(business=True)))
    world.errors[NEW] = 0.5
    world.look(0)
    assert world.tells[0].names == ("Cho", "Dev")
    world.look_every(60, 900)
    assert world.tells[1].names == ("Sen",)
    world.look_every(600, 40 * HOUR)
    assert [tell.names for tell in world.tells[2:]] == [("Lee",), ("Cho",)]


def test_acknowledged_it_climbs_no_further() -> None:
    """Whoever has it is named, once, and nobody else is called."""
    world = failing(0.2)
    ack(world)
    ack(world)
    world.look_every(600, 24 * HOUR)
    assert world.told() == ["raised errors", "acknowledged errors"]
    assert world.book.open[0].ack == Ack("jun", "on it", world.tells[1].at_us)
    world.errors[NEW] = 0.0
    world.look_every(60, 25 * HOUR)
    assert world.told()[-1] == "resolved errors"


def test_an_unknown_number_acknowledges_nothing() -> None:
    """Somebody's typing mistake answers for nobody."""
    world = failing()
    ack(world, 7)
    assert world.told() == ["raised errors"]
    assert world.book.open[0].ack is None


def test_worse_asks_again_although_the_milder_was_acknowledged() -> None:
    """Who took a warning has not taken a disaster."""
    world = failing()
    ack(world)
    world.errors[NEW] = 0.5
    world.look(2)
    assert world.told()[-1] == "updated errors"
    world.look_every(60, 1000)
    assert world.told()[-1] == "escalated errors"


def test_a_silence_hides_nothing_for_good() -> None:
    """What still stands at its end is told then, and its time begins then."""
    world = World()
    world.look(0)
    quiet(world, until_s=HOUR)
    world.errors[NEW] = 0.2
    world.look_every(10, HOUR - 1)
    assert world.told() == []
    assert world.book.open
    world.look(HOUR)
    assert world.told() == ["raised errors"]
    assert world.book.silences == ()
    world.look_every(10, HOUR + 890)
    assert world.told() == ["raised errors"]
    world.look(HOUR + 900)
    assert world.told()[-1] == "escalated errors"


def test_what_came_and_went_under_a_silence_is_kept_but_not_told() -> None:
    """That is what maintenance is for; the report still shows it."""
    world = World()
    world.look(0)
    quiet(world, until_s=HOUR, rule_name="errors", system="new")
    world.errors[NEW] = 0.2
    world.look(1)
    ack(world)
    world.errors[NEW] = 0.0
    world.look_every(10, 2 * HOUR)
    assert world.told() == []
    assert len(world.ended) == 1


def test_a_silence_of_something_else_silences_nothing() -> None:
    """Another rule, another system."""
    world = World()
    world.look(0)
    quiet(world, until_s=HOUR, rule_name="cpu")
    quiet(world, until_s=HOUR, system="old")
    world.errors[NEW] = 0.2
    world.look(1)
    assert world.told() == ["raised errors"]


def test_a_lifted_silence_speaks_at_once() -> None:
    """Maintenance ended early."""
    world = World()
    world.look(0)
    quiet(world, until_s=HOUR)
    world.errors[NEW] = 0.2
    world.look(1)
    world.book = lift(world.book, 1)
    world.look(2)
    assert world.told() == ["raised errors"]


def test_under_a_silence_it_neither_climbs_nor_says_worse() -> None:
    """An alert that was told before: its growing worse is told when the silence is over."""
    world = failing()
    quiet(world, until_s=2 * HOUR)
    world.errors[NEW] = 0.2
    world.look_every(60, 2 * HOUR - 60)
    assert world.told() == ["raised errors"]
    world.look(2 * HOUR)
    assert world.told() == ["raised errors", "updated errors"]


def test_the_time_of_a_silenced_one_stands_still_at_its_rung() -> None:
    """Told before the silence, not answered within it: the next rung is asked at its end."""
    world = failing(0.2)
    quiet(world, until_s=2 * HOUR)
    world.look_every(60, 2 * HOUR - 60)
    assert world.told() == ["raised errors"]
    world.look(2 * HOUR)
    assert world.told() == ["raised errors", "escalated errors"]


def test_a_clock_that_was_set_back_moves_no_deadline() -> None:
    """An hour back: the spans stay what they were."""
    world = World(plan(rule(), rule("slow", for_s=100)))
    world.errors[NEW] = 0.2
    world.look(7200)
    world.look(7250)
    world.look(3650)
    assert world.told() == ["raised errors"]
    world.look(3699)
    assert world.told() == ["raised errors"]
    world.look(3700)
    assert world.told() == ["raised errors", "raised slow"]
    world.look_every(1, 3600 + 899)
    assert len(world.tells) == 2
    world.look(3600 + 900)
    assert world.told()[2:] == ["escalated errors"]
    world.errors[NEW] = 0.0
    world.look(4600)
    world.look(1000)
    ack(world, 2)
    world.look(999)
    assert len(world.book.open) == 2


def test_a_rule_that_is_gone_ends_its_incident() -> None:
    """The file was read again without it."""
    world = failing()
    world.alerts = plan(rule("other"))
    world.look(2)
    assert sorted(world.told()) == ["raised errors", "raised other", "resolved errors"]
    assert world.ended[0].ended_why == "gone"


def test_what_is_due_after_it_began_is_told_in_time() -> None:
    """First report of the cause in half an hour, as long as it is open."""
    due = [
        FollowUp("errors", after_s, sentence(name), ("team",), ("en",), ("Ann",), name)
        for after_s, name in ((1800, "cause"), (7200, "details"), (90_000, "never"))
    ]
    world = World(plan(rule(), follow_ups=tuple(due)))
    world.errors[NEW] = 0.02
    world.look(0)
    ack(world)
    world.look_every(60, 1799)
    world.look(1800)
    world.look_every(60, 86_400)
    told = [(t.at_us // SECOND_US, t.message, t.channels, t.names) for t in world.tells[2:]]
    began = world.tells[0].at_us // SECOND_US
    assert told == [
        (began + 1800, "cause", ("team",), ("Ann",)),
        (began + 7200, "details", ("team",), ("Ann",)),
    ]


def test_what_the_gateway_says_itself_is_one_incident_per_key() -> None:
    """A fault of its own, said again and again; an answer ends what nothing measures."""
    world = World()
    fault = Said("fault", Severity.HIGH, sentence("Fault"), sentence("why"))
    world.look(0, fault)
    world.look(1, fault)
    world.look(2, replace(fault, level=Severity.CRITICAL))
    assert world.told() == ["raised notice:fault", "updated notice:fault"]
    ack(world)
    assert world.told()[2:] == ["acknowledged notice:fault", "resolved notice:fault"]
    assert world.book.open == ()


def test_what_the_gateway_says_itself_can_be_over() -> None:
    """Said by the same part; an end without a beginning is nothing."""
    world = World()
    fault = Said("fault", Severity.CRITICAL, sentence("Fault"), sentence("why"))
    over = replace(fault, over=True)
    world.look(0, over, fault)
    world.look(1)
    world.look(2, over, over)
    assert world.told() == ["raised notice:fault", "resolved notice:fault"]


def test_small_things_are_news() -> None:
    """Nobody has to answer, nothing stays open."""
    world = World()
    world.look(0, Said("x", Severity.MEDIUM, sentence("X"), sentence("why")))
    (tell,) = world.tells
    assert (tell.incident, tell.channels, tell.languages) == (None, ("news",), ("ja",))
    assert world.book.open == ()


def test_the_book_does_not_grow_without_end() -> None:
    """A part of ours that says a new thing every second does not fill the store."""
    world = World()
    for at_s in range(MOST_OPEN + 5):
        world.look(at_s, Said(f"k{at_s}", Severity.HIGH, sentence("X"), sentence("why")))
    assert len(world.book.open) == MOST_OPEN
    world.errors[NEW] = 0.2
    world.look(9_000)
    assert world.book.of("errors", "new") is None
    ack(world, 1)
    world.look(9_001)
    assert world.book.of("errors", "new") is not None


def test_every_tell_has_an_id_of_its_own() -> None:
    """Repeats are recognised by it, after a crash too."""
    world = failing(0.2)
    ack(world)
    world.errors[NEW] = 0.0
    world.look_every(10, 200)
    world.errors[NEW] = 0.2
    world.look(300)
    ids = [tell.id for tell in world.tells]
    assert len(set(ids)) == len(ids) == 4
    assert world.tells[0].id.startswith("1-")


def test_the_same_look_says_nothing_twice() -> None:
    """Looking again at the same instant, as after a crash before the book was stored."""
    world = failing()
    before = world.book
    world.look(world.now_s)
    assert world.book == before


def test_two_systems_are_two_incidents() -> None:
    """Old and new can fail for different reasons."""
    world = World(plan(rule(systems=(NEW, OLD))))
    world.errors = dict.fromkeys(world.errors, 0.3)
    world.look(0)
    assert {one.key for one in world.book.open} == {("errors", "new"), ("errors", "old")}


def test_a_figure_in_the_incident_is_the_one_it_began_with() -> None:
    """Value, threshold and sample as they stood."""
    world = failing()
    (one,) = world.book.open
    assert (one.value, one.threshold, one.sample) == (0.02, 0.01, 1000)
    assert dict(one.figures)["metric"] == Metric.ERROR_RATIO.value

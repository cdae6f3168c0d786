"""The simulator: the library is the regression suite, and what it says can be relied upon."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.analysis import Metric, inputs_to_json
from gateway.core.analysis import watch as watches
from gateway.core.model import Access, Outcome, Variant, Weight
from gateway.core.rollout import (
    Pause,
    Promote,
    Refused,
    Resume,
    RollBack,
    SetWeight,
    Status,
    to_json,
)
from gateway.simulation import (
    ScenarioError,
    find_scenario,
    library,
    load_scenario,
    parse_scenario,
    replay,
    run_scenario,
    simulate,
)
from gateway.simulation.scenario import Expect, span_s
from gateway.simulation.telling import Moment, unmet
from gateway.simulation.world import Ledger
from tests.support.rollouts import (
    T0,
    all_well,
    engine_in,
    measured,
    shipped_plan,
    with_measurement,
)

CONFIG = Path(__file__).parents[3] / "config"
LIBRARY = CONFIG / "scenarios"
PLAN = shipped_plan()

DAY = """
name = "{name}"
title = "a day"
begins = 2026-11-02T09:00:00+09:00
lasts = "{lasts}"
{more}
[expect]
status = "{status}"
weight_percent = {weight}
"""


def day(more="", *, status="running", weight=0, lasts="6h", name="day"):
    """A short scenario."""
    return parse_scenario(
        DAY.format(name=name, more=more, status=status, weight=weight, lasts=lasts)
    )


AT_TEN = """
[[orders]]
at = "1h"
order = "promote"
force = true
reason = "a trial"
"""


# --- the library ----------------------------------------------------------------------------------


def test_the_library_is_complete():
    """Every scenario that was asked for ships."""
    assert {
        "healthy", "hard_outage", "slow_burn_6_percent", "shared_fault", "latency_creep",
        "no_traffic", "flapping", "metrics_source_dead", "clock_jump",
    } <= set(library(LIBRARY))  # fmt: skip


@pytest.mark.parametrize("name", library(LIBRARY))
def test_each_scenario_comes_out_as_its_file_expects(name):
    """The expectations stand in the file; the timeline has the promised shape."""
    result = run_scenario(name, folder=LIBRARY)
    assert result.unmet == (), "\n".join(f"{m.at} {m.event} {m.text}" for m in result.timeline)
    told = json.loads(json.dumps(result.to_json()))
    assert set(told["final"]) == {"status", "weight_percent"}
    assert all({"at", "event", "weight_percent"} <= set(each) for each in told["timeline"])


@pytest.mark.parametrize("seed", range(5))
def test_a_hard_outage_is_taken_back_after_few_failures_whatever_the_seed(seed):
    """At 10 % with old well: at most six failures of new."""
    fault = '[[faults]]\nname = "out"\nat = "4h"\nlasts = "10m"\nerror_ratio = 1.0\n'
    scenario = day(AT_TEN + fault, status="rolled_back", lasts="5h")
    result = simulate(scenario, PLAN, seed)
    assert result.unmet == ()
    back = next(moment for moment in result.timeline if moment.event == "rolled_back")
    failures = int(back.text.split("(")[1].split(" of ")[0])
    assert failures <= 6


def test_the_same_seed_tells_the_same_story():
    """A scenario is repeated exactly; another seed tells another one."""
    burn = '[[faults]]\nname = "burn"\nat = "3h"\nlasts = "2h"\nerror_ratio = 0.06\n'
    scenario = day(AT_TEN + burn)
    assert simulate(scenario, PLAN, 7) == simulate(scenario, PLAN, 7)
    assert simulate(scenario, PLAN, 7).timeline != simulate(scenario, PLAN, 8).timeline


def test_the_reads_first_policy_runs_on_the_same_engine():
    """Shadow, reads, writes, retire: the same simulator, another policy."""
    result = run_scenario("no_traffic", CONFIG / "rollout-reads-first.toml", 3, folder=LIBRARY)
    assert result.policy == "Reads first"
    assert result.unmet == ()


# --- people and the world -------------------------------------------------------------------------


def test_every_order_can_be_given():
    """All nine, the ones that do not fit are told as refused."""
    orders = [
        ("10m", "weight", "percent = 5"), ("20m", "pause", ""), ("30m", "resume", ""),
        ("40m", "hold", ""), ("50m", "rollback", ""), ("60m", "start", ""), ("70m", "stop", ""),
        ("80m", "release", ""), ("90m", "promote", ""),
    ]  # fmt: skip
    more = "".join(
        f'[[orders]]\nat = "{at}"\norder = "{order}"\n{extra}\n' for at, order, extra in orders
    )
    result = simulate(day(more, status="paused", lasts="2h"), PLAN, 1)
    events = [moment.event for moment in result.timeline]
    assert events == [
        "started", "weight_set", "paused", "resumed", "refused", "rolled_back", "started",
        "stopped", "released", "refused",
    ]  # fmt: skip
    assert result.unmet == ()


def test_a_gateway_nobody_starts_stays_idle():
    """Without people nothing happens."""
    result = simulate(day("[operator]\nstarts = false\n", status="idle"), PLAN, 1)
    assert result.timeline == ()
    assert result.unmet == ()


HOT = '[[faults]]\nname = "hot"\nat = "2h"\nlasts = "3h"\nmeasures = { cpu_ratio = 0.99 }\n'


def test_a_decision_nobody_answers_takes_traffic_back_after_an_hour():
    """CPU at 99 % from the second hour: a decision, and an hour later traffic is back."""
    result = simulate(day(AT_TEN + HOT, status="rolled_back"), PLAN, 1)
    assert result.unmet == ()
    times = {moment.event: moment.at_s for moment in result.timeline}
    assert times["decision_opened"] == pytest.approx(2 * 3600 + 300, abs=61)
    assert times["rolled_back"] - times["decision_opened"] == pytest.approx(3600, abs=1)


def test_a_decision_that_is_held_keeps_traffic_where_it_is():
    """The same heat, but somebody answers."""
    held = AT_TEN + HOT + "[operator]\nholds_decisions = true\n"
    result = simulate(day(held, status="paused", weight=10), PLAN, 1)
    assert result.unmet == ()
    assert [m.event for m in result.timeline].count("decision_held") == 1


def test_silent_workers_hold_everything():
    """Without reports nothing bakes, nothing is blamed, people are told."""
    silent = (
        AT_TEN + '[[faults]]\nname = "mute"\nat = "2h"\nlasts = "1h"\nsilent = ["traffic"]\n'
        "error_ratio = 1.0\n"
    )
    result = simulate(day(silent, weight=10), PLAN, 1)
    assert result.unmet == ()
    assert any(moment.event.startswith("page:unmeasured") for moment in result.timeline)


def test_a_ledger_reads_any_window_back():
    """Sums over the window, None for what was not seen."""
    ledger = Ledger(Variant.CANARY)
    empty = ledger.reading(60, 0.0, T0)
    assert (empty.ok, empty.latency_p95_ms, empty.sync_s_per_1000) == (0, None, None)
    for minute in range(1, 11):
        ledger.add(minute * 60.0, 100, 1, 2, 10, 10 * 50.0, 100 * 20.0, 5)
    last = ledger.reading(300, 600.0, T0)
    assert (last.ok, last.errors, last.rejected, last.syncs) == (500, 5, 10, 50)
    assert (last.latency_p95_ms, last.sync_s_per_1000) == (20.0, 50.0)
    assert ledger.reading(10**6, 600.0, T0).ok == 1_000
    assert ledger.reading(60, 10_000.0, T0).ok == 0
    assert ledger.shadows == 50


# --- expectations ---------------------------------------------------------------------------------


def moments(*events: tuple[float, str]) -> list[Moment]:
    """A timeline."""
    return [Moment(at_s, f"t{at_s:g}", event, 0.0, "") for at_s, event in events]


@pytest.mark.parametrize(
    ("expect", "complaint"),
    [
        ({"status": "running"}, "status"),
        ({"weight_percent": 5}, "weight"),
        ({"happens": ["b", "a"]}, "'a' did not happen in its turn"),
        ({"never": ["a"]}, "'a' happened"),
        ({"at_most_once": ["b"]}, "2 times"),
        ({"first_event": "z"}, "never happened"),
        ({"first_event": "b", "first_after": "30s"}, "too early"),
        ({"first_event": "b", "first_after": "5s", "first_within_s": 10}, "after 15.0 s"),
    ],
)
def test_an_expectation_that_is_not_met_is_named(expect, complaint):
    """Each kind of expectation can fail."""
    timeline = moments((0, "a"), (20, "b"), (40, "b"))
    good = {"status": "idle", "weight_percent": 0}
    assert unmet(Expect(**good), timeline, status="idle", weight_percent=0) == ()
    found = unmet(Expect(**good | expect), timeline, status="idle", weight_percent=0)
    assert len(found) == 1
    assert complaint in found[0]


def test_an_expectation_met_in_time():
    """Within the seconds that are given."""
    expect = Expect(
        status="idle", weight_percent=0, first_event="b", first_after="5s", first_within_s=15
    )
    assert unmet(expect, moments((20, "b")), status="idle", weight_percent=0) == ()


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("9d 12h", 820_800), ("1h 30m", 5_400), ("0.5d", 43_200), ("2 m", None),
     ("", None), ("soon", None), ("-5s", None), ("5s soon", None), ("soon 5s", None), (7, None)],
)  # fmt: skip
def test_spans_are_read_as_people_write_them(text, seconds):
    """Or refused with an example."""
    if seconds is None:
        with pytest.raises(ValueError, match="expected a span"):
            span_s(text)
    else:
        assert span_s(text) == seconds


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name = ", "expected TOML"),
        ("", "Field required"),
        ("#" * 300_000, "at most 256 KiB"),
        ('name = "x"\nlasts = "long"\n', ":2: lasts"),
    ],
)
def test_a_scenario_that_cannot_be_used(text, complaint):
    """All mistakes, with their lines."""
    with pytest.raises(ScenarioError, match=complaint):
        parse_scenario(text, source="s.toml")


def test_a_scenario_that_cannot_be_read(tmp_path):
    """Missing, binary, too large, or not of the library: said in words."""
    with pytest.raises(ScenarioError, match="cannot be read"):
        load_scenario(tmp_path / "missing.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ScenarioError, match="cannot be read"):
        load_scenario(binary)
    big = tmp_path / "big.toml"
    big.write_bytes(b"#" * 300_000)
    with pytest.raises(ScenarioError, match="at most"):
        load_scenario(big)
    with pytest.raises(ScenarioError, match="healthy"):
        find_scenario("unheard_of", LIBRARY)
    with pytest.raises(ScenarioError, match="none"):
        find_scenario("unheard_of", tmp_path / "empty")
    assert find_scenario(str(binary), LIBRARY) == binary


def test_a_scenario_of_ones_own(tmp_path):
    """A file anywhere, under the policy that ships."""
    own = tmp_path / "own.toml"
    own.write_text(DAY.format(name="own", more="", status="running", weight=0, lasts="1h"))
    result = run_scenario(str(own), folder=LIBRARY)
    assert (result.scenario, result.policy, result.unmet) == ("own", PLAN.name, ())


# --- replay ---------------------------------------------------------------------------------------


def stored(engine, inputs, order=None):
    """A decision as the controller stores it."""
    turn = engine.look(inputs) if order is None else engine.order(order, inputs)
    event = None
    if order is not None:
        figures = {name: getattr(order, name) for name in order.__dataclass_fields__}
        event = {type(order).__name__: figures | {"judgement": None}}
        event[type(order).__name__].pop("judgement")
    return turn, json.loads(
        json.dumps(
            {
                "at_us": inputs.now_us,
                "inputs": {
                    "state": to_json(engine.state),
                    "watch": watches.to_json(engine.watch),
                    "inputs": inputs_to_json(inputs),
                    "event": event,
                },
                "outcome": {"state": to_json(turn.engine.state)},
            },
            default=lambda value: value.value,
        )
    )


def failing(failures):
    """An engine at 10 % whose canary failed so often while old was well."""
    runs = [(Variant.BASELINE, Outcome.OK, 9), (Variant.CANARY, Outcome.ERROR, 1)]
    return engine_in(1).observe(runs * failures, T0)


def test_the_same_policy_decides_the_same_again():
    """Judgements and orders, refused ones too."""
    decisions = [
        stored(failing(4), all_well())[1],
        stored(failing(3), all_well())[1],
        stored(engine_in(1), all_well(), Pause("ann", "look"))[1],
        stored(engine_in(1), all_well(), RollBack("ann", "back"))[1],
        stored(engine_in(1), all_well(), SetWeight("ann", "try", Weight(2_500), Access.READ))[1],
        stored(engine_in(1), all_well(), SetWeight("ann", "try", Weight(2_500)))[1],
    ]
    turn, refused = stored(engine_in(1), all_well(), Promote("ann", "go"))
    assert isinstance(turn.answer, Refused)
    again = replay([*decisions, refused], PLAN)
    assert [each.same for each in again] == [True] * 7
    assert again[0].now_status == "rolled_back"
    assert "bake_time" in again[-1].why
    assert json.dumps(again[0].to_json())


def test_a_milder_policy_would_have_waited_and_a_sharper_one_would_not():
    """What a changed threshold would have done to the very same minutes."""
    milder = replace(
        PLAN, triggers=(), phases=tuple(replace(phase, triggers=()) for phase in PLAN.phases)
    )
    (mild,) = replay([stored(failing(4), all_well())[1]], milder)
    assert (mild.then_status, mild.now_status) == ("rolled_back", "running")
    assert not mild.same
    hot = with_measurement(all_well(), measured(Metric.CPU_RATIO, 0.7))
    sharp = replace(
        PLAN,
        triggers=tuple(
            replace(t, threshold=0.6, for_s=0) if t.name == "cpu_high" else t for t in PLAN.triggers
        ),
    )
    (hasty,) = replay([stored(engine_in(1), hot)[1]], sharp)
    assert (hasty.then_status, hasty.now_status) == ("running", Status.PAUSED.value)


IDLE = {"state": {"status": "idle", "write_bp": 0}}


@pytest.mark.parametrize(
    "broken",
    [{}, {"at_us": 1, "outcome": IDLE}, {"at_us": 1, "outcome": IDLE, "inputs": {"state": 3}}],
)
def test_what_cannot_be_replayed_says_why(broken):
    """A foreign record is named, the others are still replayed."""
    bad, good = replay([broken, stored(failing(4), all_well())[1]], PLAN)
    assert bad.fault
    assert not bad.same
    assert good.same


def test_events_the_policy_made_are_judged_again():
    """An unknown event name means the gateway looked by itself."""
    _, decision = stored(failing(4), all_well())
    decision["inputs"]["event"] = {"Judged": {}}
    assert replay([decision], PLAN)[0].same
    _, resumed = stored(engine_in(1).order(Pause("a", "b"), all_well()).engine, all_well(),
                        Resume("ann", "on"))  # fmt: skip
    assert replay([resumed], PLAN)[0].now_status == "running"

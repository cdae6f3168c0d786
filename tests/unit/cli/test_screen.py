"""The picture: it fits, it says what matters first, and it survives any state."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.dashboard.words import WORDS, Words
from gateway.cli.data_texts import DATA_TEXTS
from gateway.cli.doctor_texts import DOCTOR_TEXTS
from gateway.cli.screen import screen
from gateway.cli.texts import TEXTS, Texts, pick_language
from gateway.core.vocabulary import VOCABULARY
from tests.support.rollout_state import rollout_state

SAY = Texts("en")


def _plain(state, say=SAY, **size):
    return [line.plain for line in screen(state, say, **size)]


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 20), (200, 60)])
def test_it_fits_the_window(language, width, height):
    """No line is wider than the window, counted in cells, and one line is left for the footer."""
    lines = screen(rollout_state(), Texts(language), width=width, height=height - 1)
    assert len(lines) < height
    assert max(line.cell_len for line in lines) <= width


def test_state_reason_and_command_stand_on_top():
    """Five seconds are enough."""
    state = rollout_state(next_command='syncgate promote --reason "..."')
    top = "\n".join(_plain(state, width=80)[:6])
    for part in ("RUNNING", "phase 2 of 5", "10 %", "fewer errors", "syncgate promote"):
        assert part in top


def _alert(number, level, state="open", **more):
    taken = {"by": "jun"} if state == "acknowledged" else None
    title = {"en": f"Trouble {number}", "ja": f"異常 {number}"}
    return {"id": number, "level": level, "state": state, "title": title, "system": "old",
            "acknowledged": taken, **more}  # fmt: skip


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("width", [80, 120])
def test_open_alerts_stand_on_top_with_the_worst_and_its_command(language, width):
    """Counted by level; where nothing else is to be done, taking the worst is."""
    alerts = [_alert(4, "high"), _alert(7, "high", "acknowledged"), _alert(8, "low", "silenced")]
    say = Texts(language)
    top = " ".join(_plain(rollout_state(), say, width=width, alerts=alerts)[:7])
    assert f"2 {say('high')}" in top
    assert ("#4" in top, "syncgate ack 4" in top) == (True, True)
    assert say("low") not in top
    assert say("nothing_to_do") not in top
    state = rollout_state(next_command='syncgate promote --reason "..."')
    top = " ".join(_plain(state, say, width=width, alerts=alerts)[:7])
    assert ("syncgate promote" in top, "syncgate ack 4" in top) == (True, True)


def test_alerts_that_are_taken_silenced_or_unknown_are_said_as_such():
    """What somebody has is named with them, what is silenced is not, and no answer is no calm."""
    shown = [_plain(rollout_state(), width=100, alerts=alerts)[:6] for alerts in (
        [_alert(7, "medium", "acknowledged")], [_alert(8, "low", "silenced")], None, [],
    )]  # fmt: skip
    taken, silenced, unknown, none = ("\n".join(lines) for lines in shown)
    assert ("taken by jun" in taken, "syncgate ack" in taken) == (True, False)
    assert "Alerts" not in silenced + none
    assert "not known" in unknown


@pytest.mark.parametrize(
    ("status", "way_on"), [("rolled_back", "resume"), ("emergency_stopped", "release")]
)
def test_what_leads_on_is_named_while_new_is_not_yet_well(status, way_on):
    """A look is the command; the order that comes after it is not hidden."""
    state = rollout_state(status=status, next_command="syncgate alerts")
    top = "\n".join(_plain(state, width=80)[:7])
    assert ("syncgate alerts" in top, f"syncgate {way_on} once" in top) == (True, True)


def test_at_80x24_every_section_shows_its_worst():
    """A failing gate and an open decision are never cut away by what is fine."""
    text = "\n".join(_plain(rollout_state(), width=80, height=23))
    for part in ("#3 high", "rolls back in 42 min", "sync-time", "82 %", "Events"):
        assert part in text
    assert "… 1 more" in text


@pytest.mark.parametrize("language", ["en", "ja"])
def test_at_80_columns_reasons_and_events_are_wrapped_not_cut(language):
    """Their last words say what is missing and what to do, and they stay within the margin."""
    state = rollout_state()
    long = " ".join(f"word{number}" for number in range(30)) + " end."
    state["events"][0]["text"] = long
    for gate in state["gates"]:
        gate["reason"] = gate["reason_ja"] = long
    state["decisions"][0] |= {"reason": long, "reason_ja": long}
    lines = screen(state, Texts(language), width=80)
    text = "\n".join(line.plain for line in lines)
    failing = sum(gate["verdict"] != "pass" for gate in state["gates"])
    assert text.count("end.") == failing + 2
    assert max(line.cell_len for line in lines) <= 80


def test_reads_and_writes_apart_have_a_bar_each():
    """A reads-first rollout shows both shares."""
    state = rollout_state(read_weight_percent=50.0, write_weight_percent=0.0)
    text = "\n".join(_plain(state, width=80))
    assert "reads to new" in text
    assert "writes to new" in text


def test_a_fresh_gateway_has_a_picture():
    """Nothing known is shown as a dash, never as zero."""
    state = rollout_state(
        phase=None, phase_number=None, status="idle", gates=[], evidence=[], decisions=[],
        events=[], bake_s=None, bake_left_s=None, weight_percent=0.0, read_weight_percent=0.0,
        write_weight_percent=0.0,
    )  # fmt: skip
    for system in state["systems"]:
        for name in ("error_ratio", "p50_ms", "p95_ms", "p99_ms", "sync_seconds_per_1000"):
            system[name] = None
        system["healthy"] = None
    text = "\n".join(_plain(state, width=80))
    assert "IDLE" in text
    assert "not started" in text
    assert "0.00 %" not in text


def test_a_gateway_that_is_gone_says_so_and_keeps_the_last_picture():
    """The badge changes; the figures stay."""
    lines = _plain(rollout_state(), width=80, height=23, away="No answer since 12:00.")
    assert "NO ANSWER" in lines[0]
    assert "No answer since" in lines[1]
    assert any("old" in line for line in lines)


def test_a_fired_rule_and_an_open_breaker_stand_out():
    """What took traffic back is not a number among numbers."""
    state = rollout_state()
    state["evidence"][0]["level"] = 1.0
    state["systems"][1]["breaker"] = "open"
    text = "\n".join(_plain(state, width=100))
    assert "FIRED" in text
    assert "OPEN" in text


@given(
    width=st.integers(1, 200),
    height=st.integers(14, 80),
    text=st.text(max_size=300),
    level=st.floats(0, 1),
    rate=st.none() | st.floats(0, 1),
)
def test_whatever_is_in_it_it_is_drawn(width, height, text, level, rate):
    """Any text and figure, in any window that has room for the top."""
    state = copy.deepcopy(rollout_state())
    state["why"] = {"en": text, "ja": text}
    state["events"][0]["text"] = text
    state["decisions"][0]["reason"] = text
    state["evidence"][0] |= {"level": level, "rate": rate, "low": 0.0, "high": 1.0}
    state["systems"][0]["error_ratio"] = rate
    lines = screen(state, SAY, width=width, height=height)
    assert len(lines) <= max(height, 14)


@pytest.mark.parametrize("key", sorted(TEXTS | DATA_TEXTS | DOCTOR_TEXTS))
def test_both_languages_take_the_same_figures(key):
    """A sentence translated with a wrong name would fail on the day it is needed."""
    pair = (TEXTS | DATA_TEXTS | DOCTOR_TEXTS)[key]
    names = [{part.split("}")[0].split("!")[0] for part in text.split("{")[1:]} for text in pair]
    assert names[0] == names[1]
    assert all(pair)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_page_and_terminal_say_the_same_word_for_the_same_thing(language):
    """Neither writes it again for itself."""
    assert not VOCABULARY.keys() & (TEXTS.keys() | DATA_TEXTS.keys() | WORDS.keys())
    column = ("en", "ja").index(language)
    for key in [key for key, words in VOCABULARY.items() if "{" not in words[column]]:
        assert Texts(language)(key) == Words(language)(key) == VOCABULARY[key][column]


@pytest.mark.parametrize(
    ("asked", "environment", "language"),
    [
        ("ja", {"LANG": "en_US.UTF-8"}, "ja"),
        (None, {"GATEWAY_LANG": "ja", "LANG": "C"}, "ja"),
        (None, {"LANG": "ja_JP.UTF-8"}, "ja"),
        (None, {"LC_ALL": "C", "LANG": "ja_JP.UTF-8"}, "en"),
        (None, {}, "en"),
        ("fr", {"LANG": "ja_JP.UTF-8"}, "en"),
    ],
)
def test_the_language_is_the_operators(asked, environment, language):
    """The command line, then GATEWAY_LANG, then the locale."""
    assert pick_language(asked, environment) == language


@pytest.mark.parametrize(
    ("seconds", "english", "japanese"),
    [
        (0, "0 s", "0 秒"),
        (59.4, "59 s", "59 秒"),
        (60, "1 min", "1 分"),
        (250, "4 min 10 s", "4 分 10 秒"),
        (3600, "1 h", "1 時間"),
        (255_600, "2 d 23 h", "2 日 23 時間"),
        (-5, "0 s", "0 秒"),
    ],
)
def test_spans_are_said_with_two_units(seconds, english, japanese):
    """As people say them."""
    assert Texts("en").span(seconds) == english
    assert Texts("ja").span(seconds) == japanese

"""The comparison on the terminal: verdicts, control, fixes and what could not be compared."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cli.compare import lines
from gateway.cli.texts import Texts


def found(**changes: Any) -> dict[str, Any]:
    """What the API answers."""
    example = {"property_number": "AA1", "old": "x", "new": None, "request_id": "r1"}
    real = {
        "path": "priceYen", "kind": "missing", "cause": "real", "count": 40, "counts": True,
        "verdict": "real", "control_count": 0, "p_value": None, "examples": [example],
    }  # fmt: skip
    noise = {
        **real, "path": "extra.token", "kind": "value", "cause": "generated", "count": 360,
        "counts": False, "verdict": "noise", "control_count": 100, "p_value": 0.997,
    }  # fmt: skip
    said: dict[str, Any] = {
        "match_rate": 0.943, "lower_bound": 0.93, "confidence": 0.99, "listings": 1901,
        "sentence": "94.3 % of 1,901 listings agree", "overall_rate": 0.96,
        "overall_listings": 2500, "mirroring": True, "mirror_off": None, "means": "raise",
        "dry_run_means": {"raise": 3}, "answers_differed": 5, "answers_opened": 5, "trouble": "",
        "coverage": {"due": 50, "lost": {"queue_full": 3, "no answer in time": 2},
                     "listings_lost": 120},
        "control": {"rate": 0.05, "off": None, "listings": 400},
        "pace": {"old_s": 7.3, "new_s": 2.3, "improvement_percent": 68.4},
        "fixes": [{"path": None, "by": "alice", "reason": "new version",
                   "at": "2026-11-21T05:24:25+00:00"}],
        "differences": [real, noise],
    }  # fmt: skip
    return said | changes


def drawn(language: str, **changes: Any) -> str:
    """The screen as text."""
    return "\n".join(each.plain for each in lines(found(**changes), Texts(language), width=110))


@pytest.mark.parametrize(
    ("language", "parts"),
    [
        ("en", ("94.3 % of 1,901", "68 % faster", "5 % of the syncs repeated against old: 400",
                "5 of 50 shadows (120 listings): queue full 3, no answer in time 2",
                "everything  (alice: new version)", "noise (p 0.997)")),
        ("ja", ("1,901 件中 94.3 %", "68 % 速い", "同期の 5 % を旧で再実行: 400 件",
                "ミラー 50 件中 5 件", "すべて  (alice: new version)", "ノイズ (p 0.997)")),
    ],
)  # fmt: skip
def test_everything_that_is_known_is_drawn(language: str, parts: tuple[str, ...]) -> None:
    """In both languages, with the commands that accept a difference or call it put right."""
    shown = drawn(language)
    for part in parts:
        assert part in shown
    assert "syncgate compare --accept priceYen --reason '...'" in shown
    assert "syncgate compare --fixed priceYen --reason '...'" in shown
    assert "--accept extra.token" not in shown


def test_what_is_missing_is_said() -> None:
    """A control that is off, or was never on; nothing lost is no line."""
    off = {"rate": 0.0, "off": "old cannot prove it", "listings": 0}
    assert "OFF: old cannot prove it" in drawn("en", control=off)
    none = {**off, "off": None}
    nothing = {"due": 0, "lost": {}, "listings_lost": 0}
    shown = drawn("en", control=none, coverage=nothing, fixes=[])
    assert "nothing is known to be only noise" in shown
    for part in ("not compared", "counted since", "put right: 96"):
        assert part not in shown


def test_a_very_small_probability_is_not_written_as_zero() -> None:
    """Below a thousandth it says so, not 0.000."""
    real = found()["differences"][0] | {"p_value": 1e-12, "control_count": 1}
    assert "real (p < 0.001)" in drawn("en", differences=[real])


@pytest.mark.parametrize(
    ("status", "english", "japanese"),
    [
        ("rolled_back", "stopped by the rollback", "切り戻しにより停止中"),
        ("emergency_stopped", "stopped by the emergency stop", "緊急停止により停止中"),
        ("idle", "not started", "未開始"),
        ("running", "not in this phase", "このフェーズでは"),
    ],
)
def test_what_stopped_the_mirror_is_named(status: str, english: str, japanese: str) -> None:
    """The phase is blamed only where it is the phase."""
    for language, said in (("en", english), ("ja", japanese)):
        drawn_lines = lines(found(mirroring=False), Texts(language), width=80, status=status)
        assert said in "\n".join(each.plain for each in drawn_lines)


def test_what_was_repeated_before_is_not_called_a_share_of_nothing() -> None:
    """A control that is off now keeps what it found."""
    past = {"rate": 0.0, "off": None, "listings": 6}
    assert "none now; 6 listings" in drawn("en", control=past)
    assert "0 %" not in drawn("en", control=past)
    assert "6 件" in drawn("ja", control=past)


@pytest.mark.parametrize(("percent", "said"), [(-899, "899 % slower"), (-30449, "305 times as")])
def test_a_great_slowdown_is_said_in_times(percent: float, said: str) -> None:
    """From ten times on."""
    pace = {"old_s": 1.0, "new_s": 2.0, "improvement_percent": percent}
    assert said in drawn("en", pace=pace)

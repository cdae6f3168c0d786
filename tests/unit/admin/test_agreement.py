"""The dashboard's section on the comparison: every fact in both languages, and nothing but text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.admin.compared import Comparisons
from gateway.admin.dashboard.agreement import agreement_section
from gateway.admin.dashboard.words import Words

AT = datetime(2026, 11, 21, tzinfo=UTC)


def found(**changes: Any) -> Comparisons:
    """What the API would say."""
    text = changes.pop("text", "priceYen")
    example = {
        "id": 1, "at": AT, "property_number": text, "path": text, "field": text, "kind": "value",
        "cause": "real", "old": text, "new": 1000, "sync_id": text, "request_id": text,
        "request_path": text, "closed": False,
    }  # fmt: skip
    real = {
        "path": text, "kind": "value", "cause": "real", "count": 12, "counts": True,
        "verdict": "real", "control_count": 1, "expected": 2.0, "p_value": 1e-9,
        "examples": [example],
    }  # fmt: skip
    noise = {**real, "counts": False, "verdict": "noise", "p_value": 0.72, "examples": []}
    coverage = {"ratio": 0.9, "due": 10, "compared": 9, "lost": {text: 1}, "listings_lost": 3}
    said: dict[str, Any] = {
        "match_rate": 0.9931, "lower_bound": 0.991, "confidence": 0.99, "listings": 14_210,
        "matched": 14_111, "sentence": f"99.3 % of 14,210 listings agree {text}",
        "overall_rate": 0.9931, "overall_listings": 14_210, "coverage": coverage,
        "control": {"rate": 0.05, "off": None, "listings": 700, "coverage": coverage},
        "differences": [real, noise], "answers_differed": 2, "answers_opened": 2,
        "dry_run_means": {"raise": 2}, "mirroring": True, "mirror_off": None, "means": "raise",
        "pace": {"old_s": 4.0, "new_s": 3.0, "improvement_percent": 25.0, "syncs": 9,
                 "listings": 14_210},
        "rules": [], "fixes": [], "last_at": AT, "trouble": "",
    }  # fmt: skip
    return Comparisons.model_validate(said | changes)


@pytest.mark.parametrize(
    ("language", "parts"),
    [
        ("en", ("99.3 % of 14,210 listings", "dry runs: raise", "25 % faster",
                "1 of 10 shadows not compared",
                "real (p &lt; 0.001)", "noise (p 0.720)", "700 listings of old")),
        ("ja", ("14,210 件中 99.3 %", "ドライラン: raise", "25 % 速い", "10 件中 1 件は比較不能",
                "実質的 (p &lt; 0.001)", "ノイズ (p 0.720)", "旧同士の対照 700 件")),
    ],
)  # fmt: skip
def test_every_fact_is_shown(language: str, parts: tuple[str, ...]) -> None:
    """The rate, how sure it is, improvement, what was lost, the control, and verdicts."""
    shown = agreement_section(found(), Words(language))
    for part in parts:
        assert part in shown


def test_what_keeps_it_from_being_known_is_said_too() -> None:
    """Why the mirror or the control is off; slower; nothing compared yet."""
    pace = {"old_s": 3.0, "new_s": 4.0, "improvement_percent": -33.3, "syncs": 9, "listings": 9}
    control = found().control.model_dump() | {"off": "old cannot prove it"}
    changes = {"match_rate": None, "mirror_off": "new cannot prove it", "pace": pace}
    shown = agreement_section(found(**changes, control=control, differences=[]), Words("en"))
    for part in ("Nothing was compared yet", "new cannot prove it", "33 % slower", "old cannot"):
        assert part in shown


def test_it_is_silent_while_there_is_nothing_to_say() -> None:
    """No mirror, no shadows: no section."""
    nothing = found().coverage.model_dump() | {"due": 0, "compared": 0, "lost": {}}
    assert (
        agreement_section(found(mirroring=False, listings=0, coverage=nothing), Words("en")) == ""
    )
    assert agreement_section(None, Words("en")) == ""


def test_what_systems_wrote_stays_text() -> None:
    """Paths, values and reasons come from systems under test."""
    shown = agreement_section(
        found(text='"><script>alert(1)</script>', mirror_off="<script>"), Words("en")
    )
    assert "<script" not in shown

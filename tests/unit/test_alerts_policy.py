"""config/alerts.toml: what ships is right, and every mistake is named with its line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.core.alerts import Of
from gateway.core.analysis import Metric, Relation, Severity
from gateway.core.model import Variant
from gateway.policy import PolicyError, load_alerts, parse_alerts

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "config" / "alerts.toml"
TEXT = SHIPPED.read_text()
NO_LEVEL = """[[rules]]
name = "x"
title = "x"
title_ja = "x"
metric = "error_ratio"
comparison = ">"
systems = ["new"]
of = "change"

[[rules]]
name = "cpu\""""


def faults(text: str) -> list[str]:
    """The mistakes found, as `key: problem`."""
    with pytest.raises(PolicyError) as refusal:
        parse_alerts(text)
    return [f"{fault.key}: {fault.problem}" for fault in refusal.value.faults]


def test_what_ships_is_what_was_asked_for() -> None:
    """Answer-by times, the ladder, and the rules with their hysteresis."""
    found = load_alerts(SHIPPED)
    plan = found.plan
    times = {one.level: one.answer_within_s for one in plan.levels}
    assert times == {
        Severity.CRITICAL: 900, Severity.HIGH: 3_600, Severity.MEDIUM: 14_400,
        Severity.LOW: 86_400,
    }  # fmt: skip
    assert [rung.within_s for rung in plan.ladder] == [900, 3_600, 14_400, 0]
    cpu = next(rule for rule in plan.rules if rule.name == "cpu")
    assert (cpu.metric, cpu.comparison) == (Metric.CPU_RATIO, Relation.ABOVE)
    assert [(step.level, step.threshold) for step in cpu.steps] == [
        (Severity.HIGH, 0.9), (Severity.MEDIUM, 0.8), (Severity.LOW, 0.7),
    ]  # fmt: skip
    assert all(step.clear < step.threshold for step in cpu.steps)
    listings = next(rule for rule in plan.rules if rule.name == "listings_synced")
    assert (listings.of, listings.systems) == (Of.CHANGE, (Variant.CANARY, Variant.BASELINE))
    assert [one.after_s for one in plan.follow_ups] == [1_800, 3_600, 7_200, 14_400, 86_400]
    assert {one.name for one in plan.rules if one.business} == {"data_loss", "security_breach"}


def test_no_secret_stands_in_the_file() -> None:
    """Only the names of variables."""
    for channel in load_alerts(SHIPPED).channels:
        assert all(name.isupper() for name in channel.secrets.values())


def test_the_schema_is_the_one_that_ships() -> None:
    """Made by `python -m gateway.policy alerts > config/schema/alerts.schema.json`."""
    made = subprocess.run(
        [sys.executable, "-m", "gateway.policy", "alerts"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    shipped = (ROOT / "config" / "schema" / "alerts.schema.json").read_text()
    assert json.loads(made.stdout) == json.loads(shipped)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('metric = "cpu_ratio"', 'metric = "cpu"', "rules[6].metric: expected 'error_ratio'"),
        ("answer_within_s = 900", "answer_within_s = 0", "levels.critical.answer_within_s: "),
        ("answer_within_s = 900", "answer_in_s = 900", "levels.critical.answer_in_s: unknown key"),
        ('languages = ["ja", "en"]\nup_to = 4', 'languages = ["fr"]\nup_to = 4', "languages"),
        ('"slack-critical", "email-team", "sms', '"slak", "email-team", "sms', "'slak'"),
        ("{ threshold = 0.05, clear = 0.04 }", "{ threshold = 5 }", "ratio from 0 to 1"),
        ("clear = 0.04 }", "clear = 0.06 }", "critical.clear: expected at most the threshold"),
        ("high = { threshold = 0.01,", "high = { threshold = 0.06,", "less than the worse level's"),
        ('name = "memory"', 'name = "cpu"', "'cpu' is used twice"),
        ('name = "memory"', 'name = "rollback"', "the gateway's own"),
        ('rule = "rollback"', 'rule = "roll_back"', "expected a rule of this file"),
        ('name = "webhook"\nkind = "webhook"', 'name = "webhook"\nkind = "fax"', "kind"),
        ('url = "ALERT_SLACK_LOW_URL"', 'url = "https://hooks"', "secrets.url: "),
        ('secrets = { url = "ALERT_SLACK_LOW_URL" }', "", "expected secrets.url"),
        ('metric = "user_reports"', 'metric = "latency_p95_ms"', "old or new"),
        (
            'systems = ["whole"]\nmedium = { threshold = 3',
            'systems = ["new"]\nmedium = { threshold = 3', "expected whole",
        ),
        (
            'systems = ["new", "old"]\ncritical = { threshold = 1 }',
            'systems = ["new", "new"]\ncritical = { threshold = 1 }', "each system once",
        ),
        ('[[rules]]\nname = "cpu"', NO_LEVEL, "at least one of critical"),
        ('names = ["CTO"]', "names = []", "escalation[4].names"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(old: str, new: str, expected: str) -> None:
    """By the key it stands at, in words that say what was expected."""
    assert old in TEXT
    text = TEXT.replace(old, new, 1)
    assert any(expected in fault for fault in faults(text)), faults(text)


def test_all_mistakes_at_once_each_with_its_line() -> None:
    """One restart per mistake is misery."""
    text = TEXT.replace('metric = "cpu_ratio"', 'metric = "cpu"', 1)
    text = text.replace("within_s = 900 #", 'within_s = "soon" #', 1)
    text = text.replace('"sms-oncall", "webhook"', '"sms", "webhook"', 1)
    with pytest.raises(PolicyError) as refusal:
        parse_alerts(text, source="alerts.toml")
    lines = text.splitlines()
    found = {fault.key: lines[fault.line - 1] for fault in refusal.value.faults}
    assert 'metric = "cpu"' in found["rules[6].metric"]
    assert "soon" in found["escalation[1].within_s"]
    assert '"sms"' in found["levels.critical.channels"]
    assert len(found) == 3


@pytest.mark.parametrize(
    "text",
    ["", "rules = 5", "[[rules]]\nname = 3", "x = [", "levels = 1\nnews = 2\nchannels = 3"],
)
def test_anything_else_is_refused_whole(text: str) -> None:
    """Without a crash, whatever stands there."""
    assert faults(text)

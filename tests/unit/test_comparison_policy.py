"""config/comparison.toml: what ships works, and every mistake is named with its line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.core.comparison import Cause, Kind, compare
from gateway.policy import (
    DEFAULT_COMPARISON,
    PolicyError,
    comparison_schema,
    load_comparison,
    parse_comparison,
)

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / DEFAULT_COMPARISON


def faults(text: str) -> list[tuple[int, str]]:
    """Line and key of each mistake."""
    with pytest.raises(PolicyError) as raised:
        parse_comparison(text)
    return [(fault.line, fault.key) for fault in raised.value.faults]


def test_the_shipped_file_says_what_its_comments_say():
    """Confidence, bounds and rules arrive as written."""
    policy = load_comparison(SHIPPED)
    assert (policy.confidence, policy.noise_significance) == (0.99, 0.01)
    assert policy.control_rate == 0.05
    assert (policy.differences_per_listing, policy.examples_per_field, policy.fields) == (
        100,
        20,
        500,
    )
    assert policy.rules.forgiven == frozenset()
    assert all(rule.reason for rule in policy.rules.rules)


def test_two_rows_that_agree_by_design_agree():
    """What the store and the writer make up is no difference, what the listing says is one."""
    old = {"id": "1", "propertyNumber": "A", "writtenBy": "old", "updatedAt": "x", "priceYen": 5}
    new = {"id": "2", "propertyNumber": "A", "writtenBy": "new", "updatedAt": "y", "priceYen": 6}
    found = compare(old, new, load_comparison(SHIPPED).rules).differences
    assert [(d.path, d.kind, d.cause) for d in found] == [("priceYen", Kind.VALUE, Cause.REAL)]


def test_two_answers_that_agree_by_design_agree():
    """System, times, order and actions differ; a digest that differs is found by its number."""
    old = {
        "syncId": "1", "system": "old", "startedAt": "a", "completedAt": "b", "dryRun": False,
        "status": "completed",
        "records": [
            {"propertyNumber": "A", "action": "created", "digest": "1"},
            {"propertyNumber": "B", "action": "created", "digest": "2"},
        ],
    }  # fmt: skip
    new = {
        "syncId": "2", "system": "new", "startedAt": "c", "completedAt": "d", "dryRun": True,
        "status": "completed",
        "records": [
            {"propertyNumber": "B", "action": "updated", "digest": "3"},
            {"propertyNumber": "A", "action": "unchanged", "digest": "1"},
        ],
    }  # fmt: skip
    found = compare(old, new, load_comparison(SHIPPED).rules).differences
    assert [(d.path, d.left, d.right) for d in found] == [("records[1].digest", "2", "3")]


def test_every_mistake_is_named_at_once():
    """Shape faults come together, each where it stands."""
    text = """\
[score]
confidence = 1.5
forgiven = ["nothing"]
sure = true

[[rule]]
path = "a"
reason = "b"
ignore = "yes"

[[rule]]
path = "a"
ignore = true
"""
    assert faults(text) == [
        (2, "score.confidence"),
        (3, "score.forgiven[1]"),
        (4, "score.sure"),
        (9, "rule[1].ignore"),
        (11, "rule[2].reason"),
    ]


def test_rules_that_cannot_work_are_named_at_once():
    """Unreadable paths and rules that decide nothing, each at its table."""
    text = """\
[[rule]]
path = "a["
reason = "b"
ignore = true

[[rule]]
path = "a"
reason = "b"

[[rule]]
path = "a"
reason = "b"
key = "id"
ignore = true
"""
    assert faults(text) == [(1, "rule[1]"), (6, "rule[2]"), (10, "rule[3]")]


@pytest.mark.parametrize("text", ["a = ", "[score", "x" * 300_000])
def test_what_is_no_toml_is_refused(text):
    """One fault for the file."""
    assert [key for _, key in faults(text)] == ["file"]


def test_a_file_that_cannot_be_read(tmp_path):
    """Missing, or not text."""
    with pytest.raises(PolicyError, match="cannot be read"):
        load_comparison(tmp_path / "none.toml")
    (tmp_path / "odd.toml").write_bytes(b"a = 1\n\xff")
    with pytest.raises(PolicyError, match=r"odd\.toml:2: file: expected UTF-8"):
        load_comparison(tmp_path / "odd.toml")


def test_the_schema_is_the_one_that_ships():
    """Made by `python -m gateway.policy comparison > config/schema/comparison.schema.json`."""
    shipped = json.loads((ROOT / "config/schema/comparison.schema.json").read_text("utf-8"))
    assert shipped == comparison_schema()
    printed = subprocess.run(
        [sys.executable, "-m", "gateway.policy", "comparison"],
        cwd=ROOT, capture_output=True, check=True,
    )  # fmt: skip
    assert json.loads(printed.stdout) == shipped

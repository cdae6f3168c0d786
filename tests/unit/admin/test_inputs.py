"""What the admin API takes: exactly that, and a named fault for anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from gateway.admin import inputs
from gateway.admin.intake import validated
from gateway.admin.problems import ProblemError

WEIGHT = TypeAdapter(inputs.WeightChange)
MEASUREMENT = TypeAdapter(inputs.MeasurementIn)


def _fault(shape, value):
    with pytest.raises(ProblemError) as caught:
        validated(shape, value, where="body")
    assert caught.value.status == 422
    return caught.value.errors


@pytest.mark.parametrize(
    "percent", [-1, 101, "ten", "10", 0.005, 12.345, True, None, [], 100.01, 1e-9, float("inf")]
)
def test_a_weight_that_is_none_is_named_with_what_was_expected(percent):
    """The answer names the field; the caller need not guess."""
    (fault,) = _fault(WEIGHT, {"percent": percent, "reason": "x"})
    assert fault["field"] == "body.percent"
    assert fault["expected"]


def test_nan_is_no_weight():
    """NaN compares to nothing, so it must not come near a weight."""
    faults = _fault(WEIGHT, {"percent": float("nan"), "reason": "x"})
    assert faults[0]["field"] == "body.percent"


@pytest.mark.parametrize(
    ("value", "field", "english", "japanese"),
    [
        ({"metric": "cpu_ratio", "value": 7}, "body.value", "less than or equal to 1", "1 以下"),
        ({"metric": "cpu_ratio"}, "body.value", "present", "必須"),
        ({"metric": "foo", "value": 7}, "body.metric", "one of error_ratio, ", "のいずれか"),
        ({"value": 7}, "body.metric", "present", "必須"),
        ([], "body", "a JSON object", "JSON オブジェクト"),
        ({"metric": "cpu_ratio", "value": "x"}, "body.value", "a number", "数値"),
        ({"metric": "cpu_ratio", "value": 0, "x": 1}, "body.x", "absent", "省略"),
    ],
)
def test_a_fault_is_told_in_the_callers_words(value, field, english, japanese):
    """The field as it was sent and what belongs there, in both languages; no words of a program."""
    with pytest.raises(ProblemError) as caught:
        validated(MEASUREMENT, value, where="body")
    (fault,) = caught.value.errors
    assert fault["field"] == field
    assert fault["expected"].startswith(english)
    assert japanese in caught.value.japanese["detail_ja"]
    for jargon in ("tag", "dictionary", "Input", "discriminator"):
        assert jargon not in caught.value.detail


@given(st.integers(0, 10_000))
def test_every_basis_point_is_a_weight(basis_points):
    """No step of 0.01 is lost to binary fractions, and it comes back as the same step."""
    percent = basis_points / 100
    change = validated(WEIGHT, {"percent": percent, "reason": "x"}, where="body")
    assert round(change.percent * 100) == basis_points


@pytest.mark.parametrize("reason", ["", " ", "\t\n", "\u3000", None, 5, "x" * 501])
def test_a_reason_must_say_something(reason):
    """Blank is no reason, whatever it is made of."""
    (fault,) = _fault(WEIGHT, {"percent": 1, "reason": reason})
    assert fault["field"] == "body.reason"


def test_control_characters_never_reach_the_audit():
    """A reason cannot move a terminal's cursor or forge a log line."""
    raw = {"percent": 1, "reason": "ok\x1b[2J\r\nfine"}
    change = validated(WEIGHT, raw, where="body")
    assert change.reason == "ok\ufffd[2J fine"


def test_all_faults_are_named_at_once():
    """One round trip is enough to correct everything."""
    fields = {fault["field"] for fault in _fault(WEIGHT, {"percent": -1, "force": 1})}
    assert fields == {"body.percent", "body.reason", "body.force"}


@pytest.mark.parametrize(
    "value",
    [
        {"metric": "cpu_ratio", "value": 1.01},
        {"metric": "cpu_ratio", "value": -0.1},
        {"metric": "cpu_ratio", "value": float("nan")},
        {"metric": "latency_p95_ms", "value": float("inf")},
        {"metric": "security_breach", "value": 0.5},
        {"metric": "happiness", "value": 1},
        {"metric": "cpu_ratio", "value": "0.5"},
        {"metric": "cpu_ratio"},
        {"metric": "cpu_ratio", "value": 0.5, "sample": 0},
        {"metric": "cpu_ratio", "value": 0.5, "at": 1700000000},
        {"metric": "cpu_ratio", "value": 0.5, "at": "1700000000"},
        {"metric": "cpu_ratio", "value": 0.5, "at": "2026-11-21T01:02:03"},
        {"metric": "cpu_ratio", "value": 0.5, "system": "middle"},
        {"metric": "rejected_ratio", "value": 0.5},
        [],
        None,
        "x",
    ],
)
def test_a_measurement_that_is_none_is_refused(value):
    """Unknown metrics, shares above one, NaN and local times are mistakes of the caller."""
    assert _fault(MEASUREMENT, value)


@pytest.mark.parametrize(
    "value",
    [
        {"metric": "cpu_ratio", "value": 0},
        {"metric": "error_ratio", "value": 1, "system": "new", "sample": 10},
        {"metric": "latency_p95_ms", "value": 1234.5, "at": "2026-11-21T01:02:03Z"},
        {"metric": "data_loss", "value": 1, "at": "2026-11-21T10:02:03.5+09:00"},
        {"metric": "system_down", "value": 1},
        {"metric": "user_reports", "value": 3},
    ],
)
def test_a_measurement_is_taken(value):
    """Every metric of the contract finds its shape."""
    assert validated(MEASUREMENT, value, where="body").metric == value["metric"]

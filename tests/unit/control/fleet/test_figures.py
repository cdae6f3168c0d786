"""Figures of several machines as one: the worst load, the pooled rate, the oldest instant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.control.fleet.figures import fleetwide
from gateway.core.analysis import Measurement, Metric
from gateway.ports import MeasurementDraft

CPU = Measurement(Metric.CPU_RATIO, 0.4, 1_000_000)
MATCH = Measurement(Metric.MATCH_RATIO, 1.0, 2_000_000, sample=100)
LOSS = Measurement(Metric.DATA_LOSS, 0.0, 3_000_000)


def test_the_worst_machine_counts_and_rates_are_pooled() -> None:
    """90 % on one of two machines is 90 %; 100 of 100 and 150 of 300 agree to 250 of 400."""
    others = [
        (0, MeasurementDraft(5_000_000, "cpu_ratio", 0.9, None, 1, "psutil")),
        (0, MeasurementDraft(1_500_000, "match_ratio", 0.5, None, 300, "old and new")),
        (0, MeasurementDraft(1_500_000, "data_loss", 1.0, None, 1, "api:b")),
    ]
    cpu, match, loss = fleetwide((CPU, MATCH, LOSS), others)
    assert (cpu.value, cpu.at_us) == (0.9, 1_000_000)
    assert match.value == pytest.approx(0.625)
    assert (match.sample, match.at_us) == (400, 1_500_000)
    assert loss == LOSS, "what was reported reaches us as an item, not as somebody's figure"


def test_a_figure_that_only_another_has_is_taken_in_our_time() -> None:
    """Its instant is translated by the shift between the two clocks."""
    [only] = fleetwide((), [(-500_000, MeasurementDraft(2_000_000, "disk_ratio", 0.7))])
    assert only == Measurement(Metric.DISK_RATIO, 0.7, 1_500_000)


def test_alone_nothing_changes() -> None:
    """Without others our own figures stand."""
    assert fleetwide((CPU, MATCH), []) == (CPU, MATCH)
    worse = replace(CPU, value=0.95)
    assert fleetwide((worse,), [(0, MeasurementDraft(1, "cpu_ratio", 0.1))])[0].value == 0.95

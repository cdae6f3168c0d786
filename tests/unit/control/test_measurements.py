"""Figures from outside: checked at the door, kept with age and sample."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gateway.control.measurements import KEPT_US, Measurements, service_figures
from gateway.core.analysis import Metric
from gateway.core.model import Variant
from gateway.errors import InvalidRequestError
from gateway.ports import MeasurementDraft

NOW = 1_800_000_000_000_000


def draft(metric: str = "cpu_ratio", value: float = 0.5, **fields: Any) -> MeasurementDraft:
    """A figure as it comes in."""
    return MeasurementDraft(**{"at_us": NOW, "metric": metric, "value": value, **fields})


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (draft("cpu"), "metric"),
        (draft(value=math.nan), "value"),
        (draft(value=math.inf), "value"),
        (draft(value=-0.1), "value"),
        (draft(value=7), "value"),
        (draft("listings_synced", 1e16), "value"),
        (draft("system_down", 0.5), "value"),
        (draft(sample=0), "sample"),
        (draft(at_us=NOW + 60_000_000), "at"),
        (draft(at_us=NOW - KEPT_US - 1), "at"),
    ],
)
def test_what_cannot_be_meant_is_refused(bad: MeasurementDraft, field: str) -> None:
    """The fault names the field; nothing is kept."""
    measurements = Measurements()
    with pytest.raises(InvalidRequestError) as refusal:
        measurements.take(bad, now_us=NOW)
    assert [fault.where for fault in refusal.value.faults] == [field]
    assert measurements.newest() == ()


def test_all_faults_are_told_at_once() -> None:
    """Three mistakes are one refusal."""
    with pytest.raises(InvalidRequestError) as refusal:
        Measurements().take(draft("nope", -1, sample=0), now_us=NOW)
    assert len(refusal.value.faults) == 3


def test_the_newest_counts_and_remembers_the_one_before() -> None:
    """A late old figure changes nothing; each system has its own."""
    measurements = Measurements()
    measurements.take(draft("listings_synced", 100, at_us=NOW - 9, sample=1), now_us=NOW)
    measurements.take(draft("listings_synced", 80, at_us=NOW - 5, sample=2), now_us=NOW)
    measurements.take(draft("listings_synced", 1, at_us=NOW - 7, sample=1), now_us=NOW)
    measurements.take(draft("listings_synced", 7, variant=Variant.CANARY), now_us=NOW)
    kept = {one.system: (one.value, one.previous) for one in measurements.newest()}
    assert kept == {None: (80, 100), Variant.CANARY: (7, None)}


def test_what_a_source_takes_back_is_unknown() -> None:
    """Its figures go, whatever they were; those of others stay."""
    measurements = Measurements()
    measurements.take(draft("match_ratio", 0.9, source="old and new"), now_us=NOW)
    measurements.take(draft("cpu_ratio", 0.9, source="api"), now_us=NOW)
    measurements.withdraw("old and new")
    assert [each.metric.value for each in measurements.newest()] == ["cpu_ratio"]


def test_the_same_sync_read_twice_is_one_figure() -> None:
    """A poll a minute later must not hide that the last sync was 50 % smaller."""
    measurements = Measurements()
    for age, value, syncs in ((9, 100, 1), (8, 50, 2), (7, 50, 2), (6, 50, 2)):
        measurements.take(
            draft("listings_synced", value, at_us=NOW - age, sample=syncs), now_us=NOW
        )
    [kept] = measurements.newest()
    assert (kept.value, kept.previous, kept.at_us) == (50, 100, NOW - 6)


GOOD = {
    "syncs": {"completed": 2, "partial": 1, "failed": 1, "successRatio": 0.75},
    "fullSyncs": 2,
    "listingsSynced": 1_687,
    "syncSecondsPer1000": [1.0, 9.0, 2.0],
    "apiUsage": {"used": 5, "limit": 10, "ratio": 0.5},
}


def test_a_services_figures_are_read_with_their_samples() -> None:
    """Ratio of four syncs, the median pace of three, the last size, the budget used."""
    drafts = service_figures(GOOD, Variant.CANARY, at_us=NOW)
    assert {(one.metric, one.value, one.sample) for one in drafts} == {
        ("success_ratio", 0.75, 4),
        ("listings_synced", 1_687, 2),
        ("sync_seconds_per_1000", 2.0, 3),
        ("api_usage_ratio", 0.5, 1),
    }


def test_a_push_does_not_settle_the_change_between_two_full_syncs() -> None:
    """It is another sync of the service, and the same size of the feed."""
    measurements = Measurements()
    for done, full, size in ((1, 1, 2_000), (2, 2, 1_000), (3, 2, 1_000)):
        said = {**GOOD, "syncs": {"completed": done}, "fullSyncs": full, "listingsSynced": size}
        for draft in service_figures(said, Variant.CANARY, at_us=NOW + done):
            measurements.take(draft, now_us=NOW + done)
    (kept,) = [one for one in measurements.newest() if one.metric is Metric.LISTINGS_SYNCED]
    assert (kept.value, kept.previous) == (1_000, 2_000)


def test_a_service_that_has_not_synced_yet_knows_nothing() -> None:
    """Null is left out, never read as zero."""
    idle = {
        "syncs": {"completed": 0, "partial": 0, "failed": 0, "successRatio": None},
        "listingsSynced": None,
        "syncSecondsPer1000": [],
        "apiUsage": {"used": 0, "limit": None, "ratio": None},
    }
    assert service_figures(idle, Variant.BASELINE, at_us=NOW) == ()


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {**GOOD, "syncs": None},
        {**GOOD, "syncs": {"successRatio": "0.9"}},
        {**GOOD, "listingsSynced": True},
        {**GOOD, "syncSecondsPer1000": "fast"},
        {**GOOD, "syncSecondsPer1000": [math.nan]},
        {**GOOD, "apiUsage": []},
    ],
)
def test_malformed_figures_are_an_error_not_a_zero(broken: dict[str, Any]) -> None:
    """Nothing of a malformed answer is believed."""
    with pytest.raises(ValueError):
        service_figures(broken, Variant.BASELINE, at_us=NOW)

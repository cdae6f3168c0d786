"""
Figures from outside the traffic: what services say of themselves, what people and programs post.

A figure is checked where it comes in (a ratio of 7 is a mistake, not a measurement) and kept with
its age and sample. Only the newest per metric and system counts; the one before it is kept beside
it, for metrics that are judged by their change. What cannot be read leaves the old figure to grow
stale: an unreadable source is unknown, never zero.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from gateway.core.analysis import Measurement, Metric
from gateway.errors import Fault, InvalidRequestError
from gateway.ports import MeasurementDraft

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.core.model import Variant
    from gateway.ports import Document

KEPT_US: Final = 7 * 24 * 3600 * 1_000_000
_FUTURE_US: Final = 5_000_000
_LARGEST: Final = 1e15
_FLAGS: Final = frozenset({Metric.DATA_LOSS, Metric.SYSTEM_DOWN, Metric.SECURITY_BREACH})


class Measurements:
    """The newest figure per metric and system."""

    def __init__(self) -> None:
        self._newest: dict[tuple[Metric, Variant | None], Measurement] = {}

    def take(self, draft: MeasurementDraft, *, now_us: int) -> Measurement:
        """Check one figure and keep it; InvalidRequestError says what was expected."""
        metric = _checked(draft, now_us)
        key = (metric, draft.variant)
        before = self._newest.get(key)
        taken = Measurement(
            metric=metric,
            value=draft.value,
            at_us=min(draft.at_us, now_us),
            system=draft.variant,
            sample=1 if draft.sample is None else draft.sample,
            source=draft.source,
            previous=before.value if before else None,
        )
        if before is not None and taken.at_us < before.at_us:
            return taken  # an older figure arrived late: it changes nothing
        self._newest[key] = taken
        return taken

    def restore(self, drafts: Iterable[MeasurementDraft], *, now_us: int) -> None:
        """Take back what was stored before a restart, oldest first; skip what is foreign."""
        for draft in drafts:
            try:
                self.take(draft, now_us=now_us)
            except InvalidRequestError:
                continue

    def newest(self) -> tuple[Measurement, ...]:
        """Give all that are known, however old: their age is judged, not hidden."""
        return tuple(self._newest.values())


def _checked(draft: MeasurementDraft, now_us: int) -> Metric:
    faults: list[Fault] = []
    metric = next((one for one in Metric if one.value == draft.metric), None)
    if metric is None:
        faults.append(Fault("metric", "is unknown", "one of " + ", ".join(Metric)))
    if not math.isfinite(draft.value) or not 0 <= draft.value <= _LARGEST:
        faults.append(Fault("value", "is out of bounds", "a number from 0 to 1e15"))
    elif metric is not None and metric.value.endswith("_ratio") and draft.value > 1:
        faults.append(Fault("value", "is out of bounds", "a ratio from 0 to 1"))
    elif metric in _FLAGS and draft.value not in {0, 1}:
        faults.append(Fault("value", "is neither 0 nor 1", "1 if it happened, else 0"))
    if draft.sample is not None and draft.sample < 1:
        faults.append(Fault("sample", "is out of bounds", "1 or more"))
    if draft.at_us > now_us + _FUTURE_US:
        faults.append(Fault("at", "lies in the future", "an instant up to now"))
    if draft.at_us < now_us - KEPT_US:
        faults.append(Fault("at", "is too old", "at most 7 days ago"))
    if faults or metric is None:
        raise InvalidRequestError(tuple(faults))
    return metric


def service_figures(
    document: Document, variant: Variant, *, at_us: int
) -> tuple[MeasurementDraft, ...]:
    """Read a service's `/api/metrics`; ValueError when a figure it must name is malformed.

    Figures that the service does not know yet (null: no sync so far) are left out.
    """
    drafts: list[MeasurementDraft] = []
    for metric, name, sample_name in _SERVICE_FIGURES:
        value = _number(document, name)
        if value is None:
            continue
        sample = _number(document, sample_name) if sample_name else None
        if sample is not None and sample < 1:
            continue  # a ratio of nothing
        drafts.append(
            MeasurementDraft(
                at_us=at_us,
                metric=metric.value,
                value=value,
                variant=variant,
                sample=None if sample is None else int(sample),
                source="/api/metrics",
            )
        )
    if not any(name in document for _, name, _ in _SERVICE_FIGURES):
        raise ValueError("names none of the figures it should")
    return tuple(drafts)


_SERVICE_FIGURES: Final = (
    (Metric.SYNC_SECONDS_PER_1000, "secondsPer1000", "syncs"),
    (Metric.SUCCESS_RATIO, "successRatio", "listings"),
    (Metric.LISTINGS_SYNCED, "lastSyncListings", None),
    (Metric.API_USAGE_RATIO, "apiUsageRatio", None),
)


def _number(document: Document, name: str) -> float | None:
    value = document.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is no number")
    return float(value)

"""
Figures from outside the traffic: what services say of themselves, what people and programs post.

A figure is checked where it comes in (a ratio of 7 is a mistake, not a measurement) and kept with
its age and sample. Only the newest per metric and system counts; the one before it is kept beside
it, for metrics that are judged by their change. What cannot be read leaves the old figure to grow
stale: an unreadable source is unknown, never zero.
"""

from __future__ import annotations

import math
from statistics import median
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
_FLAGS: Final = frozenset({Metric.SYSTEM_DOWN, Metric.SECURITY_BREACH})


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
            previous=_previous(before, draft),
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

    def withdraw(self, source: str) -> None:
        """Forget what one source said: what it does not say again is unknown, not old."""
        for key, known in tuple(self._newest.items()):
            if known.source == source:
                del self._newest[key]

    def newest(self) -> tuple[Measurement, ...]:
        """Give all that are known, however old: their age is judged, not hidden."""
        return tuple(self._newest.values())


def _previous(before: Measurement | None, draft: MeasurementDraft) -> float | None:
    """Give the figure before this one; the same sync read twice is one figure."""
    if before is None:
        return None
    again = before.value == draft.value and before.sample == (draft.sample or 1)
    return before.previous if again else before.value


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
    """Read a service's `/api/metrics`; ValueError names what is malformed.

    What the service does not know yet (null, no sync so far) is left out.
    """
    syncs = _object(document, "syncs")
    done = int(sum(_number(syncs, name) or 0 for name in ("completed", "partial", "failed")))
    full = _number(document, "fullSyncs")
    paces = _numbers(document, "syncSecondsPer1000")
    figures = (
        (Metric.SUCCESS_RATIO, _number(syncs, "successRatio"), done),
        (
            Metric.LISTINGS_SYNCED,
            _number(document, "listingsSynced"),
            done if full is None else int(full),
        ),
        (Metric.SYNC_SECONDS_PER_1000, median(paces) if paces else None, len(paces)),
        (Metric.API_USAGE_RATIO, _number(_object(document, "apiUsage"), "ratio"), 1),
    )
    return tuple(
        MeasurementDraft(
            at_us=at_us,
            metric=metric.value,
            value=value,
            variant=variant,
            sample=sample,
            source="/api/metrics",
        )
        for metric, value, sample in figures
        if value is not None and sample > 0
    )


def _object(document: Document, name: str) -> Document:
    value = document.get(name)
    if not isinstance(value, dict):
        raise ValueError(f"names no {name}")  # noqa: TRY004 - the document is wrong, not our code
    return value


def _number(document: Document, name: str) -> float | None:
    return None if document.get(name) is None else _finite(document[name], name)


def _numbers(document: Document, name: str) -> list[float]:
    value = document.get(name)
    if not isinstance(value, list):
        raise ValueError(f"names no {name}")  # noqa: TRY004 - the document is wrong, not our code
    return [_finite(one, name) for one in value]


def _finite(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is no number")
    return float(value)

"""
Figures of several machines as one: the worst of resources, the comparison's rates pooled.

Every replica measures its own machine and compares its own shadows. A gate speaks of the fleet, so
the highest load counts, and a rate is weighted by how much each replica has compared.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gateway.core.analysis import Measurement, Metric

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.ports import MeasurementDraft

WORST: Final = frozenset(
    {Metric.CPU_RATIO, Metric.MEMORY_RATIO, Metric.DISK_RATIO, Metric.NETWORK_RATIO}
)
POOLED: Final = frozenset(metric for metric in Metric if metric.from_mirror)
SHARED: Final = WORST | POOLED
_BY_NAME: Final = {metric.value: metric for metric in SHARED}


def fleetwide(
    own: tuple[Measurement, ...], others: Iterable[tuple[int, MeasurementDraft]]
) -> tuple[Measurement, ...]:
    """Join this replica's measurements with drafts of the others, each with its shift in us."""
    joined = {(one.metric, one.system): one for one in own}
    for shift_us, draft in others:
        metric = _BY_NAME.get(draft.metric)
        if metric is None:
            continue
        key = (metric, draft.variant)
        mine = joined.get(key)
        theirs = replace(_like(mine, metric, draft), at_us=max(0, draft.at_us + shift_us))
        joined[key] = theirs if mine is None else _join(mine, theirs)
    return tuple(joined.values())


def _like(mine: Measurement | None, metric: Metric, draft: MeasurementDraft) -> Measurement:
    return Measurement(
        metric=metric,
        value=draft.value,
        at_us=draft.at_us,
        system=draft.variant,
        sample=1 if draft.sample is None else draft.sample,
        source=draft.source,
        previous=mine.previous if mine else None,
    )


def _join(mine: Measurement, theirs: Measurement) -> Measurement:
    """Join two; the older instant counts: a figure of which a part is stale is stale."""
    at_us = min(mine.at_us, theirs.at_us)
    if mine.metric in WORST:
        worst = mine if mine.value >= theirs.value else theirs
        return replace(worst, at_us=at_us)
    sample = mine.sample + theirs.sample
    value = (mine.value * mine.sample + theirs.value * theirs.sample) / sample
    return replace(mine, value=value, sample=sample, at_us=at_us)

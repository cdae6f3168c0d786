"""Figures from somewhere else, read again and again; what cannot be read grows stale."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from gateway.errors import InvalidRequestError, UnreachableError
from gateway.ports import MeasurementDraft

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.analysis import Metric
    from gateway.core.model import Variant
    from gateway.ports import Clock, LoadSource


class Sampled(Protocol):
    """Who takes figures: `controller.Controller`, as far as it is needed here."""

    def sampled(self, measurements: Sequence[MeasurementDraft]) -> None:
        """Take in what is sampled so often that only the newest counts."""
        ...

    async def tell(self, kind: str, text: str) -> None:
        """Store and tell one event."""
        ...


async def watch_source(
    controller: Sampled,
    source: LoadSource,
    *,
    metric: Metric,
    variant: Variant | None,
    clock: Clock,
    every_s: float,
) -> None:
    """Read one figure until cancelled; a change between readable and unreadable is told once."""
    of = f"{metric.value} of {variant.value}" if variant else metric.value
    readable = True
    while True:
        reason = ""
        try:
            value = await source.read()
            draft = MeasurementDraft(
                clock.now_us(), metric.value, value, variant=variant, source="prometheus"
            )
            controller.sampled([draft])
        except (UnreachableError, InvalidRequestError) as error:
            reason = error.message
        if bool(reason) is readable:
            readable = not reason
            if readable:
                await controller.tell("source.readable", f"Prometheus tells {of} again.")
            else:
                text = f"Prometheus does not tell {of} ({reason}); it grows stale."
                await controller.tell("source.unreadable", text)
        await asyncio.sleep(every_s)

"""
Figures from somewhere else, read again and again; what cannot be read grows stale.

That something became unreadable, or readable again, is said once, not every time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from gateway.control.measurements import service_figures
from gateway.errors import InvalidRequestError, UnreachableError
from gateway.ports import MeasurementDraft

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gateway.core.analysis import Metric
    from gateway.core.model import Variant
    from gateway.ports import Clock, FigureSource, Probe


class Sampled(Protocol):
    """Who takes figures: `controller.Controller`, as far as it is needed here."""

    def sampled(self, measurements: Sequence[MeasurementDraft]) -> None:
        """Take in what is sampled so often that only the newest counts."""
        ...

    async def tell(self, kind: str, text: str) -> None:
        """Store and tell one event."""
        ...


class Measured(Protocol):
    """Who takes the systems' own figures: `controller.Controller`, as above."""

    async def measured(self, measurements: Sequence[MeasurementDraft]) -> None:
        """Take in what a poll found, and keep it."""
        ...

    async def source_changed(self, variant: Variant, *, readable: bool, reason: str) -> None:
        """Take note that a system's figures became unreadable, or readable again."""
        ...


async def watch_source(
    controller: Sampled,
    source: FigureSource,
    *,
    name: str,
    metric: Metric,
    variant: Variant | None,
    clock: Clock,
    every_s: float,
) -> None:
    """Read one figure until cancelled; `name` is whom it is asked of."""
    of = f"{metric.value} of {variant.value}" if variant else metric.value

    async def read() -> None:
        value = await source.read()
        draft = MeasurementDraft(
            clock.now_us(), metric.value, value, variant=variant, source=name.lower()
        )
        controller.sampled([draft])

    async def turned(reason: str | None) -> None:
        if reason is None:
            await controller.tell("source.readable", f"{name} tells {of} again.")
        else:
            text = f"{name} does not tell {of} ({reason}); it grows stale."
            await controller.tell("source.unreadable", text)

    await _keep_reading(read, turned, every_s=every_s)


async def poll_metrics(
    controller: Measured, probe: Probe, variant: Variant, *, clock: Clock, every_s: float
) -> None:
    """Read one system's own figures until cancelled."""

    async def read() -> None:
        document = await probe.metrics(variant)
        try:
            drafts = service_figures(document, variant, at_us=clock.now_us())
        except ValueError as error:
            raise UnreachableError(f"/api/metrics {error}") from error
        await controller.measured(drafts)

    async def turned(reason: str | None) -> None:
        await controller.source_changed(variant, readable=reason is None, reason=reason or "")

    await _keep_reading(read, turned, every_s=every_s)


async def _keep_reading(
    read: Callable[[], Awaitable[None]],
    turned: Callable[[str | None], Awaitable[None]],
    *,
    every_s: float,
) -> None:
    """Read again and again; `turned` is told why it became unreadable, and None when it is back."""
    readable = True
    while True:
        reason = None
        try:
            await read()
        except (UnreachableError, InvalidRequestError) as error:
            reason = error.message
        if readable is not (reason is None):
            readable = reason is None
            await turned(reason)
        await asyncio.sleep(every_s)

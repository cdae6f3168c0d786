"""
The loops that look around: health probes, the machine's resources, the second's tick.

Each loop has its own pace and none waits for another: a service that hangs delays nothing but its
own probe. What a loop finds goes to the controller. Figures from elsewhere: `sources`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

import structlog

from gateway.control.controller import TICK_S
from gateway.control.worker_process import WorkerChanged
from gateway.core.analysis import Metric, Severity
from gateway.ports import MeasurementDraft, Notice

if TYPE_CHECKING:
    from gateway.control.controller import Controller
    from gateway.control.resources import Resources
    from gateway.control.workers import WorkerPool
    from gateway.core.model import Variant
    from gateway.link import Message
    from gateway.ports import Clock, Probe

RESOURCES_EVERY_S: Final = 5.0
_AFTER_A_CRASH_S: Final = 1.0
_TELL_AGAIN_US: Final = 600_000_000

Loop = Callable[[], Coroutine[Any, Any, None]]

_log = structlog.get_logger("watching")


async def endure(loop: Loop, *, tell: Callable[[Notice], None], clock: Clock) -> None:
    """Run a loop until cancelled; after a fault of ours people are told and it starts again."""
    told_us = -_TELL_AGAIN_US
    while True:
        try:
            await loop()
        except Exception as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the end was asked for; what else went wrong meanwhile changes nothing
            _log.exception("control_loop_failed", error=str(error))
            if clock.now_us() - told_us >= _TELL_AGAIN_US:
                told_us = clock.now_us()
                tell(_fault_of_ours(error, told_us))
        await asyncio.sleep(_AFTER_A_CRASH_S)


def _fault_of_ours(error: Exception, at_us: int) -> Notice:
    return Notice(
        level=Severity.CRITICAL,
        title="control_loop_failed",
        text=f"The gateway's own control has a fault ({type(error).__name__}: {error}); traffic is "
        "served as before, but it is not guarded while this lasts.",
        at_us=at_us,
        key="control_loop_failed",
    )


async def follow_workers(
    controller: Controller,
    workers: WorkerPool,
    *,
    aside: Callable[[Message | WorkerChanged], None] = lambda _: None,
) -> None:
    """Pass on what the workers say, in order; `aside` hears all of it first."""
    async for message in workers.messages():
        aside(message)
        if isinstance(message, WorkerChanged):
            await controller.worker_changed(message)
        else:
            await controller.heard(message)


async def tick(controller: Controller) -> None:
    """Look once a second, in step with the loop's clock."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due = max(due + TICK_S, loop.time())
        await asyncio.sleep(due - loop.time())
        await controller.tick()


async def probe_health(
    controller: Controller, probe: Probe, variant: Variant, *, every_s: float
) -> None:
    """Ask one system how it is, again and again."""
    healthy: bool | None = None
    while True:
        result = await probe.health(variant)
        await controller.probed(result)
        if result.healthy is not healthy:
            if result.healthy:
                _log.info("system_healthy", system=variant.value)
            else:
                _log.warning("system_unhealthy", system=variant.value, reason=result.reason)
            healthy = result.healthy
        await asyncio.sleep(every_s)


async def sample_resources(controller: Controller, resources: Resources, *, clock: Clock) -> None:
    """Measure the machine."""
    while True:
        now_us = clock.now_us()
        reading = resources.sample(now_us)
        figures = {
            Metric.CPU_RATIO: reading.cpu_ratio,
            Metric.MEMORY_RATIO: reading.memory_ratio,
            Metric.DISK_RATIO: reading.disk_ratio,
            Metric.NETWORK_RATIO: reading.network_ratio,
        }
        controller.sampled(
            [
                MeasurementDraft(now_us, metric.value, value, source="psutil")
                for metric, value in figures.items()
                if value is not None
            ]
        )
        await asyncio.sleep(RESOURCES_EVERY_S)

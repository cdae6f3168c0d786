"""Figures from elsewhere: that they cannot be read is told once, and the old one grows stale."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from gateway.control.sources import poll_metrics, watch_source
from gateway.core.analysis import Metric
from gateway.core.model import Variant
from gateway.errors import Fault, InvalidRequestError, UnreachableError
from tests.support.recording import HandClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from gateway.ports import MeasurementDraft

GONE = UnreachableError("gone")
SERVICE = {
    "syncs": {"completed": 3, "partial": 0, "failed": 1, "successRatio": 0.75},
    "syncSecondsPer1000": [1.5],
    "listingsSynced": 40,
    "apiUsage": {"ratio": 0.1},
}


class Taker:
    """Takes figures as the controller does, and remembers what it was told."""

    def __init__(self) -> None:
        self.taken: list[MeasurementDraft] = []
        self.told: list[str] = []

    def sampled(self, measurements: Any) -> None:
        """Refuse a ratio above 1."""
        if measurements[0].metric.endswith("_ratio") and measurements[0].value > 1:
            raise InvalidRequestError((Fault("value", "is no ratio"),))
        self.taken += measurements

    async def measured(self, measurements: Any) -> None:
        """The same, for good."""
        self.sampled(measurements)

    async def tell(self, kind: str, text: str) -> None:
        """Remember."""
        self.told.append(f"{kind}: {text}")

    async def source_changed(self, variant: Variant, *, readable: bool, reason: str) -> None:
        """Remember."""
        self.told.append(f"{variant.value} {readable} {reason}")


class Answers:
    """A source, and a system, that gives these one after the other, then the last for good."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    async def read(self) -> Any:
        """Give the next."""
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def metrics(self, _: Variant) -> Any:
        """Give the next."""
        return await self.read()


@asynccontextmanager
async def running(loop: Coroutine[Any, Any, None]) -> AsyncIterator[Callable[..., Any]]:
    """Let it run until something holds; a loop that fails shows its error."""
    task = asyncio.create_task(loop)

    async def until(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds() and not task.done():
                await asyncio.sleep(0)
        if task.done():
            task.result()

    yield until
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_cannot_be_read_is_told_once_and_leaves_the_old_figure() -> None:
    """Two failures and an impossible ratio in a row are one event; then it is readable again."""
    taker, source = Taker(), Answers(0.5, GONE, GONE, 7.0, 0.25)
    loop = watch_source(
        taker, source, name="Prometheus", metric=Metric.CPU_RATIO, variant=Variant.CANARY,
        clock=HandClock(), every_s=0,
    )  # fmt: skip
    async with running(loop) as until:
        await until(lambda: len(taker.taken) >= 3)
    assert [one.value for one in taker.taken[:2]] == [0.5, 0.25]
    assert (taker.taken[0].variant, taker.taken[0].source) == (Variant.CANARY, "prometheus")
    assert taker.told == [
        "source.unreadable: Prometheus does not tell cpu_ratio of new (gone); it grows stale.",
        "source.readable: Prometheus tells cpu_ratio of new again.",
    ]


async def test_an_impossible_load_of_the_database_is_told_and_ends_nothing() -> None:
    """A figure that cannot be one is one that cannot be read, whoever it comes from."""
    taker = Taker()
    loop = watch_source(
        taker, Answers(7.0, 0.25), name="PostgreSQL", metric=Metric.DATABASE_LOAD_RATIO,
        variant=None, clock=HandClock(), every_s=0,
    )  # fmt: skip
    async with running(loop) as until:
        await until(lambda: len(taker.told) >= 2)
    assert (taker.taken[0].value, taker.taken[0].source) == (0.25, "postgresql")
    assert "database_load_ratio (value: is no ratio)" in taker.told[0]


async def test_a_systems_own_figures_are_told_of_once_too() -> None:
    """Nobody there, then a malformed answer, then figures: one event each way."""
    taker = Taker()
    probe: Any = Answers(GONE, {"syncs": 3}, SERVICE)
    loop = poll_metrics(taker, probe, Variant.BASELINE, clock=HandClock(), every_s=0)
    async with running(loop) as until:
        await until(lambda: len(taker.told) >= 2)
    assert taker.told == ["old False gone", "old True "]
    assert {one.variant for one in taker.taken} == {Variant.BASELINE}
    broken: Any = Answers({"syncs": 3})
    taker = Taker()
    async with running(
        poll_metrics(taker, broken, Variant.CANARY, clock=HandClock(), every_s=0)
    ) as until:
        await until(lambda: len(taker.told) >= 1)
    assert taker.told[0].startswith("new False /api/metrics ")

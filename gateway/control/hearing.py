"""
What workers and probes say, on its way to the engine.

Figures are filed where they belong; what may need an answer at once (an outcome that completes the
evidence, a breaker that moved, a system that went or came back) has the controller look at once. In
a fleet the same is put aside for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway import link
from gateway.control.turns import standing
from gateway.core.model import Outcome, Variant
from gateway.ports import WorkerState

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from gateway.control.comparing import Comparing
    from gateway.control.fleet.together import Together
    from gateway.control.proving import Proving
    from gateway.control.senses import Senses
    from gateway.control.turns import Turns
    from gateway.control.worker_process import WorkerChanged
    from gateway.ports import Clock, ProbeResult

ALARM_PAUSE_US: Final = 100_000
"""While evidence stands, look at most this often between ticks."""


class Hearing:
    """See the module."""

    def __init__(
        self,
        *,
        order: asyncio.Lock,
        turns: Turns,
        senses: Senses,
        clock: Clock,
        comparing: Comparing,
        proving: Proving,
        mirror_changed: Callable[[str, str], Awaitable[None]],
        look: Callable[[], Awaitable[None]],
        together: Together | None,
    ) -> None:
        self._order = order
        self._turns = turns
        self._senses = senses
        self._clock = clock
        self._comparing = comparing
        self._proving = proving
        self._mirror_changed = mirror_changed
        self._look = look
        self._together = together

    async def heard(self, message: link.Message) -> None:
        """Take in what a worker said."""
        match message:
            case link.Report():
                second = self._senses.snapshots.report(message, self._clock.now_us())
                if self._together is not None and second is not None:
                    variants = {Variant(name): one for name, one in message.variants.items()}
                    copies = {Variant(name): one for name, one in message.copies.items()}
                    self._together.fleet.outbox.second(second, variants, copies)
            case link.Applied():
                if self._together is not None:
                    self._together.applied(message.version)
            case link.Outcomes():
                await self._outcomes(message, self._clock.now_us())
            case link.BreakerChanged():
                await self._breaker_changed(message)
            case link.ShadowDiffered():
                if not self._comparing.differed(message):
                    self._senses.snapshots.difference_overrun()

    async def _outcomes(self, message: link.Outcomes, now_us: int) -> None:
        runs = [(Variant(name), Outcome(outcome), count) for name, outcome, count in message.runs]
        if self._together is not None:
            self._together.fleet.outbox.outcomes(runs)
        async with self._order:
            self._turns.engine = self._turns.engine.observe(runs, now_us)
            await self.if_alarmed()

    async def if_alarmed(self) -> None:
        """Look if the evidence is complete; the order is held."""
        if not self._turns.engine.alarmed:
            return
        fresh = standing(self._turns.engine) != self._turns.fired
        if fresh or self._clock.now_us() - self._turns.looked_us >= ALARM_PAUSE_US:
            if self._together is not None:
                self._together.fleet.due.set()  # whoever decides should hear of it now
            await self._look()

    async def _breaker_changed(self, message: link.BreakerChanged) -> None:
        variant = Variant(message.variant)
        self._senses.snapshots.breaker(message.worker, variant, message.state)
        whose = f"Worker {message.worker}"
        if self._together is not None:
            whose = f"Replica {self._together.fleet.identity.name}, worker {message.worker}"
        async with self._order:
            await self._turns.note_event(
                "breaker.changed",
                f"{whose}'s circuit breaker for {variant.value} is {message.state}.",
                variant=variant.value,
                state=message.state,
                worker=message.worker,
            )
            await self._look()

    async def probed(self, result: ProbeResult) -> None:
        """Take in one answer of a system's `/health`; a change of it is looked at at once."""
        failures, came_back = self._senses.probed(result)
        if self._proving.probed(result):
            await self._mirror_changed("mirror.unproven", self._proving.doubt)
        if failures == self._turns.engine.plan.fairness.probe_failures or came_back:
            async with self._order:
                await self._look()

    async def worker_changed(self, change: WorkerChanged) -> None:
        """Take note of a worker that came, left or died."""
        if change.state is WorkerState.READY:
            self._senses.snapshots.worker_joined(change.worker, self._clock.now_us())
        else:
            self._senses.snapshots.worker_gone(change.worker)
        if change.unexpected:
            await self._turns.note_event(
                "worker.died",
                f"Worker {change.worker} died ({change.detail}); it is being replaced.",
                worker=change.worker,
            )

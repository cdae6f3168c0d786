"""
Actions that take time (stopping a running sync, telling people): started, and not waited for.

Stopping the canary's sync is tried a few times, because the system that is to stop is the one in
trouble; how it ended is told as an event.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from gateway.core import rollout
from gateway.core.model import Variant
from gateway.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.ports import Probe

_PAUSES_S: Final = (0.5, 2.0)

_log = structlog.get_logger("actions")


class Actions:
    """Carries out what a step asks of the world."""

    def __init__(
        self,
        *,
        probe: Probe,
        moved: Callable[[rollout.State], None],
        pauses_s: tuple[float, ...] = _PAUSES_S,
    ) -> None:
        self._probe = probe
        self._moved = moved
        self._pauses_s = pauses_s
        self._running: set[asyncio.Task[None]] = set()
        self.tell: Callable[[str, str], Awaitable[None]] | None = None

    def carry_out(self, action: rollout.Action, state: rollout.State) -> None:
        """Start what the action asks; routing and audit are the turn's own."""
        match action:
            case rollout.StopCanarySync():
                task = asyncio.create_task(self._stop_canary_sync())
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            case rollout.Notify():
                # What is told follows from the state itself: a notice in passing could be lost.
                self._moved(state)
            case _:
                """Published and put on record by the turn."""

    async def _stop_canary_sync(self) -> None:
        reason = ""
        for pause_s in (0.0, *self._pauses_s):
            await asyncio.sleep(pause_s)
            try:
                await self._probe.stop_sync(Variant.CANARY)
            except UnreachableError as error:
                reason = error.message
            else:
                await self._say("canary_sync.stopped", "The sync of new was stopped.")
                return
        await self._say(
            "canary_sync.not_stopped",
            f"The sync of new could not be stopped ({reason}); stop its process if it still runs.",
        )

    async def _say(self, kind: str, text: str) -> None:
        _log.info(kind, text=text)
        if self.tell is not None:
            await self.tell(kind, text)

    async def finish(self, *, within_s: float) -> None:
        """Give what is under way a moment to end."""
        if self._running:
            await asyncio.wait(self._running, timeout=within_s)
        for task in self._running:
            task.cancel()

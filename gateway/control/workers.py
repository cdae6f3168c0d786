"""
The data-plane processes: started, listened to, replaced, drained.

Each slot keeps one worker alive. A worker that dies is replaced after a growing pause; a rolling
restart starts the new worker on the same inherited socket and only then asks the old one to drain,
so the port is never without somebody who accepts. Worker numbers are never used twice, so that a
late word of an old worker cannot be taken for its successor's. A worker whose parent is gone sees
its link close and dies; the kernel kills it in any case (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Final

import structlog

from gateway.control.worker_process import Command, WorkerChanged, WorkerProcess
from gateway.errors import WorkerFailedError
from gateway.link import BreakerChanged, Routing, ShareAsks, ShareGrants
from gateway.ports import WorkerState

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from gateway.control.worker_process import WorkerMessage
    from gateway.ports import WorkerView

SILENCE_S: Final = 20.0
"""A worker reports every second; one that says nothing for so long hangs and is replaced."""
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 10.0
_STEADY_AFTER_S: Final = 30.0
_QUEUE: Final = 10_000

_log = structlog.get_logger("workers")


@dataclass(slots=True, eq=False)
class _Slot:
    """A place that one living worker should always fill."""

    worker: WorkerProcess | None = None
    restarts: int = 0
    leaving: set[WorkerProcess] = field(default_factory=set)
    keeper: asyncio.Task[None] | None = None
    replaced: asyncio.Event = field(default_factory=asyncio.Event)
    filling: asyncio.Lock = field(default_factory=asyncio.Lock)


class WorkerPool:
    """Worker processes that share one listening socket."""

    def __init__(
        self,
        listener: socket.socket,
        *,
        workers: int,
        command: Sequence[str],
        environment: Mapping[str, str],
        drain_timeout_s: float,
        roll_timeout_s: float,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._command = Command(tuple(command), dict(environment), listener)
        self._drain_timeout_s = drain_timeout_s
        self._roll_timeout_s = roll_timeout_s
        self._silence_s = silence_s
        self._slots = [_Slot() for _ in range(workers)]
        self._numbers = count(1)
        self._routing: Routing | None = None
        self._shares: ShareGrants | None = None
        self.on_shares: Callable[[ShareAsks | BreakerChanged], None] | None = None
        """Told what concerns limits and probes that hold over a fleet."""
        self._queue: asyncio.Queue[WorkerMessage] = asyncio.Queue(_QUEUE)
        self._stopping = False
        self._rolling: asyncio.Task[None] | None = None
        self._seeing_off: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start every slot; WorkerFailedError if one cannot serve."""
        try:
            for slot in self._slots:
                slot.worker = await self._spawn()
        except BaseException:
            await self.kill()
            raise
        for slot in self._slots:
            slot.keeper = asyncio.create_task(self._keep(slot))

    def publish(self, routing: Routing) -> None:
        """Send the routing to every worker, present and future; never waits."""
        self._routing = routing
        for worker in self._everyone():
            worker.say(routing, whatever_waits=True)

    def share(self, grants: ShareGrants) -> None:
        """Tell every worker, present and future, how many share the budgets; never waits."""
        self._shares = grants
        for worker in self._everyone():
            worker.say(grants)

    def send_to(self, number: int, grants: ShareGrants) -> None:
        """Answer one worker, if it is still there; never waits."""
        for worker in self._everyone():
            if worker.number == number:
                worker.say(grants)

    async def messages(self) -> AsyncIterator[WorkerMessage]:
        """Yield what the workers say and what becomes of them, in order."""
        while True:
            yield await self._queue.get()

    def view(self) -> tuple[WorkerView, ...]:
        """Show the workers as they stand now."""
        return tuple(
            worker.view(restarts=slot.restarts)
            for slot in self._slots
            for worker in (*((slot.worker,) if slot.worker else ()), *slot.leaving)
        )

    async def roll(self) -> None:
        """Replace every worker by a new one, one after the other, losing nothing."""
        if self._rolling is None or self._rolling.done():
            self._rolling = asyncio.create_task(self._roll())
        await asyncio.wait({self._rolling})
        if not self._rolling.cancelled():
            self._rolling.result()

    async def _roll(self) -> None:
        for slot in self._slots:
            async with slot.filling:
                successor = await self._spawn()
                old, slot.worker = slot.worker, successor
                slot.replaced.set()
            if old is not None:
                slot.leaving.add(old)
                self._seeing_off.add(asyncio.create_task(self._see_off(slot, old)))
        while self._seeing_off:
            done, self._seeing_off = await asyncio.wait(self._seeing_off)
            for task in done:
                task.result()

    async def _see_off(self, slot: _Slot, worker: WorkerProcess) -> None:
        """Let a worker that was replaced finish even what takes long."""
        await self._let_go(worker, signal.SIGUSR1, within_s=self._roll_timeout_s)
        slot.leaving.discard(worker)

    async def expect_the_end(self) -> None:
        """Replace nobody any more: a signal to the whole group may end workers before we do."""
        self._stopping = True
        await self._stop_keepers()

    async def drain(self) -> None:
        """Ask all to finish and leave; the port closes at once, what was accepted is answered."""
        await self.expect_the_end()
        self._command.listener.close()
        await asyncio.gather(
            *(
                self._let_go(worker, signal.SIGTERM, within_s=self._drain_timeout_s)
                for worker in self._everyone()
            )
        )

    async def kill(self) -> None:
        """End all workers without ceremony (the start failed)."""
        await self.expect_the_end()
        for worker in self._everyone():
            if worker.listening is not None:
                worker.listening.cancel()  # nobody takes its words any more
            await worker.bury(force=True)

    def _everyone(self) -> list[WorkerProcess]:
        present = [slot.worker for slot in self._slots if slot.worker is not None]
        return present + [worker for slot in self._slots for worker in slot.leaving]

    async def _stop_keepers(self) -> None:
        keepers = (slot.keeper for slot in self._slots)
        busy = [task for task in (self._rolling, *keepers, *self._seeing_off) if task]
        for task in busy:
            task.cancel()
        if busy:
            await asyncio.wait(busy)

    async def _keep(self, slot: _Slot) -> None:
        """Keep the slot filled until the pool stops."""
        pause_s = _FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while True:
            born = loop.time()
            worker = slot.worker
            if worker is None or not await self._died_unasked(slot, worker):
                continue
            slot.restarts += 1
            await worker.bury(force=False)
            # What it said last stands before its end: a later word would be nobody's.
            await self._queue.put(worker.death())
            if loop.time() - born > _STEADY_AFTER_S:
                pause_s = _FIRST_PAUSE_S
            if slot.worker is worker:  # a rolling restart may have been faster
                slot.worker = None
            while slot.worker is None:
                await asyncio.sleep(pause_s)
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
                try:
                    async with slot.filling:
                        if slot.worker is None:  # a rolling restart may have been faster
                            slot.worker = await self._spawn()
                except WorkerFailedError as error:
                    _log.error("worker_restart_failed", reason=str(error), next_try_s=pause_s)

    async def _died_unasked(self, slot: _Slot, worker: WorkerProcess) -> bool:
        """Wait until the worker ends or is replaced; True if it ended by itself."""
        died = asyncio.create_task(worker.process.wait())
        replaced = asyncio.create_task(slot.replaced.wait())
        try:
            while not died.done() and not replaced.done():
                await asyncio.wait(
                    {died, replaced},
                    timeout=self._silence_s / 4,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                worker.end_if_silent(self._silence_s)
        finally:
            for task in (died, replaced):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        if slot.replaced.is_set():
            slot.replaced.clear()
            return False
        worker.state = WorkerState.DEAD
        how = worker.death().detail
        _log.error("worker_died", worker=worker.number, pid=worker.process.pid, how=how)
        return True

    async def _spawn(self) -> WorkerProcess:
        """Start one worker and wait until it listens."""
        worker = await WorkerProcess.begin(next(self._numbers), self._command, self._hear)
        if self._routing is not None:
            worker.say(self._routing)
        if self._shares is not None:
            worker.say(self._shares)
        await worker.serves()
        return worker

    async def _hear(self, message: WorkerMessage) -> None:
        if self.on_shares is not None and isinstance(message, ShareAsks | BreakerChanged):
            self.on_shares(message)
        if not isinstance(message, ShareAsks):
            await self._queue.put(message)

    async def _let_go(self, worker: WorkerProcess, how: signal.Signals, *, within_s: float) -> None:
        await worker.let_go(how, within_s=within_s)
        if not self._stopping:
            await self._queue.put(WorkerChanged(worker.number, WorkerState.LEFT, "drained"))

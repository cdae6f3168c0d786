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
import socket
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Final

import structlog

from gateway.errors import WorkerFailedError
from gateway.link import (
    MAX_LINE_BYTES,
    Applied,
    BreakerChanged,
    Drained,
    Hello,
    Message,
    Report,
    Routing,
    ShareAsks,
    ShareGrants,
    decode,
    encode,
)
from gateway.ports import WorkerState, WorkerView

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

START_DEADLINE_S: Final = 30.0
SILENCE_S: Final = 20.0
"""A worker reports every second; one that says nothing for so long hangs and is replaced."""
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 10.0
_STEADY_AFTER_S: Final = 30.0
_QUEUE: Final = 10_000

_log = structlog.get_logger("workers")


@dataclass(frozen=True, slots=True)
class WorkerChanged:
    """A worker became ready, died or left; `unexpected` if nobody asked it to."""

    worker: int
    state: WorkerState
    detail: str = ""
    unexpected: bool = False


WorkerMessage = Message | WorkerChanged


@dataclass(slots=True, eq=False)
class _Worker:
    """One process and its end of the link."""

    number: int
    process: Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    ready: asyncio.Future[None]
    state: WorkerState = WorkerState.STARTING
    routing_version: int = 0
    connections: int = 0
    in_flight: int = 0
    finished: int = 0
    heard_s: float = 0.0
    listening: asyncio.Task[None] | None = None


@dataclass(slots=True, eq=False)
class _Slot:
    """A place that one living worker should always fill."""

    worker: _Worker | None = None
    restarts: int = 0
    leaving: set[_Worker] = field(default_factory=set)
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
        self._listener = listener
        self._command = tuple(command)
        self._environment = dict(environment)
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
        line = encode(routing)
        for worker in self._everyone():
            if not worker.writer.is_closing():
                worker.writer.write(line)

    def share(self, grants: ShareGrants) -> None:
        """Tell every worker, present and future, how many share the budgets; never waits."""
        self._shares = grants
        for worker in self._everyone():
            self._write(worker, grants)

    def send_to(self, number: int, grants: ShareGrants) -> None:
        """Answer one worker, if it is still there; never waits."""
        for worker in self._everyone():
            if worker.number == number:
                self._write(worker, grants)

    @staticmethod
    def _write(worker: _Worker, message: Message) -> None:
        transport = worker.writer.transport
        # A worker that hangs is replaced; until then nothing piles up for it.
        if not transport.is_closing() and transport.get_write_buffer_size() < MAX_LINE_BYTES:
            worker.writer.write(encode(message))

    async def messages(self) -> AsyncIterator[WorkerMessage]:
        """Yield what the workers say and what becomes of them, in order."""
        while True:
            yield await self._queue.get()

    def view(self) -> tuple[WorkerView, ...]:
        """Show the workers as they stand now."""
        return tuple(
            WorkerView(
                worker=worker.number,
                pid=worker.process.pid,
                state=worker.state,
                routing_version=worker.routing_version,
                restarts=slot.restarts,
                connections=worker.connections,
                in_flight=worker.in_flight,
            )
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

    async def _see_off(self, slot: _Slot, worker: _Worker) -> None:
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
        self._listener.close()
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
            await self._bury(worker, force=True)

    def _everyone(self) -> list[_Worker]:
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
            await self._bury(worker, force=False)
            # What it said last stands before its end: a later word would be nobody's.
            await self._queue.put(_death(worker))
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

    async def _died_unasked(self, slot: _Slot, worker: _Worker) -> bool:
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
                self._end_if_silent(worker)
        finally:
            for task in (died, replaced):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        if slot.replaced.is_set():
            slot.replaced.clear()
            return False
        worker.state = WorkerState.DEAD
        how = _death(worker).detail
        _log.error("worker_died", worker=worker.number, pid=worker.process.pid, how=how)
        return True

    def _end_if_silent(self, worker: _Worker) -> None:
        silent_s = asyncio.get_running_loop().time() - worker.heard_s
        if silent_s > self._silence_s and worker.process.returncode is None:
            _log.error("worker_silent", worker=worker.number, silent_s=round(silent_s, 1))
            worker.process.kill()

    async def _spawn(self) -> _Worker:
        """Start one worker and wait until it listens."""
        number = next(self._numbers)
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                str(number),
                str(self._listener.fileno()),
                str(theirs.fileno()),
                env=self._environment,
                pass_fds=(self._listener.fileno(), theirs.fileno()),
                # Ctrl-C and a signal to our group are ours to pass on, in order.
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise WorkerFailedError(f"A worker process could not be started ({error}).") from error
        finally:
            theirs.close()
        ours.setblocking(False)  # noqa: FBT003 - the standard library's signature
        reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_LINE_BYTES)
        ready = asyncio.get_running_loop().create_future()
        worker = _Worker(number, process, reader, writer, ready)
        if self._routing is not None:
            writer.write(encode(self._routing))
        if self._shares is not None:
            writer.write(encode(self._shares))
        worker.listening = asyncio.create_task(self._listen(worker))
        try:
            # Not wait_for: it may swallow a cancellation when the worker fails at the same moment.
            await asyncio.wait({ready}, timeout=START_DEADLINE_S)
            if not ready.done():
                ready.set_exception(
                    WorkerFailedError(
                        f"Worker {number} was not ready within {START_DEADLINE_S:.0f} s.",
                        todo="Its output is in the log.",
                    )
                )
            ready.result()
        except BaseException:
            await self._bury(worker, force=True)
            raise
        return worker

    async def _listen(self, worker: _Worker) -> None:
        """Pass on what the worker says until its link closes."""
        while True:
            try:
                line = await worker.reader.readline()
                message = decode(line) if line else None
            except (OSError, ValueError) as error:
                _log.error("worker_link_broken", worker=worker.number, reason=str(error))
                with contextlib.suppress(ProcessLookupError):
                    worker.process.kill()
                break
            if message is None:
                break
            await self._note(worker, message)
            if self.on_shares is not None and isinstance(message, ShareAsks | BreakerChanged):
                self.on_shares(message)
            if not isinstance(message, ShareAsks):
                await self._queue.put(message)
        if not worker.ready.done():
            worker.ready.set_exception(
                WorkerFailedError(f"Worker {worker.number} ended before it listened.")
            )
            worker.ready.exception()

    async def _note(self, worker: _Worker, message: Message) -> None:
        worker.heard_s = asyncio.get_running_loop().time()
        if isinstance(message, Applied):
            worker.routing_version = message.version
        elif isinstance(message, Report):
            worker.routing_version = message.routing_version
            worker.connections = message.connections
            worker.in_flight = message.in_flight
        elif isinstance(message, Hello) and not worker.ready.done():
            if message.error is None:
                worker.state = WorkerState.READY
                worker.ready.set_result(None)
                _log.info("worker_ready", worker=worker.number, pid=worker.process.pid)
                await self._queue.put(WorkerChanged(worker.number, WorkerState.READY))
            else:
                worker.ready.set_exception(
                    WorkerFailedError(f"Worker {worker.number}: {message.error}")
                )
        elif isinstance(message, Drained):
            worker.finished = message.finished

    async def _let_go(self, worker: _Worker, how: signal.Signals, *, within_s: float) -> None:
        """Ask one worker to drain; after the deadline it is killed, and that is said."""
        worker.state = WorkerState.DRAINING
        with contextlib.suppress(ProcessLookupError):
            worker.process.send_signal(how)
        try:
            await asyncio.wait_for(worker.process.wait(), within_s + 5)
        except TimeoutError:
            _log.error("worker_would_not_drain", worker=worker.number, pid=worker.process.pid)
        await self._bury(worker, force=True)
        _log.info("worker_drained", worker=worker.number, finished=worker.finished)
        if not self._stopping:
            await self._queue.put(WorkerChanged(worker.number, WorkerState.LEFT, "drained"))

    async def _bury(self, worker: _Worker, *, force: bool) -> None:
        """Make sure the process is gone and every word it said was heard."""
        if force:
            with contextlib.suppress(ProcessLookupError):
                worker.process.kill()
        await worker.process.wait()
        if worker.listening is not None:
            await asyncio.wait({worker.listening})
        worker.writer.close()


def _death(worker: _Worker) -> WorkerChanged:
    code = worker.process.returncode
    detail = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    return WorkerChanged(worker.number, WorkerState.DEAD, detail, unexpected=True)

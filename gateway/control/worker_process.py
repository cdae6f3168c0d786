"""
One data-plane process, as its parent knows it: begun, listened to, asked to leave, buried.

A worker says `Hello` when it serves, then what happens, and its link closes when it ends; so an end
is known twice, by the process and by the link, and it is over when both are. Until then it may have
words that nobody has heard.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from gateway.errors import WorkerFailedError
from gateway.link import (
    MAX_LINE_BYTES,
    Applied,
    Drained,
    Hello,
    Message,
    Report,
    decode,
    encode,
)
from gateway.ports import WorkerState, WorkerView

if TYPE_CHECKING:
    import signal
    from asyncio.subprocess import Process
    from collections.abc import Awaitable, Callable, Mapping, Sequence

START_DEADLINE_S: Final = 30.0
_PATIENCE_S: Final = 5.0
"""A worker keeps its own deadline; beyond this it is ended."""

_log = structlog.get_logger("workers")


@dataclass(frozen=True, slots=True)
class WorkerChanged:
    """A worker became ready, died or left; `unexpected` if nobody asked it to."""

    worker: int
    state: WorkerState
    detail: str = ""
    unexpected: bool = False


WorkerMessage = Message | WorkerChanged


@dataclass(frozen=True, slots=True)
class Command:
    """How a worker is started: its program, what it may see, the socket it serves."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    listener: socket.socket


@dataclass(slots=True, eq=False)
class WorkerProcess:
    """See the module."""

    number: int
    process: Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    state: WorkerState = WorkerState.STARTING
    routing_version: int = 0
    connections: int = 0
    in_flight: int = 0
    finished: int = 0
    heard_s: float = 0.0
    ready: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    listening: asyncio.Task[None] | None = None

    @classmethod
    async def begin(
        cls, number: int, command: Command, hear: Callable[[WorkerMessage], Awaitable[None]]
    ) -> WorkerProcess:
        """Start the process; `hear` is told what it says. WorkerFailedError: it cannot be."""
        ours, theirs = socket.socketpair()
        listen_fd, link_fd = command.listener.fileno(), theirs.fileno()
        try:
            process = await asyncio.create_subprocess_exec(
                *command.argv,
                *map(str, (number, listen_fd, link_fd)),
                env=command.environment,
                pass_fds=(listen_fd, link_fd),
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
        worker = cls(number, process, reader, writer)
        worker.listening = asyncio.create_task(worker._listen(hear))
        return worker

    async def serves(self) -> None:
        """Wait until it says so; a WorkerFailedError when it will not, and then it is gone."""
        try:
            # Not wait_for: it may swallow a cancellation when the worker fails at the same moment.
            await asyncio.wait({self.ready}, timeout=START_DEADLINE_S)
            if not self.ready.done():
                self.ready.set_exception(
                    WorkerFailedError(
                        f"Worker {self.number} was not ready within {START_DEADLINE_S:.0f} s.",
                        todo="Its output is in the log.",
                    )
                )
            self.ready.result()
        except BaseException:
            await self.bury(force=True)
            raise

    def say(self, message: Message, *, whatever_waits: bool = False) -> None:
        """Send it a message; never waits. What does not fit is only sent `whatever_waits`."""
        transport = self.writer.transport
        # A worker that hangs is replaced; until then nothing piles up for it.
        room = whatever_waits or transport.get_write_buffer_size() < MAX_LINE_BYTES
        if room and not transport.is_closing():
            self.writer.write(encode(message))

    async def _listen(self, hear: Callable[[WorkerMessage], Awaitable[None]]) -> None:
        """Pass on what it says until its link closes."""
        while True:
            try:
                line = await self.reader.readline()
                message = decode(line) if line else None
            except (OSError, ValueError) as error:
                _log.error("worker_link_broken", worker=self.number, reason=str(error))
                with contextlib.suppress(ProcessLookupError):
                    self.process.kill()
                break
            if message is None:
                break
            if self._note(message):
                await hear(WorkerChanged(self.number, WorkerState.READY))
            await hear(message)
        if not self.ready.done():
            self.ready.set_exception(
                WorkerFailedError(f"Worker {self.number} ended before it listened.")
            )
            self.ready.exception()

    def _note(self, message: Message) -> bool:
        """Remember what is shown of it; tell whether it has just become ready."""
        self.heard_s = asyncio.get_running_loop().time()
        if isinstance(message, Applied):
            self.routing_version = message.version
        elif isinstance(message, Report):
            self.routing_version = message.routing_version
            self.connections = message.connections
            self.in_flight = message.in_flight
        elif isinstance(message, Drained):
            self.finished = message.finished
        elif isinstance(message, Hello) and not self.ready.done():
            return self._greeted(message)
        return False

    def _greeted(self, hello: Hello) -> bool:
        if hello.error is not None:
            self.ready.set_exception(WorkerFailedError(f"Worker {self.number}: {hello.error}"))
            return False
        self.state = WorkerState.READY
        self.ready.set_result(None)
        _log.info("worker_ready", worker=self.number, pid=self.process.pid)
        return True

    def end_if_silent(self, silence_s: float) -> None:
        """End a process that lives and says nothing."""
        silent_s = asyncio.get_running_loop().time() - self.heard_s
        if silent_s > silence_s and self.process.returncode is None:
            _log.error("worker_silent", worker=self.number, silent_s=round(silent_s, 1))
            self.process.kill()

    async def let_go(self, how: signal.Signals, *, within_s: float) -> None:
        """Ask it to drain; after the deadline it is killed, and that is said."""
        self.state = WorkerState.DRAINING
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(how)
        try:
            await asyncio.wait_for(self.process.wait(), within_s + _PATIENCE_S)
        except TimeoutError:
            _log.error("worker_would_not_drain", worker=self.number, pid=self.process.pid)
        await self.bury(force=True)
        _log.info("worker_drained", worker=self.number, finished=self.finished)

    async def bury(self, *, force: bool) -> None:
        """Make sure that the process is gone and every word it said was heard."""
        if force:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
        await self.process.wait()
        if self.listening is not None:
            await asyncio.wait({self.listening})
        self.writer.close()

    def death(self) -> WorkerChanged:
        """Say how it ended by itself."""
        code = self.process.returncode
        detail = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return WorkerChanged(self.number, WorkerState.DEAD, detail, unexpected=True)

    def view(self, *, restarts: int) -> WorkerView:
        """Show it as it stands now, in a slot that was filled so often."""
        return WorkerView(
            worker=self.number,
            pid=self.process.pid,
            state=self.state,
            routing_version=self.routing_version,
            restarts=restarts,
            connections=self.connections,
            in_flight=self.in_flight,
        )

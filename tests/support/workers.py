"""Real worker processes, with the test as their parent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.link import Drained, Hello, Message, Report, decode, encode
from gateway.proxy.worker import SETTINGS_VARIABLE
from tests.support.shared import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.link import Routing
    from gateway.proxy.configuration import DataPlaneSettings


@dataclass
class WorkerProcess:
    """One worker: `said` grows with what it sends over the link."""

    process: asyncio.subprocess.Process
    writer: asyncio.StreamWriter
    said: list[Message] = field(default_factory=list)
    listening: asyncio.Task[None] | None = None

    def heard(self, kind: type) -> list[Any]:
        """Every message of a kind so far."""
        return [message for message in self.said if isinstance(message, kind)]

    async def until(self, kind: type, count: int = 1) -> list[Any]:
        """Wait until that many messages of the kind have come."""
        async with asyncio.timeout(20):
            while len(self.heard(kind)) < count:
                await asyncio.sleep(0.005)
        return self.heard(kind)

    async def route(self, routing: Routing) -> None:
        """Send a routing and wait until the worker says it routes by it."""
        self.writer.write(encode(routing))
        async with asyncio.timeout(20):
            while not any(r.routing_version == routing.version for r in self.heard(Report)):
                await asyncio.sleep(0.005)

    async def leave(self) -> Drained:
        """Ask it to drain, and wait until it is gone."""
        self.process.terminate()
        async with asyncio.timeout(30):
            assert await self.process.wait() == 0
        (last,) = await self.until(Drained)
        return last


@dataclass
class Fleet:
    """A listening socket and the workers on it."""

    listener: socket.socket
    settings: DataPlaneSettings
    routing: Routing
    workers: list[WorkerProcess] = field(default_factory=list)
    descriptors: int | None = None
    started: int = 0

    @property
    def port(self) -> int:
        """Where clients call."""
        return int(self.listener.getsockname()[1])

    async def start(self) -> WorkerProcess:
        """Start one more worker and wait until it listens."""
        ours, theirs = socket.socketpair()
        fds = (self.listener.fileno(), theirs.fileno())
        most = self.descriptors

        def limit() -> None:
            if most is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.proxy.worker", str(self.started),
            *map(str, fds),
            pass_fds=fds, cwd=ROOT, preexec_fn=limit,
            env={**os.environ, SETTINGS_VARIABLE: self.settings.to_json()},
        )  # fmt: skip
        self.started += 1
        theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours, limit=2**24)
        worker = WorkerProcess(process, writer)
        writer.write(encode(self.routing))

        async def listen() -> None:
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                while line := await reader.readline():
                    worker.said.append(decode(line))

        worker.listening = asyncio.create_task(listen())
        self.workers.append(worker)
        await worker.until(Hello)
        return worker


@contextlib.asynccontextmanager
async def fleet(
    settings: DataPlaneSettings, routing: Routing, *, descriptors: int | None = None
) -> AsyncIterator[Fleet]:
    """Own a listening socket; whatever was started on it ends with the test."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    made = Fleet(listener, settings, routing, descriptors=descriptors)
    try:
        yield made
    finally:
        for worker in made.workers:
            if worker.process.returncode is None:
                worker.process.kill()
                await worker.process.wait()
            if worker.listening is not None:
                worker.listening.cancel()
            worker.writer.close()
        listener.close()

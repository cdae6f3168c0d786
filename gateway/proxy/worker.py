"""
The worker process: uvicorn's server, our protocol, one inherited socket, one link to the parent.

A worker is started with two inherited file descriptors: the listening socket of the data port and
its end of the socketpair. It says `Hello` when it listens, routes by the last `Routing` it was sent
(until the first one everything goes to the baseline), and leaves when it gets SIGTERM or SIGUSR1
(drained, then `Drained`) or when the link closes (the parent is gone).

    python -m gateway.proxy.worker NUMBER LISTEN_FD LINK_FD  # settings as JSON in SYNCGATE_WORKER

**Leaving.** The listening socket is shared, so closing our copy of it resets nobody: connections
waiting in its queue are taken by another worker. Connections we have are told to close with their
next answer; those that stay silent for a moment are closed; requests under way finish. At SIGTERM
the gateway ends, which has its own deadline; at SIGUSR1 another worker has taken over, and nothing
that is allowed to take long is cut short.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import importlib
import math
import os
import resource
import signal
import socket
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

import uvicorn

from gateway.proxy.configuration import MEBIBYTE, DataPlaneSettings
from gateway.proxy.keyed import KeyedWrites
from gateway.proxy.plane import Plane
from gateway.proxy.protocol import factory
from gateway.proxy.reporter import Reporter
from gateway.proxy.tracing import Tracing

if TYPE_CHECKING:
    from types import FrameType

    from gateway.ports.keys import KeyStore
    from gateway.ports.spans import SpanExporter

SETTINGS_VARIABLE: Final = "SYNCGATE_WORKER"
_TICK_S: Final = 0.1
_PR_SET_PDEATHSIG: Final = 1
_M_TRIM_THRESHOLD: Final = -1
_M_TOP_PAD: Final = -2
_PARENT_GONE: Final = 3
_KEPT_DESCRIPTORS: Final = 64
_FEWEST_CONNECTIONS: Final = 64
_OF_WHICH_REFUSED: Final = 16
_GC_THRESHOLDS: Final = (50_000, 20, 100)


async def _no_application(_scope: Any, _receive: Any, _send: Any) -> None:
    """Stand in for the ASGI application, which uvicorn asks for and our protocol never calls."""


class DataServer(uvicorn.Server):
    """uvicorn's server with a drain of our own before its shutdown."""

    def __init__(self, config: uvicorn.Config, plane: Plane) -> None:
        super().__init__(config)
        self.plane = plane
        self.give_up_s = math.inf

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to leave; Ctrl-C reaches the whole group, and there the parent decides."""
        del frame
        if sig != signal.SIGINT:
            self.leave(self.plane.settings.drain_timeout_ms)

    def take_time(self) -> None:
        """Begin to leave with time for all that is under way: another worker has taken over."""
        settings = self.plane.settings
        self.leave(max(settings.sync_timeout_ms, settings.drain_timeout_ms))

    def leave(self, within_ms: int) -> None:
        """Begin to leave; what is under way then is cut off, unless an earlier word said sooner."""
        self.plane.begin_draining()
        self.give_up_s = min(self.give_up_s, self.plane.loop.time() + within_ms / 1000)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, let everything under way finish, close."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        await self.drain()

    async def drain(self) -> None:
        """Wait until the last connection is closed, at most as long as there is time."""
        plane, loop = self.plane, self.plane.loop
        quiet_s = loop.time() + plane.settings.drain_idle_ms / 1000
        while plane.connections and loop.time() < self.give_up_s:
            if loop.time() >= quiet_s:
                for connection in list(plane.connections):
                    connection.leave()
            await asyncio.sleep(_TICK_S / 2)
        while (plane.in_flight or plane.write_backs.busy) and loop.time() < self.give_up_s:  # noqa: ASYNC110 - counts, nothing to wait on
            await asyncio.sleep(_TICK_S / 2)
        await close(plane)


async def close(plane: Plane) -> None:
    """End what is still there, and let go of everything."""
    for connection in list(plane.connections):
        connection.transport.abort()
    for side in plane.sides:
        side.pool.close()
    plane.mirror.close()
    plane.write_backs.close()
    if plane.keyed is not None:
        plane.keyed.close()
    if plane.tracing is not None:
        await plane.loop.run_in_executor(None, plane.tracing.close)


async def _serve(
    settings: DataPlaneSettings, number: int, listener: socket.socket, link: socket.socket
) -> None:
    loop = asyncio.get_running_loop()
    plane = Plane(settings, loop, worker=number)
    if settings.key_store is not None:
        store: KeyStore = _named(settings.key_store)(settings.key_store_path)
        plane.keyed = KeyedWrites(plane, store)
    if settings.span_exporter is not None:
        exporter: SpanExporter = _named(settings.span_exporter)(
            settings.span_endpoint, worker=number
        )
        plane.tracing = Tracing(exporter, share=settings.span_share, new_id=plane.request_id)
    config = uvicorn.Config(
        _no_application,
        http=cast("Any", factory(plane)),
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=settings.drain_timeout_ms // 1000,
    )
    server = DataServer(config, plane)
    reporter = Reporter(plane, on_close=lambda: os._exit(_PARENT_GONE))

    def tick() -> None:
        loop.call_later(_TICK_S, tick)  # first: after a fault there must be a next one
        plane.tick()
        reporter.tick()

    loop.add_signal_handler(signal.SIGUSR1, server.take_time)
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event
        await asyncio.sleep(0)
    await loop.create_connection(lambda: reporter, sock=link)
    loop.call_later(_TICK_S, tick)
    await serving
    reporter.on_close = lambda: None
    reporter.drained()
    if reporter.transport is not None:
        reporter.transport.close()
        await asyncio.sleep(_TICK_S)


def run_worker(settings: DataPlaneSettings, *, number: int, listen_fd: int, link_fd: int) -> int:
    """Serve until told to leave; return the exit code."""
    _die_with_parent()
    _keep_freed_memory()
    settings = _with_room(settings)
    listener = socket.socket(fileno=listen_fd)
    link = socket.socket(fileno=link_fd)
    link.settimeout(0)
    # What is imported stays, and requests leave no cycles: look for garbage rarely.
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    listener.settimeout(0)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, number, listener, link))
    return 0


def _named(class_path: str) -> Any:
    """Find a class that the composition root named: this process cannot know its class."""
    module, _, name = class_path.partition(":")
    return getattr(importlib.import_module(module), name)


def _with_room(settings: DataPlaneSettings) -> DataPlaneSettings:
    """Take all descriptors the system allows; refuse clients before there are none left.

    A worker without descriptors cannot even say no. Upstream connections, the mirror's and a few
    files have theirs kept free; the admin port is in another process.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    refused = min(settings.connections_refused, hard // _OF_WHICH_REFUSED)
    upstream = 2 * (settings.upstream_connections + settings.mirror_in_flight)
    allowed = max(_FEWEST_CONNECTIONS, hard - upstream - refused - _KEPT_DESCRIPTORS)
    connections = min(settings.connections or allowed, allowed)
    return replace(settings, connections=connections, connections_refused=refused)


def _loop_factory() -> Any:
    import uvloop  # noqa: PLC0415 - a worker's own choice, not that of who imports this module

    return uvloop.new_event_loop


def _die_with_parent() -> None:
    """Ask the kernel to end this process when the parent dies, however it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _keep_freed_memory() -> None:
    """Let glibc keep what bodies free: it gives the top back, and takes it again, all the time."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, 64 * MEBIBYTE)
        mallopt(_M_TOP_PAD, 16 * MEBIBYTE)


def main(arguments: list[str]) -> int:
    """Start a worker from the command line of a process that inherits the two descriptors."""
    number, listen_fd, link_fd = map(int, arguments)
    settings = DataPlaneSettings.from_json(os.environ.pop(SETTINGS_VARIABLE))
    return run_worker(settings, number=number, listen_fd=listen_fd, link_fd=link_fd)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

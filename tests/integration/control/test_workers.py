"""The worker pool with real processes: hanging, crashing and never starting."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from gateway.control.listener import listen
from gateway.control.workers import WorkerChanged, WorkerPool
from gateway.errors import WorkerFailedError
from gateway.proxy.configuration import DataPlaneSettings
from gateway.proxy.worker import SETTINGS_VARIABLE

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

WORKER = (sys.executable, "-m", "gateway.proxy.worker")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A free port."""
    listener = listen("127.0.0.1", 0, setting="GATEWAY_PORT")
    yield listener
    listener.close()


def pool(listener: socket.socket, command: tuple[str, ...] = WORKER, **limits: float) -> WorkerPool:
    """One worker's pool."""
    settings = DataPlaneSettings(
        old_url="http://127.0.0.1:1", new_url="http://127.0.0.1:1", drain_timeout_ms=500
    )
    return WorkerPool(
        listener,
        workers=1,
        command=command,
        environment={**os.environ, SETTINGS_VARIABLE: settings.to_json()},
        drain_timeout_s=0.5,
        **limits,
    )


async def _next_change(workers: WorkerPool, state: str) -> WorkerChanged:
    async for message in workers.messages():
        if isinstance(message, WorkerChanged) and message.state == state:
            return message
    raise AssertionError("the messages never end")


async def test_a_worker_that_hangs_is_replaced(listener: socket.socket) -> None:
    """A process that lives and says nothing is worse than a dead one: it is ended."""
    workers = pool(listener, silence_s=2.5)
    await workers.start()
    await _next_change(workers, "ready")
    [hanging] = workers.view()
    os.kill(hanging.pid, signal.SIGSTOP)
    died = await _next_change(workers, "dead")
    assert (died.worker, died.unexpected) == (hanging.worker, True)
    await _next_change(workers, "ready")
    while not (present := workers.view()):
        await asyncio.sleep(0)
    assert (present[0].state, present[0].restarts) == ("ready", 1)
    assert present[0].worker != hanging.worker
    await workers.drain()


@pytest.mark.parametrize(
    "command",
    [(sys.executable, "-c", "raise SystemExit(3)"), ("/nowhere/at/all",)],
    ids=["crashes", "missing"],
)
async def test_a_worker_that_cannot_start_stops_the_start(
    listener: socket.socket, command: tuple[str, ...]
) -> None:
    """It is said instead of retried for ever, and nothing is left behind."""
    workers = pool(listener, command)
    with pytest.raises(WorkerFailedError):
        await asyncio.wait_for(workers.start(), 20)
    assert all(worker.state != "ready" for worker in workers.view())


async def test_a_foreign_word_on_the_link_ends_the_worker(listener: socket.socket) -> None:
    """What speaks another language cannot be trusted with traffic."""
    script = (
        "import os, sys, time; n, l, fd, *_ = map(int, sys.argv[1:]);"
        'os.write(fd, b\'{"kind":"Hello","worker":%d,"pid":1}\\n\' % n);'
        'os.write(fd, b"rubbish\\n"); time.sleep(60)'
    )
    workers = pool(listener, (sys.executable, "-c", script))
    await workers.start()
    died = await _next_change(workers, "dead")
    assert died.unexpected
    await workers.kill()

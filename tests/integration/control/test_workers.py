"""The worker pool with real processes: hanging, crashing and never starting."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

from gateway.control.listener import listen
from gateway.control.worker_process import WorkerChanged
from gateway.control.workers import WorkerPool
from gateway.errors import WorkerFailedError
from gateway.link import BreakerChanged
from gateway.ports import WorkerState
from gateway.proxy.configuration import DataPlaneSettings
from gateway.proxy.worker import SETTINGS_VARIABLE
from tests.support.dataplane import OK, Received, RecordingUpstream

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


def pool(
    listener: socket.socket,
    command: tuple[str, ...] = WORKER,
    *,
    old: str = "http://127.0.0.1:1",
    **limits: float,
) -> WorkerPool:
    """One worker's pool."""
    settings = DataPlaneSettings(old_url=old, new_url="http://127.0.0.1:1", drain_timeout_ms=500)
    return WorkerPool(
        listener,
        workers=1,
        command=command,
        environment={**os.environ, SETTINGS_VARIABLE: settings.to_json()},
        drain_timeout_s=0.5,
        roll_timeout_s=30,
        **limits,
    )


async def _next_change(workers: WorkerPool, state: WorkerState) -> WorkerChanged:
    async for message in workers.messages():
        if isinstance(message, WorkerChanged) and message.state is state:
            return message
    raise AssertionError("the messages never end")


async def test_a_worker_that_hangs_is_replaced(listener: socket.socket) -> None:
    """A process that lives and says nothing is worse than a dead one: it is ended."""
    workers = pool(listener, silence_s=2.5)
    await workers.start()
    await _next_change(workers, WorkerState.READY)
    [hanging] = workers.view()
    os.kill(hanging.pid, signal.SIGSTOP)
    died = await _next_change(workers, WorkerState.DEAD)
    assert (died.worker, died.unexpected) == (hanging.worker, True)
    await _next_change(workers, WorkerState.READY)
    while not (present := workers.view()):
        await asyncio.sleep(0)
    assert (present[0].state, present[0].restarts) == (WorkerState.READY, 1)
    assert present[0].worker != hanging.worker
    await workers.drain()


async def ask(port: int) -> bytes:
    """One write on a connection of its own; all that came back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /api/property-listings/sync HTTP/1.1\r\nHost: g\r\nContent-Length: 0\r\n\r\n"
    )
    said = await reader.read()
    writer.close()
    return said


async def a_long_sync(received: list[float], _: Received) -> bytes:
    """An answer that takes longer than draining may."""
    received.append(0.0)
    await asyncio.sleep(2.5)
    return OK


async def test_a_roll_cuts_nothing_short(listener: socket.socket) -> None:
    """The worker that was replaced stays for its long request; the next one serves meanwhile."""
    received: list[float] = []
    async with RecordingUpstream(partial(a_long_sync, received)) as old:
        workers = pool(listener, old=old.url)
        await workers.start()
        port = listener.getsockname()[1]
        long = asyncio.create_task(ask(port))
        while not received:
            await asyncio.sleep(0.01)
        rolling = asyncio.create_task(workers.roll())
        assert (await long).startswith(b"HTTP/1.1 200 ")
        await rolling
        [successor] = workers.view()
        assert (successor.state, successor.worker) == (WorkerState.READY, 2)
        await workers.drain()


async def test_an_end_during_a_roll_has_its_own_deadline(listener: socket.socket) -> None:
    """Whoever was given time to finish is told anew, and goes with the others."""
    received: list[float] = []
    async with RecordingUpstream(partial(a_long_sync, received)) as old:
        workers = pool(listener, old=old.url)
        await workers.start()
        long = asyncio.create_task(ask(listener.getsockname()[1]))
        while not received:
            await asyncio.sleep(0.01)
        rolling = asyncio.create_task(workers.roll())
        await _next_change(workers, WorkerState.READY)
        await _next_change(workers, WorkerState.READY)
        await workers.drain()
        assert not (await long).startswith(b"HTTP/1.1 200 ")
        await asyncio.wait({rolling})


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
    assert all(not worker.ready for worker in workers.view())


async def test_a_foreign_word_on_the_link_ends_the_worker(listener: socket.socket) -> None:
    """What speaks another language cannot be trusted with traffic."""
    script = (
        "import os, sys, time; n, l, fd, *_ = map(int, sys.argv[1:]);"
        'os.write(fd, b\'{"kind":"Hello","worker":%d,"pid":1}\\n\' % n);'
        'os.write(fd, b"rubbish\\n"); time.sleep(60)'
    )
    workers = pool(listener, (sys.executable, "-c", script))
    await workers.start()
    died = await _next_change(workers, WorkerState.DEAD)
    assert died.unexpected
    await workers.kill()


LAST_WORDS = 300
CHATTERBOX = f"""
import os, sys
number, _, link, *_ = map(int, sys.argv[1:])
os.write(link, b'{{"kind":"Hello","worker":%d,"pid":1}}\\n' % number)
moved = b'{{"kind":"BreakerChanged","worker":%d,"at_us":1,"variant":"new","state":"open"}}\\n'
for _ in range({LAST_WORDS}):
    os.write(link, moved % number)
"""


async def test_a_death_is_told_after_the_last_words(listener: socket.socket) -> None:
    """Whoever hears of the end has heard everything: nothing of a dead worker comes later."""
    workers = pool(listener, (sys.executable, "-c", CHATTERBOX))
    workers._queue = asyncio.Queue(1)  # whoever listens is slower than the worker speaks
    starting = asyncio.create_task(workers.start())
    words = 0
    async with asyncio.timeout(20):
        async for message in workers.messages():
            if isinstance(message, BreakerChanged):
                words += message.worker == 1
            elif isinstance(message, WorkerChanged) and message.state is WorkerState.DEAD:
                break
            await asyncio.sleep(0.001)
    assert (message.worker, words) == (1, LAST_WORDS)
    await starting
    await workers.kill()


async def test_a_full_queue_loses_no_word(listener: socket.socket) -> None:
    """A listener that is late is waited for; the worker's line is not given up."""
    workers = pool(listener)
    filler = WorkerChanged(0, WorkerState.LEFT)
    workers._queue = asyncio.Queue(1)
    workers._queue.put_nowait(filler)
    await workers.start()
    messages = workers.messages()
    async with asyncio.timeout(10):
        heard = [await anext(messages) for _ in range(4)]
    kinds = [type(message).__name__ for message in heard]
    assert kinds == ["WorkerChanged", "WorkerChanged", "Hello", "Report"]
    await workers.kill()

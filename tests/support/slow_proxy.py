"""A TCP proxy that makes a server slow, deaf or absent without touching it."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

LOOPBACK = "127.0.0.1"


@dataclass(eq=False)
class SlowProxy:
    """Every chunk towards the client comes `delay_s` late; `lose_answers` swallows them."""

    port: int
    target: int
    delay_s: float = 0.0
    lose_answers: bool = False
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection both ways until either end closes."""
        try:
            onward_reader, onward = await asyncio.open_connection(LOOPBACK, self.target)
        except OSError:
            writer.close()
            return
        self.writers |= {writer, onward}
        up = asyncio.create_task(self._carry(reader, onward, late=False))
        down = asyncio.create_task(self._carry(onward_reader, writer, late=True))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (up, down):
                task.cancel()
            for one in (writer, onward):
                one.close()
            self.writers -= {writer, onward}

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, late: bool
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(65_536):
                if late:
                    await asyncio.sleep(self.delay_s)
                    if self.lose_answers:
                        continue
                writer.write(chunk)
                await writer.drain()

    def cut(self) -> None:
        """Break every connection that is open."""
        for writer in list(self.writers):
            writer.transport.abort()


@asynccontextmanager
async def slow_proxy(target: int) -> AsyncIterator[SlowProxy]:
    """A proxy in front of the port, on a port of its own."""
    proxy = SlowProxy(0, target)
    server = await asyncio.start_server(proxy.serve, LOOPBACK, 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()


class ProxyThread:
    """The same on a loop and in a thread of its own, for those who wait without a loop."""

    def __init__(self, proxy: SlowProxy, loop: asyncio.AbstractEventLoop) -> None:
        self._proxy = proxy
        self._loop = loop

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._proxy.port

    def delay(self, seconds: float) -> None:
        """Let every answer come so much later from now on."""
        self._proxy.delay_s = seconds

    def lead_to(self, target: int) -> None:
        """Carry new connections to another port, and break those that are open."""
        self._proxy.target = target
        self._loop.call_soon_threadsafe(self._proxy.cut)


@contextmanager
def proxy_thread(target: int) -> Iterator[ProxyThread]:
    """A `SlowProxy` in front of the port, in a thread."""
    made: list[ProxyThread] = []
    ready, over = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with slow_proxy(target) as proxy:
            made.append(ProxyThread(proxy, asyncio.get_running_loop()))
            ready.set()
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield made[0]
    finally:
        made[0]._loop.call_soon_threadsafe(over.set)
        thread.join()

"""A TCP proxy that makes a server slow, deaf or absent without touching it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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

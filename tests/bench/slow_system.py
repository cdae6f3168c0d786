"""
A system that answers every sync after so many milliseconds; it does nothing else.

    python -m tests.bench.slow_system MILLISECONDS  # prints its port
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\nSync-Dry-Run: applied\r\nContent-Length: 2048\r\n\r\n" + b"y" * 2048


class _Connection(asyncio.Protocol):
    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self.left = 0
        self.head = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if not self.left:
            self.head += data
            head, end, body = self.head.partition(b"\r\n\r\n")
            if not end:
                return
            self.head = b""
            self.left = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            data = body
        self.left -= len(data)
        if self.left <= 0 and self.transport is not None:
            asyncio.get_running_loop().call_later(self.delay_s, self.transport.write, ANSWER)


async def _serve(delay_s: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(delay_s), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - what the caller waits for
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]) / 1000))

"""
The connections to one upstream: last in, first out, so that the warmest is used and the rest age.

A call that finds no free connection waits its turn while a new one is opened, up to the limit; it
waits no longer than a connection may take to open. When all connections are taken and the queue has
not been empty for half that time, waiting helps nobody: more comes in than goes out, and everyone
would only be served late. From then on a call waits a tenth of a second at most, and then fails.

Connections rest for less time than any upstream keeps them, so a request does not ride one that is
being closed at the other end. A client's first request must not fail because a kept connection was
just being closed, so it uses none that has been idle for longer than `moment_us`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic_ns
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from gateway.proxy.remembered import Heads
from gateway.proxy.upstream import Failure, UpstreamConnection

if TYPE_CHECKING:
    from gateway.proxy.reading import Buffers
    from gateway.proxy.upstream import Call

_HTTP_PORT: Final = 80
_SHORT_PATIENCE_US: Final = 100_000


class Pool:
    """Keep-alive connections to one upstream."""

    def __init__(
        self,
        url: str,
        *,
        loop: asyncio.AbstractEventLoop,
        connections: int,
        connect_timeout_us: int,
        idle_us: int,
        moment_us: int,
        stall_us: int,
        max_answer_bytes: int,
        buffers: Buffers,
    ) -> None:
        self.url = url
        parts = urlsplit(url)
        self.host = parts.hostname or "127.0.0.1"
        self.port = parts.port or _HTTP_PORT
        self.host_line = b"Host: %b\r\n" % parts.netloc.encode()
        self.loop = loop
        self.connections = connections
        self.connect_timeout_us = connect_timeout_us
        self.idle_us = idle_us
        self.moment_us = moment_us
        self.stall_us = stall_us
        self.max_answer_bytes = max_answer_bytes
        self.buffers = buffers
        self.heads = Heads(max_answer_bytes)
        self.idle: list[UpstreamConnection] = []
        self.all: set[UpstreamConnection] = set()
        self.waiting: deque[tuple[int, Call]] = deque()
        self.waiting_since_us = 0
        self.cut_us = 0
        self.opening: set[asyncio.Task[None]] = set()
        self.closed = False

    def submit(self, call: Call, *, fresh: bool = False, first: bool = False) -> bool:
        """Send the call on a free connection, or as soon as there is one; tell if it is sent.

        `fresh` asks for a connection that is opened now, `first` for none that may be dying.
        """
        if self.idle and not fresh:
            connection = self.idle[-1]
            if not (first and self._rested(connection)):
                self.idle.pop().send(call)
                return True
        now_us = monotonic_ns() // 1000
        if not self.waiting:
            self.waiting_since_us = now_us
        self.waiting.append((now_us, call))
        if self.idle and len(self.all) + len(self.opening) >= self.connections:
            self.idle[0].close()  # the one at rest for longest makes room for a fresh one
        self._open_more()
        return False

    def _rested(self, connection: UpstreamConnection) -> bool:
        since_us = connection.idle_since_us  # 0 until the next look: that is a moment
        return since_us > 0 and monotonic_ns() // 1000 - since_us > self.moment_us

    def _open_more(self) -> None:
        wanted = len(self.waiting) - len(self.opening)
        allowed = self.connections - len(self.all) - len(self.opening)
        if wanted > 0 and allowed > 0:
            task = self.loop.create_task(self._open())
            self.opening.add(task)
            task.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self.opening.discard(task)
        self._open_more()

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(self.connect_timeout_us / 1e6):
                _, connection = await self.loop.create_connection(
                    lambda: UpstreamConnection(self), self.host, self.port
                )
        except TimeoutError:
            self._fail_oldest(Failure.CONNECT_TIMEOUT)
        except OSError:
            self._fail_oldest(Failure.REFUSED)
        else:
            self.all.add(connection)
            if self.closed:
                connection.close()
            elif not connection.transport.is_closing():
                self.free(connection)

    def _fail_oldest(self, failure: Failure) -> None:
        if self.waiting:
            self.waiting.popleft()[1].failed(failure, reused=False)

    def free(self, connection: UpstreamConnection) -> None:
        """Take a connection back, or give it to whoever has waited longest."""
        if self.waiting:
            connection.send(self.waiting.popleft()[1])
        else:
            connection.idle_since_us = 0
            self.idle.append(connection)

    def lost(self, connection: UpstreamConnection) -> None:
        """Forget a connection that is closed."""
        self.all.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)
        if self.waiting and not self.closed:
            self._open_more()

    def sweep(self, now_us: int) -> None:
        """End what took too long; called a few times a second."""
        for connection in list(self.all):
            if connection.call is None:
                if connection.idle_since_us == 0:
                    connection.idle_since_us = now_us
                elif now_us - connection.idle_since_us > self.idle_us:
                    connection.close()
            elif now_us >= connection.deadline_us:
                connection.expire()
        short = self._stands(now_us)
        patience_us = (
            min(_SHORT_PATIENCE_US, self.connect_timeout_us) if short else self.connect_timeout_us
        )
        while self.waiting and self.waiting[0][0] + patience_us <= now_us:
            if short:
                self.cut_us = now_us
            self._fail_oldest(Failure.SATURATED)

    def _stands(self, now_us: int) -> bool:
        """Tell whether the queue only makes everyone late, or did a moment ago; see the module."""
        if len(self.all) < self.connections:
            return False  # those are still being opened, which has its own deadline
        standing_us = self.connect_timeout_us // 2
        return now_us - self.waiting_since_us >= standing_us or now_us - self.cut_us < standing_us

    def close(self) -> None:
        """Close every connection that is at rest; one in use is left as it is."""
        self.closed = True
        for connection in list(self.idle):
            connection.close()

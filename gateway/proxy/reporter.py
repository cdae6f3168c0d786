"""
The worker's end of the link: routing comes in, what happened goes out.

A failed request is told at the end of the turn of the event loop in which it failed, so that a
burst of failures is one message; good news waits for the next second's report. Nothing on the
request path waits for the link: if the parent stops reading, reports are dropped (they are
cumulative or will be seen as missing), outcomes are kept up to a bound and counted beyond it.
"""

from __future__ import annotations

import asyncio
import os
from time import monotonic_ns
from typing import TYPE_CHECKING, Final, cast

from gateway.core.model import Outcome
from gateway.core.window import SILENT
from gateway.link import (
    MAX_LINE_BYTES,
    Applied,
    BreakerChanged,
    Drained,
    Hello,
    Outcomes,
    Report,
    Routing,
    ShadowDiffered,
    ShareGrants,
    WriteBackFailed,
    decode,
    encode,
)
from gateway.proxy.cells import OUTCOMES_DROPPED, render

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.core.window import VariantSecond
    from gateway.link import Message
    from gateway.proxy.plane import Plane, Side

_STUCK_BYTES: Final = 8 * 1024 * 1024
_MAX_RUNS: Final = 100_000
_ERROR: Final = int(Outcome.ERROR)


class Reporter(asyncio.Protocol):
    """See the module."""

    def __init__(self, plane: Plane, *, on_close: Callable[[], None]) -> None:
        self.plane = plane
        self.on_close = on_close
        self.transport: asyncio.Transport | None = None
        self.buffer = bytearray()
        self.runs: list[list[object]] = []
        self.flush_due = False
        self.second = 0
        self.dropped = 0
        """Outcomes that found no room: evidence that nobody will weigh."""
        plane.on_outcome = self.outcome
        plane.mirror.on_difference = self.difference
        plane.write_backs.tell = self.write_back_failed
        for side in plane.sides:
            side.on_change = self.breaker_changed

    # --- in ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say that we are here; the listening socket is already open."""
        self.transport = cast("asyncio.Transport", transport)
        self.send(Hello(worker=self.plane.worker, pid=os.getpid()))

    def data_received(self, data: bytes) -> None:
        """Take whole lines; a foreign one is skipped: an old worker may meet a newer parent."""
        self.buffer += data
        *lines, rest = self.buffer.split(b"\n")
        self.buffer = bytearray(rest)
        for line in lines:
            try:
                message = decode(bytes(line))
            except ValueError:
                continue
            if isinstance(message, Routing):
                self.plane.route(message)
                self.send(Applied(self.plane.worker, self.plane.routing.version))
            elif isinstance(message, ShareGrants) and self.plane.shared is not None:
                self.plane.shared.take(message, monotonic_ns() // 1000)
        if len(self.buffer) > MAX_LINE_BYTES:
            self.buffer.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        """End with the parent."""
        del exc
        self.transport = None
        self.on_close()

    # --- out ---

    def outcome(self, name: str, outcome: int) -> None:
        """Append to the runs; an error is told soon."""
        runs = self.runs
        if runs and runs[-1][1] == outcome and runs[-1][0] == name:
            runs[-1][2] += 1  # type: ignore[operator]  # a run is [name, outcome, count]
        elif len(runs) < _MAX_RUNS:
            runs.append([name, outcome, 1])
        else:
            self.dropped += 1
        if outcome == _ERROR and not self.flush_due:
            self.flush_due = True
            self.plane.loop.call_soon(self.flush)

    def flush(self) -> None:
        """Tell what happened since the last time, in order."""
        self.flush_due = False
        if self.runs and self._flowing():
            runs = tuple((str(name), int(o), int(n)) for name, o, n in self.runs)  # type: ignore[call-overload]  # as above
            self.runs.clear()
            self.send(Outcomes(worker=self.plane.worker, at_us=self._now_us(), runs=runs))

    def breaker_changed(self, side: Side) -> None:
        """Tell that a circuit breaker moved, after what moved it."""
        self.flush()
        self.send(
            BreakerChanged(
                worker=self.plane.worker, at_us=self._now_us(), variant=side.name,
                state=side.breaker.state.value,
            )
        )  # fmt: skip

    def difference(self, difference: ShadowDiffered) -> None:
        """Hand on two answers that differ, if the parent keeps reading."""
        if self._flowing():
            self.send(difference)
        else:
            self.plane.mirror.not_handed_on(control=difference.control)

    def write_back_failed(self, failure: WriteBackFailed) -> bool:
        """Tell of a write-back that failed; False if the parent does not read just now."""
        if not self._flowing():
            return False
        self.send(failure)
        return True

    def tick(self) -> None:
        """Ask for shares that run short; report the last second when it is over."""
        shared = self.plane.shared
        if shared is not None and (asks := shared.asks(self.plane.worker, monotonic_ns() // 1000)):
            self.send(asks)
        second = self._now_us() // 1_000_000
        if second == self.second:
            return
        self.second = second
        self.flush()
        self.report(self._now_us())

    def report(self, now_us: int) -> None:
        """Send every finished second, one `Report` each; the newest carries the figures."""
        finished: dict[int, dict[str, VariantSecond]] = {}
        copies: dict[int, dict[str, VariantSecond]] = {}
        for side in self.plane.sides:
            for second, counts in side.recorder.take(now_us):
                side.recent.append(counts)
                finished.setdefault(second, {})[side.name] = counts
            for second, counts in side.shadows.take(now_us):
                if counts != SILENT:
                    copies.setdefault(second, {})[side.name] = counts
        if not self._flowing():
            return
        plane = self.plane
        # Without a finished second there is no report that could carry them yet.
        exemplars = plane.tracing.exemplars() if finished and plane.tracing else {}
        mirror, write_backs = plane.mirror.counts(), plane.write_backs.counts()
        for second in sorted(finished):
            self.send(
                Report(
                    worker=plane.worker,
                    second=second,
                    routing_version=plane.routing.version,
                    variants=finished[second],
                    copies=copies.get(second, {}),
                    breakers={side.name: side.breaker.state.value for side in plane.sides},
                    cells={**render(plane, mirror, write_backs), OUTCOMES_DROPPED: self.dropped},
                    connections=len(plane.connections),
                    in_flight=plane.in_flight,
                    exemplars=exemplars,
                    mirror=mirror,
                    write_backs=write_backs,
                )
            )

    def drained(self) -> None:
        """Say the last word."""
        self.flush()
        self.report(self._now_us() + 1_000_000)
        self.send(Drained(worker=self.plane.worker, finished=self.plane.drained))

    def send(self, message: Message) -> None:
        """Write one line; never waits."""
        if self.transport is not None:
            self.transport.write(encode(message))

    def _flowing(self) -> bool:
        return self.transport is not None and (
            self.transport.get_write_buffer_size() < _STUCK_BYTES
        )

    def _now_us(self) -> int:
        return monotonic_ns() // 1000 + self.plane.epoch_us

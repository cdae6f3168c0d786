"""
Spans of sampled requests: kept in a bounded ring, exported by a thread of its own.

A request whose client sampled it (`traceparent`, W3C) is traced as the client's child; of those
without a trace, a share begins one. The system behind is told the gateway's span as its parent.
Requests that are not sampled pay one comparison; those that are, a tuple. Nothing waits for the
exporter: what a slow or dead collector leaves in the ring is overwritten, and counted.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from gateway.core.model import WEIGHT_ALL, Variant, Weight
from gateway.core.splitter import turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.ports.spans import Span, SpanExporter

_RING: Final = 2_048
_EVERY_S: Final = 1.0
_CLOSING_S: Final = 2.0
_SAMPLED: Final = 0x01
_CANARY: Final = Variant.CANARY


class Tracing:
    """The spans of one worker. `begin` and `end` are of the request path."""

    def __init__(
        self, exporter: SpanExporter, *, share: float, new_id: Callable[[], bytes]
    ) -> None:
        self.exporter = exporter
        self.share = Weight(round(share * WEIGHT_ALL))
        self.new_id = new_id
        self.ring: deque[Span] = deque(maxlen=_RING)
        self.newest: dict[str, Span] = {}
        self.kept = 0
        self.exported = 0
        self.failed = 0
        self._carried = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def begin(self, traceparent: bytes, *, own: bool) -> tuple[bytes, bytes, bytes | None] | None:
        """Give (trace, span, parent) of a request that is sampled, else None.

        `own` says that the trace begins here: then its share decides, else the client's flag.
        """
        if not own:
            if not int(traceparent[53:55], 16) & _SAMPLED:
                return None
            return traceparent[3:35], self.new_id()[16:], traceparent[36:52]
        chosen, self._carried = turn(self._carried, self.share)
        return (traceparent[3:35], traceparent[36:52], None) if chosen is _CANARY else None

    def end(self, span: Span) -> None:
        """Keep a finished span until the next export."""
        self.kept += 1
        self.ring.append(span)
        self.newest[span.system] = span

    def exemplars(self) -> dict[str, tuple[str, int, int]]:
        """Give the newest span per system since the last time, as a report carries it."""
        newest, self.newest = self.newest, {}
        return {
            system: (
                span.trace_id.decode(),
                (span.end_ns - span.start_ns) // 1000,
                span.end_ns // 1000,
            )
            for system, span in newest.items()
        }

    def cells(self) -> dict[str, float]:
        """Count what became of the spans; those overwritten in the ring are dropped."""
        dropped = max(0, self.kept - self.exported - self.failed - len(self.ring))
        return {
            'syncgate_spans_total{result="exported"}': self.exported,
            'syncgate_spans_total{result="failed"}': self.failed,
            'syncgate_spans_total{result="dropped"}': dropped,
        }

    def close(self) -> None:
        """Export what is there, within two seconds; blocks."""
        self._stop.set()
        self._thread.join(_CLOSING_S)
        self.exporter.close()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stop.wait(_EVERY_S)
            spans = [self.ring.popleft() for _ in range(len(self.ring))]
            if not spans:
                continue
            if self.exporter.export(spans):
                self.exported += len(spans)
            else:
                self.failed += len(spans)

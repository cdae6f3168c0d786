"""What tracing hands on: one span per sampled request, and who takes it to a collector."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Span(NamedTuple):
    """One request through the gateway; ids as hexadecimal digits, times as Unix nanoseconds."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes | None
    start_ns: int
    end_ns: int
    method: bytes
    path: bytes
    system: str
    status: int
    request_id: bytes


class SpanExporter(Protocol):
    """Who hands spans to a collector; blocks, and may take as long as it likes."""

    def export(self, spans: Sequence[Span]) -> bool:
        """Hand on; False if the collector did not take them."""
        ...

    def close(self) -> None:
        """Give up what is under way."""
        ...

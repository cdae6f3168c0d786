"""
Spans to an OpenTelemetry collector by OTLP/HTTP; needs the extra `syncgate[otel]`.

Runs on the tracing thread of a worker. Headers, certificates and compression are read from the
standard `OTEL_EXPORTER_OTLP_*` variables by the exporter itself.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.ports.spans import Span

_TIMEOUT_S: Final = 5.0
_SERVER_ERROR: Final = 500
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class OtlpSpans:
    """A `SpanExporter` of the data plane for one collector."""

    def __init__(self, endpoint: str, *, worker: int) -> None:
        # What the collector does not take is counted; a log line a second would add nothing.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._exporter = OTLPSpanExporter(endpoint=endpoint, timeout=_TIMEOUT_S)
        self._resource = Resource.create(
            {"service.name": "syncgate", "service.instance.id": f"worker-{worker}"}
        )
        self._scope = InstrumentationScope("syncgate.proxy")

    def export(self, spans: Sequence[Span]) -> bool:
        """Send one batch; False if it was not taken within five seconds."""
        return (
            self._exporter.export([self._readable(span) for span in spans])
            is SpanExportResult.SUCCESS
        )

    def close(self) -> None:
        """Give up what is under way."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # the library's

    def _readable(self, span: Span) -> ReadableSpan:
        failed = span.status >= _SERVER_ERROR
        attributes: dict[str, str | int] = {
            "http.request.method": span.method.decode(),
            "url.path": span.path.decode("latin-1"),
            "http.response.status_code": span.status,
            "syncgate.system": span.system,
            "syncgate.request_id": span.request_id.decode("latin-1"),
        }
        if failed:
            attributes["error.type"] = str(span.status)
        return ReadableSpan(
            name=span.method.decode(),
            context=_context(span.trace_id, span.span_id, is_remote=False),
            parent=_context(span.trace_id, span.parent_id, is_remote=True)
            if span.parent_id is not None
            else None,
            resource=self._resource,
            attributes=attributes,
            kind=SpanKind.SERVER,
            status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=self._scope,
        )


def _context(trace_id: bytes, span_id: bytes, *, is_remote: bool) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote, _SAMPLED)

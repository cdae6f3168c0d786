"""Spans of sampled requests, as a real OTLP/HTTP collector receives them."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from gateway.link import Report
from gateway.settings import load_settings
from tests.support.dataplane import (
    UNREACHABLE,
    DataPlane,
    RecordingUpstream,
    routing,
    unlimited,
)
from tests.support.gateway_process import GatewayProcess, call
from tests.support.shared import ROOT
from tests.support.workers import Fleet, WorkerProcess, fleet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@dataclass
class Collector:
    """Takes what exporters post; `silent` reads and never answers."""

    silent: bool = False
    url: str = ""
    posts: int = 0
    resources: list[dict[str, str]] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                assert head.startswith("post /v1/traces http/1.1")
                length = int(head.split("content-length: ")[1].split("\r\n")[0])
                body = await reader.readexactly(length)
                self.posts += 1
                if self.silent:
                    await asyncio.sleep(60)
                request = ExportTraceServiceRequest.FromString(body)
                for resource in request.resource_spans:
                    self.resources.append(
                        {a.key: a.value.string_value for a in resource.resource.attributes}
                    )
                    for scope in resource.scope_spans:
                        self.spans += scope.spans
                answer = ExportTraceServiceResponse().SerializeToString()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer))
                writer.write(answer)
        writer.close()

    async def until(self, count: int) -> list[Span]:
        """Wait for that many spans."""
        async with asyncio.timeout(10):
            while len(self.spans) < count:
                await asyncio.sleep(0.01)
        return self.spans


@contextlib.asynccontextmanager
async def collector(*, silent: bool = False) -> AsyncIterator[Collector]:
    """Listen like an OpenTelemetry collector."""
    made = Collector(silent)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/traces"
    try:
        yield made
    finally:
        server.close()


def traced(old: str, new: str, endpoint: str, *, share: float = 0.0) -> Any:
    """Settings of a data plane that traces."""
    return unlimited(
        old, new, span_exporter="gateway.adapters.otlp_spans:OtlpSpans", span_endpoint=endpoint,
        span_share=share,
    )  # fmt: skip


def client(workers: Fleet) -> DataPlane:
    """Ask the worker as one would ask a data plane in this process."""
    return DataPlane(None, workers.port)  # type: ignore[arg-type]  # nothing to look into


def attributes(span: Span) -> dict[str, Any]:
    """A span's attributes as a dictionary."""
    return {
        a.key: getattr(a.value, a.value.WhichOneof("value") or "string_value")
        for a in span.attributes
    }


async def reported(worker: WorkerProcess) -> dict[str, float]:
    """The cells of a report that is made from now on."""
    told = len(worker.heard(Report))
    cells: dict[str, float] = (await worker.until(Report, told + 2))[-1].cells
    return cells


async def test_a_sampled_request_is_the_clients_child_and_the_systems_parent() -> None:
    """Ids, times, status and attributes reach the collector; a request not sampled leaves none."""
    async with (
        collector() as told,
        RecordingUpstream() as old,
        fleet(traced(old.url, UNREACHABLE, told.url), routing()) as workers,
    ):
        await workers.start()
        before = time.time_ns()
        given = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
        assert (await client(workers).ask(headers=given)).status == 200
        assert old.requests[-1].header("traceparent") == given["traceparent"]
        given = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "r-1"}
        assert (await client(workers).ask(headers=given)).status == 200
        (span,) = await told.until(1)
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
        passed_on = old.requests[-1].header("traceparent")
        assert passed_on == f"00-{TRACE}-{span.span_id.hex()}-01"
        assert before <= span.start_time_unix_nano <= span.end_time_unix_nano <= time.time_ns()
        assert span.kind == Span.SPAN_KIND_SERVER
        assert attributes(span) == {
            "http.request.method": "GET",
            "url.path": "/api/property-listings/x",
            "http.response.status_code": 200,
            "syncgate.system": "old",
            "syncgate.request_id": "r-1",
        }
        assert told.resources[0]["service.name"] == "syncgate"


async def test_a_share_of_the_requests_without_a_trace_begin_one() -> None:
    """Half of them, exactly; each span is a root and the parent of what the system does."""
    async with (
        collector() as told,
        RecordingUpstream() as old,
        fleet(traced(old.url, UNREACHABLE, told.url, share=0.5), routing()) as workers,
    ):
        worker = await workers.start()
        for _ in range(20):
            await client(workers).ask()
        spans = await told.until(10)
        seen = {request.header("traceparent") for request in old.requests}
        assert {f"00-{s.trace_id.hex()}-{s.span_id.hex()}-01" for s in spans} == {
            value for value in seen if value is not None and value.endswith("-01")
        }
        assert len({span.trace_id for span in spans}) == 10
        assert not any(span.parent_span_id for span in spans)
        assert (await reported(worker))['syncgate_spans_total{result="exported"}'] == 10


async def test_a_failure_and_a_fallback_are_in_the_span() -> None:
    """Refused by new and served by old: one span, of old; refused by both: an error of 502."""
    async with (
        collector() as told,
        RecordingUpstream() as old,
        fleet(traced(old.url, UNREACHABLE, told.url, share=1.0), routing(100)) as workers,
    ):
        await workers.start()
        assert (await client(workers).ask()).status == 200
        (span,) = await told.until(1)
        assert attributes(span)["syncgate.system"] == "old"
        assert span.status.code == Status.STATUS_CODE_UNSET
    async with (
        collector() as told,
        fleet(traced(UNREACHABLE, UNREACHABLE, told.url, share=1.0), routing()) as workers,
    ):
        await workers.start()
        assert (await client(workers).ask()).status == 502
        (span,) = await told.until(1)
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert attributes(span)["error.type"] == "502"


@pytest.mark.parametrize("how", ["dead", "silent"])
async def test_a_collector_that_does_not_take_spans_costs_nobody_anything(how: str) -> None:
    """Three thousand sampled requests are all answered; what the ring cannot hold is counted."""
    async with (
        collector(silent=True) as told,
        RecordingUpstream() as old,
        fleet(
            traced(old.url, UNREACHABLE, UNREACHABLE if how == "dead" else told.url, share=1.0),
            routing(),
        ) as workers,
    ):
        worker = await workers.start()
        if how == "silent":
            await client(workers).ask()
            async with asyncio.timeout(5):
                while not told.posts:
                    await asyncio.sleep(0.01)
        reader, writer = await workers_connection(workers)
        for _ in range(30):
            writer.write(b"GET /api/property-listings/x HTTP/1.1\r\nHost: g\r\n\r\n" * 100)
            for _ in range(100):
                assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
                assert await reader.readexactly(2) == b"ok"
        writer.close()
        cells = await reported(worker)
        lost = (
            cells['syncgate_spans_total{result="failed"}']
            + cells['syncgate_spans_total{result="dropped"}']
        )
        assert cells['syncgate_spans_total{result="exported"}'] == 0
        assert lost >= (900 if how == "silent" else 0)
        last = await worker.leave()  # a thread that waits for a collector does not hold it up
        assert last.worker == 0


async def workers_connection(workers: Fleet) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """One connection to the data port."""
    return await asyncio.open_connection("127.0.0.1", workers.port)


async def test_a_whole_gateway_traces_when_it_is_told_to(tmp_path: Path) -> None:
    """From the setting to the collector: the address as people write it, every request sampled."""
    async with collector() as told, RecordingUpstream() as old:
        gateway = GatewayProcess(
            tmp_path / "state", old.url, UNREACHABLE,
            {"GATEWAY_OTLP_URL": told.url.removesuffix("/v1/traces"), "GATEWAY_TRACE_RATIO": "1"},
        )  # fmt: skip
        await asyncio.to_thread(gateway.start)
        try:
            assert (await asyncio.to_thread(gateway.status)).status == 200
            (span,) = await told.until(1)
            assert attributes(span)["url.path"] == "/api/property-listings/sync/status"
            assert await _until_told(gateway, span.trace_id.hex())
        finally:
            await asyncio.to_thread(gateway.stop)


async def _until_told(gateway: GatewayProcess, trace_id: str) -> bool:
    """Look for the trace among the exemplars of the exposition, for some seconds."""
    for _ in range(50):
        text = await asyncio.to_thread(
            call, f"{gateway.admin_url}/metrics", Accept="application/openmetrics-text"
        )
        if f'# {{trace_id="{trace_id}"}}' in text.body.decode():
            return True
        await asyncio.sleep(0.1)
    return False


def test_without_the_extra_the_setting_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Said at the start, by name; without the setting nothing is missing."""
    program = (
        "import sys, os\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'opentelemetry':\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
        "from gateway.settings import load_settings\n"
        "load_settings(env_file=None)\n"
        "os.environ['GATEWAY_OTLP_URL'] = 'http://127.0.0.1:4318'\n"
        "try:\n"
        "    load_settings(env_file=None)\n"
        "except Exception as error:\n"
        "    print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "GATEWAY_OTLP_URL" in said
    assert "syncgate[otel]" in said
    monkeypatch.setenv("GATEWAY_OTLP_URL", "http://127.0.0.1:4318")
    assert load_settings(env_file=None).otlp_url == "http://127.0.0.1:4318/v1/traces"

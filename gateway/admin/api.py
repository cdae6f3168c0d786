"""
The admin port's HTTP: routes made from the table of endpoints, and the few that are not JSON.

A call goes straight down: who is it, is the query known, is the body whole, then one use case. All
refusals are exceptions, turned into problem documents in one place.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING, Final

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.admin import compared, openapi, problems, view
from gateway.admin.auth import GuessBrake, Scope
from gateway.admin.dashboard.links import LinkPages
from gateway.admin.dashboard.report_site import ReportPages, page_of, wants_page
from gateway.admin.dashboard.site import Dashboard
from gateway.admin.endpoints import ENDPOINTS, PREFIX, Call, Endpoint
from gateway.admin.intake import Gatekeeper, read_body, read_query
from gateway.admin.operations import NotFoundError, Operations
from gateway.admin.problems import NO_STORE, ProblemError
from gateway.admin.reports import Report, Reporter
from gateway.errors import SyncgateError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from starlette.requests import Request

    from gateway.admin.auth import Token
    from gateway.ports import Clock, Control, Event
    from gateway.ports.alerts import AlertDesk, AlertLinks
    from gateway.ports.reports import Rollups
    from gateway.ports.write_backs import WriteBackDesk

STREAMS_AT_ONCE: Final = 32
REPLAYED_EVENTS: Final = 200
EXPORTED_DIFFERENCES: Final = 100_000
PING_S: Final = 10

_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
_OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def create_app(
    control: Control,
    clock: Clock,
    *,
    alerts: AlertDesk,
    links: AlertLinks,
    tokens: Sequence[Token],
    version: str = "0",
    write_backs: WriteBackDesk | None = None,
    rollups: Rollups,
) -> Starlette:
    """Build the admin app around a running control plane."""
    reporter = Reporter(control, clock, alerts, rollups)
    operations = Operations(control, clock, alerts, write_backs=write_backs, reporter=reporter)
    keeper = Gatekeeper(tokens, today=lambda: datetime.now(UTC).date(), brake=GuessBrake(monotonic))
    port = AdminPort(control, operations, keeper, version)
    routes = [
        Route(PREFIX + row.path, _answering(row, operations, keeper), methods=[row.method])
        for row in ENDPOINTS
    ]
    routes += [
        Route(f"{PREFIX}/events", port.events, methods=["GET"]),
        Route(f"{PREFIX}/comparisons/differences.csv", port.differences_csv, methods=["GET"]),
        Route("/openapi.json", port.openapi, methods=["GET"]),
        Route("/metrics", port.metrics, methods=["GET"]),
        Route("/healthz", port.healthz, methods=["GET"]),
        Route("/readyz", port.readyz, methods=["GET"]),
    ]
    dashboard = Dashboard(
        operations.rollout, alerts.view, keeper, monotonic, operations.comparisons
    )
    routes += dashboard.routes()
    routes += ReportPages(reporter, dashboard).routes()
    routes += LinkPages(alerts, links, clock).routes()
    return Starlette(
        routes=routes,
        exception_handlers={
            ProblemError: problems.from_problem,
            SyncgateError: problems.from_domain,
            NotFoundError: problems.from_missing,
            HTTPException: problems.from_http,
            Exception: problems.from_crash,
        },
    )


def _answering(
    row: Endpoint, operations: Operations, keeper: Gatekeeper
) -> Callable[[Request], Awaitable[Response]]:
    shape = row.shape

    async def answer(request: Request) -> Response:
        caller = await keeper.admit(request, row.scope)
        page = read_query(request, row.asked)
        item = _number(request.path_params[row.item], row.item) if row.item else 0
        body = await read_body(request, shape) if shape else None
        result = await row.run(Call(operations, caller, body, page, item))
        if isinstance(result, Report) and wants_page(request):
            return page_of(result, page, request)
        return Response(
            result.model_dump_json(),
            status_code=row.status,
            media_type="application/json",
            headers=NO_STORE,
        )

    return answer


def _number(text: str, name: str) -> int:
    """Read a number of the path."""
    if text.isascii() and text.isdigit() and 1 <= int(text[:20]) <= 2**53:
        return int(text)
    expected = "a whole number from 1 on"
    raise ProblemError(
        422,
        "invalid",
        f"path.{name}: expected {expected}.",
        errors=[{"field": f"path.{name}", "expected": expected}],
    )


class AdminPort:
    """The calls that are not rows of the table: streams, probes, documents."""

    def __init__(
        self, control: Control, operations: Operations, keeper: Gatekeeper, version: str
    ) -> None:
        self._control = control
        self._operations = operations
        self._keeper = keeper
        self._version = version
        self._streams = 0

    async def events(self, request: Request) -> Response:
        """Stream events from now on, or from after `Last-Event-ID`."""
        await self._keeper.admit(request, Scope.VIEWER)
        if self._streams >= STREAMS_AT_ONCE:
            raise ProblemError(
                503,
                "too-many-streams",
                f"{STREAMS_AT_ONCE} event streams are open already.",
                fix="Close one, or read GET /api/v1/rollout.",
                headers={"Retry-After": "5"},
            )
        after = _last_event_id(request)
        return EventSourceResponse(self._stream(after), ping=PING_S, headers=NO_STORE)

    async def _stream(self, after: int | None) -> AsyncIterator[ServerSentEvent]:
        self._streams += 1
        try:
            async with self._control.subscribe() as live:
                seen = after or 0
                if after is not None:
                    store = self._control.store
                    for event in await store.events(after_seq=after, limit=REPLAYED_EVENTS):
                        seen = event.seq
                        yield _sse(event)
                async for event in live:
                    if event.seq > seen:
                        seen = event.seq
                        yield _sse(event)
        finally:
            self._streams -= 1

    async def differences_csv(self, request: Request) -> Response:
        """Export every kept difference for a spreadsheet."""
        await self._keeper.admit(request, Scope.VIEWER)
        examples, _ = self._control.comparison.differences(before=None, limit=EXPORTED_DIFFERENCES)
        return PlainTextResponse(
            compared.table(examples), media_type="text/csv; charset=utf-8", headers=NO_STORE
        )

    async def openapi(self, _: Request) -> Response:
        """Give the contract; it holds no state, so it needs no token."""
        return Response(_document(self._version), media_type="application/json")

    async def metrics(self, request: Request) -> Response:
        """Give Prometheus its figures: to this machine freely, to others with a token."""
        await self._keeper.admit_scraper(request)
        exemplars = "application/openmetrics-text" in request.headers.get("accept", "")
        return PlainTextResponse(
            self._control.metrics_text(exemplars=exemplars),
            media_type=_OPENMETRICS if exemplars else _PROMETHEUS,
            headers=NO_STORE,
        )

    async def healthz(self, _: Request) -> Response:
        """Say that the process is alive."""
        return JSONResponse({"status": "ok", "reasons": []}, headers=NO_STORE)

    async def readyz(self, _: Request) -> Response:
        """Say whether traffic is served."""
        ready, reasons = self._control.ready()
        body = {"status": "ready" if ready else "not ready", "reasons": list(reasons)}
        return JSONResponse(body, status_code=200 if ready else 503, headers=NO_STORE)


def _last_event_id(request: Request) -> int | None:
    raw = request.headers.get("last-event-id") or request.query_params.get("after")
    if raw is None:
        return None
    if raw.isascii() and raw.isdigit() and len(raw) <= 18:  # noqa: PLR2004 - fits SQLite's integer
        return int(raw)
    expected = "the id of an event"
    raise ProblemError(
        422,
        "invalid",
        f"Last-Event-ID: expected {expected}.",
        errors=[{"field": "Last-Event-ID", "expected": expected}],
    )


def _sse(event: Event) -> ServerSentEvent:
    shown = view.event_of(event)
    return ServerSentEvent(id=str(shown.id), event=shown.kind, data=shown.model_dump_json())


@lru_cache(maxsize=1)
def _document(version: str) -> str:
    return json.dumps(openapi.document(version), ensure_ascii=False)

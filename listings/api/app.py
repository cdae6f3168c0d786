"""
The services' HTTP, one app for both: `create_app(store, feed, settings)`.

Whatever a client sends gets a clear answer: input that cannot be used is a 4xx problem naming field
and expectation, a store that cannot be reached is 503, a store that refuses until somebody acts or
a feed that cannot be read is 502. An answered sync is 200 even if all its listings failed (`status`
says so); a sync of which nothing was confirmed is the store's problem answer, with `Sync-Status:
failed`.

Property numbers may contain ``/``; the fixed paths below ``sync/`` win over such a number.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable
from uuid import UUID, uuid4

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route

from listings.api.answers import run_body, status_body, sync_body, sync_headers
from listings.api.metrics import ProcessMeter, RequestCounter, metrics_body
from listings.api.openapi import openapi
from listings.api.reading import read_body, read_limit, read_moment, read_workspace
from listings.api.refusals import HANDLERS
from listings.codec import encode_json, normalise_property_number, to_json
from listings.errors import StoreRefused
from listings.http import headers
from listings.http.health import RecentCheck, alive
from listings.http.problem import problem
from listings.sync import ListingFeed, SyncService
from listings.sync.request import read_request, read_sync_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from starlette.requests import Request

    from listings.settings import ServiceSettings
    from listings.store import ListingStore, SyncRun

BASE: Final = "/api/property-listings"
VERSION: Final = "0.1.0"
# Reading a bigger body is given to a thread, so that health answers meanwhile.
_INLINE_BYTES: Final = 64 * 1024
_POSTED: Final = ("sync", "sync/stop", "sync/dry-run-proof")
_STATUS_MAX_AGE_S: Final = 2.0
_STATUS_PATIENCE_S: Final = 1.0

_log = structlog.get_logger("listings.api")


@runtime_checkable
class OpenedStore(Protocol):
    """A store that has something to open (a pool) once the event loop runs."""

    async def open(self) -> None:
        """Open it; must not fail because the database is down just now."""
        ...


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def create_app(
    store: ListingStore,
    feed: ListingFeed,
    settings: ServiceSettings,
    *,
    clock: Callable[[], datetime] = now,
    new_id: Callable[[], UUID] = uuid4,
) -> Starlette:
    """Make the service's app; it opens the store when it starts and closes it when it ends."""
    service = SyncService(store, feed, batch_size=settings.batch_size, clock=clock, new_id=new_id)
    endpoints = _Endpoints(store, service, settings)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if isinstance(store, OpenedStore):
            await store.open()
        try:
            yield
        finally:
            await store.close()

    return Starlette(
        routes=_routes(endpoints),
        lifespan=lifespan,
        middleware=[Middleware(RequestCounter, counts=endpoints.requests)],
        exception_handlers=HANDLERS,
    )


def _routes(endpoints: _Endpoints) -> list[Route]:
    get, post = ["GET"], ["POST"]
    return [
        Route("/health", endpoints.health, methods=get),
        Route("/openapi.json", endpoints.openapi, methods=get),
        Route("/api/metrics", endpoints.metrics, methods=get),
        Route(f"{BASE}/health", endpoints.store_health, methods=get),
        Route(f"{BASE}/sync", endpoints.sync, methods=post),
        Route(f"{BASE}/sync/stop", endpoints.stop, methods=post),
        Route(f"{BASE}/sync/status", endpoints.status, methods=get),
        Route(f"{BASE}/sync/history", endpoints.history, methods=get),
        Route(f"{BASE}/sync/dry-run-proof", endpoints.dry_run_proof, methods=post),
        # Else a GET of these would be taken for one of a listing of that number.
        *[Route(f"{BASE}/{path}", _only_post, methods=get) for path in _POSTED],
        Route(BASE, endpoints.page, methods=get),
        Route(f"{BASE}/{{number:path}}", endpoints.listing, methods=get),
    ]


async def _only_post(_request: Request) -> Response:
    raise HTTPException(405, headers={"Allow": "POST"})


class _Endpoints:
    """The routes' functions and what they share."""

    def __init__(
        self, store: ListingStore, service: SyncService, settings: ServiceSettings
    ) -> None:
        self._store = store
        self._service = service
        self._workspace = settings.workspace_id
        self._check = RecentCheck(store.check)
        self._last = _LastRun(store, service)
        self._meter = ProcessMeter()
        self._document = openapi(store.system, VERSION)
        # A restarted service is another one: what was proven of the last holds no longer.
        self._instance = uuid4().hex
        self.requests: Counter[str] = Counter()

    async def health(self, _request: Request) -> Response:
        return alive(system=self._store.system.value, version=VERSION, instance=self._instance)

    async def store_health(self, _request: Request) -> Response:
        await self._check()
        return alive(system=self._store.system.value, store="ok")

    async def openapi(self, _request: Request) -> Response:
        return _json(self._document)

    async def metrics(self, _request: Request) -> Response:
        body = metrics_body(
            self._store.system.value,
            requests=self.requests,
            syncs=self._service.counts,
            running=len(self._service.running),
            usage=self._store.api_usage(),
            process=self._meter.read(),
        )
        body["store"] = dict(self._store.gauges())
        body["dryRunMeans"] = self._store.dry_run_means()
        return _json(body)

    async def sync(self, request: Request) -> Response:
        workspace_id = read_workspace(request.headers, self._workspace)
        dry_run, shadow_of = _dry_run_headers(request.headers)
        body = await read_body(request)

        def read() -> Any:
            return read_request(
                body, workspace_id=workspace_id, dry_run=dry_run, shadow_of=shadow_of
            )

        asked = read() if len(body) <= _INLINE_BYTES else await asyncio.to_thread(read)
        asked = replace(
            asked,
            shadow_digest=request.headers.get(headers.SYNC_SHADOW_DIGEST),
            write_back_of=_write_back_of(request.headers),
        )
        answer = await self._service.run(asked)
        return _json(sync_body(answer), headers=sync_headers(answer))

    async def stop(self, request: Request) -> Response:
        text = request.query_params.get("syncId")
        asked = self._service.stop(None if text is None else read_sync_id(text, "syncId"))
        system = self._store.system.value
        return _json({"system": system, "stopping": [str(sync_id) for sync_id in asked]})

    async def status(self, request: Request) -> Response:
        workspace_id = read_workspace(request.headers, self._workspace)
        text = request.query_params.get("syncId")
        if text is not None:
            return await self._status_of(workspace_id, read_sync_id(text, "syncId"))
        last = await self._last.get(workspace_id)
        running = list(self._service.running.values())
        usage = self._store.api_usage()
        return _json(status_body(self._store.system, running, last, usage))

    async def _status_of(self, workspace_id: str, sync_id: UUID) -> Response:
        running = self._service.running.get(sync_id)
        if running is None:
            await self._service.settle_history()
        run = None if running else await self._store.find_run(workspace_id, sync_id)
        if running is None and run is None:
            return problem(
                404,
                "unknown-sync",
                f"The {self._store.system.value} service knows no sync {sync_id}; "
                "it may have been a dry run, or the other service's.",
            )
        usage = self._store.api_usage()
        body = status_body(self._store.system, [running] if running else [], run, usage)
        if run is not None:
            body["status"] = run.status.value
        return _json(body)

    async def history(self, request: Request) -> Response:
        workspace_id = read_workspace(request.headers, self._workspace)
        limit = read_limit(request.query_params.get("limit"), default=20)
        before = read_moment(request.query_params.get("before"), "before")
        await self._service.settle_history()
        runs = await self._store.runs(workspace_id, limit=limit, before=before)
        bodies = [run_body(run) for run in runs]
        full = len(bodies) == limit
        return _json(
            {
                "system": self._store.system.value,
                "runs": bodies,
                "next": bodies[-1]["startedAt"] if full else None,
            }
        )

    async def page(self, request: Request) -> Response:
        workspace_id = read_workspace(request.headers, self._workspace)
        limit = read_limit(request.query_params.get("limit"), default=100)
        text = request.query_params.get("after")
        after = normalise_property_number(text, "after") if text else None
        page = await self._store.page(workspace_id, after=after, limit=limit)
        bodies = [to_json(listing) for listing in page]
        full = len(bodies) == limit
        return _json({"listings": bodies, "next": bodies[-1]["propertyNumber"] if full else None})

    async def listing(self, request: Request) -> Response:
        workspace_id = read_workspace(request.headers, self._workspace)
        number = normalise_property_number(request.path_params["number"])
        stored = await self._store.get(workspace_id, number)
        if stored is None:
            return problem(404, "unknown-listing", f"There is no listing {number!r}.")
        return _json(to_json(stored))

    async def dry_run_proof(self, _request: Request) -> Response:
        # A disproof is an answer, too; only a store that cannot be asked is an error.
        system = self._store.system.value
        try:
            proof = await self._store.prove_dry_run()
        except StoreRefused as exc:
            means = self._store.dry_run_means()
            return _json({"system": system, "proven": False, "means": means, "detail": exc.detail})
        return _json(
            {"system": system, "proven": True, "means": proof.means, "detail": proof.detail}
        )


class _LastRun:
    """
    The last run of a workspace, for a status that is asked often.

    This process's own runs are known at once. What other replicas did is read from the store at
    most once in a while; a store that does not answer is no reason for the status not to.
    """

    def __init__(self, store: ListingStore, service: SyncService) -> None:
        self._store = store
        self._service = service
        self._checks: dict[str, RecentCheck] = {}
        self._stored: dict[str, SyncRun] = {}

    async def get(self, workspace_id: str) -> SyncRun | None:
        check = self._checks.get(workspace_id)
        if check is None:
            if len(self._checks) >= 1000:  # noqa: PLR2004 - bounds what callers can make us keep
                self._checks.clear()
                self._stored.clear()
            check = RecentCheck(self._reader(workspace_id), max_age_s=_STATUS_MAX_AGE_S)
            self._checks[workspace_id] = check
        await check()
        own = self._service.last_run.get(workspace_id)
        stored = self._stored.get(workspace_id)
        known = [run for run in (own, stored) if run is not None]
        return max(known, key=lambda run: run.started_at, default=None)

    def _reader(self, workspace_id: str) -> Callable[[], Awaitable[None]]:
        async def read() -> None:
            # Not cancelled when time is up: to give up on a silent database takes time as well.
            reading = asyncio.ensure_future(self._store.runs(workspace_id, limit=1))
            done, _ = await asyncio.wait({reading}, timeout=_STATUS_PATIENCE_S)
            if not done:
                reading.add_done_callback(_forget)
                _log.warning("history_not_read", error="the store did not answer in time")
                return
            try:
                runs = reading.result()
            except Exception as exc:  # noqa: BLE001 - the status says what is known without it
                _log.warning("history_not_read", error=str(exc))
            else:
                if runs:
                    self._stored[workspace_id] = runs[0]

        return read


def _forget(late: asyncio.Future[Any]) -> None:
    """Look at an answer that nobody waits for any more, so that its failure is no surprise."""
    if not late.cancelled():
        late.exception()


def _dry_run_headers(found: Mapping[str, str]) -> tuple[bool, UUID | None]:
    wish = found.get(headers.SYNC_DRY_RUN, "false").strip().lower()
    if wish not in ("true", "false"):
        raise HTTPException(400, f"{headers.SYNC_DRY_RUN} must be true or false, got {wish!r}.")
    shadow_of = found.get(headers.SYNC_SHADOW_OF)
    return wish == "true", (
        None if shadow_of is None else read_sync_id(shadow_of, headers.SYNC_SHADOW_OF)
    )


def _write_back_of(found: Mapping[str, str]) -> UUID | None:
    repeated = found.get(headers.SYNC_WRITE_BACK_OF)
    return None if repeated is None else read_sync_id(repeated, headers.SYNC_WRITE_BACK_OF)


def _json(body: Any, headers: Mapping[str, str] | None = None) -> Response:
    return Response(encode_json(body), headers=dict(headers or {}), media_type="application/json")


__all__ = ["BASE", "OpenedStore", "create_app"]

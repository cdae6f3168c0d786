"""Every class of the parent process, made and joined in one place."""

from __future__ import annotations

import contextlib
import secrets
import sys
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

import uvicorn

from gateway.adapters import prometheus
from gateway.adapters.comparison_store import SqliteComparisons
from gateway.adapters.http_probe import HttpProbe
from gateway.adapters.sqlite_store import SqliteStore
from gateway.adapters.write_back_store import SqliteWriteBacks
from gateway.admin.api import create_app
from gateway.bootstrap.alerts import Alerts, build_alerts
from gateway.bootstrap.files import read_comparison, read_policy
from gateway.bootstrap.fleet import AloneLease, Beginning, begin
from gateway.bootstrap.reports import Reports, build_reports
from gateway.bootstrap.sources import checked_sources
from gateway.bootstrap.workers import worker_environment
from gateway.control.actions import Actions
from gateway.control.comparing import Comparing
from gateway.control.controller import Controller
from gateway.control.listener import listen, url_of
from gateway.control.measurements import Measurements
from gateway.control.proving import Proving
from gateway.control.snapshots import Snapshots
from gateway.control.workers import WorkerPool
from gateway.control.write_backs import WriteBackRecord
from gateway.core import rollout
from gateway.core.model import Variant

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from starlette.applications import Starlette

    from gateway.policy import Source
    from gateway.ports import Clock
    from gateway.settings import Settings

_ADMIN_GRACE_S: Final = 2
_SALT_BYTES: Final = 16


@dataclass(slots=True)
class Gateway:
    """Everything of one running gateway, joined and not yet started."""

    settings: Settings
    clock: Clock
    store: SqliteStore
    beginning: Beginning
    data: socket.socket
    admin: socket.socket
    workers: WorkerPool
    controller: Controller
    probe: HttpProbe
    alerts: Alerts
    actions: Actions
    proving: Proving
    comparing: Comparing
    reports: Reports
    sources: tuple[Source, ...]
    """What is asked of a Prometheus."""
    server: uvicorn.Server

    @property
    def write_backs(self) -> WriteBackRecord:
        """What old may lack of what new wrote."""
        assert self.proving.write_backs is not None
        return self.proving.write_backs


class _AdminServer(uvicorn.Server):
    """uvicorn that leaves the process's signals alone: they belong to the parent."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def build(settings: Settings, plan: rollout.Plan) -> Gateway:
    """Join everything; nothing serves yet. Raises what stands in the way."""
    store = SqliteStore(settings.state_dir)
    try:
        data = listen(settings.host, settings.port, setting="GATEWAY_PORT")
        admin = listen(settings.admin_host, settings.admin_port, setting="GATEWAY_ADMIN_PORT")
        beginning = await begin(
            settings, plan, store, port=data.getsockname()[1], software=_version()
        )
        return _join(settings, plan, beginning, store=store, data=data, admin=admin)
    except BaseException:
        await store.close()
        raise


def _join(
    settings: Settings,
    plan: rollout.Plan,
    beginning: Beginning,
    *,
    store: SqliteStore,
    data: socket.socket,
    admin: socket.socket,
) -> Gateway:
    """Make every part and join it with the others."""
    clock = beginning.clock
    workers = _workers(settings, data)
    probe = _probe(settings, clock)
    # Alerts look at the controller, and are told by it: the knot is tied when it first speaks.
    actions = Actions(probe=probe, moved=lambda state: alerts.alerting.moved(state))  # noqa: PLW0108 - made below
    proving, comparing = _mirrored(settings, probe, clock)
    snapshots = Snapshots(workers=settings.workers)
    controller = Controller(
        rollout.begin(plan, beginning.state),
        journal=beginning.journal,
        clock=clock,
        workers=workers,
        snapshots=snapshots,
        measurements=Measurements(),
        carry_out=actions.carry_out,
        notify=lambda notice: alerts.tell(notice),  # noqa: PLW0108 - made below
        render=lambda cells, exemplars: prometheus.render(
            {**cells, **alerts.deliveries.cells()}, exemplars
        ),
        read_policy=lambda: read_policy(settings.policy_path),
        fresh_salt=lambda: secrets.token_hex(_SALT_BYTES),
        proving=proving,
        comparing=comparing,
        fleet=beginning.fleet,
    )
    actions.tell = controller.tell
    alerts = _alerts(settings, admin, beginning, controller, snapshots)
    reports = build_reports(
        settings, controller=controller, snapshots=snapshots, alerts=alerts, clock=clock
    )
    app = create_app(
        controller,
        clock,
        alerts=alerts.desk,
        links=alerts.links,
        write_backs=proving.write_backs,
        rollups=reports.rollups,
        tokens=settings.admin_tokens,
        version=_version(),
    )
    return Gateway(
        settings=settings,
        clock=clock,
        store=store,
        beginning=beginning,
        data=data,
        admin=admin,
        workers=workers,
        controller=controller,
        probe=probe,
        alerts=alerts,
        actions=actions,
        proving=proving,
        comparing=comparing,
        reports=reports,
        sources=checked_sources(settings),
        server=_admin_server(app),
    )


def _alerts(
    settings: Settings,
    admin: socket.socket,
    beginning: Beginning,
    controller: Controller,
    snapshots: Snapshots,
) -> Alerts:
    """Make what tells people; in a fleet also what does so while the fleet's store is away."""
    joined = partial(
        build_alerts,
        settings,
        admin_url=url_of(admin),
        clock=beginning.clock,
        controller=controller,
        snapshots=snapshots,
    )
    alerts = joined(lease=beginning.lease, store=beginning.alert_store())
    if beginning.fleet is not None:
        alerts.alone = joined(lease=AloneLease(beginning.fleet))
    return alerts


def _mirrored(settings: Settings, probe: HttpProbe, clock: Clock) -> tuple[Proving, Comparing]:
    """Make what watches over mirroring, write-backs included, and what compares."""
    bounds = read_comparison(settings.policy_path)
    record = WriteBackRecord(SqliteWriteBacks(settings.state_dir), clock)
    return (
        Proving(probe, clock, control_rate=bounds.control_rate, write_backs=record),
        Comparing(SqliteComparisons(settings.state_dir), bounds, clock=clock),
    )


def _probe(settings: Settings, clock: Clock) -> HttpProbe:
    return HttpProbe(
        {Variant.BASELINE: settings.old_url, Variant.CANARY: settings.new_url},
        clock=clock,
        deadline_s=settings.probe_timeout_ms / 1_000,
    )


def _workers(settings: Settings, data: socket.socket) -> WorkerPool:
    return WorkerPool(
        data,
        workers=settings.workers,
        command=(sys.executable, "-m", "gateway.proxy.worker"),
        environment=worker_environment(settings),
        drain_timeout_s=settings.drain_timeout_ms / 1_000,
        roll_timeout_s=max(settings.drain_timeout_ms, settings.sync_timeout_ms) / 1_000,
    )


def _admin_server(app: Starlette) -> _AdminServer:
    return _AdminServer(
        uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            proxy_headers=False,
            timeout_graceful_shutdown=_ADMIN_GRACE_S,
        )
    )


def _version() -> str:
    try:
        return version("syncgate")
    except PackageNotFoundError:
        return "0"

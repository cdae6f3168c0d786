"""
The composition root: the one place that knows every class, joins them and starts them.

    parent   state directory locked -> ports bound -> state read -> workers up -> loops, admin port
    worker   its own process on the inherited socket (`gateway.proxy.worker`)

Whatever is wrong is said before anything serves. Stopping goes the other way round: readiness off,
workers drained, then loops, admin port and store.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
import uvicorn
import uvloop

from gateway import policy
from gateway.adapters import prometheus
from gateway.adapters.clock import SystemClock
from gateway.adapters.comparison_store import SqliteComparisons
from gateway.adapters.http_probe import HttpProbe
from gateway.adapters.logs import configure_logs
from gateway.adapters.notify.log import LogNotifier
from gateway.adapters.notify.webhook import WebhookNotifier
from gateway.adapters.sqlite_store import SqliteStore
from gateway.admin.api import create_app
from gateway.control import records, watching
from gateway.control.actions import Actions
from gateway.control.comparing import Bounds, Comparing
from gateway.control.controller import Controller
from gateway.control.dispatcher import Dispatcher
from gateway.control.journal import Journal
from gateway.control.lease import SoleLease
from gateway.control.listener import listen, url_of
from gateway.control.measurements import Measurements
from gateway.control.proving import Proving
from gateway.control.resources import Resources
from gateway.control.snapshots import Snapshots
from gateway.control.workers import WorkerPool
from gateway.core import rollout
from gateway.core.model import Variant
from gateway.errors import Fault, PolicyError, SyncgateError
from gateway.ports import Actor
from gateway.proxy.configuration import DataPlaneSettings
from gateway.proxy.worker import SETTINGS_VARIABLE

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from gateway.ports import Clock, Notifier
    from gateway.settings import Settings

COMPARISON_FILE: Final = "comparison.toml"
"""Stands beside the policy."""
_OWN_COMPARISON: Final = Path(__file__).parent.parent / "config" / COMPARISON_FILE
READINESS_PAUSE_S: Final = 0.5
"""Between readiness off and the end of accepting: time for a load balancer to look away."""
_ADMIN_GRACE_S: Final = 2
_SALT_BYTES: Final = 16
_POLICY_TODO: Final = "Correct the file; a running gateway keeps the policy it has."
_SIGNAL_ACTOR: Final = Actor("signal")

_log = structlog.get_logger("gateway")


@dataclass(slots=True)
class Gateway:
    """Everything of one running gateway, joined and not yet started."""

    settings: Settings
    clock: Clock
    store: SqliteStore
    data: socket.socket
    admin: socket.socket
    workers: WorkerPool
    controller: Controller
    probe: HttpProbe
    dispatcher: Dispatcher
    actions: Actions
    proving: Proving
    comparing: Comparing
    server: uvicorn.Server


class _AdminServer(uvicorn.Server):
    """uvicorn that leaves the process's signals alone: they belong to the parent."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def read_policy(path: Path) -> rollout.Plan:
    """Read the policy file; PolicyError with every fault, its line and what was expected."""
    try:
        return policy.load_policy(path)
    except policy.PolicyError as error:
        faults = tuple(
            Fault(f"{error.source}:{fault.line} {fault.key}".rstrip(), fault.problem)
            for fault in error.faults
        )
        raise PolicyError("Policy", faults, todo=_POLICY_TODO) from error
    except OSError as error:
        fault = Fault(str(path), f"cannot be read ({error.strerror})", "a policy file")
        raise PolicyError("Policy", (fault,), todo=_POLICY_TODO) from error


def data_plane(settings: Settings) -> DataPlaneSettings:
    """Give a worker what it needs to know, and no more."""
    today = datetime.now(UTC).date()
    return DataPlaneSettings(
        old_url=settings.old_url,
        new_url=settings.new_url,
        operator_tokens_sha256=tuple(
            token.sha256.hex()
            for token in settings.admin_tokens
            if token.may_force_a_side and (token.last_day is None or today <= token.last_day)
        ),
        rate_limit_per_second=settings.rate_limit_per_second,
        rate_limit_burst=settings.rate_limit_burst,
        upstream_limit_per_second=settings.upstream_limit_per_second,
        connections_per_address=settings.connections_per_address,
        breaker_threshold=settings.breaker_threshold,
        breaker_timeout_ms=settings.breaker_timeout_ms,
        header_timeout_ms=settings.header_timeout_ms,
        body_timeout_ms=settings.body_timeout_ms,
        idle_timeout_ms=settings.idle_timeout_ms,
        connect_timeout_ms=settings.connect_timeout_ms,
        read_timeout_ms=settings.read_timeout_ms,
        sync_timeout_ms=settings.sync_timeout_ms,
        drain_timeout_ms=settings.drain_timeout_ms,
        max_body_bytes=settings.max_body_bytes,
        access_log_every=settings.access_log_every,
        tls_certificate=str(settings.tls_certificate) if settings.tls_certificate else None,
        tls_key=str(settings.tls_key) if settings.tls_key else None,
        key_store="gateway.adapters.idempotency:SqliteKeys",
        key_store_path=str(settings.state_dir.resolve() / "idempotency.sqlite3"),
    )


def read_comparison(path: Path) -> Bounds:
    """Read what people decided about differences; PolicyError with every fault."""
    try:
        found = policy.load_comparison(path)
    except policy.PolicyError as error:
        faults = tuple(
            Fault(f"{error.source}:{fault.line} {fault.key}".rstrip(), fault.problem)
            for fault in error.faults
        )
        raise PolicyError("Comparison", faults, todo=_POLICY_TODO) from error
    except OSError as error:
        fault = Fault(str(path), f"cannot be read ({error.strerror})", "a comparison file")
        raise PolicyError("Comparison", (fault,), todo=_POLICY_TODO) from error
    return Bounds(
        rules=found.rules,
        confidence=found.confidence,
        differences_per_listing=found.differences_per_listing,
        examples_per_field=found.examples_per_field,
        fields=found.fields,
    )


async def build(settings: Settings, plan: rollout.Plan) -> Gateway:
    """Join everything; nothing serves yet. Raises what stands in the way."""
    beside = settings.policy_path.with_name(COMPARISON_FILE)
    bounds = read_comparison(beside if beside.exists() else _OWN_COMPARISON)
    store = SqliteStore(settings.state_dir)
    try:
        data = listen(settings.host, settings.port, setting="GATEWAY_PORT")
        admin = listen(settings.admin_host, settings.admin_port, setting="GATEWAY_ADMIN_PORT")
        stored = await store.load()
        state = records.stored_state(stored, plan) if stored else None
    except BaseException:
        await store.close()
        raise
    clock = SystemClock(not_before_us=(state.judged_at_us or 0) if state else 0)
    workers = WorkerPool(
        data,
        workers=settings.workers,
        command=(sys.executable, "-m", "gateway.proxy.worker"),
        environment=_worker_environment(settings),
        drain_timeout_s=settings.drain_timeout_ms / 1_000,
    )
    probe = HttpProbe(
        {Variant.BASELINE: settings.old_url, Variant.CANARY: settings.new_url},
        clock=clock,
        deadline_s=settings.probe_timeout_ms / 1_000,
    )
    dispatcher = Dispatcher(_channels(settings))
    actions = Actions(probe=probe, dispatcher=dispatcher, clock=clock)
    proving = Proving(probe, clock)
    comparing = Comparing(SqliteComparisons(settings.state_dir), bounds, clock=clock)
    controller = Controller(
        rollout.begin(plan, state),
        journal=Journal(store, version=stored.version if stored else 0),
        lease=SoleLease(),
        clock=clock,
        workers=workers,
        snapshots=Snapshots(workers=settings.workers),
        measurements=Measurements(),
        carry_out=actions.carry_out,
        notify=dispatcher.tell,
        render=prometheus.render,
        read_policy=lambda: read_policy(settings.policy_path),
        fresh_salt=lambda: secrets.token_hex(_SALT_BYTES),
        proving=proving,
        comparing=comparing,
    )
    actions.tell = controller.tell
    app = create_app(controller, clock, tokens=settings.admin_tokens, version=_version())
    server = _AdminServer(
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
    return Gateway(
        settings=settings,
        clock=clock,
        store=store,
        data=data,
        admin=admin,
        workers=workers,
        controller=controller,
        probe=probe,
        dispatcher=dispatcher,
        actions=actions,
        proving=proving,
        comparing=comparing,
        server=server,
    )


def _worker_environment(settings: Settings) -> dict[str, str]:
    """Give a worker the environment without what is ours alone: tokens, database, webhook."""
    ours = {str(field.alias) for field in type(settings).model_fields.values()}
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith("SUPABASE_")
    }
    return {**inherited, SETTINGS_VARIABLE: data_plane(settings).to_json()}


def _channels(settings: Settings) -> list[Notifier]:
    channels: list[Notifier] = [LogNotifier()]
    if settings.alert_webhook_url is not None:
        channels.append(WebhookNotifier(settings.alert_webhook_url.get_secret_value()))
    return channels


def serve(settings: Settings, plan: rollout.Plan | None = None) -> int:
    """Run a gateway until it is told to stop; return the exit code.

    `plan` is the policy if the caller has read it already.
    """
    configure_logs(level=settings.log_level, path=settings.log_file_path)
    try:
        plan = plan or read_policy(settings.policy_path)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(settings, plan))
    except SyncgateError as error:
        print(f"syncgate: {error}", file=sys.stderr, flush=True)  # noqa: T201 - for people
        return error.exit_code


async def _serve(settings: Settings, plan: rollout.Plan) -> int:
    gateway = await build(settings, plan)
    stop = asyncio.Event()
    reload = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    try:
        return await run(gateway, stop=stop, reload=reload)
    finally:
        await gateway.store.close()


async def run(gateway: Gateway, *, stop: asyncio.Event, reload: asyncio.Event) -> int:
    """Start everything, serve until `stop`, and take it down in order."""
    await gateway.controller.restore()
    await gateway.workers.start()
    loops = [
        asyncio.create_task(
            watching.endure(loop, tell=gateway.dispatcher.tell, clock=gateway.clock)
        )
        for loop in _loops(gateway, reload)
    ]
    admin = asyncio.create_task(gateway.server.serve(sockets=[gateway.admin]))
    stopping = asyncio.create_task(stop.wait())
    print(_ready_block(gateway), flush=True)  # noqa: T201 - the one thing people wait for
    done, _ = await asyncio.wait({stopping, admin, *loops}, return_when=asyncio.FIRST_COMPLETED)
    failed = [task for task in done if task is not stopping]
    for task in failed:
        _log.critical("control_stopped", exc_info=task.exception())
    await _take_down(gateway, loops, admin)
    stopping.cancel()
    return 1 if failed else 0


def _loops(gateway: Gateway, reload: asyncio.Event) -> Iterator[watching.Loop]:
    settings, controller, clock = gateway.settings, gateway.controller, gateway.clock
    probe_every_s = settings.probe_interval_ms / 1_000
    poll_every_s = settings.monitoring_interval_ms / 1_000
    resources = Resources(
        disk=settings.state_dir, network_capacity_mbit=settings.network_capacity_mbit
    )
    yield partial(watching.follow_workers, controller, gateway.workers)
    yield partial(watching.tick, controller)
    yield gateway.dispatcher.run
    yield gateway.proving.run
    yield partial(_reload_on_request, controller, reload)
    for variant in Variant:
        yield partial(
            watching.probe_health, controller, gateway.probe, variant, every_s=probe_every_s
        )
    if settings.monitoring_enabled:
        yield partial(watching.sample_resources, controller, resources, clock=clock)
        for variant in Variant:
            yield partial(
                watching.poll_metrics,
                controller,
                gateway.probe,
                variant,
                clock=clock,
                every_s=poll_every_s,
            )


async def _reload_on_request(controller: Controller, reload: asyncio.Event) -> None:
    """SIGHUP: read the policy again and, if it is good, replace the workers."""
    while True:
        await reload.wait()
        reload.clear()
        try:
            await controller.reload_policy(by=_SIGNAL_ACTOR, reason="SIGHUP")
            await controller.roll_workers(by=_SIGNAL_ACTOR, reason="SIGHUP")
        except SyncgateError as error:
            _log.error("reload_refused", reason=str(error))


async def _take_down(
    gateway: Gateway, loops: list[asyncio.Task[None]], admin: asyncio.Task[None]
) -> None:
    """Readiness off, requests finished, then everything else; nothing accepted is lost."""
    _log.info("stopping")
    await gateway.workers.expect_the_end()
    gateway.controller.drain()
    await asyncio.sleep(READINESS_PAUSE_S)
    await gateway.workers.drain()
    await gateway.actions.finish(within_s=1.0)
    for task in loops:
        task.cancel()
    await asyncio.gather(*loops, return_exceptions=True)
    gateway.controller.end()
    await gateway.comparing.close()
    gateway.server.should_exit = True
    await asyncio.gather(admin, return_exceptions=True)
    await gateway.probe.close()
    _log.info("stopped")


def _ready_block(gateway: Gateway) -> str:
    view = gateway.controller.view()
    state, plan = view.state, view.plan
    phase = "not started" if state.phase is None else plan.phases[state.phase].title
    route = rollout.route(state, plan)
    mirror = (
        f"{route.mirror_rate:.0%} to {route.mirror_to}" + (" as dry runs" * route.mirror_dry)
        if route.mirror_to and route.mirror_rate > 0
        else "nothing"
    )
    writes, reads = state.write_bp / 100, state.read_bp / 100
    weight = f"{writes:g} %" if writes == reads else f"writes {writes:g} %, reads {reads:g} %"
    settings = gateway.settings
    lines = [
        "syncgate is ready",
        f"  data     {url_of(gateway.data)}",
        f"  admin    {url_of(gateway.admin)}",
        f"  old      {settings.old_url}",
        f"  new      {settings.new_url}",
        f"  phase    {phase} ({state.status.value})",
        f"  weight   {weight} to new",
        f"  mirrors  {mirror}",
        f"  policy   {plan.name} ({settings.policy_path})",
        f"  store    {settings.state_dir.resolve()}",
        f"  workers  {len(view.workers)}",
    ]
    if settings.redis_url is not None:
        lines.append("  note     REDIS_URL is not used: this gateway stands alone")
    if not settings.admin_tokens:
        lines.append("  note     no GATEWAY_ADMIN_TOKENS: the admin port answers reads only")
    return "\n".join(lines)


def _version() -> str:
    try:
        return version("syncgate")
    except PackageNotFoundError:
        return "0"

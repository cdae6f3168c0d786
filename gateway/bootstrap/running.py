"""
From start to end: ports bound, state read, workers up, loops and admin port running; then back.

Whatever is wrong is said before anything serves. Stopping goes the other way round: readiness off,
workers drained, then loops, admin port and store.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
import uvloop

from gateway.adapters.logs import configure_logs
from gateway.bootstrap.composition import Gateway, build
from gateway.bootstrap.files import read_policy
from gateway.bootstrap.fleet import leave, retire
from gateway.bootstrap.greeting import ready_block
from gateway.bootstrap.sources import source_loops
from gateway.control import sources, watching
from gateway.control.fleet import loops
from gateway.control.resources import Resources
from gateway.core.model import Variant
from gateway.errors import SyncgateError
from gateway.ports import Actor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.core import rollout
    from gateway.settings import Settings

LEASE_PARTS: Final = 3
"""A lease is renewed so many times before it would end."""
READINESS_PAUSE_S: Final = 0.5
"""Between readiness off and the end of accepting: time for a load balancer to look away."""
_CANCEL_AGAIN_S: Final = 1.0
_SIGNAL_ACTOR: Final = Actor("signal")

_log = structlog.get_logger("gateway")


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
        await gateway.beginning.close()
        await gateway.store.close()


async def run(gateway: Gateway, *, stop: asyncio.Event, reload: asyncio.Event) -> int:
    """Start everything, serve until `stop`, and take it down in order."""
    gateway.write_backs.audit = gateway.controller.note_change
    await gateway.write_backs.restore()
    await gateway.controller.restore()
    await gateway.alerts.restore()
    await gateway.workers.start()
    running = [
        asyncio.create_task(watching.endure(loop, tell=gateway.alerts.tell, clock=gateway.clock))
        for loop in _loops(gateway, reload)
    ]
    admin = asyncio.create_task(gateway.server.serve(sockets=[gateway.admin]))
    stopping = asyncio.create_task(stop.wait())
    print(ready_block(gateway), flush=True)  # noqa: T201 - the one thing people wait for
    done, _ = await asyncio.wait({stopping, admin, *running}, return_when=asyncio.FIRST_COMPLETED)
    failed = [task for task in done if task is not stopping]
    for task in failed:
        _log.critical("control_stopped", exc_info=task.exception())
    await _take_down(gateway, running, admin)
    stopping.cancel()
    return 1 if failed else 0


def _loops(gateway: Gateway, reload: asyncio.Event) -> Iterator[watching.Loop]:
    settings, controller, clock = gateway.settings, gateway.controller, gateway.clock
    probe_every_s = settings.probe_interval_ms / 1_000
    poll_every_s = settings.monitoring_interval_ms / 1_000
    resources = Resources(
        disk=settings.state_dir, network_capacity_mbit=settings.network_capacity_mbit
    )
    yield partial(
        watching.follow_workers, controller, gateway.workers, aside=gateway.write_backs.heard
    )
    yield partial(watching.tick, controller)
    if controller.together is not None:
        every_s = settings.lease_ms / 1_000 / LEASE_PARTS
        yield partial(loops.post, controller.together)
        yield partial(loops.lease, controller.together, every_s=every_s)
        yield partial(loops.listen, controller.together)
        yield partial(loops.agree, controller.together)
    sharing = gateway.beginning.sharing(settings, gateway.workers)
    if sharing is not None:
        yield sharing.run
    yield from gateway.alerts.loops()
    yield from gateway.reports.loops()
    yield gateway.proving.run
    yield partial(_reload_on_request, gateway, reload)
    for variant in Variant:
        yield partial(
            watching.probe_health, controller, gateway.probe, variant, every_s=probe_every_s
        )
    if settings.monitoring_enabled:
        yield partial(watching.sample_resources, controller, resources, clock=clock)
        yield from source_loops(settings, gateway.sources, controller=controller, clock=clock)
        for variant in Variant:
            yield partial(
                sources.poll_metrics,
                controller,
                gateway.probe,
                variant,
                clock=clock,
                every_s=poll_every_s,
            )


async def _reload_on_request(gateway: Gateway, reload: asyncio.Event) -> None:
    """SIGHUP: read policy and alerts again and, if they are good, replace the workers."""
    controller = gateway.controller
    while True:
        await reload.wait()
        reload.clear()
        try:
            await gateway.alerts.desk.reload(by=_SIGNAL_ACTOR, reason="SIGHUP")
            await controller.reload_policy(by=_SIGNAL_ACTOR, reason="SIGHUP")
            await controller.roll_workers(by=_SIGNAL_ACTOR, reason="SIGHUP")
        except SyncgateError as error:
            _log.error("reload_refused", reason=str(error))


async def _end(running: list[asyncio.Task[None]]) -> None:
    """Cancel until all have ended: a call that times out just then may swallow a cancellation."""
    pending = set(running)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)


async def _take_down(
    gateway: Gateway, running: list[asyncio.Task[None]], admin: asyncio.Task[None]
) -> None:
    """Readiness off, requests finished, then everything else; nothing accepted is lost."""
    _log.info("stopping")
    await retire(gateway.beginning)
    await gateway.workers.expect_the_end()
    gateway.controller.drain()
    await asyncio.sleep(READINESS_PAUSE_S)
    await gateway.workers.drain()
    await gateway.actions.finish(within_s=1.0)
    await _end(running)
    await leave(gateway.beginning, gateway.controller)
    gateway.controller.end()
    await gateway.comparing.close()
    await gateway.reports.close()
    await gateway.write_backs.close()
    gateway.server.should_exit = True
    await asyncio.gather(admin, return_exceptions=True)
    await gateway.alerts.close()
    await gateway.probe.close()
    _log.info("stopped")

"""
What a gateway starts from: alone, its own disk; in a fleet, the newest state that can be had.

`REDIS_URL` makes the difference. With it the shared record counts, and the own disk is the copy to
start from when Redis cannot be used; without either there is nothing to start from, and that is
said, by the name of the setting.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from gateway.adapters.clock import SystemClock
from gateway.adapters.redis_store.address import read_address
from gateway.adapters.redis_store.alerts import RedisAlertStore
from gateway.adapters.redis_store.board import RedisBoard
from gateway.adapters.redis_store.lease import RedisLease
from gateway.adapters.redis_store.ledger import RedisLedger
from gateway.adapters.redis_store.probes import RedisProbes
from gateway.adapters.redis_store.server import Server
from gateway.adapters.redis_store.state import RedisStore
from gateway.bootstrap.workers import data_plane
from gateway.control import records
from gateway.control.fleet.fleet import Fleet, Identity
from gateway.control.fleet.sharing import Sharing
from gateway.control.fleet.spare import LocalCopy, read_copy
from gateway.control.journal import Journal
from gateway.control.lease import SoleLease
from gateway.errors import Fault, SettingsError, StateError, StateUnreadableError
from gateway.ports import Transition

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.adapters.sqlite_store import SqliteStore
    from gateway.control.controller import Controller
    from gateway.control.fleet.spare import Copy
    from gateway.control.workers import WorkerPool
    from gateway.core import rollout
    from gateway.ports import Lease, StoredState
    from gateway.ports.alerts import AlertStore
    from gateway.settings import Settings

NAME_FILE: Final = "replica.name"
_BOOT_BYTES: Final = 4
_FIRST_CONTACT_S: Final = 5.0
_MARGIN: Final = 6
"""A holder stops this part of the lease's time before it ends."""
_LATE: Final = 2
"""An answer within this part of `timeout_ms` is in time."""

_ALONE_AFTER_US: Final = 8_000_000
_ALONE_BEYOND_US: Final = 30_000_000
_STOOD_STILL_US: Final = 3_000_000
"""It is asked every second: a longer gap is time in which this process did not run."""

_log = structlog.get_logger("fleet")


@dataclass(frozen=True, slots=True)
class Beginning:
    """The state to begin with, and where it is kept from here on."""

    state: rollout.State | None
    journal: Journal
    lease: Lease
    clock: SystemClock
    fleet: Fleet | None = None
    server: Server | None = None

    def sharing(self, settings: Settings, pool: WorkerPool) -> Sharing | None:
        """Make what keeps limits and probes over a fleet; None: there is none."""
        server, fleet = self.server, self.fleet
        if server is None or fleet is None:
            return None
        limits = data_plane(settings)
        return Sharing(
            RedisLedger(server),
            RedisProbes(server),
            pool,
            replica=fleet.identity.holder,
            quotas=limits.quotas(),
            probe_window_ms=limits.breaker_timeout_ms,
            holders=lambda: fleet.holders(pool.view()),
            reachable=lambda: fleet.connected,
        )

    def alert_store(self) -> AlertStore | None:
        """Give where a fleet keeps its alerts; None: on the own disk."""
        return RedisAlertStore(self.server) if self.server is not None else None

    async def close(self) -> None:
        """Let go of Redis."""
        if self.fleet is not None:
            await self.fleet.copy.settle()
        if self.server is not None:
            await self.server.close()


class AloneLease:
    """`Lease` over telling people while nobody holds the fleet's: this replica hears of none.

    Some patience before, because a short outage is no news, and some time after, for what is still
    to be delivered. Who stood still heard nothing either, but the others went on and told people:
    patience begins when it runs again.
    """

    fencing_token = 1

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._runs_since_us = self._asked_us = self._until_us = fleet.clock.now_us()

    @property
    def held(self) -> bool:
        """Whether this replica tells people on its own."""
        now_us = self._fleet.clock.now_us()
        if now_us - self._asked_us > _STOOD_STILL_US:
            self._runs_since_us = now_us
        self._asked_us = now_us
        if now_us - max(self._fleet.heard_us or 0, self._runs_since_us) > _ALONE_AFTER_US:
            self._until_us = now_us + _ALONE_BEYOND_US
        return now_us < self._until_us


async def begin(
    settings: Settings, plan: rollout.Plan, local: SqliteStore, *, port: int, software: str
) -> Beginning:
    """Read what there is to begin with; raises what stands in the way, by name."""
    if settings.redis_url is None:
        return await _alone(plan, local)
    return await _in_a_fleet(settings, plan, local, port=port, software=software)


async def _alone(plan: rollout.Plan, local: SqliteStore) -> Beginning:
    stored = await local.load()
    state = records.stored_state(stored, plan) if stored else None
    return Beginning(
        state,
        Journal(local, version=stored.version if stored else 0),
        SoleLease(),
        SystemClock(not_before_us=(state.judged_at_us or 0) if state else 0),
    )


async def _in_a_fleet(
    settings: Settings, plan: rollout.Plan, local: SqliteStore, *, port: int, software: str
) -> Beginning:
    address = read_address(settings.fleet_url)
    name = settings.replica_name or _kept_name(settings.state_dir, port)
    identity = Identity(name, secrets.token_hex(_BOOT_BYTES), software)
    server = Server(address)
    board, store = RedisBoard(server, name), RedisStore(server)
    copy = await read_copy(local)
    try:
        found = await _first_contact(board, store, copy, plan)
        at_us, stored, trouble = found
        stood = await local.load()
        spare = LocalCopy(local, version=stood.version if stood else 0, begin=copy)
        start, waiting = _choose(stored, copy, reached=not trouble)
        journal = Journal(
            store,
            version=start.version if start else 0,
            spare=spare,
            place=f"Redis at {address}",
        )
        if waiting and start is not None:
            journal.begin_with(Transition(0, document=start.document))
        state = records.stored_state(start, plan) if start else None
    except BaseException:
        await server.close()
        raise
    clock = SystemClock(begin_us=at_us, not_before_us=(state.judged_at_us or 0) if state else 0)
    fleet = Fleet(
        identity=identity,
        store=store,
        board=board,
        lease=RedisLease(
            server,
            identity.holder,
            ttl_ms=settings.lease_ms,
            margin_ms=settings.lease_ms // _MARGIN,
        ),
        copy=spare,
        clock=clock,
        place=f"Redis at {address}",
        late_after_s=address.timeout_s / _LATE,
        follow_clock=clock.follow,
        trouble=trouble,
    )
    if start is not None and not waiting and not trouble:
        spare.saw(start, token=0)
    return Beginning(state, journal, fleet.lease, clock, fleet, server)


async def _first_contact(
    board: RedisBoard, store: RedisStore, copy: Copy | None, plan: rollout.Plan
) -> tuple[int | None, StoredState | None, str]:
    """Read the shared record; without it there must be a copy. Gives the server's time, too."""
    try:
        async with asyncio.timeout(_FIRST_CONTACT_S):
            reading = await board.read()
            stored = await store.load()
            if stored is not None:
                records.stored_state(stored, plan)
    except (StateError, TimeoutError) as error:
        reason = error.message if isinstance(error, StateError) else "It did not answer in time."
        if copy is None:
            todo = error.todo if isinstance(error, StateError) else ""
            raise SettingsError(
                "Settings",
                (Fault("REDIS_URL", reason),),
                todo=f"{todo} This replica has no copy of the state to start from; correct "
                "REDIS_URL, or start without it to stand alone.".strip(),
            ) from error
        _log.warning("starts_from_its_copy", reason=reason, version=copy.stored.version)
        return None, None, reason
    return reading.at_us, stored, ""


def _choose(
    stored: StoredState | None, copy: Copy | None, *, reached: bool
) -> tuple[StoredState | None, bool]:
    """Choose what to begin with, and whether the shared record does not know it yet."""
    if copy is None:
        return stored, False
    if not reached:
        return copy.stored, copy.acted or copy.stored.version == 0
    if copy.acted:
        return copy.stored, True
    if copy.stored.version == 0:  # of a gateway that stood alone
        return (stored, False) if stored is not None else (copy.stored, True)
    if stored is None or copy.stored.version > stored.version:
        return copy.stored, False
    return stored, False


def _kept_name(directory: Path, port: int) -> str:
    """Give this replica a name that stays, whatever port it gets the next time."""
    path = directory / NAME_FILE
    try:
        if path.exists() and (name := path.read_text(encoding="utf-8").strip()):
            return name
        name = f"{socket.gethostname()[:48]}-{port}"
        path.write_text(name + "\n", encoding="utf-8")
    except OSError as error:
        raise StateUnreadableError(
            f"The name of this replica in {path} cannot be used ({error.strerror}).",
            todo="Make it readable, or set GATEWAY_REPLICA_NAME.",
        ) from error
    return name


async def retire(beginning: Beginning) -> None:
    """Let another decide at once; this one only finishes what it has begun."""
    fleet = beginning.fleet
    if fleet is None:
        return
    fleet.retiring = True
    try:
        async with asyncio.timeout(1.0):
            await fleet.lease.release()
    except (StateError, TimeoutError) as error:
        _log.info("lease_not_given_back", reason=str(error))


async def leave(beginning: Beginning, controller: Controller) -> None:
    """Say good-bye, so that nobody waits for this replica."""
    if beginning.fleet is None or controller.together is None:
        return
    beginning.fleet.leaving = True
    try:
        async with asyncio.timeout(1.0):
            await controller.together.exchange()
    except (StateError, TimeoutError) as error:
        _log.info("left_without_a_word", reason=str(error))

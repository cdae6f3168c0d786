"""
One replica's place in the fleet: its role, what it tells, what it hears of the others.

One replica holds the lease and decides; the others follow, with the same picture of the whole fleet
in hand, so that any of them can take over. A replica that has lost the shared store is *alone*: it
keeps the weight it has, promotes nothing, and takes traffic back by itself if what it sees demands
it.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from gateway.control.fleet import postings
from gateway.control.fleet.figures import SHARED, fleetwide
from gateway.control.fleet.members import Heard, MemberChanged, Members
from gateway.control.fleet.outbox import Outbox
from gateway.control.fleet.postings import PostingBody
from gateway.core.model import SECOND_US
from gateway.errors import StateError
from gateway.ports import Confirmations, MeasurementDraft

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.control.fleet.spare import LocalCopy
    from gateway.core import rollout
    from gateway.core.analysis import Measurement
    from gateway.core.model import Variant
    from gateway.ports import Clock, WorkerView
    from gateway.ports.fleet import Board, BoardReading, FleetLease, FleetStore

ALONE_US: Final = 3 * SECOND_US
"""Without an answer for so long, a replica takes it that it is on its own."""
_BREAK_US: Final = 2 * SECOND_US
"""The board is read every second: between two readings so far apart something was missed."""
CONFIRM_S: Final = 1.0
"""How long an emergency stop waits for the others to confirm."""
_LOOK_EVERY_S: Final = 0.05


class Role(Enum):
    """What a replica may do on its own account."""

    DECIDES = "decides"
    FOLLOWS = "follows"
    ALONE = "alone"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this replica is: a name that stays, a boot that is of this run of the process."""

    name: str
    boot: str
    software: str

    @property
    def holder(self) -> str:
        """How it is called as holder of the lease."""
        return f"{self.name}@{self.boot}"


@dataclass(slots=True, eq=False)
class Fleet:
    """See the module."""

    identity: Identity
    store: FleetStore
    board: Board
    lease: FleetLease
    copy: LocalCopy
    clock: Clock
    place: str
    """Where the shared store is, without credentials."""
    outbox: Outbox = field(default_factory=Outbox)
    members: Members = field(init=False)
    heard_us: int | None = None
    """When the board answered last."""
    late_after_s: float = math.inf
    """An answer that takes longer tells of the others too late to promote by it."""
    late_ms: int = 0
    """How long the last answer took, if that was too long."""
    listening_since_us: int = 0
    """Since when it has answered second by second."""
    trouble: str = ""
    holding: str = ""
    """Why this replica cannot take part: it does not understand the stored state."""
    retiring: bool = False
    """This replica is going to stop: it seeks the lease no more."""
    leaving: bool = False
    follow_clock: Callable[[int], None] = lambda _server_us: None
    """Told the server's time with every reading."""
    due: asyncio.Event = field(default_factory=asyncio.Event)
    """Something should not wait for the next second's posting."""
    behind: asyncio.Event = field(default_factory=asyncio.Event)
    """There may be a newer stored state than ours."""

    def __post_init__(self) -> None:
        self.members = Members(self.identity.name, self.identity.boot)

    # --- role --------------------------------------------------------------------------------

    @property
    def role(self) -> Role:
        """What this replica may do now."""
        if self.holding:
            return Role.ALONE
        if self.lease.held:
            return Role.DECIDES
        return Role.FOLLOWS if self.connected else Role.ALONE

    @property
    def connected(self) -> bool:
        """Whether the board has answered lately."""
        return self.heard_us is not None and self.clock.now_us() - self.heard_us < ALONE_US

    @property
    def token(self) -> int:
        """What a step that is decided now carries."""
        return self.lease.fencing_token if self.role is Role.DECIDES else 0

    def holders(self, own: tuple[WorkerView, ...]) -> int:
        """Count the workers that share the fleet's limits, those of silent replicas included."""
        others = sum(member.body.workers for member in self.members if member.body is not None)
        return others + sum(worker.ready for worker in own)

    @property
    def seeks(self) -> bool:
        """Whether to ask for the lease: to keep it, or because nobody is heard of who has it."""
        if self.heard_us is None:
            return False
        return self.lease.held or not self.members.one_decides

    @property
    def shuns(self) -> bool:
        """Whether this replica must not decide."""
        return bool(self.holding) or self.members.namesake or self.retiring

    def unknown(self) -> tuple[str, ...]:
        """Name the replicas whose numbers are missing here."""
        return self.members.unknown()

    # --- telling and reading -----------------------------------------------------------------

    async def post(self, body: PostingBody) -> BoardReading:
        """Put our second up and read the others'; StateError when the board is not ours to use."""
        newest = body.items[-1][0] if body.items else 0
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        try:
            reading = await self.board.post(postings.write(body))
        except StateError as error:
            self.trouble = error.message
            raise
        took_s = loop.time() - begun_s
        self.late_ms = round(took_s * 1_000) if took_s > self.late_after_s else 0
        self.outbox.posted(newest, self.clock.now_us())
        return reading

    def take(self, reading: BoardReading) -> tuple[tuple[MemberChanged, ...], tuple[Heard, ...]]:
        """Take in what stands on the board."""
        self.follow_clock(reading.at_us)
        now_us = self.clock.now_us()
        if self.heard_us is None or now_us - self.heard_us > _BREAK_US:
            self.listening_since_us = now_us
        self.heard_us = now_us
        self.trouble = ""
        return self.members.take(reading, now_us)

    def body(
        self,
        state: rollout.State,
        *,
        in_force: int,
        stored_version: int,
        complete_second: int,
        breakers: Mapping[Variant, bool],
        workers: int,
        measurements: tuple[Measurement, ...],
    ) -> PostingBody:
        """Write down all that this replica says of itself."""
        now_us = self.clock.now_us()
        return PostingBody(
            boot=self.identity.boot,
            software=self.identity.software,
            now_us=now_us,
            complete_second=complete_second,
            routing_version=in_force,
            state_version=stored_version,
            weight_bp=state.write_bp,
            workers=workers,
            requests_per_s=self.outbox.requests_per_s(),
            breakers=breakers,
            figures=tuple(_draft(one) for one in measurements if one.metric in SHARED),
            items=self.outbox.items(now_us),
            leaving=self.leaving,
            holding=self.holding,
            decides=self.lease.held,
        )

    def figures(self, own: tuple[Measurement, ...]) -> tuple[Measurement, ...]:
        """Join our figures with those of the replicas that report."""
        others = (
            (member.shift_us, draft)
            for member in self.members
            if member.reports and member.body is not None and member.shift_us is not None
            for draft in member.body.figures
        )
        return fleetwide(own, others)

    # --- confirmations -----------------------------------------------------------------------

    async def confirmations(
        self, version: int, *, own: Callable[[], int], within_s: float = CONFIRM_S
    ) -> Confirmations:
        """Wait until all replicas route by this version, or the time is over."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        expected = {self.identity.name, *(member.name for member in self.members)}
        confirmed: set[str] = set()
        while True:
            if own() >= version:
                confirmed.add(self.identity.name)
            for name in await self._confirmed(version, begun + within_s - loop.time()):
                confirmed.add(name)
            waited_s = loop.time() - begun
            if expected <= confirmed or waited_s + _LOOK_EVERY_S >= within_s:
                break
            await asyncio.sleep(_LOOK_EVERY_S)
        return Confirmations(
            version=version,
            confirmed=tuple(sorted(confirmed)),
            missing=tuple(sorted(expected - confirmed)),
            waited_s=loop.time() - begun,
        )

    async def _confirmed(self, version: int, within_s: float) -> set[str]:
        """Read who says so by now; whoever's posting cannot be read has not said so."""
        try:
            reading = await asyncio.wait_for(self.board.read(), max(0.01, within_s))
        except (StateError, TimeoutError):
            return set()
        found = set()
        for posting in reading.postings:
            said = posting.document.get("routing_version")
            if isinstance(said, int) and said >= version and not posting.document.get("leaving"):
                found.add(posting.replica)
        return found


def _draft(one: Measurement) -> MeasurementDraft:
    return MeasurementDraft(
        at_us=one.at_us,
        metric=one.metric.value,
        value=one.value,
        variant=one.system,
        sample=one.sample,
        source=one.source,
    )

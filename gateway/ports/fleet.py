"""
What a fleet shares: who decides (lease), what everybody knows (board), how much each may use.

Nothing on a request's way ever calls these: `control/fleet` does, in loops of its own, and goes on
without them when they are away.

| call | by | how often |
|---|---|---|
| `FleetLease.renew` | the `lease` loop of every replica | a few times per term |
| `Board.post` | the `post` loop of every replica | once a second; at once on alarm or new version |
| `Board.read` | who waits for the others to confirm a stop | every 50 ms, for a second at most |
| `Board.listen` | the `listen` loop of every replica | one subscription |
| `Ledger.exchange` | the shares loop of every replica, all keys at once | while limits are in use |
| `FleetStore.commit` | the holder, and whoever carries out a person's order | per change |

**Errors.** Every call raises StoreUnavailableError (or one of its kinds: refused, read-only, full,
starting) when the server does not answer in time or says no, StateUnreadableError when something
foreign stands under our names, and nothing else of its own.

**Time.** Instants that cross between replicas are the server's (Redis TIME), never a replica's wall
clock; ages are spans on the server's clock. How long a lease is held is measured by its holder on
its own steady clock, from before the call was sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from gateway.ports.record import StateStore
from gateway.ports.world import Lease

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.core.limiter import Quota
    from gateway.core.shares import Ask, Grant
    from gateway.ports.record import Document, StoredState

MAX_POSTING_BYTES: Final = 256 * 1024


# --- the state -----------------------------------------------------------------------------------


class FleetStore(StateStore, Protocol):
    """The record that all replicas share.

    `Transition.token` > 0 is the fencing token of the lease under which the step was decided:
    `commit` raises FencedError if a higher one has been given out. 0 is a person's order, which is
    decided by the version alone. VersionConflictError: the state moved on; FencedError: the lease
    did. After either nothing was stored.
    """

    async def seed(self, stored: StoredState, *, token: int = 0) -> int:
        """Give a server that came back empty or older this state; return the version there now.

        `token` is the highest fencing token the caller knows; the server's counter goes on from
        there. A state that is as new or newer stays. StateUnreadableError: something foreign.
        """
        ...


# --- the lease -----------------------------------------------------------------------------------


class FleetLease(Lease, Protocol):
    """`Lease` that one replica of the fleet holds at a time.

    `held` never waits and is pessimistic: false as soon as the term less a margin has passed since
    the last successful renewal was *begun*, so a process that slept finds it false on waking.
    """

    @property
    def holder(self) -> str:
        """Who has it, as far as was last heard (`name@boot`); empty if nobody knows."""
        ...

    async def renew(self, *, floor: int = 0) -> bool:
        """Take it if nobody has it, keep it if we have it; say whether we hold it.

        `floor` is the highest fencing token the caller knows of: a new one is higher.
        """
        ...

    async def release(self) -> None:
        """Let another take over at once; what cannot be given back runs out."""
        ...


# --- the board -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Posting:
    """What one replica put up last, and how long ago on the server's clock."""

    replica: str
    age_us: int
    document: Document
    """`control/fleet/postings` writes and reads it; the board does not look inside."""


@dataclass(frozen=True, slots=True)
class BoardReading:
    """All replicas' postings, the version of the stored state (0: none), and the server's time."""

    at_us: int
    version: int
    postings: tuple[Posting, ...]


class Board(Protocol):
    """Where the replicas tell one another what they see and what they route by."""

    async def post(self, document: Document) -> BoardReading:
        """Put up this replica's document and read everybody's: one round trip.

        At most `MAX_POSTING_BYTES`. Only the newest posting of each replica is kept, so a document
        carries the last few seconds with their numbers.
        """
        ...

    async def read(self) -> BoardReading:
        """Read everybody's."""
        ...

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Call `heard` with every message, for ever; a line that breaks is taken up again.

        "state N": a state of that version was stored. "": messages may have been missed, read
        again. Anything else is to be ignored. Nothing rests on it alone: every reading brings the
        version, too. Ends when cancelled.
        """
        ...


# --- the shares ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HolderAsk:
    """One holder's ask for one key of one limit; `scope` keeps the limits' keys apart."""

    holder: str
    """One worker of one replica."""
    scope: str
    """`client` or `upstream`."""
    quota: Quota
    ask: Ask


class Ledger(Protocol):
    """The accounts of limits that hold over the fleet; see `core.shares` for the rule."""

    async def exchange(self, asks: Sequence[HolderAsk], *, holders: int) -> Sequence[Grant]:
        """Charge what was used, hand out what is there: one `Grant` per ask, in order.

        `holders` is how many workers of how many replicas share the budget now. When it raises,
        nothing was handed out, and what was used has to be told again.
        """
        ...


class ProbePermits(Protocol):
    """Half-open probes of circuit breakers, counted over the fleet."""

    async def probe(self, upstream: str, *, permits: int, window_ms: int) -> bool:
        """Take one of the probes that the whole fleet has for an upstream in such a window.

        False when all `permits` are taken.
        """
        ...

    async def succeeded(self, upstream: str) -> None:
        """Take note that a probe went well: the next need not wait for another window."""
        ...

"""
What a fleet shares: who decides (lease), what everybody knows (board), how much each may use.

Three small servers behind one Redis. Nothing on a request's way ever calls them: `control/fleet`
does, in loops of its own, and goes on without them when they are away.

| port | called by | how often |
|---|---|---|
| `LeaseDesk.claim` | the lease loop of every replica | every third of the lease's length |
| `Board.exchange` | the push loop of every replica | once a second, and at once on alarm or stop |
| `Board.news` | the follower loop of every replica | one subscription |
| `Board.confirm` | whoever put a version in force | once per version |
| `Shares.refill` | the shares loop of every replica, all keys at once | once a second, if any |
| `Shares.probe` | a replica whose breaker wants to try again | once per try |
| `FleetStore.commit` | the holder, and whoever carries out a person's order | per change |

**Errors.** Every call raises StoreUnavailableError (or one of its kinds: refused, read-only, full,
starting) when the server does not answer in time or says no, and nothing else of its own.

**Time.** Instants that cross between replicas are the server's (`server_us`, Redis TIME), never a
replica's wall clock; ages are spans on the server's clock. Spans that decide about holding a lease
are measured by the caller on its own monotonic clock, from before the call was sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from gateway.ports.record import StateStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from gateway.ports.record import StoredState

MAX_PUSH_BYTES: Final = 256 * 1024
"""A push that is larger is refused by its writer; a reader drops what is larger unread."""

PUSHES_KEPT_S: Final = 30
"""How long the board keeps pushes: a reader that was away for longer has missed some."""


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


@dataclass(frozen=True, slots=True)
class Claim:
    """What became of one attempt to take or renew the lease."""

    mine: bool
    token: int
    """The current holder's fencing token: it grows by at least one with every change of holder,
    and also when the same holder had let it lapse."""
    holder: str
    """The current holder's replica name (the caller's if `mine`)."""
    left_us: int
    """How long the current lease still runs, on the server's clock."""
    server_us: int


class LeaseDesk(Protocol):
    """Gives the one lease of the fleet out, in one atomic step on the server's clock."""

    async def claim(self, replica: str, boot: str, *, lease_us: int) -> Claim:
        """Renew it if it is (replica, boot)'s, take it if it is free, else say whose it is.

        A new boot of the same name is another holder.
        """
        ...

    async def give_up(self, replica: str, boot: str) -> None:
        """Let go of it if (replica, boot) holds it, so that another need not wait."""
        ...


# --- the board -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Push:
    """What one replica tells the others of its last second; the board does not look inside."""

    replica: str
    boot: str
    """Random, of this run of the process: a name that comes back is another one."""
    number: int
    """Counts up by one per boot, so that a gap shows."""
    body: bytes
    """At most `MAX_PUSH_BYTES`; `control/fleet/pushes` writes and reads it."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A push of any replica as it stands on the board."""

    push: Push
    server_us: int
    """When it arrived."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the board says to a push: all that was posted since, in order of arrival."""

    posted: Sequence[Posted]
    """Every replica's, the caller's own included, after the cursor that was given; each exactly
    once and in order, but only those of the last `PUSHES_KEPT_S`."""
    cursor: str
    """Give this the next time."""
    state_version: int
    """The stored state's version (0: none): the re-read that heals a lost message."""
    server_us: int


@dataclass(frozen=True, slots=True)
class StateChanged:
    """A state of this version was stored."""

    version: int


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A replica's workers all route by this version of the rollout, or by a newer one.

    Not the version of the stored record: that grows with every checkpoint, too.
    """

    replica: str
    version: int


@dataclass(frozen=True, slots=True)
class Nudged:
    """Somebody posted something that should not wait for the second."""


News = StateChanged | Confirmed | Nudged


class Board(Protocol):
    """Where the replicas tell one another what they see and what they route by."""

    async def exchange(self, push: Push, *, after: str = "", nudge: bool = False) -> Exchange:
        """Post, and read what was posted after the cursor, in one round trip.

        `after` "": everything that is kept. A cursor from before the server came back empty (or
        with an earlier clock) reads everything that is there. `nudge` tells the others at once.
        """
        ...

    async def confirm(self, replica: str, version: int) -> None:
        """Note that this version (or a newer one) is in force at the replica, and tell it."""
        ...

    async def confirmations(self) -> Mapping[str, int]:
        """Read the newest confirmed version of every replica that ever confirmed one."""
        ...

    async def forget(self, replica: str) -> None:
        """Drop a replica's confirmation: it left, or was silent for so long that it is gone."""
        ...

    def news(self) -> AsyncIterator[News]:
        """Subscribe, and yield what is told from then on; StoreUnavailableError when it breaks.

        What cannot be read (another release's words) is left out. Nothing rests on it alone: the
        exchange brings the same within a second.
        """
        ...


# --- the shares ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Want:
    """What a replica wants of one limit for the next interval.

    `key` is made by the caller (`client:<digest>` or `upstream:old`), at most 128 ASCII characters.
    The limit is `requests` per `period_us` with `burst` at once, over the whole fleet.
    """

    key: str
    requests: int
    period_us: int
    burst: int
    wanted: int
    """How many requests it would like to let through until the next refill."""
    unused: int = 0
    """What is left of the last grant: given back."""
    overdrawn: int = 0
    """What was let through beyond the last grant (a key met for the first time): paid now."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What it gets: `tokens` requests, 0 when there is nothing left.

    When all replicas together want more than there is, each gets about its part of what was wanted
    over the last interval. A grant is spent or given back with the next refill; whoever does not
    come back forfeits it, so the fleet exceeds a limit by one refill at most.
    """

    key: str
    tokens: int


class Shares(Protocol):
    """Limits that hold over the fleet, leased in batches."""

    async def refill(self, replica: str, wants: Sequence[Want]) -> Sequence[Grant]:
        """Settle the last interval and lease the next: all keys in one round trip, in order."""
        ...

    async def probe(self, upstream: str, *, permits: int, window_ms: int) -> bool:
        """Take one of the half-open probes that the whole fleet has for an upstream.

        There are `permits` in a window of that length; False when they are taken.
        """
        ...

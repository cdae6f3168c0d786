"""What new wrote and old may not have: as it is kept, told, and cleared by a repair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.ports.record import Actor


@dataclass(frozen=True, slots=True)
class WriteBackFailure:
    """One write-back that failed, or (`count` above 1) so many of them between two times.

    Times are Unix microseconds. Which listings they were of is in new's change journal, under the
    sync's id or in that time.
    """

    from_us: int
    to_us: int
    reason: str
    sync_id: str = ""
    request_id: str = ""
    path: str = ""
    listings: int = 0
    count: int = 1


@dataclass(frozen=True, slots=True)
class WriteBackLedger:
    """What is known as a whole; `open` are those not cleared by a repair yet."""

    open: int = 0
    first_us: int | None = None
    last_us: int | None = None
    cleared: int = 0
    """Failures of which a repair has found that both stores agree."""
    repaired_rows: int = 0
    """Rows that repairs have written."""
    repaired_at_us: int | None = None
    left_open_since_us: int | None = None
    """Set while write-backs are on; found at a start, it says how long nobody kept record."""


@dataclass(frozen=True, slots=True)
class WriteBackView:
    """Write-backs now; whether they are needed at all is in the plan."""

    on: bool = False
    agreed: int = 0
    failed: int = 0
    """Since the gateway started, as `agreed`; `ledger` outlives it."""
    reasons: tuple[tuple[str, int], ...] = ()
    waiting: int = 0
    held_bytes: int = 0
    ledger: WriteBackLedger = WriteBackLedger()
    trouble: str = ""
    """Why failures are not on record at the moment."""


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair came to; everything stored before `began_us` was looked at."""

    began_us: int
    repaired: int
    left: int


class WriteBackStore(Protocol):
    """Keeps the failures durably; belongs to one thread, which opens it with its first call."""

    def load(self) -> WriteBackLedger:
        """Read the ledger. Raises StoreUnavailableError, as every call."""
        ...

    def mark(self, since_us: int | None) -> None:
        """Note since when write-backs are on; None: they ended in order."""
        ...

    def add(self, failures: Sequence[WriteBackFailure]) -> WriteBackLedger:
        """Keep failures; beyond a bound they are summed up by reason, never forgotten."""
        ...

    def repaired(self, report: RepairReport, *, at_us: int) -> WriteBackLedger:
        """Count a repair; clear what failed before it began if nothing was left."""
        ...

    def latest(self, limit: int) -> list[WriteBackFailure]:
        """Give open failures, newest first."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class WriteBackDesk(Protocol):
    """Write-backs for people."""

    async def failures(self, limit: int) -> list[WriteBackFailure]:
        """Give open failures, newest first."""
        ...

    async def repaired(self, report: RepairReport, *, by: Actor, reason: str) -> None:
        """Take note of a repair; what it cleared is audited."""
        ...

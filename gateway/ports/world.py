"""The world around: time, the two systems seen from outside, people's inboxes, the lease."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gateway.core.analysis import Severity
    from gateway.core.model import Variant
    from gateway.ports.record import Document


class Clock(Protocol):
    """Two clocks, never confused.

    `now_us` is steady: it starts at the wall time of the start and advances with the monotonic
    clock, so spans, deadlines and bake time cannot jump. `wall_us` is what people read.
    """

    def now_us(self) -> int:
        """Steady microseconds; what every decision is given."""
        ...

    def wall_us(self) -> int:
        """Microseconds since the epoch, for timestamps only."""
        ...


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One call of a system's `/health`: `reason` says what was wrong."""

    variant: Variant
    at_us: int
    healthy: bool
    elapsed_us: int
    reason: str = ""
    instance: str = ""
    """Names the answering process, if the system does: another name is another process."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message for people; `key` folds repeats."""

    level: Severity
    title: str
    text: str
    at_us: int
    key: str = ""
    data: Document = field(default_factory=dict)


class Probe(Protocol):
    """Asks the two systems how they are."""

    async def health(self, variant: Variant) -> ProbeResult:
        """Call `/health` with a deadline; never raises."""
        ...

    async def metrics(self, variant: Variant) -> Document:
        """Read `/api/metrics`; UnreachableError when there is no well-formed answer."""
        ...

    async def prove_dry_run(self, variant: Variant) -> tuple[bool, str | None, str]:
        """Have the system prove that its dry runs store nothing: (proven, means, detail).

        UnreachableError when it gave no answer that says so or not.
        """
        ...

    async def stop_sync(self, variant: Variant) -> None:
        """Ask the system to stop the sync in progress; UnreachableError when it did not answer."""
        ...


class FigureSource(Protocol):
    """One figure that is read now and then, such as the database's load."""

    async def read(self) -> float:
        """Give it in the metric's unit; UnreachableError when it is not known."""
        ...


class Lease(Protocol):
    """The right to decide. On one node it is always held; a fleet keeps it in Redis."""

    @property
    def held(self) -> bool:
        """Whether this process decides now."""
        ...

    @property
    def fencing_token(self) -> int:
        """Grows with every holder; a write with a lower one loses."""
        ...

"""The two edges of the control plane that a test holds in its own hands: time and the workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.link import Routing
    from gateway.ports import WorkerView


@dataclass
class HandClock:
    """Time stands still until it is moved; wall time may jump by itself."""

    now: int = 1_800_000_000_000_000
    wall_offset_us: int = 0

    def now_us(self) -> int:
        """Steady time."""
        return self.now

    def wall_us(self) -> int:
        """What a clock on the wall shows."""
        return self.now + self.wall_offset_us

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += round(seconds * 1_000_000)


@dataclass
class RecordedWorkers:
    """Remembers what was published."""

    published: list[Routing] = field(default_factory=list)

    def publish(self, routing: Routing) -> None:
        """Remember it."""
        self.published.append(routing)

    def view(self) -> tuple[WorkerView, ...]:
        """No processes."""
        return ()

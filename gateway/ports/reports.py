"""What is kept for reports: roll-ups by the hour, and which reports were told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.period import Timetable
    from gateway.core.rollup import Bucket


class RollupStore(Protocol):
    """Keeps buckets. Every call is one transaction.

    StoreUnavailableError when it cannot be made now.
    """

    async def put(self, buckets: Sequence[Bucket]) -> None:
        """Store them durably in place of what was there of those hours."""
        ...

    async def between(self, from_hour: int, to_hour: int) -> list[Bucket]:
        """Read buckets that begin in these hours (`to_hour` exclusive), oldest first."""
        ...

    async def hours(self, before_hour: int) -> list[Bucket]:
        """Read buckets of one hour that begin before, oldest first."""
        ...

    async def fold(self, day: Bucket) -> None:
        """Keep one bucket in place of all that begin within its hours."""
        ...

    async def forget(self, before_hour: int) -> None:
        """Drop everything that begins before."""
        ...

    async def last_told(self, kind: str) -> int | None:
        """Say up to which hour the newest report of a kind that was told reaches; None: none."""
        ...

    async def told(self, kind: str, to_hour: int) -> None:
        """Remember durably that it was told."""
        ...

    async def close(self) -> None:
        """Finish what is under way and let go of the file."""
        ...


class Rollups(Protocol):
    """What reports are made from."""

    @property
    def timetable(self) -> Timetable:
        """Where days begin."""
        ...

    async def between(self, from_hour: int, to_hour: int) -> list[Bucket]:
        """Read buckets that begin in these hours, what was counted until now included."""
        ...

"""
What became of mirrored and repeated writes, added up over the workers.

Decisions rest on these counts (the match rate, the proof of dry runs), so they come as values of
their own and are never read back from the text for a scraper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from gateway.link import MirrorCounts, WriteBackCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.link import Report

_Counts = TypeVar("_Counts", MirrorCounts, WriteBackCounts)


class Totals(dict[str, float]):
    """Every cell of the exposition by its full name, and beside it what decisions rest on."""

    def __init__(
        self,
        cells: Mapping[str, float] | None = None,
        *,
        mirror: MirrorCounts | None = None,
        write_backs: WriteBackCounts | None = None,
    ) -> None:
        super().__init__(cells or {})
        self.mirror = mirror or MirrorCounts()
        self.write_backs = write_backs or WriteBackCounts()


class Counting:
    """The counts of all workers; those of one that is gone stay, what it held is gone with it."""

    def __init__(self) -> None:
        self._mirrors: dict[int, MirrorCounts] = {}
        self._write_backs: dict[int, WriteBackCounts] = {}
        self._gone = (MirrorCounts(), WriteBackCounts())

    def heard(self, report: Report) -> None:
        """Take the newest counts of a worker; they are since it began."""
        self._mirrors[report.worker] = report.mirror
        self._write_backs[report.worker] = report.write_backs

    def worker_gone(self, worker: int) -> None:
        """Keep what it counted."""
        mirror, write_backs = self._gone
        shadows = self._mirrors.pop(worker, MirrorCounts())
        writes = self._write_backs.pop(worker, WriteBackCounts())
        self._gone = (
            added(mirror, MirrorCounts(shadows.shadows, shadows.controls)),
            added(write_backs, WriteBackCounts(writes.agreed, writes.failures)),
        )

    def totals(self, cells: Mapping[str, float]) -> Totals:
        """Add everything up, beside the cells."""
        mirror, write_backs = self._gone
        for one in self._mirrors.values():
            mirror = added(mirror, one)
        for each in self._write_backs.values():
            write_backs = added(write_backs, each)
        return Totals(cells, mirror=mirror, write_backs=write_backs)


def added(one: _Counts, other: _Counts) -> _Counts:
    """Add two counts, field by field and reason by reason."""
    counts: _Counts = _joined(one, other, lambda left, right: left + right)
    return counts


def since(before: _Counts, now: _Counts) -> _Counts:
    """Say what was counted in between; a count that went back says nothing."""
    counts: _Counts = _joined(now, before, lambda later, earlier: max(0, later - earlier))
    return counts


def _joined(one: Any, other: Any, by: Callable[[int, int], int]) -> Any:
    if isinstance(one, int):
        return by(one, other)
    if isinstance(one, dict):
        joined = {key: by(one.get(key, 0), other.get(key, 0)) for key in {**one, **other}}
        return {key: count for key, count in joined.items() if count}
    fields = {name: _joined(getattr(one, name), getattr(other, name), by) for name in one.__slots__}
    return type(one)(**fields)

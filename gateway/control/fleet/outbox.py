"""
What this replica has to tell: gathered as it happens, numbered, repeated until all have read it.

An item stays in the postings for some seconds after the first one that carried it, because the
board keeps only the newest posting of each replica. While the board is away items pile up, to a
bound; beyond it the oldest are lost, and what was lost is unknown to the others, not zero.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gateway.control.fleet.postings import Copies, Figure, Item, Runs, Seconds, Told
from gateway.core import window
from gateway.core.model import SECOND_US, Outcome, Variant
from gateway.core.window import VariantSecond

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.ports import MeasurementDraft, UserReport

REPEATED_US: Final = 3 * SECOND_US
"""Readers look once a second; one that missed two postings finds the items in the third."""
KEPT_US: Final = 30 * SECOND_US
MOST_RUNS: Final = 2_000
"""Per posting; beyond it neighbouring runs are joined, which keeps the counts."""
RATE_S: Final = 10
_MOST_ITEMS: Final = 500


@dataclass(slots=True)
class _Numbered:
    number: int
    made_us: int
    item: Item
    posted_us: int | None = None


@dataclass(slots=True)
class Outbox:
    """Items of this replica, on its way to the others."""

    _kept: deque[_Numbered] = field(default_factory=lambda: deque(maxlen=_MOST_ITEMS))
    _numbers: int = 0
    _seconds: dict[int, dict[Variant, list[VariantSecond]]] = field(default_factory=dict)
    _copies: dict[int, dict[Variant, list[VariantSecond]]] = field(default_factory=dict)
    _runs: list[tuple[Variant, Outcome, int]] = field(default_factory=list)
    _requests: dict[int, int] = field(default_factory=dict)

    def second(
        self,
        second: int,
        variants: Mapping[Variant, VariantSecond],
        copies: Mapping[Variant, VariantSecond] | None = None,
    ) -> None:
        """Take in what one worker counted in one second: of clients, and of shadows."""
        into = self._seconds.setdefault(second, {})
        for variant, counts in (copies or {}).items():
            into.setdefault(variant, []).append(counts)
            of_second = self._copies.setdefault(second, {})
            of_second.setdefault(variant, []).append(counts)
        requests = self._requests.get(second, 0)
        for variant, counts in variants.items():
            into.setdefault(variant, []).append(counts)
            requests += counts.ok + counts.errors + counts.rejected
        self._requests[second] = requests
        while len(self._requests) > RATE_S:
            del self._requests[min(self._requests)]

    def requests_per_s(self) -> float:
        """Give this replica's traffic over the last seconds."""
        return sum(self._requests.values()) / max(1, len(self._requests))

    def outcomes(self, runs: Iterable[tuple[Variant, Outcome, int]]) -> None:
        """Take in outcomes, in order."""
        for variant, outcome, count in runs:
            last = self._runs[-1] if self._runs else None
            if last is not None and last[:2] == (variant, outcome):
                self._runs[-1] = (variant, outcome, last[2] + count)
            else:
                self._runs.append((variant, outcome, count))

    def figure(self, draft: MeasurementDraft, now_us: int) -> None:
        """Take in what somebody reported here."""
        self._append(Figure(draft), now_us)

    def report(self, report: UserReport, now_us: int) -> None:
        """Take in what a user told us here."""
        self._append(Told(report), now_us)

    def items(self, now_us: int) -> tuple[tuple[int, Item], ...]:
        """Give what the next posting has to carry."""
        self._close(now_us)
        while self._kept and self._over(self._kept[0], now_us):
            self._kept.popleft()
        return tuple((each.number, each.item) for each in self._kept)

    def posted(self, newest: int, now_us: int) -> None:
        """Take note that the items up to this number stand on the board."""
        for each in self._kept:
            if each.number <= newest and each.posted_us is None:
                each.posted_us = now_us

    def _over(self, each: _Numbered, now_us: int) -> bool:
        if each.posted_us is not None and now_us - each.posted_us > REPEATED_US:
            return True
        return now_us - each.made_us > KEPT_US

    def _close(self, now_us: int) -> None:
        """Make items of what has come in since the last posting."""
        for second in sorted(self._seconds):
            self._append(Seconds(second, _summed(second, self._seconds[second])), now_us)
            if second in self._copies:
                self._append(Copies(second, _summed(second, self._copies[second])), now_us)
        self._seconds.clear()
        self._copies.clear()
        if self._runs:
            self._append(Runs(tuple(_bounded(self._runs))), now_us)
            self._runs.clear()

    def _append(self, item: Item, now_us: int) -> None:
        self._numbers += 1
        self._kept.append(_Numbered(self._numbers, now_us, item))


def _summed(
    second: int, parts: Mapping[Variant, list[VariantSecond]]
) -> dict[Variant, VariantSecond]:
    return {variant: _added(variant, second, of) for variant, of in parts.items()}


def _added(variant: Variant, second: int, parts: list[VariantSecond]) -> VariantSecond:
    if len(parts) == 1:
        return parts[0]
    total = window.merge(variant, ((second, part) for part in parts))
    return VariantSecond(
        ok=total.ok,
        errors=total.errors,
        rejected=total.rejected,
        latency=total.latency,
        pace=total.pace,
        syncs=total.syncs,
        listings=total.listings,
    )


def _bounded(runs: list[tuple[Variant, Outcome, int]]) -> list[tuple[Variant, Outcome, int]]:
    """Join neighbours where there are too many runs: order is lost within a stretch, no count."""
    if len(runs) <= MOST_RUNS:
        return runs
    kinds = len(Variant) * len(Outcome)
    stretch = -(-len(runs) * kinds // MOST_RUNS)
    joined: list[tuple[Variant, Outcome, int]] = []
    for begin in range(0, len(runs), stretch):
        counts: dict[tuple[Variant, Outcome], int] = {}
        for variant, outcome, count in runs[begin : begin + stretch]:
            counts[variant, outcome] = counts.get((variant, outcome), 0) + count
        joined += [(variant, outcome, count) for (variant, outcome), count in counts.items()]
    return joined

"""What a worker tells its parent when the link is well, and when it is stuck."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from gateway.core.model import Outcome
from gateway.core.window import VariantSecond
from gateway.link import (
    MirrorCounts,
    Outcomes,
    Report,
    ShadowCounts,
    WriteBackCounts,
    decode,
)
from gateway.proxy import reporter as module
from gateway.proxy.reporter import Reporter
from tests.support.dataplane import Memory

if TYPE_CHECKING:
    import pytest


class Link(asyncio.Transport):
    """The parent's end: reads, or does not."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[Any] = []
        self.unread = 0

    def write(self, data: Any) -> None:
        """Take one line."""
        self.said.append(decode(bytes(data)))

    def get_write_buffer_size(self) -> int:
        """Say how much was not read."""
        return self.unread


async def test_outcomes_beyond_the_bound_are_counted_and_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A parent that does not read costs evidence; when it reads again, it learns how much."""
    monkeypatch.setattr(module, "_MAX_RUNS", 2)
    plane = Memory(asyncio.get_running_loop()).plane
    told, parent = Reporter(plane, on_close=lambda: None), Link()
    told.connection_made(parent)
    now_us = told._now_us()
    plane.new.recorder.record(now_us, Outcome.OK, 7)
    parent.unread = module._STUCK_BYTES
    for outcome in (Outcome.OK, Outcome.REJECTED, Outcome.OK, Outcome.OK):
        told.outcome("new", outcome)
    told.flush()
    assert not [each for each in parent.said if isinstance(each, Outcomes)]
    parent.unread = 0
    told.flush()
    told.report(now_us + 2_000_000)
    runs = next(each.runs for each in parent.said if isinstance(each, Outcomes))
    assert runs == (("new", Outcome.OK, 1), ("new", Outcome.REJECTED, 1))
    report = next(each for each in parent.said if isinstance(each, Report))
    assert report.cells["syncgate_outcomes_dropped_total"] == 2
    assert isinstance(report.variants["new"], VariantSecond)
    assert report.variants["new"].ok == 1


async def test_what_became_of_shadows_and_write_backs_is_told_and_shown_alike() -> None:
    """Gates go by the values, scrapers by the text; both are of the same instant."""
    plane = Memory(asyncio.get_running_loop()).plane
    told, parent = Reporter(plane, on_close=lambda: None), Link()
    told.connection_made(parent)
    now_us = told._now_us()
    plane.new.recorder.record(now_us, Outcome.OK, 7)
    mirror, writes = plane.mirror, plane.write_backs
    for number, name in enumerate(ShadowCounts.__slots__, start=1):
        reasons = name in {"unanswered", "dropped"}
        setattr(mirror.tally, name, {"why": number} if reasons else number)
        setattr(mirror.controls, name, {"why": 10 * number} if reasons else 10 * number)
    mirror.in_flight, mirror.held_bytes = 3, 4
    writes.agreed, writes.failures, writes.held_bytes = 5, {"old failed": 6}, 7
    told.report(now_us + 2_000_000)
    report = next(each for each in parent.said if isinstance(each, Report))
    shadows, controls = report.mirror.shadows, report.mirror.controls
    values = [getattr(shadows, name) for name in ShadowCounts.__slots__]
    assert values == [*range(1, 12), {"why": 12}, {"why": 13}]
    assert (controls.matched, controls.dropped) == (10, {"why": 130})
    assert report.mirror == MirrorCounts(shadows, controls, in_flight=3, waiting=0, held_bytes=4)
    assert report.write_backs == WriteBackCounts(5, {"old failed": 6}, waiting=0, held_bytes=7)
    cells = report.cells
    assert cells['syncgate_shadow_listings_total{result="matched"}'] == shadows.listings_matched
    assert cells['syncgate_shadows_dropped_total{reason="why"}'] == shadows.dropped["why"]
    assert cells['syncgate_shadows_dropped_total{reason="control_why"}'] == controls.dropped["why"]
    assert cells["syncgate_controls_unconfirmed_total"] == controls.unconfirmed
    assert cells['syncgate_write_backs_total{result="failed"}'] == report.write_backs.failed

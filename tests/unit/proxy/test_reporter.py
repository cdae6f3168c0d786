"""What a worker tells its parent when the link is well, and when it is stuck."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from gateway.core.model import Outcome
from gateway.core.window import VariantSecond
from gateway.link import Outcomes, Report, decode
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

"""The counts of shadows while they grow, and as they are told."""

from __future__ import annotations

from dataclasses import asdict, fields

from gateway.link import ShadowCounts
from gateway.proxy.tally import Tally


def test_everything_that_is_counted_is_told() -> None:
    """A count that stands in one of the two alone would stay zero for whoever decides by it."""
    tally = Tally()
    assert [each.name for each in fields(Tally)] == [each.name for each in fields(ShadowCounts)]
    tally.time(3, 10, 20)
    tally.miss("timeout", 4)
    tally.drop("queue_full", 5)
    assert asdict(tally.counts()) == asdict(tally)
    assert tally.counts().listings_lost == 9


def test_what_was_told_does_not_change_afterwards() -> None:
    """Reasons are counted on in the tally, not in a report that is under way."""
    tally = Tally()
    tally.miss("timeout", 1)
    told = tally.counts()
    tally.miss("timeout", 1)
    assert told.unanswered == {"timeout": 1}

"""A sample that is bounded, fair and kept per name."""

from __future__ import annotations

import random
from collections import Counter

from gateway.core.comparison import Reservoir


def test_the_first_are_kept_and_later_ones_by_chance():
    """A low draw replaces, a high one does not."""
    kept: Reservoir[int] = Reservoir(each=2)
    assert kept.offer("a", 1, 0.9)
    assert kept.offer("a", 2, 0.9)
    assert not kept.offer("a", 3, 0.9)
    assert kept.offer("a", 4, 0.1)
    assert kept.examples("a") == (4, 2)
    assert kept.seen("a") == 4


def test_a_rare_name_keeps_its_examples():
    """Frequent names do not push out rare ones, and the most frequent is named first."""
    kept: Reservoir[int] = Reservoir(each=3)
    kept.offer("rare", 1, 0.0)
    for n in range(1000):
        kept.offer("frequent", n, 0.5)
    assert kept.examples("rare") == (1,)
    assert len(kept.examples("frequent")) == 3
    assert kept.names() == ("frequent", "rare")


def test_names_are_bounded():
    """A flood of names is counted, not kept."""
    kept: Reservoir[int] = Reservoir(most=2)
    assert [kept.offer(name, 1, 0.0) for name in "abcab"] == [True, True, False, True, True]
    assert kept.overflowed == 1
    assert kept.examples("c") == ()
    assert kept.seen("c") == 0


def test_every_example_has_the_same_chance():
    """Over many runs each of ten is kept about as often as any other (5 sigma)."""
    draw, times = random.Random(7), Counter[int]()
    for _ in range(2000):
        kept: Reservoir[int] = Reservoir(each=2)
        for n in range(10):
            kept.offer("a", n, draw.random())
        times.update(kept.examples("a"))
    assert all(abs(times[n] - 400) < 5 * 18 for n in range(10))

"""A sample that is bounded and fair."""

from __future__ import annotations

import random
from collections import Counter

from gateway.core.comparison import place_in_sample


def test_the_first_are_kept_and_later_ones_by_chance():
    """A low draw replaces, a high one does not."""
    assert [place_in_sample(before, 2, 0.9) for before in range(3)] == [0, 1, None]
    assert place_in_sample(3, 2, 0.1) == 0
    assert place_in_sample(0, 0, 0.0) is None


def test_every_one_has_the_same_chance():
    """Over many runs each of ten is kept about as often as any other (5 sigma)."""
    draw, times = random.Random(7), Counter[int]()
    for _ in range(2000):
        kept: dict[int, int] = {}
        for n in range(10):
            place = place_in_sample(n, 2, draw.random())
            if place is not None:
                kept[place] = n
        times.update(kept.values())
    assert all(abs(times[n] - 400) < 5 * 18 for n in range(10))

"""
A fair sample in bounded memory (Vitter's algorithm R).

Keeping the first hundred shows how the day began; keeping the last, how it ended. Here each of all
that came is kept with the same chance. The random draw is the caller's.
"""

from __future__ import annotations


def place_in_sample(before: int, room: int, draw: float) -> int | None:
    """Give the place of one that comes after `before` others; None: chance will not have it.

    `draw` is uniform in [0, 1). Whatever stood in that place goes.
    """
    place = before if before < room else int(draw * (before + 1))
    return place if place < room else None

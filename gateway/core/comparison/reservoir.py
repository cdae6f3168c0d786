"""
A fair sample of the differences, in bounded memory.

Keeping the first hundred examples shows how the day began; keeping the last, how it ended. A
reservoir (Vitter's algorithm R) keeps each of all seen with the same chance, per field and cause,
so that a rare cause has its examples beside a frequent one. The random draw is the caller's.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

T = TypeVar("T")

EXAMPLES_EACH: Final = 20
KINDS_KEPT: Final = 500


class Reservoir(Generic[T]):
    """Examples by signature (any hashable name), each kept with equal chance."""

    __slots__ = ("_each", "_examples", "_most", "_seen", "overflowed")

    def __init__(self, *, each: int = EXAMPLES_EACH, most: int = KINDS_KEPT) -> None:
        self._each = each
        self._most = most
        self._examples: dict[object, list[T]] = {}
        self._seen: dict[object, int] = {}
        self.overflowed = 0
        """Offers under names for which there was no room left."""

    def offer(self, name: object, example: T, draw: float) -> bool:
        """Keep the example if chance will have it; `draw` is uniform in [0, 1)."""
        if name not in self._seen:
            if len(self._seen) >= self._most:
                self.overflowed += 1
                return False
            self._seen[name] = 0
            self._examples[name] = []
        self._seen[name] += 1
        kept = self._examples[name]
        if len(kept) < self._each:
            kept.append(example)
            return True
        place = int(draw * self._seen[name])
        if place >= self._each:
            return False
        kept[place] = example
        return True

    def seen(self, name: object) -> int:
        """Say how many were offered under a name."""
        return self._seen.get(name, 0)

    def examples(self, name: object) -> tuple[T, ...]:
        """Show what was kept under a name."""
        return tuple(self._examples.get(name, ()))

    def names(self) -> tuple[object, ...]:
        """Name everything that has examples, the most frequent first."""
        return tuple(sorted(self._seen, key=lambda name: -self._seen[name]))

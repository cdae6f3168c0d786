"""
How much agrees, how sure that is, and which differences are only noise.

**The rate.** "99.3 % agree" of 140 listings and of 14,210 are two different statements, so the rate
comes with the bound that holds with 99 % confidence (exact, `gateway.core.proportion`), and gates
use the bound. The bound takes listings as independent; a fault that strikes whole syncs makes it
too sure.

**Noise.** Some differences are found between the baseline and itself: values made anew by every
answer. A control, the baseline asked twice, shows how often. Noise is learnt per field, kind and
cause, so that in a field that always differs by a generated value a *missing* one still stands out;
and it is taken away only where the canary differs no more often than the control, by Fisher's test.
A field that is noisy in 5 % of the controls and differs in 9 % of the comparisons is shown, with
the difference of the two as what is real. Without a control nothing is noise.

A test that finds no difference has not shown that there is none: one noisy control of ten excuses
nearly everything. So the bound takes away only as much as the control proves, the lower end of its
own interval. A small control therefore does not change the rate, but lowers the bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import floor
from typing import TYPE_CHECKING, Final

from gateway.core import proportion

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.core.comparison.words import Signature

CONFIDENCE: Final = 0.99
NOISE_SIGNIFICANCE: Final = 0.01


@dataclass(frozen=True, slots=True)
class MatchRate:
    """How many of the compared listings agree.

    `doubted` of the matched are counted as agreeing only because their differences look like noise.
    """

    matched: int
    compared: int
    doubted: int = 0

    @property
    def rate(self) -> float | None:
        """The share that agrees; None when nothing was compared."""
        return self.matched / self.compared if self.compared else None

    @property
    def certain(self) -> int:
        """How many agree whatever the control did not prove."""
        return max(0, self.matched - self.doubted)

    def lower_bound(self, confidence: float = CONFIDENCE) -> float:
        """Bound the share that agrees from below, one-sided; 0 when nothing is known."""
        return proportion.lower_bound(self.certain, self.compared, confidence=confidence)

    def sentence(self, confidence: float = CONFIDENCE) -> str:
        """Say it to people, promising nothing that rounding up would add."""
        if self.rate is None:
            return "nothing was compared yet"
        return (
            f"{percent(self.rate)} of {self.compared:,} listings agree "
            f"(at least {percent(self.lower_bound(confidence))} "
            f"with {confidence * 100:g} % confidence)"
        )


def percent(share: float) -> str:
    """Write a share with one decimal, cut, not rounded: 99.96 % is not 100 %."""
    tenths = floor(share * 1000 + 1e-9)
    return f"{tenths // 10}.{tenths % 10} %" if tenths % 10 else f"{tenths // 10} %"


@dataclass(frozen=True, slots=True)
class Weighed:
    """One signature's count, against what the control lets expect."""

    signature: Signature
    count: int
    expected: float
    """How many of them the control explains."""
    proven: float
    """How many of them it explains for certain."""
    significance: float
    """How probable so many are if they were noise."""
    noise: bool

    @property
    def excess(self) -> float:
        """What noise does not explain."""
        return 0.0 if self.noise else max(0.0, self.count - self.expected)

    @property
    def weight(self) -> float:
        """The share of its listings, 0..1, that really differ."""
        return self.excess / self.count

    @property
    def cautious_weight(self) -> float:
        """The share of its listings that may really differ as far as the control proves."""
        return max(self.weight, 1.0 - min(1.0, self.proven / self.count))


def separate(
    counts: Mapping[Signature, int],
    compared: int,
    control: Mapping[Signature, int],
    controlled: int,
    *,
    alpha: float = NOISE_SIGNIFICANCE,
    confidence: float = CONFIDENCE,
) -> tuple[Weighed, ...]:
    """
    Tell noise from change; the largest excess comes first.

    `counts` (none of them zero) and `control` say in how many of `compared` listings, and of
    `controlled` repetitions against the baseline itself, each signature was found.
    """
    weighed = []
    for signature, count in counts.items():
        seen = control.get(signature, 0)
        significance = proportion.worse(count, compared, seen, controlled) if controlled else 0.0
        proven = _proven(seen, controlled, confidence)
        weighed.append(
            Weighed(
                signature=signature,
                count=count,
                expected=compared * seen / controlled if controlled else 0.0,
                proven=compared * proven,
                significance=significance,
                noise=seen > 0 and significance > alpha,
            )
        )
    return tuple(
        sorted(weighed, key=lambda found: (-found.excess, -found.count, found.signature[0]))
    )


@lru_cache(maxsize=1024)
def _proven(seen: int, controlled: int, confidence: float) -> float:
    """Bound the share from below; the same counts are asked about again and again."""
    return proportion.lower_bound(seen, controlled, confidence=confidence) if seen else 0.0


def disagreement(found: Iterable[Weighed], *, cautious: bool = False) -> float:
    """Say how probably a listing that has these really differs; they count as independent."""
    agreeing = 1.0
    for each in found:
        agreeing *= 1.0 - (each.cautious_weight if cautious else each.weight)
    return 1.0 - agreeing

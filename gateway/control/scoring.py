"""
From what was kept to a rate: how many listings agree under the rules in force, and what differs.

Pure arithmetic over a `History`, so that a rule made later is applied by scoring again. Of the
listings that differ only a sample may have been kept; its shares hold for all of them.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from gateway.core.comparison import MatchRate, agrees
from gateway.ports.compared import DifferenceCount

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.core.comparison import Comparison, Rules, Signature
    from gateway.ports.compared import Example, History

_EXAMPLES_SHOWN: Final = 3


def score(history: History, rules: Rules) -> tuple[MatchRate, tuple[DifferenceCount, ...]]:
    """Rate a history under these rules, and count its differences."""
    hours = history.hours.values()
    answers = sum(hour.answers for hour in hours)
    opened = sum(hour.opened for hour in hours)
    differed = sum(hour.opened_differed for hour in hours)
    # Answers that differ of which not one was opened: each is at least one listing that differs.
    share, blind = (opened / answers, 0) if opened else (1.0, answers)
    matched = int(share * sum(hour.matched for hour in hours))
    matched += sum(hour.opened_matched for hour in hours)
    kept = list(history.listings.values())
    agreeing = sum(agrees(comparison, rules) for comparison in kept)
    scale = differed / len(kept) if kept else 0.0
    rate = MatchRate(matched + int(agreeing * scale), matched + differed + blind)
    return rate, _counted(kept, scale, rules, history.examples.values())


def _counted(
    kept: Iterable[Comparison], scale: float, rules: Rules, examples: Iterable[Example]
) -> tuple[DifferenceCount, ...]:
    counts: Counter[Signature] = Counter()
    counting: Counter[Signature] = Counter()
    for comparison in kept:
        counts.update({each.signature for each in comparison.differences})
        counting.update({each.signature for each in comparison.differences if rules.counts(each)})
    shown: dict[Signature, list[Example]] = {}
    for example in sorted(examples, key=lambda each: -each.id):
        shown.setdefault(example.difference.signature, []).append(example)
    found = [
        DifferenceCount(
            field=signature.field,
            kind=signature.kind,
            cause=signature.cause,
            count=max(1, round((counting[signature] or count) * scale)),
            counts=counting[signature] > 0,
            examples=tuple(shown.get(signature, ())[:_EXAMPLES_SHOWN]),
        )
        for signature, count in counts.items()
    ]
    return tuple(sorted(found, key=lambda each: (not each.counts, -each.count, each.field)))

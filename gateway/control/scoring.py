"""
How many listings agree under the rules in force, and what differs, computed from what was kept.

Pure arithmetic over a `History`, so that a rule made later is applied by scoring again. Of the
listings that differ only a sample may have been kept; its shares hold for all of them, and a test
of significance is given no more listings than were kept.

**Put right.** When somebody says that the differences at a path are fixed, those found until then
are closed: a listing with no other difference is left out, for nobody knows how it would compare
now. That alone would let a fix that fixes nothing hide behind the listings that agreed before it,
so a gate goes by what was compared since, where that promises less.

It is scored anew every second while differences come in, on the loop that rolls back. So a listing
is read once per set of rules, and what it differs in is then a set of small numbers, shared by all
listings that differ alike.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.core.comparison import MatchRate, disagreement, matches, parsed, separate
from gateway.ports.compared import Coverage, DifferenceCount, Pace, Score, Tally, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gateway.core.comparison import Rules, Signature, Weighed
    from gateway.ports.compared import Example, Fix, History, Kept, KeptListing

_EXAMPLES_SHOWN: Final = 3
_ROUNDING: Final = 1e-6
_SUMMED: Final = (
    "matched", "answers", "opened", "opened_matched", "opened_differed", "compared",
    "listings_compared", "listings_lost", "timed", "timed_listings", "old_s", "new_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scoring:
    """How sure a statement must be."""

    confidence: float = 0.99
    alpha: float = 0.01


class _Listing(NamedTuple):
    """One kept listing, read under the rules in force; signatures by number."""

    at_us: int
    every: frozenset[int]
    counting: frozenset[int]
    truncated: bool


class _Sample(NamedTuple):
    """What was compared since some time: `agreeing` by digest, `differed` of which some are kept.

    `scale` is how many each kept one stands for.
    """

    agreeing: int
    differed: int
    blind: int
    kept: tuple[_Listing, ...]

    @property
    def scale(self) -> float:
        return self.differed / len(self.kept) if self.kept else 0.0

    @property
    def size(self) -> int:
        """How many listings a test may be told of."""
        return round(self.agreeing / max(1.0, self.scale)) + len(self.kept)

    def counts(self) -> Counter[int]:
        """Say in how many kept listings each signature counts."""
        counts: Counter[int] = Counter()
        for counting, times in Counter(listing.counting for listing in self.kept).items():
            for each in counting:
                counts[each] += times
        return counts


class _Read(NamedTuple):
    """One kind of shadow, its listings read."""

    kept: Kept
    listings: tuple[_Listing, ...]

    def since(self, since_us: int = 0) -> _Sample:
        total = _total(self.kept, since_us)
        # Answers that differ of which not one was opened: each is at least one listing that does.
        share, blind = (total.opened / total.answers, 0) if total.opened else (1.0, total.answers)
        return _Sample(
            agreeing=int(share * total.matched) + total.opened_matched,
            differed=total.opened_differed,
            blind=blind,
            kept=tuple(each for each in self.listings if each.at_us >= since_us),
        )


class Scorer:
    """Scores a history again and again; remembers what it has read of it."""

    def __init__(self, how: Scoring) -> None:
        self._how = how
        self._rules: Rules | None = None
        self._numbers: dict[Signature, int] = {}
        self._sets: dict[frozenset[int], frozenset[int]] = {}
        self._known: dict[str, dict[int, tuple[KeptListing, _Listing]]] = {}

    def score(self, history: History, rules: Rules) -> Score:
        """Rate it under these decisions, tell noise from change, and count its differences."""
        if rules is not self._rules:
            self._rules, self._numbers, self._sets, self._known = rules, {}, {}, {}
        shadows = self._read("shadows", history.shadows, rules)
        controls = self._read("controls", history.controls, rules)
        since = _Since(history.fixes, tuple(self._numbers))
        weighed = _weighed(shadows, controls, since, self._how)
        rate = judged = _rate(shadows.since(), weighed, since)
        if history.fixes:
            fresh = _rate(shadows.since(history.fixes[-1].at_us), weighed, since)
            judged = min(rate, fresh, key=lambda each: each.lower_bound(self._how.confidence))
        return Score(
            rate=rate,
            judged=judged,
            differences=_counted(shadows.since(), controls.since(), weighed, since, history),
            controlled=controls.since().size,
            coverage=_coverage(history.shadows),
            control_coverage=_coverage(history.controls),
            pace=_pace(history.shadows),
        )

    def _read(self, name: str, kept: Kept, rules: Rules) -> _Read:
        before = self._known.get(name, {})
        known: dict[int, tuple[KeptListing, _Listing]] = {}
        for slot, listing in kept.listings.items():
            found = before.get(slot)
            if found is None or found[0] is not listing:
                found = (listing, self._look(listing, rules))
            known[slot] = found
        self._known[name] = known
        return _Read(kept, tuple(read for _, read in known.values()))

    def _look(self, listing: KeptListing, rules: Rules) -> _Listing:
        differences = listing.comparison.differences
        return _Listing(
            listing.at_us,
            self._shared(each.signature for each in differences),
            self._shared(each.signature for each in differences if rules.counts(each)),
            listing.comparison.truncated,
        )

    def _shared(self, signatures: Iterable[Signature]) -> frozenset[int]:
        numbers = self._numbers
        made = frozenset(numbers.setdefault(each, len(numbers)) for each in signatures)
        return self._sets.setdefault(made, made)


class _Since:
    """From when on each signature counts, by number."""

    def __init__(self, fixes: Sequence[Fix], signatures: tuple[Signature, ...]) -> None:
        self.signatures = signatures
        self.of = [
            max((fix.at_us for fix in fixes if covers(fix, each.field)), default=0)
            for each in signatures
        ]
        self._last = max(self.of, default=0)

    def open(self, found: frozenset[int], at_us: int) -> frozenset[int]:
        """Leave out what was put right after `at_us`."""
        if at_us >= self._last:
            return found
        return frozenset(each for each in found if at_us >= self.of[each])


def _total(kept: Kept, since_us: int = 0) -> Tally:
    total = Tally()
    for begun_us, tally in kept.tallies.items():
        if begun_us < since_us:
            continue
        for name in _SUMMED:
            setattr(total, name, getattr(total, name) + getattr(tally, name))
        for reason, count in tally.lost.items():
            total.lost[reason] = total.lost.get(reason, 0) + count
    return total


def _coverage(kept: Kept) -> Coverage:
    total = _total(kept)
    return Coverage(total.compared, total.lost, total.listings_compared, total.listings_lost)


def _pace(kept: Kept) -> Pace:
    total = _total(kept)
    return Pace(total.timed, total.timed_listings, total.old_s, total.new_s)


def _rate(sample: _Sample, weighed: Mapping[int, Weighed], since: _Since) -> MatchRate:
    differing = cautious = 0.0
    left_out = 0
    weights: dict[frozenset[int], tuple[float, float]] = {}
    for listing in sample.kept:
        counting = since.open(listing.counting, listing.at_us)
        if listing.truncated:
            differing, cautious = differing + 1, cautious + 1
        elif listing.counting and not counting:
            left_out += 1
        else:
            weight = weights.get(counting)
            if weight is None:
                found = [weighed[each] for each in counting]
                weight = disagreement(found), disagreement(found, cautious=True)
                weights[counting] = weight
            differing, cautious = differing + weight[0], cautious + weight[1]
    unknown = sample.blind if sample.kept else sample.blind + sample.differed
    compared = sample.agreeing + sample.differed + sample.blind - round(left_out * sample.scale)
    matched = max(0, floor(compared - unknown - differing * sample.scale + _ROUNDING))
    certain = max(0, floor(compared - unknown - cautious * sample.scale + _ROUNDING))
    return MatchRate(matched, compared, matched - certain)


def covers(fix: Fix, field: str) -> bool:
    """Tell whether a fix speaks of a field."""
    return fix.path is None or matches(parsed(fix.path), parsed(field), below=True)


def _weighed(shadows: _Read, controls: _Read, since: _Since, how: Scoring) -> dict[int, Weighed]:
    """Weigh each signature against the control, both since it was put right last."""
    found: dict[int, Weighed] = {}
    for since_us in set(since.of):
        theirs, control = shadows.since(since_us), controls.since(since_us)
        counts = {
            since.signatures[each]: (each, count)
            for each, count in theirs.counts().items()
            if since.of[each] == since_us
        }
        told_apart = separate(
            {signature: count for signature, (_, count) in counts.items()},
            theirs.size,
            {since.signatures[each]: count for each, count in control.counts().items()},
            control.size,
            alpha=how.alpha,
            confidence=how.confidence,
        )
        found |= {counts[each.signature][0]: each for each in told_apart}
    return found


def _counted(
    whole: _Sample,
    control: _Sample,
    weighed: Mapping[int, Weighed],
    since: _Since,
    history: History,
) -> tuple[DifferenceCount, ...]:
    seen: Counter[int] = Counter()
    alike = Counter(since.open(each.every, each.at_us) for each in whole.kept)
    for every, times in alike.items():
        for each in every:
            seen[each] += times
    shown: dict[Signature, list[Example]] = {}
    for example in sorted(history.examples.values(), key=lambda each: -each.id):
        if not example.closed:
            shown.setdefault(example.difference.signature, []).append(example)
    in_control, scale = control.counts(), max(1.0, whole.scale)
    found = []
    for number, count in seen.items():
        signature, one = since.signatures[number], weighed.get(number)
        found.append(
            DifferenceCount(
                field=signature.field,
                kind=signature.kind,
                cause=signature.cause,
                count=max(1, round((one.count if one else count) * whole.scale)),
                verdict=_verdict(one),
                control_count=in_control[number],
                expected=one.expected * scale if one else 0.0,
                significance=one.significance if one and in_control[number] else None,
                examples=tuple(shown.get(signature, ())[:_EXAMPLES_SHOWN]),
            )
        )
    return tuple(sorted(found, key=_place))


def _verdict(weighed: Weighed | None) -> Verdict:
    if weighed is None:
        return Verdict.HARMLESS
    return Verdict.NOISE if weighed.noise else Verdict.REAL


def _place(each: DifferenceCount) -> tuple[int, int, str]:
    return list(Verdict).index(each.verdict), -each.count, each.field

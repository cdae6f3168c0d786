"""
From what was kept to a rate: how many listings agree under the decisions in force, what differs.

Pure arithmetic over a `History`, so that a rule made later is applied by scoring again. Of the
listings that differ only a sample may have been kept; its shares hold for all of them, and a test
of significance is given no more listings than were kept.

**Put right.** When somebody says that the differences at a path are fixed, those found until then
are closed: a listing with no other difference is left out, for nobody knows how it would compare
now. That alone would let a fix that fixes nothing hide behind the listings that agreed before it,
so a gate goes by what was compared since, where that promises less.
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

    from gateway.core.comparison import Finding, Rules, Signature
    from gateway.ports.compared import Example, Fix, History, Kept

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
    """One kept listing, read under the rules in force."""

    at_us: int
    every: frozenset[Signature]
    counting: frozenset[Signature]
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


def score(history: History, rules: Rules, how: Scoring) -> Score:
    """Rate a history under these decisions, tell noise from change, and count its differences."""
    shadows, controls = _read(history.shadows, rules), _read(history.controls, rules)
    findings = _findings(shadows, controls, history.fixes, how)
    rate = judged = _rate(shadows.since(), findings, history.fixes)
    if history.fixes:
        fresh = _rate(shadows.since(history.fixes[-1].at_us), findings, history.fixes)
        judged = min(rate, fresh, key=lambda each: each.lower_bound(how.confidence))
    return Score(
        rate=rate,
        judged=judged,
        differences=_counted(shadows.since(), controls.since(), findings, history),
        controlled=controls.since().size,
        coverage=_coverage(history.shadows),
        control_coverage=_coverage(history.controls),
        pace=_pace(history.shadows),
    )


def _read(kept: Kept, rules: Rules) -> _Read:
    return _Read(
        kept,
        tuple(
            _Listing(
                at_us,
                frozenset(each.signature for each in comparison.differences),
                frozenset(each.signature for each in comparison.differences if rules.counts(each)),
                comparison.truncated,
            )
            for at_us, comparison in kept.listings.values()
        ),
    )


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


def _rate(
    sample: _Sample, findings: Mapping[Signature, Finding], fixes: Sequence[Fix]
) -> MatchRate:
    differing = cautious = 0.0
    left_out = 0
    for listing in sample.kept:
        counting = {each for each in listing.counting if not _closed(each, listing.at_us, fixes)}
        if listing.truncated:
            differing, cautious = differing + 1, cautious + 1
        elif listing.counting and not counting:
            left_out += 1
        else:
            found = [findings[each] for each in counting]
            differing += disagreement(found)
            cautious += disagreement(found, cautious=True)
    unknown = sample.blind if sample.kept else sample.blind + sample.differed
    compared = sample.agreeing + sample.differed + sample.blind - round(left_out * sample.scale)
    matched = max(0, floor(compared - unknown - differing * sample.scale + _ROUNDING))
    certain = max(0, floor(compared - unknown - cautious * sample.scale + _ROUNDING))
    return MatchRate(matched, compared, matched - certain)


def _closed(signature: Signature, at_us: int, fixes: Iterable[Fix]) -> bool:
    return at_us < _since(signature, fixes)


def _since(signature: Signature, fixes: Iterable[Fix]) -> int:
    """Say from when on what differs so counts."""
    return max((fix.at_us for fix in fixes if covers(fix, signature.field)), default=0)


def covers(fix: Fix, field: str) -> bool:
    """Tell whether a fix speaks of a field."""
    return fix.path is None or matches(parsed(fix.path), parsed(field), below=True)


def _findings(
    shadows: _Read, controls: _Read, fixes: Sequence[Fix], how: Scoring
) -> dict[Signature, Finding]:
    """Weigh each signature against the control, both since it was put right last."""
    begun = {
        signature: _since(signature, fixes)
        for signature in {each for listing in shadows.listings for each in listing.counting}
    }
    found: dict[Signature, Finding] = {}
    for since_us in set(begun.values()):
        theirs, control = shadows.since(since_us), controls.since(since_us)
        counts = {each: count for each, count in _counts(theirs).items() if begun[each] == since_us}
        weighed = separate(
            counts, theirs.size, _counts(control), control.size,
            alpha=how.alpha, confidence=how.confidence,
        )  # fmt: skip
        found |= {each.signature: each for each in weighed}
    return found


def _counts(sample: _Sample) -> Counter[Signature]:
    counts: Counter[Signature] = Counter()
    for listing in sample.kept:
        counts.update(listing.counting)
    return counts


def _counted(
    whole: _Sample, control: _Sample, findings: Mapping[Signature, Finding], history: History
) -> tuple[DifferenceCount, ...]:
    seen: Counter[Signature] = Counter()
    for listing in whole.kept:
        seen.update(
            each for each in listing.every if not _closed(each, listing.at_us, history.fixes)
        )
    shown: dict[Signature, list[Example]] = {}
    for example in sorted(history.examples.values(), key=lambda each: -each.id):
        if not example.closed:
            shown.setdefault(example.difference.signature, []).append(example)
    in_control, scale = _counts(control), max(1.0, whole.scale)
    found = []
    for signature, count in seen.items():
        finding = findings.get(signature)
        found.append(
            DifferenceCount(
                field=signature.field,
                kind=signature.kind,
                cause=signature.cause,
                count=max(1, round((finding.count if finding else count) * whole.scale)),
                verdict=_verdict(finding),
                control_count=in_control[signature],
                expected=finding.expected * scale if finding else 0.0,
                significance=finding.significance if finding and in_control[signature] else None,
                examples=tuple(shown.get(signature, ())[:_EXAMPLES_SHOWN]),
            )
        )
    return tuple(sorted(found, key=_place))


def _verdict(finding: Finding | None) -> Verdict:
    if finding is None:
        return Verdict.HARMLESS
    return Verdict.NOISE if finding.noise else Verdict.REAL


def _place(each: DifferenceCount) -> tuple[int, int, str]:
    return list(Verdict).index(each.verdict), -each.count, each.field

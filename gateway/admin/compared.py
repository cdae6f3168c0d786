"""
What the admin port shows of the comparison of the two systems, and what it takes: rules, fixes.

One shape for the answer and for the OpenAPI document; `differences` and the first three figures are
what `syncgate compare --json` prints.
"""

from __future__ import annotations

import csv
import io
from datetime import datetime  # noqa: TC003 - pydantic reads the annotation at run time
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from gateway.admin.inputs import Change
from gateway.admin.models import Output
from gateway.admin.view import instant
from gateway.core.comparison import Rule, parsed, spelled
from gateway.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway import ports
    from gateway.ports import compared
    from gateway.ports.compared import ComparisonView, DifferenceCount, Example

Value = str | int | float | bool | None
_RULE_TODO = (
    "A path is written like priceYen, extra.* or records[*].digest; choose what to do there."
)
_EVERYTHING = parsed("**")
_FORMULA = ("=", "+", "-", "@", "\t")


class DifferenceExample(Output):
    """One difference as it was found: where, in which listing, by which sync and request."""

    id: int
    at: datetime
    property_number: str | None
    """null: the answer as a whole."""
    path: str
    field: str
    kind: str
    cause: str
    old: Value
    new: Value
    sync_id: str
    """The sync that was shadowed: its entries in the change journal carry it."""
    request_id: str
    request_path: str
    closed: bool
    """Somebody said since that it was put right."""


class DifferencePage(Output):
    """Newest first; `next`, sent as `before`, continues where this page ended."""

    items: list[DifferenceExample]
    next: int | None


class DifferenceSummary(Output):
    """How many listings differ so, and in how many old differs from itself."""

    path: str
    """The field: list positions as [*]."""
    kind: str
    cause: str
    count: int
    counts: bool
    """Whether that makes a listing disagree."""
    verdict: str
    """real; noise: old differs from itself as often; harmless: by its kind, or by a rule."""
    control_count: int
    """In how many listings of controls (`control.listings`) old differs from itself so."""
    expected: float
    """How many of `count` the controls explain."""
    p_value: float | None
    """How probable so many are if they are noise; null: no control ever showed it."""
    examples: list[DifferenceExample]


class ComparisonRule(Output):
    """One decision about differences."""

    path: str
    reason: str
    does: str
    by: str | None
    """Who added it while running; null: it stands in config/comparison.toml."""
    at: datetime | None


class Fix(Output):
    """What was found until then was put right, said somebody: it is counted anew since."""

    path: str | None
    """null: everything."""
    reason: str
    by: str
    at: datetime


class Coverage(Output):
    """How much of what was mirrored could be compared at all."""

    ratio: float | None
    """Of shadows or of listings, whichever is less; null: none was due."""
    due: int
    compared: int
    lost: dict[str, int]
    """Shadows that gave nothing to compare, by reason: no answer, or dropped."""
    listings_lost: int


class ControlGroup(Output):
    """Old repeated against itself, as dry runs: what differs there is noise."""

    rate: float
    """The share of mirrored syncs that are repeated now."""
    off: str | None
    """Why none is although some should be."""
    listings: int
    coverage: Coverage


class Pace(Output):
    """Time per 1,000 listings of both, over all syncs that went well in both."""

    old_s: float | None
    new_s: float | None
    improvement_percent: float | None
    """By how much the shadow is faster than old; negative: slower."""
    syncs: int
    listings: int


class Comparisons(Output):
    """How far the two systems agree, how sure that is, and what differs."""

    match_rate: float | None
    """What the gate goes by; noise, harmless differences and what was put right taken away."""
    lower_bound: float
    """Takes away only as much noise as the controls prove."""
    confidence: float
    listings: int
    matched: int
    sentence: str
    overall_rate: float | None
    """Of everything but what was put right; `match_rate` is that, or only what came after the
    newest fix, whichever is less sure."""
    overall_listings: int
    coverage: Coverage
    control: ControlGroup
    differences: list[DifferenceSummary]
    """Those that count first, the most frequent first."""
    answers_differed: int
    answers_opened: int
    """Of those that differ, how many were looked into; the rate allows for the rest."""
    dry_run_means: dict[str, int]
    """How the shadows of opened answers were kept from storing anything."""
    mirroring: bool
    mirror_off: str | None
    means: str | None
    """The means by which dry runs were proven to store nothing."""
    pace: Pace
    rules: list[ComparisonRule]
    fixes: list[Fix]
    last_at: datetime | None
    trouble: str


class RuleIn(Change):
    """One decision about the differences at a path; the reason stands wherever it has effect."""

    path: Annotated[
        str,
        Field(
            min_length=1,
            max_length=200,
            description="priceYen, extra.*, records[*].digest, **.updatedAt",
            examples=["priceYen"],
        ),
    ]
    ignore: bool = False
    unordered: bool = False
    key: Annotated[str | None, Field(min_length=1, max_length=200)] = None
    tolerance: Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)] = 0.0
    tolerance_ratio: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.0
    mask: bool = False

    def rule(self) -> Rule:
        """Make the rule; refused when its path is unreadable or it decides nothing."""
        try:
            return Rule(**dict(self))
        except ValueError as error:
            raise RefusedError(f"{error}.".capitalize(), todo=_RULE_TODO) from error


class FixIn(Change):
    """Differences were put right: what was found so far is closed, a new count begins."""

    path: Annotated[
        str,
        Field(
            min_length=1,
            max_length=200,
            description="priceYen, extra.*; ** for everything",
            examples=["priceYen"],
        ),
    ]

    def pattern(self) -> str | None:
        """Give the path, None for everything; refused when it is unreadable."""
        try:
            return None if parsed(self.path) == _EVERYTHING else spelled(parsed(self.path))
        except ValueError as error:
            raise RefusedError(f"{error}.".capitalize(), todo=_RULE_TODO) from error


def comparisons(found: ComparisonView, view: ports.ControlView) -> Comparisons:
    """Show how far the two agree."""
    mirror, judged, score = view.mirror, found.score.judged, found.score
    return Comparisons(
        match_rate=judged.rate,
        lower_bound=judged.lower_bound(found.confidence),
        confidence=found.confidence,
        listings=judged.compared,
        matched=judged.matched,
        sentence=judged.sentence(found.confidence),
        overall_rate=score.rate.rate,
        overall_listings=score.rate.compared,
        coverage=_coverage(score.coverage),
        control=ControlGroup(
            rate=mirror.control_rate if mirror else 0.0,
            off=mirror.why_no_control if mirror else None,
            listings=score.controlled,
            coverage=_coverage(score.control_coverage),
        ),
        differences=[_summary(each) for each in score.differences],
        answers_differed=found.answers_differed,
        answers_opened=found.answers_opened,
        dry_run_means=dict(found.means),
        mirroring=mirror.on if mirror else False,
        mirror_off=mirror.why_not if mirror else None,
        means=mirror.means if mirror else None,
        pace=_pace(score.pace),
        rules=_rules(found),
        fixes=[
            Fix(path=each.path, reason=each.reason, by=each.by, at=instant(each.at_us))
            for each in reversed(found.fixes)
        ],
        last_at=instant(found.last_us) if found.last_us is not None else None,
        trouble=found.trouble,
    )


def page(examples: Iterable[Example], following: int | None) -> DifferencePage:
    """Show one page of differences."""
    return DifferencePage(items=[example_of(each) for each in examples], next=following)


def example_of(example: Example) -> DifferenceExample:
    """Show one difference."""
    found = example.difference
    return DifferenceExample(
        id=example.id,
        at=instant(example.at_us),
        property_number=example.number,
        path=found.path,
        field=found.field,
        kind=found.kind.value,
        cause=found.cause.value,
        old=found.left,
        new=found.right,
        sync_id=example.sync_id,
        request_id=example.request_id,
        request_path=example.path,
        closed=example.closed,
    )


def table(examples: Iterable[Example]) -> str:
    """Write differences as CSV; what a spreadsheet would take for a formula is quoted as text."""
    out = io.StringIO()
    names = list(DifferenceExample.model_fields)
    writer = csv.DictWriter(out, names)
    writer.writeheader()
    for each in examples:
        row = example_of(each).model_dump(mode="json")
        writer.writerow({name: _harmless(value) for name, value in row.items()})
    return out.getvalue()


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _summary(each: DifferenceCount) -> DifferenceSummary:
    return DifferenceSummary(
        path=each.field,
        kind=each.kind.value,
        cause=each.cause.value,
        count=each.count,
        counts=each.counts,
        verdict=each.verdict.value,
        control_count=each.control_count,
        expected=each.expected,
        p_value=each.significance,
        examples=[example_of(example) for example in each.examples],
    )


def _coverage(found: compared.Coverage) -> Coverage:
    return Coverage(
        ratio=found.ratio,
        due=found.due,
        compared=found.compared,
        lost=dict(found.lost),
        listings_lost=found.listings_lost,
    )


def _rules(found: ComparisonView) -> list[ComparisonRule]:
    added = [
        ComparisonRule(
            path=each.rule.path,
            reason=each.rule.reason,
            does=each.rule.wording,
            by=each.by,
            at=instant(each.at_us),
        )
        for each in reversed(found.rules)
    ]
    standing = [
        ComparisonRule(path=rule.path, reason=rule.reason, does=rule.wording, by=None, at=None)
        for rule in found.standing_rules
    ]
    return added + standing


def _pace(found: compared.Pace) -> Pace:
    ratio = found.ratio
    return Pace(
        old_s=found.per_1000(found.old_s),
        new_s=found.per_1000(found.new_s),
        improvement_percent=None if ratio is None else (1 - ratio) * 100,
        syncs=found.syncs,
        listings=found.listings,
    )

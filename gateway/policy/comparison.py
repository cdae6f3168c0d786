"""
config/comparison.toml -> what people have decided about differences; every mistake at once.

One `[[rule]]` has the same keys in the file and in a request that adds it while running: both are
read by `RuleTable`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field, StringConstraints, ValidationError

from gateway.core.comparison import Cause, Rule, Rules
from gateway.policy.faults import PolicyError, expected, located, tables_of, text_of
from gateway.policy.lines import line_numbers
from gateway.policy.shape import Count, Share, Table, Threshold

if TYPE_CHECKING:
    from gateway.policy.lines import Path as KeyPath

DEFAULT_COMPARISON: Final = Path("config/comparison.toml")
MAX_RULES: Final = 500

Pattern = Annotated[str, StringConstraints(min_length=1, max_length=200, strict=True)]
Words = Annotated[str, StringConstraints(min_length=1, max_length=500, strict=True)]


class ScoreTable(Table):
    """What counts as agreement, and how sure the statement about it is."""

    confidence: Share = 0.99
    """The lower bound of the match rate holds with this confidence (one-sided)."""
    noise_significance: Share = 0.01
    """What differs more often than its control, less probable by chance than this, is no noise."""
    forgiven: list[Annotated[Cause, Field(strict=False)]] = Field(
        default_factory=list, max_length=20
    )
    """Causes that are shown and kept but do not count; format-only differences never count."""


class ControlTable(Table):
    """How old is repeated against itself, to learn what is only noise."""

    rate: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.05
    """The share of mirrored syncs that are repeated as a dry run of old; 0: noise is not learnt."""


class KeepTable(Table):
    """How much is kept of what differs."""

    differences_per_listing: Annotated[Count, Field(le=10_000)] = 100
    """More than these are cut off, and a listing that was cut off never agrees."""
    examples_per_field: Annotated[Count, Field(le=10_000)] = 20
    """Examples kept per field, kind and cause: a fair sample of all."""
    fields: Annotated[Count, Field(le=100_000)] = 500
    """Fields, kinds and causes that have examples."""


class RuleTable(Table):
    """One decision about one path."""

    path: Pattern
    """priceYen, records[*].digest, extra.*, **.updatedAt; odd keys as ["a.b"]."""
    reason: Words
    """Why; shown wherever the rule had an effect."""
    ignore: bool = False
    """Differences here and below are none."""
    unordered: bool = False
    """The order of this list means nothing."""
    key: Pattern | None = None
    """The member by which elements of an unordered list belong together."""
    tolerance: Threshold = 0.0
    """Numbers may differ by so much."""
    tolerance_ratio: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.0
    """Numbers may differ by such a share of the larger."""
    mask: bool = False
    """The values are not kept, only that they differ."""

    def rule(self) -> Rule:
        """Make the rule. Raises ValueError when it is unreadable or decides nothing."""
        return Rule(**dict(self))


class ComparisonFile(Table):
    """The whole file."""

    score: ScoreTable = ScoreTable()
    control: ControlTable = ControlTable()
    keep: KeepTable = KeepTable()
    rule: list[RuleTable] = Field(default_factory=list, max_length=MAX_RULES)


@dataclass(frozen=True, slots=True)
class ComparisonPolicy:
    """How results are compared, scored and kept."""

    rules: Rules
    confidence: float
    noise_significance: float
    control_rate: float
    differences_per_listing: int
    examples_per_field: int
    fields: int


def load_comparison(path: Path) -> ComparisonPolicy:
    """Read and check a comparison file. Raises PolicyError."""
    return parse_comparison(text_of(path), source=str(path))


def parse_comparison(text: str, *, source: str = "comparison") -> ComparisonPolicy:
    """Read and check decisions about differences. Raises PolicyError with all faults."""
    raw = tables_of(text, source)
    lines = line_numbers(text)
    try:
        file = ComparisonFile.model_validate(raw)
    except ValidationError as error:
        faults = [(each["loc"], expected(each)) for each in error.errors(include_url=False)]
        raise PolicyError(source, located(faults, lines)) from error
    rules, broken = _rules(file.rule)
    if broken:
        raise PolicyError(source, located(broken, lines))
    return ComparisonPolicy(
        rules=Rules(rules, forgiven=file.score.forgiven),
        confidence=file.score.confidence,
        noise_significance=file.score.noise_significance,
        control_rate=file.control.rate,
        differences_per_listing=file.keep.differences_per_listing,
        examples_per_field=file.keep.examples_per_field,
        fields=file.keep.fields,
    )


def comparison_schema() -> dict[str, Any]:
    """Give the JSON Schema of a comparison file."""
    schema = ComparisonFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _rules(tables: list[RuleTable]) -> tuple[list[Rule], list[tuple[KeyPath, str]]]:
    rules: list[Rule] = []
    broken: list[tuple[KeyPath, str]] = []
    for number, table in enumerate(tables):
        try:
            rules.append(table.rule())
        except ValueError as error:
            broken.append((("rule", number), str(error)))
    return rules, broken

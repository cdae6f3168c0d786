"""
What people have decided about differences, per path: ignore, unordered, tolerance, mask.

A rule takes back part of the proof, so each carries the reason that people will ask for. Rules are
applied while comparing and can be applied again to differences that were stored before the rule was
made. `ignore`, `tolerance` and `mask` hold at their path and below it; `unordered` for exactly the
lists it names. Where several rules name a path, all of them hold; the wider tolerance wins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Final, NamedTuple, TypeGuard

from gateway.core.comparison.paths import Field, Wild, matches, parsed, spelled
from gateway.core.comparison.words import Cause, Difference, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

REMEMBERED_FIELDS: Final = 4096


@dataclass(frozen=True, slots=True)
class Rule:
    """One decision about one path pattern; ValueError when it is unreadable or decides nothing."""

    path: str
    reason: str
    ignore: bool = False
    unordered: bool = False
    key: str | None = None
    """The member by which elements of an unordered list belong together."""
    tolerance: float = 0.0
    """Numbers may differ by so much."""
    tolerance_ratio: float = 0.0
    """Numbers may differ by such a share of the larger."""
    mask: bool = False
    """Differences are kept without the values."""
    pattern: Field = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", parsed(self.path))
        if not self.pattern:
            raise ValueError("a rule needs a path")
        if not self.reason.strip():
            raise ValueError(f"the rule for {self.path} needs a reason")
        if self.key is not None and not self.unordered:
            raise ValueError(f"the rule for {self.path} has a key but is not unordered")
        for tolerance in (self.tolerance, self.tolerance_ratio):
            if not (isfinite(tolerance) and tolerance >= 0.0):
                raise ValueError(f"the rule for {self.path} has the tolerance {tolerance}")
        if not (
            self.ignore or self.unordered or self.mask or self.tolerance or self.tolerance_ratio
        ):
            raise ValueError(f"the rule for {self.path} decides nothing")

    @property
    def wording(self) -> str:
        """Say what was decided, in the words of the file."""
        said = [name for name in ("ignore", "unordered", "mask") if getattr(self, name)]
        said += [
            f"{name} {value}"
            for name in ("key", "tolerance", "tolerance_ratio")
            if (value := getattr(self, name))
        ]
        return f"{self.path}: {', '.join(said)}"


class Effect(NamedTuple):
    """What all rules together say about one field."""

    field: str
    ignore: bool = False
    unordered: bool = False
    key: str | None = None
    tolerance: float = 0.0
    tolerance_ratio: float = 0.0
    mask: bool = False
    indexed: bool = False
    """Whether a path to this field names an element of a list, so that field and path differ."""

    def tolerates(self, left: object, right: object) -> bool:
        """Tell whether two values are numbers near enough to each other."""
        if not (self.tolerance or self.tolerance_ratio):
            return False
        if not (is_number(left) and is_number(right)):
            return False
        try:
            apart = abs(left - right)
            largest = max(abs(left), abs(right))
            return apart <= self.tolerance or apart <= self.tolerance_ratio * largest
        except OverflowError:  # an integer beyond every float
            return False


class Rules:
    """All decisions in force. `forgiven` causes are kept and shown, but do not count."""

    __slots__ = ("_effects", "forgiven", "rules")

    def __init__(self, rules: Iterable[Rule] = (), *, forgiven: Iterable[Cause] = ()) -> None:
        self.rules = tuple(rules)
        self.forgiven = frozenset(forgiven)
        self._effects: dict[Field, Effect] = {}

    def at(self, place: Field) -> Effect:
        """Give what the rules say about a field; fields come again, so it is remembered."""
        effect = self._effects.get(place)
        if effect is None:
            if len(self._effects) >= REMEMBERED_FIELDS:
                self._effects.clear()
            effect = self._effects[place] = self._effect(place)
        return effect

    def _effect(self, place: Field) -> Effect:
        above = [rule for rule in self.rules if matches(rule.pattern, place, below=True)]
        exact = [rule for rule in above if rule.unordered and matches(rule.pattern, place)]
        return Effect(
            field=spelled(place),
            ignore=any(rule.ignore for rule in above),
            unordered=bool(exact),
            key=next((rule.key for rule in exact if rule.key is not None), None),
            tolerance=max((rule.tolerance for rule in above), default=0.0),
            tolerance_ratio=max((rule.tolerance_ratio for rule in above), default=0.0),
            mask=any(rule.mask for rule in above),
            indexed=Wild.INDEX in place,
        )

    def drops(self, difference: Difference) -> bool:
        """Tell whether a stored difference would not have been one under these rules."""
        effect = self.at(parsed(difference.field))
        if effect.ignore:
            return True
        if difference.kind is Kind.ORDER:
            return effect.unordered
        return effect.tolerates(difference.left, difference.right)

    def counts(self, difference: Difference) -> bool:
        """Tell whether a difference makes its listing disagree."""
        return not (
            difference.kind is Kind.FORMAT
            or difference.cause in self.forgiven
            or self.drops(difference)
        )


def is_number(value: object) -> TypeGuard[float]:
    """Tell numbers from everything else; true and false are none."""
    return type(value) is int or type(value) is float

"""
Two JSON values side by side: every difference, by path, kind and cause.

Most of what is compared is equal, so everything is asked ``==`` first, which C answers for a whole
listing at once; only what is unequal is opened. ``==`` is not strict (1, 1.0 and true are equal to
it), so equal values must also be written alike, which C answers, too, in the same time. (Written
alike is not enough either: NaN is written as null.)

Nothing a service answers may hurt: depth, the number of differences and the text kept of each are
bounded, NaN is equal to itself, repeated keys are a difference of format, and what cannot be
compared is a difference of cause UNREADABLE, never an exception and never a match.
"""

from __future__ import annotations

from collections import Counter
from json import JSONEncoder, dumps
from typing import TYPE_CHECKING, Any, Final

from orjson import OPT_SORT_KEYS
from orjson import dumps as written

from gateway.core.comparison.causes import classify
from gateway.core.comparison.paths import Field, Path, Wild, spelled
from gateway.core.comparison.words import Cause, Comparison, Difference, Kind, Scalar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.core.comparison.causes import KindAndCause
    from gateway.core.comparison.rules import Effect, Rules

MAX_DEPTH: Final = 64
MAX_DIFFERENCES: Final = 100
MAX_SORTED: Final = 10_000
"""Longer lists are not searched for a mere change of order."""
MAX_UNORDERED: Final = 100_000
"""Longer lists are compared in order, whatever a rule says."""
MAX_KEPT: Final = 500
"""Characters kept of a value."""
MASKED: Final = "***"

EQUAL: Final = Comparison()
_PLAIN: Final = frozenset({str, int, bool, float, type(None)})
_WRITER: Final = JSONEncoder(ensure_ascii=False, default=repr)


class RepeatedKeys(dict[str, Any]):
    """An object in which keys stood more than once; the last one holds, as parsers do it."""

    __slots__ = ("repeated",)

    def __init__(self, pairs: Sequence[tuple[str, Any]], repeated: Iterable[str]) -> None:
        super().__init__(pairs)
        self.repeated = frozenset(repeated)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RepeatedKeys):
            return False
        return self.repeated == other.repeated and dict.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # as every dict


def object_of(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its pairs: what `json.loads` takes as ``object_pairs_hook``."""
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    return RepeatedKeys(
        pairs, [k for k, times in Counter(k for k, _ in pairs).items() if times > 1]
    )


def compare(left: Any, right: Any, rules: Rules, *, most: int = MAX_DIFFERENCES) -> Comparison:
    """Find what differs between the baseline's value `left` and the canary's `right`."""
    if same(left, right):
        return EQUAL
    walk = _Walk(rules, most)
    walk.node(left, right, (), ())
    return Comparison(tuple(walk.found), truncated=walk.full)


def same(left: Any, right: Any) -> bool:
    """Tell whether two values are strictly equal; too deep to be asked means no."""
    try:
        if left != right:
            return False
        try:
            return written(left) == written(right) or _sorted(left) == _sorted(right)
        except TypeError:  # an integer beyond 64 bits, a lone surrogate, 255 levels
            return _same_types(left, right)
    except RecursionError:
        return False


def _sorted(value: Any) -> bytes:
    return written(value, option=OPT_SORT_KEYS)


def _same_types(left: Any, right: Any) -> bool:
    """Tell whether two values that are equal to ``==`` are made of the same types."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return all(_same_types(value, right[key]) for key, value in left.items())
    if isinstance(left, list):
        return all(map(_same_types, left, right))
    return True


class _Walk:
    """One comparison under way."""

    __slots__ = ("found", "full", "most", "rules")

    def __init__(self, rules: Rules, most: int) -> None:
        self.rules = rules
        self.most = most
        self.found: list[Difference] = []
        self.full = False

    def node(self, left: Any, right: Any, path: Path, field: Field) -> None:
        """Compare two values that are not the same."""
        effect = self.rules.at(field)
        if effect.ignore or self.full:
            return
        if len(path) > MAX_DEPTH:
            self._add(effect, path, (Kind.VALUE, Cause.UNREADABLE), left, right)
        elif isinstance(left, dict) and isinstance(right, dict):
            self._objects(left, right, path, field)
        elif isinstance(left, list) and isinstance(right, list):
            self._lists(effect, left, right, path, field)
        elif isinstance(left, str) or not (effect.tolerates(left, right) or _both_nan(left, right)):
            self._add(effect, path, classify(left, right), left, right)

    def _objects(
        self, left: dict[str, Any], right: dict[str, Any], path: Path, field: Field
    ) -> None:
        # Most members are equal texts; one pass that asks only that leaves few to look at.
        get = right.get
        suspects = [
            key for key, value in left.items() if type(value) is not str or value != get(key)
        ]
        for key in suspects:
            value = left[key]
            if key not in right:
                self._alone(Kind.MISSING, value, (*path, key), (*field, key))
            elif not _alike(value, right[key]):
                self.node(value, right[key], (*path, key), (*field, key))
            if self.full:
                return
        if left.keys() != right.keys():
            self._extra_keys(left, right, path, field)
        if isinstance(left, RepeatedKeys) or isinstance(right, RepeatedKeys):
            self._repeated_keys(left, right, path, field)

    def _extra_keys(
        self, left: dict[str, Any], right: dict[str, Any], path: Path, field: Field
    ) -> None:
        for key, value in right.items():
            if key not in left:
                self._alone(Kind.EXTRA, value, (*path, key), (*field, key))
            if self.full:
                return

    def _repeated_keys(
        self, left: dict[str, Any], right: dict[str, Any], path: Path, field: Field
    ) -> None:
        for key in sorted(_repeated(left) ^ _repeated(right)):
            effect = self.rules.at((*field, key))
            if not effect.ignore:
                why = (Kind.FORMAT, Cause.FORMAT_ONLY)
                self._add(effect, (*path, key), why, left.get(key), right.get(key))

    def _lists(
        self, effect: Effect, left: list[Any], right: list[Any], path: Path, field: Field
    ) -> None:
        if effect.unordered and max(len(left), len(right)) <= MAX_UNORDERED:
            self._unordered(effect, left, right, path, field)
            return
        if len(left) == len(right) and _reordered(left, right):
            self._add(effect, path, (Kind.ORDER, Cause.ORDER), left, right)
            return
        begin = _shared(left, right)
        end = _shared(reversed(left[begin:]), reversed(right[begin:]))
        if len(left) == len(right):
            end = 0
        pairs = min(len(left), len(right)) - end
        below = (*field, Wild.INDEX)
        for index in range(begin, pairs):
            if self.full:
                return
            if not same(left[index], right[index]):
                self.node(left[index], right[index], (*path, index), below)
        for kind, longer in ((Kind.MISSING, left), (Kind.EXTRA, right)):
            for index in range(pairs, len(longer) - end):
                if self.full:
                    return
                self._alone(kind, longer[index], (*path, index), below)

    def _unordered(
        self, effect: Effect, left: list[Any], right: list[Any], path: Path, field: Field
    ) -> None:
        below = (*field, Wild.INDEX)
        waiting: dict[str, list[int]] = {}
        for index in reversed(range(len(right))):
            waiting.setdefault(_identity(right[index], effect.key), []).append(index)
        unmatched: list[int] = []
        for index, value in enumerate(left):
            partners = waiting.get(_identity(value, effect.key))
            if not partners:
                unmatched.append(index)
                continue
            partner = right[partners.pop()]
            if not same(value, partner):
                self.node(value, partner, (*path, index), below)
        leftover = sorted(index for indexes in waiting.values() for index in indexes)
        if effect.key is None:
            for index, other in zip(unmatched, leftover, strict=False):
                self.node(left[index], right[other], (*path, index), below)
            paired = min(len(unmatched), len(leftover))
            unmatched, leftover = unmatched[paired:], leftover[paired:]
        for index in unmatched:
            self._alone(Kind.MISSING, left[index], (*path, index), below)
        for index in leftover:
            self._alone(Kind.EXTRA, right[index], (*path, index), below)

    def _alone(self, kind: Kind, value: Any, path: Path, field: Field) -> None:
        """Note a value that one side has and the other has not."""
        effect = self.rules.at(field)
        if effect.ignore:
            return
        cause = Cause.NULL_AGAINST_ABSENT if value is None else Cause.REAL
        sides = (value, None) if kind is Kind.MISSING else (None, value)
        self._add(effect, path, (kind, cause), *sides)

    def _add(self, effect: Effect, path: Path, why: KindAndCause, left: Any, right: Any) -> None:
        if len(self.found) >= self.most:
            self.full = True
            return
        if effect.mask:
            left, right = (None if side is None else MASKED for side in (left, right))
        kind, cause = why
        where = spelled(path) if effect.indexed else effect.field
        self.found.append(Difference(where, effect.field, kind, cause, _kept(left), _kept(right)))


def _alike(left: Any, right: Any) -> bool:
    """Tell whether two members are the same; most are plain, and need no more than ``==``."""
    kind = type(left)
    if kind is type(right) and kind in _PLAIN:
        return bool(left == right)
    return same(left, right)


def _repeated(value: dict[str, Any]) -> frozenset[str]:
    return value.repeated if isinstance(value, RepeatedKeys) else frozenset()


def _both_nan(left: Any, right: Any) -> bool:
    return bool(
        isinstance(left, float) and isinstance(right, float) and left != left and right != right  # noqa: PLR0124  # NaN
    )


def _shared(left: Iterable[Any], right: Iterable[Any]) -> int:
    """Count the elements that two sequences begin with alike."""
    count = 0
    for one, other in zip(left, right, strict=False):
        if not same(one, other):
            break
        count += 1
    return count


def _reordered(left: list[Any], right: list[Any]) -> bool:
    """Tell whether two lists of one length hold the same elements in different order."""
    if len(left) > MAX_SORTED:
        return False
    one, other = [*map(_canonical, left)], [*map(_canonical, right)]
    return one != other and Counter(one) == Counter(other)


def _identity(element: Any, key: str | None) -> str:
    """Say what makes an element of an unordered list the same one: its key, or all of it."""
    if key is not None and isinstance(element, dict) and key in element:
        return _canonical(element[key])
    return _canonical(element)


def _canonical(value: Any) -> str:
    """Write a value so that equal ones are written alike, whatever the order of their keys."""
    try:
        return dumps(value, sort_keys=True, default=repr)
    except (RecursionError, TypeError, ValueError):
        return f"unreadable {id(value)}"  # equal to nothing else


def _kept(value: Any) -> Scalar:
    if isinstance(value, str):
        return _cut(value)
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 64 else _cut(hex(value))
    text = ""
    try:
        for chunk in _WRITER.iterencode(value):
            text += chunk
            if len(text) > MAX_KEPT:
                return f"{_cut(text[:MAX_KEPT])}…"
    except (RecursionError, TypeError, ValueError):
        return f"{_cut(text[:MAX_KEPT])}…"
    return _cut(text)


def _cut(text: str) -> str:
    """Keep the beginning, in characters that can be stored: half a surrogate pair cannot."""
    text = text if text.isascii() else text.encode(errors="backslashreplace").decode()
    return text if len(text) <= MAX_KEPT else f"{text[:MAX_KEPT]}…(+{len(text) - MAX_KEPT})"

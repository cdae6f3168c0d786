"""
What was expected where something from outside is not as it must be, in our words.

The validator's own words name its insides (tags, models, types of a program); a caller knows only
the JSON that was sent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gateway.admin.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WHOLE: Final = ("a whole number", "整数")
_NUMBER: Final = ("a number", "数値")
_SAID: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("present", "必須項目"),
    "union_tag_not_found": ("present", "必須項目"),
    "extra_forbidden": ("absent (this key is not known)", "省略(未知のキーです)"),
    "model_type": ("a JSON object", "JSON オブジェクト"),
    "model_attributes_type": ("a JSON object", "JSON オブジェクト"),
    "dict_type": ("a JSON object", "JSON オブジェクト"),
    "string_type": ("text", "文字列"),
    "bool_type": ("true or false", "true か false"),
    "bool_parsing": ("true or false", "true か false"),
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": ("a smaller whole number", "より小さい整数"),
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": ("a finite number", "有限の数値"),
}
_IN_JAPANESE: Final[tuple[tuple[str, str], ...]] = (
    (r"greater than or equal to (\S+)", "{0} 以上"),
    (r"less than or equal to (\S+)", "{0} 以下"),
    (r"at least (\d+) characters?", "{0} 文字以上"),
    (r"at most (\d+) characters?", "{0} 文字以下"),
    (r"one of (.+)", "{0} のいずれか"),
    (r"text that is not blank", "空白でない文字列"),
    (r"a multiple of (\S+)", "{0} の倍数"),
)
_TAGS: Final = frozenset({"union_tag_invalid", "union_tag_not_found"})


class Expected(NamedTuple):
    """One fault: the field, and what was expected there in both languages."""

    field: str
    english: str
    japanese: str


def expected(detail: Any, value: Any, *, where: str) -> Expected:
    """Put one fault that the validator found into our words."""
    return Expected(".".join([where, *_place(detail, value)]), *_said(detail))


def _place(detail: Any, value: Any) -> list[str]:
    """Name the field as it was sent: which of several shapes was tried is none of its parts."""
    place = [str(part) for part in detail["loc"]]
    if detail["type"] in _TAGS:
        return [*place, detail["ctx"]["discriminator"].strip("'")]
    tried = len(place) > 1 and isinstance(value, dict) and place[0] not in value
    return place[1:] if tried and place[0] in map(str, value.values()) else place


def _said(detail: Any) -> tuple[str, str]:
    kind = detail["type"]
    if kind in _SAID:
        return _SAID[kind]
    said = str(detail["msg"])
    if kind == "union_tag_invalid":
        said = "one of " + detail["ctx"]["expected_tags"].replace("'", "")
    elif kind in {"enum", "literal_error"}:
        said = "one of " + detail["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
    elif kind == "value_error":
        said = str(detail["ctx"]["error"])
    for opening in ("Input should be ", "String should have ", "Value error, "):
        said = said.removeprefix(opening)
    return said, _japanese(said)


def _japanese(said: str) -> str:
    for pattern, ours in _IN_JAPANESE:
        if found := re.fullmatch(pattern, said):
            return ours.format(*found.groups())
    return said


def invalid(faults: Sequence[Expected]) -> ProblemError:
    """Refuse with all of them; the first one in the sentence."""
    first, more = faults[0], len(faults) - 1
    tail, tail_ja = (f" (and {more} more)", f"(他 {more} 件)") if more else ("", "")
    return ProblemError(
        422,
        "invalid",
        f"{first.field}: expected {first.english}{tail}.",
        errors=[{"field": one.field, "expected": one.english} for one in faults],
        detail_ja=f"{first.field} が正しくありません(期待: {first.japanese}){tail_ja}。",
    )

"""
What a URL's query string asks for, as data.

PostgREST's grammar, the part we need: ``col=op.value`` filters with ``not.``, ``and=(...)`` and
``or=(...)`` trees, ``select`` with aliases, casts, JSON paths and one level of embedding,
``order``, ``limit``, ``offset``, ``columns``, ``on_conflict``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from ops.devstack.postgrest_standin.failures import bad_query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_RESERVED: Final = frozenset({"select", "order", "limit", "offset", "columns", "on_conflict"})
_LOGIC: Final = re.compile(r"(not\.)?(and|or)")
_COMPARISONS: Final = frozenset({"eq", "neq", "gt", "gte", "lt", "lte", "is", "isdistinct", "in"})
_OPERATORS: Final = _COMPARISONS | {"like", "ilike", "match", "imatch", "cs", "cd", "ov"}
_FIELD: Final = re.compile(r'"?(?P<name>[^"\->:.,()]+)"?(?P<path>(?:->>?[^\->:.,()]+)*)')
_SELECTED: Final = re.compile(
    r"(?:(?P<alias>[^:,()]+):(?!:))?(?P<field>[^:()]+)(?:::(?P<cast>[\w ]+))?"
)
_EMBEDDED: Final = re.compile(
    r"(?:(?P<alias>[^:,()]+):)?(?P<name>[^:!,()]+)(?:![^(]*)?\((?P<inner>.*)\)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Field:
    """A column, perhaps with a path into its JSON: steps are (arrow, key)."""

    name: str
    path: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition; `values` holds one value, or the members of ``in``."""

    field: Field
    operator: str
    values: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Logic:
    """Conditions joined by "and" or "or"."""

    joiner: str
    conditions: tuple[Condition, ...]
    negated: bool = False


Condition: TypeAlias = "Filter | Logic"


@dataclass(frozen=True, slots=True)
class Selected:
    """A column in the answer; `field.name` "*" means all of them."""

    field: Field
    alias: str | None = None
    cast: str | None = None


@dataclass(frozen=True, slots=True)
class Embedded:
    """Rows of a related table, nested."""

    table: str
    alias: str
    selected: tuple[Selected, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """One key of an order; `words` are SQL's own (``DESC NULLS LAST``)."""

    field: Field
    words: str


@dataclass(frozen=True, slots=True)
class Query:
    """Everything the query string said; None means it did not say."""

    selected: tuple[Selected | Embedded, ...] = (Selected(Field("*")),)
    conditions: tuple[Condition, ...] = ()
    order: tuple[Order, ...] = ()
    embedded_order: Mapping[str, tuple[Order, ...]] = field(default_factory=dict)
    limit: int | None = None
    offset: int | None = None
    columns: tuple[str, ...] | None = None
    on_conflict: tuple[str, ...] | None = None


def parse(parameters: Sequence[tuple[str, str]]) -> Query:
    """Read the parameters; raises Failure (PGRST100) where they mean nothing."""
    said = dict(parameters)
    conditions = tuple(
        _condition(name, value)
        for name, value in parameters
        if name not in _RESERVED and not name.endswith((".order", ".limit", ".offset"))
    )
    return Query(
        selected=_select(said.get("select", "*")),
        conditions=conditions,
        order=_order(said.get("order", "")),
        embedded_order={
            name.removesuffix(".order"): _order(value)
            for name, value in parameters
            if name.endswith(".order")
        },
        limit=_count(said.get("limit")),
        offset=_count(said.get("offset")),
        columns=_names(said["columns"]) if "columns" in said else None,
        on_conflict=_names(said["on_conflict"]) if "on_conflict" in said else None,
    )


def _condition(name: str, value: str) -> Condition:
    if match := _LOGIC.fullmatch(name):
        if not (value.startswith("(") and value.endswith(")")):
            raise bad_query("logic tree", value)
        inner = tuple(_branch(part) for part in split(value[1:-1]))
        return Logic(match[2], inner, negated=bool(match[1]))
    return _filter(_field(name), value, unquote=False)


def _branch(text: str) -> Condition:
    """Read a member of a logic tree: ``col.op.value`` or a nested ``and(...)``."""
    if match := re.fullmatch(r"(not\.)?(and|or)\((.*)\)", text, re.DOTALL):
        inner = tuple(_branch(part) for part in split(match[3]))
        return Logic(match[2], inner, negated=bool(match[1]))
    match = re.match(r'("[^"]*"|[^.]+)\.', text)
    if match is None:
        raise bad_query("logic tree", text)
    return _filter(_field(match[1]), text[match.end() :], unquote=True)


def _filter(on: Field, expression: str, *, unquote: bool) -> Filter:
    negated = expression.startswith("not.")
    operator, dot, value = expression.removeprefix("not.").partition(".")
    if not dot or operator not in _OPERATORS:
        raise bad_query("filter", expression)
    if operator == "in":
        if not (value.startswith("(") and value.endswith(")")):
            raise bad_query("filter", expression)
        members = tuple(_unquoted(part) for part in split(value[1:-1]))
        return Filter(on, operator, members, negated)
    return Filter(on, operator, (_unquoted(value) if unquote else value,), negated)


def split(text: str) -> list[str]:
    """Split at commas that stand outside of quotes and parentheses."""
    parts: list[str] = []
    current: list[str] = []
    depth, quoted, escaped = 0, False, False
    for char in text:
        if char == "," and not quoted and not depth:
            parts.append("".join(current))
            current = []
            continue
        current.append(char)
        if escaped:
            escaped = False
        elif quoted and char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif not quoted:
            depth += (char == "(") - (char == ")")
    return [*parts, "".join(current)] if text else []


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return text


def _field(text: str) -> Field:
    match = _FIELD.fullmatch(text.strip())
    if match is None:
        raise bad_query("field", text)
    steps = re.findall(r"(->>?)([^\->]+)", match["path"])
    return Field(match["name"], tuple((arrow, key) for arrow, key in steps))


def _select(text: str) -> tuple[Selected | Embedded, ...]:
    return tuple(_selected(part.strip()) for part in split(text or "*"))


def _selected(text: str) -> Selected | Embedded:
    if match := _EMBEDDED.fullmatch(text):
        inner = tuple(_selected(part.strip()) for part in split(match["inner"]))
        columns = tuple(part for part in inner if isinstance(part, Selected))
        if len(columns) != len(inner):
            raise bad_query("select parameter", text)  # one level of embedding is all we do
        return Embedded(match["name"], match["alias"] or match["name"], columns)
    if text == "*":
        return Selected(Field("*"))
    match = _SELECTED.fullmatch(text)
    if match is None:
        raise bad_query("select parameter", text)
    return Selected(_field(match["field"]), match["alias"], match["cast"])


def _order(text: str) -> tuple[Order, ...]:
    keys: list[Order] = []
    for part in split(text):
        match = re.fullmatch(r"(.+?)(\.asc|\.desc)?(\.nullsfirst|\.nullslast)?", part.strip())
        if match is None:
            raise bad_query("order", text)
        words = {".asc": " ASC", ".desc": " DESC", None: ""}[match[2]]
        nulls = {".nullsfirst": " NULLS FIRST", ".nullslast": " NULLS LAST", None: ""}[match[3]]
        keys.append(Order(_field(match[1]), words + nulls))
    return tuple(keys)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_unquoted(part) for part in split(text)))


def _count(text: str | None) -> int | None:
    """Read a number; what is none is as if it had not been said."""
    return int(text) if text and re.fullmatch(r"-?\d+", text) else None

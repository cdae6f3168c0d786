"""Addresses: any value, bounded length, nothing lost."""

from __future__ import annotations

from urllib.parse import parse_qsl

from hypothesis import given
from hypothesis import strategies as st

from listings.model import PROPERTY_NUMBER_MAX
from sync_new.query import MAX_FILTER_BYTES, MAX_VALUES, one_of, query, slices

numbers = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    min_size=1,
    max_size=PROPERTY_NUMBER_MAX,
)


def unquoted(text: str) -> list[str]:
    """Read ``in.("a","b")`` the way PostgREST does."""
    assert text.startswith("in.(")
    assert text.endswith(")")
    values: list[str] = []
    chars = iter(text[4:-1])
    for char in chars:
        if char == ",":
            continue
        assert char == '"'
        value = ""
        for inner in chars:
            if inner == '"':
                break
            value += next(chars) if inner == "\\" else inner
        values.append(value)
    return values


@given(st.lists(numbers, min_size=1, max_size=30))
def test_every_value_comes_through(values: list[str]) -> None:
    """Quoted, encoded, decoded and unquoted, each value is what it was."""
    address = query(("property_number", one_of(values)))
    assert address.isascii()
    [(name, text)] = parse_qsl(address, strict_parsing=True)
    assert name == "property_number"
    assert unquoted(text) == values


@given(st.lists(numbers, max_size=800))
def test_slices_are_short_and_whole(values: list[str]) -> None:
    """Slices keep every value in order, and each makes a short enough address."""
    parts = list(slices(values))
    assert [value for part in parts for value in part] == values
    for part in parts:
        assert 1 <= len(part) <= MAX_VALUES
        assert len(query(("property_number", one_of(part)))) <= MAX_FILTER_BYTES + 1000

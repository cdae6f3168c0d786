"""Paths are written and read back, and patterns match what they say."""

from __future__ import annotations

import pytest

from gateway.core.comparison.paths import Wild, matches, parsed, spelled


def test_paths_as_people_write_them():
    """Words get dots, list elements and odd keys brackets."""
    assert spelled(("records", 3, "priceYen")) == "records[3].priceYen"
    assert spelled(("extra", "a.b", "*", 'say "hi"')) == r'extra["a.b"]["*"]["say \"hi\""]'
    assert spelled((Wild.DEEP, "物件", Wild.INDEX, Wild.ONE)) == "**.物件[*].*"
    assert spelled((0,)) == "[0]"
    assert spelled(()) == ""


@pytest.mark.parametrize(
    "field",
    [
        ("records", Wild.INDEX, "priceYen"),
        (Wild.INDEX, Wild.INDEX, "a"),
        (Wild.DEEP, "a", Wild.ONE),
        ("a.b", "*", "[*]", 'say "hi"', "", "1st", "sync-id", "\ud800", "値 段"),
    ],
)
def test_what_is_written_is_read_back(field):
    """No key can pose as a wildcard, nor hide in another one."""
    assert parsed(spelled(field)) == field


@pytest.mark.parametrize(
    "text", [".a", "a..b", "a[", "a[3]", "a[x]", "a b", "1a", "a*", "***", "a[*]b", '["a"', "a."]
)
def test_what_is_no_path_is_refused(text):
    """The message shows where reading stopped."""
    with pytest.raises(ValueError, match="cannot read the path"):
        parsed(text)


@pytest.mark.parametrize(
    ("pattern", "field", "at", "below"),
    [
        ("a.b", "a.b", True, True),
        ("a.b", "a.b.c", False, True),
        ("a.b", "a", False, False),
        ("a.*", "a.b", True, True),
        ("a.*", "a[*]", True, True),
        ("a.*", "a", False, False),
        ("a[*].b", "a[*].b", True, True),
        ("a[*]", "a.b", False, False),
        ("**", "", True, True),
        ("**", "a.b.c", True, True),
        ("**.c", "a.b.c", True, True),
        ("**.c", "c", True, True),
        ("**.c", "a.c.d", False, True),
        ("a.**.d", "a.d", True, True),
        ("a.**.d", "a.b.c.d", True, True),
        ("a.**", "a", True, True),
        ("a.**.**.d", "a.b.c", False, False),
        ("b", "a", False, False),
    ],
)
def test_patterns(pattern, field, at, below):
    """One star is one step, two are any number; `below` also takes what lies under the match."""
    assert matches(parsed(pattern), parsed(field)) is at
    assert matches(parsed(pattern), parsed(field), below=True) is below


def test_many_stars_cost_no_more_than_their_number():
    """A pattern made to explode is answered at once: places are a set, not a search tree."""
    pattern = parsed(".".join(["**", "a"] * 50))
    assert not matches(pattern, parsed(".".join(["a"] * 200 + ["b"])))

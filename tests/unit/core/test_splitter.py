"""The split: exact without a key, sticky with one."""

from __future__ import annotations

import pytest

from gateway.core.model import WEIGHT_ALL, WEIGHT_NONE, Variant, Weight
from gateway.core.splitter import SPAN, assign, in_canary, position, turn


def canaries(weight: int, count: int, carried: int = 0) -> tuple[list[bool], int]:
    """Where `count` requests without a key go."""
    sides = []
    for _ in range(count):
        variant, carried = turn(carried, Weight(weight))
        sides.append(variant is Variant.CANARY)
    return sides, carried


@pytest.mark.parametrize("percent", range(101))
def test_any_hundred_requests_show_the_percentage(percent: int) -> None:
    """Exact for every whole percentage, from any remainder."""
    for carried in (0, 1, 4_999, 9_999):
        sides, _ = canaries(percent * 100, 100, carried)
        assert sum(sides) == percent


def test_the_share_is_spread_evenly() -> None:
    """At 10 % every tenth, not ten in a row."""
    sides, _ = canaries(1_000, 100)
    assert [number for number, canary in enumerate(sides) if canary] == list(range(9, 100, 10))


def test_a_hundredth_of_a_percent_is_one_in_ten_thousand() -> None:
    """The smallest step there is."""
    assert sum(canaries(1, 10_000)[0]) == 1


def test_a_key_keeps_its_place() -> None:
    """The same key and salt give the same point; another salt another one."""
    assert position(b"key", b"salt") == position(b"key", b"salt")
    assert position(b"key", b"salt") != position(b"key", b"other")
    assert position(b"key", b"s" * 64 + b"a") == position(b"key", b"s" * 64 + b"b")


def test_the_ends_are_everybody_and_nobody() -> None:
    """Half-open: nothing lies in [0, 0), everything in [0, all)."""
    for point in (0, 1, SPAN // 2, SPAN - 1):
        assert not in_canary(point, WEIGHT_NONE)
        assert in_canary(point, WEIGHT_ALL)
    assert assign(b"x", b"s", WEIGHT_ALL) is Variant.CANARY
    assert assign(b"x", b"s", WEIGHT_NONE) is Variant.BASELINE


def test_the_boundary_belongs_to_the_baseline() -> None:
    """A point exactly at the weight is outside, the one below inside."""
    half = Weight(5_000)
    assert in_canary(SPAN // 2 - 1, half)
    assert not in_canary(SPAN // 2, half)

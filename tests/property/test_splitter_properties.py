"""Laws of the split that hold for every key, salt, weight and order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.model import WEIGHT_ALL, Variant, Weight
from gateway.core.splitter import assign, turn

keys = st.binary(min_size=1, max_size=200)
salts = st.binary(max_size=80)
weights = st.integers(0, WEIGHT_ALL).map(Weight)


@given(keys, salts, weights, weights)
def test_raising_the_weight_never_sends_a_client_back(
    key: bytes, salt: bytes, one: Weight, other: Weight
) -> None:
    """Monotone: whoever is in the canary stays there as the weight grows."""
    low, high = sorted((one, other))
    if assign(key, salt, Weight(low)) is Variant.CANARY:
        assert assign(key, salt, Weight(high)) is Variant.CANARY


@given(st.lists(weights, min_size=1, max_size=300), st.integers(0, WEIGHT_ALL - 1))
def test_the_exact_split_is_never_off_by_one_request(changes: list[Weight], carried: int) -> None:
    """Whatever the weight does, the canary's count is within one of the sum of the weights."""
    start = carried
    chosen = 0
    for done, weight in enumerate(changes, start=1):
        variant, carried = turn(carried, weight)
        chosen += variant is Variant.CANARY
        assert 0 <= carried < WEIGHT_ALL
        assert chosen == (start + sum(changes[:done])) // WEIGHT_ALL


@given(salts, weights)
def test_keys_are_spread_as_the_weight_says(salt: bytes, weight: Weight) -> None:
    """Of 2,000 keys the share is within six standard deviations of the weight."""
    count = sum(
        assign(b"client-%d" % number, salt, weight) is Variant.CANARY for number in range(2_000)
    )
    share = weight / WEIGHT_ALL
    assert abs(count - 2_000 * share) <= 6 * (2_000 * share * (1 - share)) ** 0.5 + 1

"""How much may be asked twice within a minute."""

from __future__ import annotations

import random

from gateway.proxy.retries import FEWEST, Retries

SECOND_US = 1_000_000


def test_the_first_requests_may_be_repeated() -> None:
    """Before anything was counted a few retries are there, and no more."""
    retries = Retries()
    assert [retries.take() for _ in range(FEWEST + 3)] == [True] * FEWEST + [False] * 3


def test_a_fifth_of_the_requests_may_be_repeated() -> None:
    """A hundred requests in the last minute: twenty retries, also all at once."""
    retries = Retries()
    retries.requests = 100
    assert sum(retries.take() for _ in range(100)) == 20


def test_what_was_asked_more_than_a_minute_ago_counts_no_more() -> None:
    """A busy hour buys nothing a minute later; what was spent then is forgotten, too."""
    retries = Retries()
    retries.requests = 10_000
    for _ in range(20):
        assert retries.take()
    for second in range(1, 62):
        retries.tick(second * SECOND_US)
    assert sum(retries.take() for _ in range(100)) == FEWEST


def test_no_minute_has_more_than_a_fifth() -> None:
    """Random traffic, retried whenever possible: over any minute at most 1.2 attempts a request."""
    dice = random.Random(7)
    retries = Retries()
    told: list[tuple[int, int]] = []
    for second in range(400):
        retries.tick(second * SECOND_US)
        told.append((retries.requests, retries.spent))
        for _ in range(dice.choice((1, 20, 50))):
            retries.requests += 1
            retries.take()
    for (requests, spent), (later, spent_later) in zip(told, told[60:], strict=False):
        # A second of grain: what came in the second before the first still counts with it.
        assert spent_later - spent <= (later - requests + 50) / 5 + FEWEST

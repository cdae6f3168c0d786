"""The circuit breaker: closed, open, one probe, and no late word counts."""

from __future__ import annotations

import pytest

from sync_new.breaker import Breaker, Refusal, State

TIMEOUT_US = 60_000_000


def fail(breaker: Breaker, times: int, now_us: int = 0) -> None:
    """Let calls fail."""
    for _ in range(times):
        admitted = breaker.admit(now_us)
        assert not isinstance(admitted, Refusal)
        breaker.record(admitted, ok=False, now_us=now_us)


@pytest.fixture
def breaker() -> Breaker:
    """Five failures, sixty seconds."""
    return Breaker(threshold=5, timeout_us=TIMEOUT_US)


def test_opens_after_failures_in_a_row(breaker: Breaker) -> None:
    """Four are forgiven, a success forgets them, the fifth in a row opens."""
    fail(breaker, 4)
    breaker.record(breaker.admit(0), ok=True, now_us=0)
    fail(breaker, 4)
    assert breaker.state is State.CLOSED
    fail(breaker, 1)
    assert breaker.state is State.OPEN
    assert breaker.admit(1_000_000) == Refusal(TIMEOUT_US - 1_000_000)


def test_one_probe_decides(breaker: Breaker) -> None:
    """After the timeout one call goes out and all others wait for what it finds."""
    fail(breaker, 5)
    probe = breaker.admit(TIMEOUT_US)
    assert not isinstance(probe, Refusal)
    assert isinstance(breaker.admit(TIMEOUT_US), Refusal)
    breaker.record(probe, ok=False, now_us=TIMEOUT_US)
    assert isinstance(breaker.admit(2 * TIMEOUT_US - 1), Refusal)
    probe = breaker.admit(2 * TIMEOUT_US)
    breaker.record(probe, ok=True, now_us=2 * TIMEOUT_US)
    assert breaker.state is State.CLOSED
    fail(breaker, 4, 2 * TIMEOUT_US)
    assert breaker.state is State.CLOSED


def test_a_cancelled_probe_lets_another_go(breaker: Breaker) -> None:
    """A probe that told nothing does not block the breaker for good."""
    fail(breaker, 5)
    breaker.abandon(breaker.admit(TIMEOUT_US))
    assert not isinstance(breaker.admit(TIMEOUT_US), Refusal)


def test_late_results_count_for_nothing(breaker: Breaker) -> None:
    """An answer admitted before the last change of state neither opens nor closes."""
    early = breaker.admit(0)
    fail(breaker, 5)
    breaker.record(early, ok=True, now_us=1)
    assert breaker.state is State.OPEN
    probe = breaker.admit(TIMEOUT_US)
    breaker.record(early, ok=False, now_us=TIMEOUT_US)
    assert breaker.state is State.HALF_OPEN
    breaker.record(probe, ok=True, now_us=TIMEOUT_US)
    breaker.record(early, ok=False, now_us=TIMEOUT_US)
    fail(breaker, 4, TIMEOUT_US)
    assert breaker.state is State.CLOSED

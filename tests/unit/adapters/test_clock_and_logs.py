"""Steady time cannot jump; secrets cannot slip into the log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gateway.adapters.clock import SystemClock
from gateway.adapters.logs import mask_secrets

if TYPE_CHECKING:
    import pytest


def test_steady_time_ignores_the_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall clock set back by a year moves no deadline."""
    clock = SystemClock()
    before = clock.now_us()
    wall = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: wall - 365 * 86_400 * 10**9)
    assert 0 <= clock.now_us() - before < 60_000_000
    assert clock.wall_us() < before - 364 * 86_400 * 10**6


def test_a_restart_does_not_go_back_in_time() -> None:
    """Stored instants are never in the future, even if the wall was set back meanwhile."""
    later = time.time_ns() // 1_000 + 3_600_000_000
    assert SystemClock(not_before_us=later).now_us() >= later


def test_values_that_sound_secret_are_masked() -> None:
    """Once more at the last door."""
    event = {"event": "x", "admin_token": "t", "Authorization": "Bearer t", "apikey": "k", "n": 1}
    masked = mask_secrets(None, "info", event)
    assert masked == {
        "event": "x", "admin_token": "(hidden)", "Authorization": "(hidden)",
        "apikey": "(hidden)", "n": 1,
    }  # fmt: skip

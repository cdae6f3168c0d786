"""Data that lives beside the project, not in it: tests that read it skip where it is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"


def shared(relative: str) -> Path:
    """The path of a shared data file; the calling test skips, and says why, without it."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"needs ../shared/{relative}, which this clone does not have beside it")
    return path

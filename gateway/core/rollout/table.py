"""Every legal move in one table, each with its reason; `transition_table` renders it for the docs."""

from __future__ import annotations


def transition_table() -> tuple[tuple[str, str, str, str], ...]:
    """Rows of (from, event, to, why)."""
    raise NotImplementedError

"""
When to try again: full jitter, growing, and never before the server said.

Full jitter (a random moment between nothing and the bound) spreads callers that failed together;
the bound starts at 100 ms and doubles.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

ATTEMPTS: Final = 5
_BASE_S: Final = 0.1
_CAP_S: Final = 5.0
# Longer than this nobody's request waits: the caller is told when to come back instead.
PATIENCE_S: Final = 10.0


def pause_s(attempt: int, draw: float, retry_after_s: float | None) -> float:
    """Give the pause after failed `attempt` (from 1); `draw` is uniform in [0, 1)."""
    jitter: float = draw * min(_CAP_S, _BASE_S * 2 ** (attempt - 1))
    return jitter + (retry_after_s or 0.0)


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date; None if absent or unreadable."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())

"""
Two questions about health: whether the process is alive, and whether it can serve.

`alive` asks nobody else, so a dead database does not get a healthy process restarted. `RecentCheck`
asks what the process depends on, at most once in a while and once at a time: a hundred probes a
second must not become a hundred questions to a database that is already in trouble.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def alive(**members: Any) -> JSONResponse:
    """Answer that the process is alive."""
    return JSONResponse({"status": "ok", **members})


class RecentCheck:
    """Remembers a check's outcome for `max_age_s`; every failure is raised anew to each asker."""

    def __init__(
        self,
        check: Callable[[], Awaitable[None]],
        *,
        max_age_s: float = 1.0,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._check = check
        self._max_age_s = max_age_s
        self._clock_s = clock_s
        self._lock = asyncio.Lock()
        self._checked_at_s: float | None = None
        self._failure: Exception | None = None

    async def __call__(self) -> None:
        """Raise what the check raised, or return."""
        async with self._lock:
            now_s = self._clock_s()
            if self._checked_at_s is None or now_s - self._checked_at_s >= self._max_age_s:
                try:
                    await self._check()
                except Exception as exc:  # noqa: BLE001 - whatever it is, it is the outcome
                    self._failure = exc
                else:
                    self._failure = None
                self._checked_at_s = self._clock_s()
        if self._failure is not None:
            raise self._failure

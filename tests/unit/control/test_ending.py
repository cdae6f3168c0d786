"""The end of the loops: one that swallowed its cancellation is told again."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from gateway.bootstrap import running

if TYPE_CHECKING:
    import pytest


async def test_a_swallowed_cancellation_does_not_keep_the_gateway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A call that timed out at that very moment goes on; it ends all the same."""
    monkeypatch.setattr(running, "_CANCEL_AGAIN_S", 0.01)

    async def stubborn() -> None:
        for _ in range(3):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
        await asyncio.sleep(3600)

    tasks = [asyncio.create_task(stubborn()), asyncio.create_task(asyncio.sleep(3600))]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await running._end(tasks)
    assert all(task.cancelled() for task in tasks)

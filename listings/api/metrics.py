"""What this process measures of itself: requests by status, syncs, and its own CPU and memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import psutil

from listings.api.answers import usage_body

if TYPE_CHECKING:
    from collections import Counter

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from listings.store import ApiUsage
    from listings.sync import SyncCounts


class RequestCounter:
    """ASGI middleware that counts answers by status class; costs one closure per request."""

    def __init__(self, app: ASGIApp, counts: Counter[str]) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note the status of the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._counts[f"{message['status'] // 100}xx"] += 1
            await send(message)

        await self._app(scope, receive, noted)


class ProcessMeter:
    """CPU since it was last asked, as a share of one core, and resident memory."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._process.cpu_percent()
        self._started_s = time.monotonic()

    def read(self) -> dict[str, float]:
        """Measure now."""
        memory_bytes = self._process.memory_info().rss
        return {
            "uptimeSeconds": round(time.monotonic() - self._started_s, 3),
            "cpuRatio": self._process.cpu_percent() / 100,
            "memoryBytes": memory_bytes,
            "memoryRatio": memory_bytes / psutil.virtual_memory().total,
        }


def metrics_body(
    system: str,
    *,
    requests: Counter[str],
    syncs: SyncCounts,
    running: int,
    usage: ApiUsage,
    process: dict[str, float],
) -> dict[str, Any]:
    """Return the service's measurements; what has not been measured yet is null, never 0.

    `listingsSynced` is the size of the last full sync: a push brings what it likes.
    """
    done = syncs.completed + syncs.partial + syncs.failed
    timings = [
        timing.seconds * 1000 / timing.listings for timing in syncs.timings if timing.listings
    ]
    return {
        "system": system,
        "requests": {"total": sum(requests.values()), **dict(sorted(requests.items()))},
        "syncs": {
            "completed": syncs.completed,
            "partial": syncs.partial,
            "failed": syncs.failed,
            "running": running,
            "successRatio": (syncs.completed + syncs.partial) / done if done else None,
        },
        "fullSyncs": syncs.full,
        "listingsSynced": syncs.full_listings,
        "syncSecondsPer1000": [round(seconds, 4) for seconds in timings],
        "apiUsage": usage_body(usage),
        "process": process,
    }

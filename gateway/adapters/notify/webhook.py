"""One webhook that takes every notice as JSON; its URL is a secret and never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httpx2

from gateway.errors import UnreachableError

if TYPE_CHECKING:
    from gateway.ports import Notice

_DEADLINE_S: Final = 10.0


class WebhookNotifier:
    """`Notifier` that posts `{"level", "title", "text", "key", "at_us", "data"}`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx2.AsyncClient(timeout=_DEADLINE_S, trust_env=False)

    async def notify(self, notice: Notice) -> None:
        """Post it; the error text names no URL."""
        body = {
            "level": notice.level,
            "title": notice.title,
            "text": notice.text,
            "key": notice.key,
            "at_us": notice.at_us,
            "data": dict(notice.data),
        }
        try:
            response = await self._client.post(self._url, json=body)
        except httpx2.HTTPError as error:
            raise UnreachableError(
                f"The alert webhook cannot be reached ({type(error).__name__})."
            ) from error
        if not response.is_success:
            raise UnreachableError(f"The alert webhook answered {response.status_code}.")

    async def close(self) -> None:
        """Close the kept connection."""
        await self._client.aclose()

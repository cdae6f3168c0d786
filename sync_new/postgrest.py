"""
The PostgREST client: one call, with budget, breaker and repeats, and errors in the port's words.

Written by hand because the official one hides the status and repeats in silence. Every call this
store makes may be repeated: reads change nothing, and an upsert that was stored twice is stored
once. So a call that timed out, or whose connection broke, is simply made again.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn

import httpx2

from listings.codec import decode_json, encode_json
from listings.errors import InvalidInput, StoreRefused, StoreUnavailable
from sync_new import retry
from sync_new.answers import Answer, Blame, Complaint, RowsRefused, blame, complaint, refusal
from sync_new.breaker import Breaker, Refusal
from sync_new.limiter import CallBudget

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from listings.store import WriteContext
    from sync_new.limiter import SharedTat

_US: Final = 1_000_000
_CONNECT_TIMEOUT_S: Final = 3.0
_BAD_REQUEST: Final = 400
_NO_CONTENT: Final = 204


@dataclass(frozen=True, slots=True)
class RestSettings:
    """How to reach PostgREST; `url` is its base address, without a trailing slash."""

    url: str
    apikey: str = field(repr=False)
    authorization: str = field(repr=False)
    batch_size: int = 100
    calls_per_second: float = 10.0
    breaker_threshold: int = 5
    breaker_timeout_s: float = 60.0
    request_timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class World:
    """What a test replaces: time, chance and the wire."""

    now_us: Callable[[], int] = lambda: time.monotonic_ns() // 1000
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    draw: Callable[[], float] = random.random
    transport: httpx2.AsyncBaseTransport | None = None


class _Failed(Exception):  # noqa: N818 - not raised to callers: one attempt's outcome
    """One attempt failed in a way that is worth repeating."""

    def __init__(self, kind: Blame, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.retry_after_s = retry_after_s


class PostgrestClient:
    """Makes calls; `reconnects` counts how often the way to the server was lost."""

    def __init__(
        self,
        settings: RestSettings,
        world: World | None = None,
        *,
        shared: SharedTat | None = None,
    ) -> None:
        self._settings = settings
        self._world = world or World()
        self._budget = CallBudget(settings.calls_per_second, shared=shared)
        self._breaker = Breaker(
            threshold=settings.breaker_threshold,
            timeout_us=round(settings.breaker_timeout_s * _US),
        )
        self._http = httpx2.AsyncClient(
            headers={
                "apikey": settings.apikey,
                "Authorization": settings.authorization,
                "Accept": "application/json",
                "Sync-System": "new",
            },
            timeout=httpx2.Timeout(settings.request_timeout_s, connect=_CONNECT_TIMEOUT_S),
            transport=self._world.transport,
            follow_redirects=False,
            trust_env=False,
        )
        self.reconnects = 0
        self.calls = 0
        self.repeats = 0

    @property
    def breaker_state(self) -> str:
        """Give the breaker's state, for the metrics."""
        return self._breaker.state.value

    def now_us(self) -> int:
        """Give the client's own clock."""
        return self._world.now_us()

    def used_per_second(self) -> float:
        """Count calls per second, as a mean over the last ten seconds."""
        return self._budget.used(self._world.now_us())

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()
        await self._budget.close()

    async def call(
        self,
        method: str,
        resource: str,
        *,
        context: WriteContext | None = None,
        workspace_id: str | None = None,
        body: Any = None,
        prefer: str = "",
        attempts: int = retry.ATTEMPTS,
    ) -> Answer:
        """Make one call until it is answered for good, or `attempts` have failed.

        `resource` is the path and encoded query below the base address. Raises RowsRefused (a row's
        fault), StoreRefused (somebody must change something) or StoreUnavailable (try again later).
        """
        headers = _headers(context, workspace_id, prefer)
        content = encode_json(body) if body is not None else None
        if content is not None:
            headers["Content-Type"] = "application/json"
        attempt = 1
        while True:
            try:
                return await self._attempt(method, resource, headers, content)
            except _Failed as exc:
                pause_s = retry.pause_s(attempt, self._world.draw(), exc.retry_after_s)
                if attempt >= attempts or pause_s > retry.PATIENCE_S:
                    raise StoreUnavailable(exc.detail, retry_after_s=exc.retry_after_s) from exc
            self.repeats += 1
            attempt += 1
            await self._world.sleep(pause_s)

    async def _attempt(
        self, method: str, resource: str, headers: Mapping[str, str], content: bytes | None
    ) -> Answer:
        admitted = self._breaker.admit(self._world.now_us())
        if isinstance(admitted, Refusal):
            wait_s = admitted.retry_after_us / _US
            raise StoreUnavailable(
                f"PostgREST failed {self._settings.breaker_threshold} times in a row;"
                f" the next attempt is in {wait_s:.0f} s",
                retry_after_s=wait_s,
            )
        alive: bool | None = None
        try:
            await self._wait_for_budget()
            answer = _read(await self._send(method, resource, headers, content))
            alive = True
        except _Failed as exc:
            # Told to come back later, or two writers met: somebody is there.
            alive = exc.kind is not Blame.DOWN
            raise
        except (RowsRefused, StoreRefused):
            alive = True
            raise
        else:
            return answer
        finally:
            if alive is None:  # cancelled: it told nothing
                self._breaker.abandon(admitted)
            else:
                self._breaker.record(admitted, ok=alive, now_us=self._world.now_us())

    async def _wait_for_budget(self) -> None:
        wait_us = await self._budget.reserve(self._world.now_us())
        if wait_us:
            await self._world.sleep(wait_us / _US)

    async def _send(
        self, method: str, resource: str, headers: Mapping[str, str], content: bytes | None
    ) -> httpx2.Response:
        self.calls += 1
        try:
            return await self._http.request(
                method, f"{self._settings.url}/{resource}", headers=headers, content=content
            )
        except httpx2.ConnectError as exc:
            self.reconnects += 1
            raise _Failed(
                Blame.DOWN,
                f"nothing answers at {self._settings.url} ({exc}): is PostgREST running, and is"
                " SUPABASE_URL (or SUPABASE_REST_URL) right?",
            ) from exc
        except httpx2.TimeoutException as exc:
            self.reconnects += 1
            raise _Failed(
                Blame.DOWN,
                f"PostgREST at {self._settings.url} did not answer in"
                f" {self._settings.request_timeout_s:g} s; it may still finish what it was asked,"
                " and repeating is safe",
            ) from exc
        except (httpx2.HTTPError, httpx2.InvalidURL) as exc:
            self.reconnects += 1
            raise _Failed(
                Blame.DOWN, f"the call to PostgREST at {self._settings.url} broke: {exc}"
            ) from exc


def _headers(context: WriteContext | None, workspace_id: str | None, prefer: str) -> dict[str, str]:
    headers = {}
    if context is not None:
        headers["Sync-Id"] = str(context.sync_id)
        workspace_id = context.workspace_id
    if workspace_id is not None:
        headers["Sync-Workspace"] = workspace_id
    if prefer:
        headers["Prefer"] = prefer
    return headers


def _read(response: httpx2.Response) -> Answer:
    if response.status_code >= _BAD_REQUEST:
        waits = retry.parse_retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
        _raise(complaint(response.status_code, response.content, waits))
    try:
        empty = response.status_code == _NO_CONTENT or not response.content
        body = None if empty else decode_json(response.content)
    except InvalidInput as exc:
        raise _Failed(
            Blame.DOWN, f"the answer (status {response.status_code}) is not JSON: {exc.detail}"
        ) from exc
    applied = response.headers.get("Preference-Applied", "")
    return Answer(
        status=response.status_code,
        body=body,
        preferences=frozenset(part.strip() for part in applied.split(",") if part.strip()),
        content_range=response.headers.get("Content-Range"),
    )


def _raise(said: Complaint) -> NoReturn:
    kind = blame(said)
    if kind is Blame.ROWS:
        raise RowsRefused(said)
    if kind is Blame.SETUP:
        raise refusal(said)
    raise _Failed(kind, f"PostgREST: {said.sentence} ({said.code})", said.retry_after_s)

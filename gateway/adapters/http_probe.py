"""
The gateway's own calls to the two services: health, metrics, dry-run proof, stop of a sync.

They name themselves in `User-Agent` and carry neither a request id nor a forwarded address, so that
a service can tell them from clients' requests. Every call has one deadline for all of it; an answer
is read up to a bound. What is not a well-formed answer is an error, never an empty one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import httpx2
import orjson

from gateway.errors import UnreachableError
from gateway.ports import ProbeResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.core.model import Variant
    from gateway.ports import Clock, Document

USER_AGENT: Final = "syncgate-probe"
MAX_ANSWER_BYTES: Final = 1024 * 1024
_STOP_SYNC: Final = "/api/property-listings/sync/stop"
_PROOF: Final = "/api/property-listings/sync/dry-run-proof"
_DETAIL_CHARACTERS: Final = 500


class HttpProbe:
    """`Probe` over HTTP/1.1, one kept connection per service."""

    def __init__(
        self,
        urls: Mapping[Variant, str],
        *,
        clock: Clock,
        deadline_s: float,
        metrics_deadline_s: float = 5.0,
        proof_deadline_s: float = 15.0,
    ) -> None:
        self._urls = dict(urls)
        self._clock = clock
        self._deadline_s = deadline_s
        self._metrics_deadline_s = metrics_deadline_s
        self._proof_deadline_s = proof_deadline_s
        self._client = httpx2.AsyncClient(
            headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
            limits=httpx2.Limits(max_keepalive_connections=4, max_connections=16),
            timeout=None,
            trust_env=False,
        )

    async def health(self, variant: Variant) -> ProbeResult:
        """Call `/health`; whatever goes wrong becomes the result's reason."""
        began_us = self._clock.now_us()
        try:
            body = await self._call("GET", variant, "/health", self._deadline_s)
        except UnreachableError as error:
            reason, instance = error.message, ""
        else:
            reason, instance = "", _instance(body)
        now_us = self._clock.now_us()
        return ProbeResult(
            variant=variant,
            at_us=now_us,
            healthy=not reason,
            elapsed_us=now_us - began_us,
            reason=reason,
            instance=instance,
        )

    async def metrics(self, variant: Variant) -> Document:
        """Read `/api/metrics`; an answer that is no JSON object is as good as none."""
        body = await self._call("GET", variant, "/api/metrics", self._metrics_deadline_s)
        return _object(body, "/api/metrics")

    async def prove_dry_run(self, variant: Variant) -> tuple[bool, str | None, str]:
        """Ask for the proof; only a plain yes is one."""
        body = await self._call("POST", variant, _PROOF, self._proof_deadline_s)
        said = _object(body, _PROOF)
        means = said.get("means")
        detail = str(said.get("detail", "it did not say why"))[:_DETAIL_CHARACTERS]
        return said.get("proven") is True, str(means) if means is not None else None, detail

    async def stop_sync(self, variant: Variant) -> None:
        """Ask for the running sync to be stopped."""
        await self._call("POST", variant, _STOP_SYNC, self._metrics_deadline_s)

    async def close(self) -> None:
        """Close the kept connections."""
        await self._client.aclose()

    async def _call(self, method: str, variant: Variant, path: str, deadline_s: float) -> bytes:
        url = self._urls[variant] + path
        body = b""
        try:
            async with (
                asyncio.timeout(deadline_s),
                self._client.stream(method, url) as response,
            ):
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        raise UnreachableError(f"{path} answered more than 1 MiB")
        except TimeoutError as error:
            raise UnreachableError(f"{path} did not answer within {deadline_s:g} s") from error
        except httpx2.ConnectError as error:
            raise UnreachableError(f"{path}: nobody accepts connections") from error
        except (httpx2.HTTPError, OSError) as error:
            what = str(error) or type(error).__name__
            raise UnreachableError(f"{path} gave no well-formed answer ({what})") from error
        if not response.is_success:
            raise UnreachableError(f"{path} answered {response.status_code}")
        return body


def _object(body: bytes, path: str) -> Document:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnreachableError(f"{path} did not answer JSON") from error
    if not isinstance(document, dict):
        raise UnreachableError(f"{path} did not answer a JSON object")
    return document


def _instance(body: bytes) -> str:
    """Read which process answered; a service need not say."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    return str(document.get("instance", ""))[:100] if isinstance(document, dict) else ""

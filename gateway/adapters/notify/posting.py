"""
One POST to a channel's address: pinned, bounded, without redirects, its answer read in part.

What the answer means is the same for every channel: 2xx arrived; 408, 425, 429 and 5xx come again
(after `Retry-After`, if it says so); a redirect and every other 4xx will never be better. Messages
of errors name the kind of channel and the trouble, never an address: most addresses here are
secrets.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx2

from gateway.ports.alerts import ChannelRefusedError, ChannelUnreachableError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from gateway.adapters.notify.targets import Address, Targets

DEADLINE_S: Final = 10.0
_CONNECT_S: Final = 4.0
_MOST_ANSWER_BYTES: Final = 8 * 1024
_LONGEST_WAIT_S: Final = 3_600.0
_PASSING: Final = frozenset({408, 425, 429})
_USER_AGENT: Final = "syncgate-alerts"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, its body cut after a few kilobytes."""

    status: int
    retry_after: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Poster:
    """Posts to one address, which is a secret."""

    kind: str
    """Shown in messages: `Slack`, `The webhook`."""
    url: str = field(repr=False)
    targets: Targets = field(repr=False)
    deadline_s: float = DEADLINE_S

    async def post(
        self,
        content: bytes,
        *,
        headers: Mapping[str, str],
        path: str = "",
        credentials: tuple[str, str] | None = None,
        explain: Callable[[bytes], str] = lambda _: "",
    ) -> None:
        """Post once; `explain` reads from the answer's body why it was refused.

        ChannelUnreachableError when another try may help, ChannelRefusedError when none will.
        """
        try:
            async with asyncio.timeout(self.deadline_s):
                answer = await self._post(content, headers, path, credentials)
        except TimeoutError as error:
            raise ChannelUnreachableError(
                f"{self.kind} did not answer within {self.deadline_s:g} s."
            ) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise ChannelUnreachableError(
                f"{self.kind} cannot be reached ({type(error).__name__})."
            ) from error
        self._judge(answer, explain)

    async def _post(
        self,
        content: bytes,
        headers: Mapping[str, str],
        path: str,
        credentials: tuple[str, str] | None,
    ) -> Answer:
        parts = urlsplit(self.url + path)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        failure: httpx2.ConnectError | httpx2.ConnectTimeout | None = None
        for address in await self.targets.addresses(host, port):
            request = _request(parts.geturl(), address, host, content, headers)
            async with _client(credentials) as client:
                try:
                    response = await client.send(request, stream=True)
                except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                    failure = error
                    continue
                try:
                    body = await _beginning(response)
                finally:
                    await response.aclose()
                return Answer(response.status_code, response.headers.get("retry-after", ""), body)
        raise failure or httpx2.ConnectError("no address")

    def _judge(self, answer: Answer, explain: Callable[[bytes], str]) -> None:
        status = answer.status
        if httpx2.codes.is_success(status):
            return
        if status in _PASSING or httpx2.codes.is_server_error(status):
            raise ChannelUnreachableError(
                f"{self.kind} answered {status}.", retry_after_s=waiting_time_s(answer.retry_after)
            )
        if httpx2.codes.is_redirect(status):
            raise ChannelRefusedError(
                f"{self.kind} answered {status}, a redirect; none is followed.",
                todo="Set the address that it leads to, if that is meant.",
            )
        why = explain(answer.body)
        shown = f"{status}, {why}" if why else str(status)
        raise ChannelRefusedError(f"{self.kind} refused it with {shown}.", todo=_todo(status))


def _client(credentials: tuple[str, str] | None) -> httpx2.AsyncClient:
    """Give a client for one request: alerts are rare, a kept connection would be stale."""
    return httpx2.AsyncClient(
        auth=credentials,
        timeout=httpx2.Timeout(DEADLINE_S, connect=_CONNECT_S),
        follow_redirects=False,
        verify=_trust(),
        trust_env=False,
        limits=httpx2.Limits(max_connections=1, max_keepalive_connections=0),
    )


@cache
def _trust() -> ssl.SSLContext:
    """Read the roots once: that takes longer than the rest of a message."""
    return httpx2.create_ssl_context(trust_env=False)


def _request(
    url: str, address: Address, host: str, content: bytes, headers: Mapping[str, str]
) -> httpx2.Request:
    """Address the checked address; name and certificate stay the host's."""
    there = httpx2.URL(url)
    return httpx2.Request(
        "POST",
        there.copy_with(host=str(address)),
        content=content,
        headers={"Host": there.netloc.decode(), "User-Agent": _USER_AGENT, **headers},
        extensions={"sni_hostname": host, "timeout": _TIMEOUT},
    )


_TIMEOUT: Final = httpx2.Timeout(DEADLINE_S, connect=_CONNECT_S).as_dict()


async def _beginning(response: httpx2.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) >= _MOST_ANSWER_BYTES:
            break
    return body[:_MOST_ANSWER_BYTES]


def waiting_time_s(retry_after: str, *, now_s: float | None = None) -> float | None:
    """Read `Retry-After`: seconds or a date; None if it says nothing usable, at most an hour."""
    text = retry_after.strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        seconds = float(text[:9])
    else:
        try:
            at_s = parsedate_to_datetime(text).timestamp()
        except (ValueError, TypeError, OverflowError):
            return None
        seconds = at_s - (time.time() if now_s is None else now_s)
    return min(_LONGEST_WAIT_S, max(0.0, seconds)) if math.isfinite(seconds) else None


def _todo(status: int) -> str:
    if status in {401, 403}:
        return "Check this channel's credentials."
    if status in {404, 410}:
        return "Check this channel's address: there is nothing, or nothing any more."
    return "`syncgate doctor` sends a test through every channel."

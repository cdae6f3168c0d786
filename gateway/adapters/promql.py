"""
One number from a Prometheus, by an instant query.

The answer must be exactly one sample, a finite number, of now: no sample or many, NaN, an error, a
partial answer or a sample of another time are all the same here, no figure. Never a zero: an empty
vector is what Prometheus says of a series that is gone.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Any, Final

import httpx2
import orjson

from gateway.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ANSWER_BYTES: Final = 1024 * 1024
_PATH: Final = "/api/v1/query"
_DEADLINE_S: Final = 5.0
_MOST_SAID: Final = 200


class PromQl:
    """`FigureSource` over Prometheus' HTTP API (or what speaks it); `token` is never repeated."""

    def __init__(
        self,
        url: str,
        query: str,
        *,
        max_age_s: float,
        token: str | None = None,
        deadline_s: float = _DEADLINE_S,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._url = url + _PATH
        # The server looks back five minutes for a sample unless it is told how old is too old.
        self._asked = {"query": query, "lookback_delta": f"{max_age_s:g}s"}
        self._max_age_s = max_age_s
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._deadline_s = deadline_s
        self._wall_s = wall_s

    async def read(self) -> float:
        """Give the number; UnreachableError says why there is none."""
        at_s, text = _one_sample(await self._ask())
        if abs(self._wall_s() - at_s) > self._max_age_s:
            raise UnreachableError("its sample is of another time; check both clocks")
        try:
            value = float(text)
        except ValueError as error:
            raise UnreachableError("its sample is no number") from error
        if not math.isfinite(value):
            raise UnreachableError(f"its sample is {value}")
        return value

    async def _ask(self) -> dict[str, Any]:
        body = b""
        try:
            async with (
                asyncio.timeout(self._deadline_s),
                # A connection per question: it is asked once a minute or so.
                httpx2.AsyncClient(
                    headers=self._headers, timeout=None, trust_env=False, follow_redirects=False
                ) as client,
                client.stream("POST", self._url, data=self._asked) as response,
            ):
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        raise UnreachableError("it answered more than 1 MiB")
        except TimeoutError as error:
            raise UnreachableError(f"no answer within {self._deadline_s:g} s") from error
        except httpx2.ConnectError as error:
            raise UnreachableError("nobody accepts connections") from error
        except (httpx2.HTTPError, OSError) as error:
            raise UnreachableError(f"no well-formed answer ({type(error).__name__})") from error
        return _document(response.status_code, body)


def _document(status: int, body: bytes) -> dict[str, Any]:
    """Read the answer; what Prometheus says of a wrong query is passed on, bounded."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise UnreachableError(f"it answered {status} without JSON")
    if document.get("status") != "success":
        said = " ".join(str(document.get("error", "it did not say why")).split())
        raise UnreachableError(f"it answered {status}: {said[:_MOST_SAID]}")
    if document.get("warnings"):
        said = " ".join(str(document["warnings"]).split())
        raise UnreachableError(f"its answer is not whole: {said[:_MOST_SAID]}")
    return document


def _one_sample(document: dict[str, Any]) -> tuple[float, str]:
    """Take (seconds, text) out of a vector of one, or a scalar."""
    data = document.get("data")
    kind = data.get("resultType") if isinstance(data, dict) else None
    result = data.get("result") if isinstance(data, dict) else None
    if kind == "vector" and isinstance(result, list):
        if len(result) != 1:
            raise UnreachableError(f"the query gives {len(result)} samples, not one")
        result = result[0].get("value") if isinstance(result[0], dict) else None
    elif kind != "scalar":
        raise UnreachableError(f"the query gives a {kind}, not one sample")
    match result:
        case [int() | float() as at_s, str() as text]:
            return float(at_s), text
        case _:
            raise UnreachableError("its answer is not a sample")

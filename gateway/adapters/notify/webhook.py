"""
A webhook of one's own: the alert as JSON, signed, with the id by which a repeat is recognised.

`Syncgate-Signature: v1=<hex>` is HMAC-SHA256 with the shared secret over the bytes of
`<Syncgate-Timestamp>.<body>`; a receiver that checks both and refuses old timestamps cannot be fed
a forged or replayed alert.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.adapters.notify.plain import lines, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.adapters.notify.posting import Poster
    from gateway.ports import Clock
    from gateway.ports.alerts import Rendered

_MOST_BYTES: Final = 64 * 1024
_MOST_DEPTH: Final = 6
_MOST_MEMBERS: Final = 100


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Sign as a receiver does to compare."""
    signed = timestamp.encode() + b"." + body
    return "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def document(message: Rendered) -> dict[str, Any]:
    """Give what the webhook is sent."""
    return {
        "id": one_line(message.id, 200),
        "incident": message.incident,
        "level": message.level.value,
        "stage": message.stage.value,
        "language": message.language.value,
        "title": one_line(message.title, 300),
        "text": lines(message.text, 8_000),
        "key": one_line(message.key, 200),
        "at_us": message.at_us,
        "todo": one_line(message.todo, 1_000),
        "link": message.link,
        "data": _plain(message.figures),
    }


def body(message: Rendered) -> bytes:
    """Give the body, bounded: figures that are too many are left out."""
    full = document(message)
    made = orjson.dumps(full)
    return made if len(made) <= _MOST_BYTES else orjson.dumps({**full, "data": {}})


def _plain(value: object, depth: int = 0) -> Any:
    """Give what JSON can say, text without what steers; deeper or larger than sensible ends."""
    if value is None or isinstance(value, bool | int | float):
        return value if not isinstance(value, int) or abs(value) < 2**63 else str(value)
    if depth < _MOST_DEPTH:
        if isinstance(value, dict):
            members = list(value.items())[:_MOST_MEMBERS]
            return {one_line(name, 100): _plain(each, depth + 1) for name, each in members}
        if isinstance(value, list | tuple):
            return [_plain(each, depth + 1) for each in value[:_MOST_MEMBERS]]
    return lines(value, 1_000)


class WebhookChannel:
    """`Channel` that posts JSON; without a `secret` nothing is signed."""

    def __init__(self, poster: Poster, *, clock: Clock, secret: str = "") -> None:
        self._poster = poster
        self._clock = clock
        self._secret = secret

    async def send(self, message: Rendered) -> None:
        """Post it."""
        made = body(message)
        await self._poster.post(made, headers=self._headers(message, made))

    def _headers(self, message: Rendered, made: bytes) -> Mapping[str, str]:
        timestamp = str(self._clock.wall_us() // 1_000_000)
        headers = {
            "Content-Type": "application/json",
            "Syncgate-Delivery": one_line(message.id, 200),
            "Syncgate-Timestamp": timestamp,
            "X-Alert-Level": message.level.value,
        }
        if self._secret:
            headers["Syncgate-Signature"] = signature(self._secret, timestamp, made)
        return headers

    async def close(self) -> None:
        """Keep nothing open."""

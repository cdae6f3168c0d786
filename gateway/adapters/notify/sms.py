"""
SMS, by Twilio's REST interface: plain text within a few segments, the most important first.

A message of plain GSM characters has 160 of them, or 153 in each of several segments; with any
other character it is UTF-16, 70 or 67 units each. What does not fit is cut, the link last: half a
link is worth nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

import orjson
import structlog

from gateway.adapters.notify.plain import lines, one_line
from gateway.errors import UnreachableError
from gateway.ports.alerts import ChannelRefusedError

if TYPE_CHECKING:
    from gateway.adapters.notify.posting import Poster
    from gateway.ports.alerts import Rendered

MOST_SEGMENTS: Final = 10
_GSM: Final = frozenset(
    "@£$¥èéùìòÇ\nØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_LONG: Final = frozenset("^{}\\[~]|€")
_GSM_ALONE, _GSM_EACH = 160, 153
_WIDE_ALONE, _WIDE_EACH = 70, 67
_REMEMBERED: Final = 1_000

_log = structlog.get_logger("sms")


def segments(text: str) -> int:
    """Count the segments that a text costs."""
    if all(character in _GSM or character in _GSM_LONG for character in text):
        units = sum(2 if character in _GSM_LONG else 1 for character in text)
        alone, each = _GSM_ALONE, _GSM_EACH
    else:
        units, alone, each = len(text.encode("utf-16-le")) // 2, _WIDE_ALONE, _WIDE_EACH
    return 1 if units <= alone else -(-units // each)


def fitting(text: str, link: str | None, most: int) -> str:
    """Cut the text so that it fits into `most` segments, with the link if there is room for it."""
    tail = f"\n{link}" if link and segments(f"...\n{link}") <= most else ""
    head = text.replace(link, "").rstrip() if link else text
    if segments(head + tail) <= most:
        return head + tail
    shortest, longest = 0, len(head)
    while shortest < longest:
        middle = (shortest + longest + 1) // 2
        if segments(f"{head[:middle].rstrip()}...{tail}") <= most:
            shortest = middle
        else:
            longest = middle - 1
    return f"{head[:shortest].rstrip()}...{tail}"


class SmsChannel:
    """`Channel` to a few numbers; each gets a message once, though the next one may need a retry.

    `account` and `token` are Twilio's; `sender` a number, a name or a messaging service (`MG...`).
    """

    def __init__(
        self,
        poster: Poster,
        *,
        account: str,
        token: str,
        sender: str,
        to: tuple[str, ...],
        most_segments: int = 3,
    ) -> None:
        self._poster = poster
        self._account = account
        self._token = token
        self._sender = sender
        self._to = to
        self._most = most_segments
        self._done: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def send(self, message: Rendered) -> None:
        """Send it to every number that has not got it yet; one that fails stops no other."""
        link = message.link if message.link and message.link.isprintable() else None
        body = fitting(lines(message.short, 2_000), link, self._most)
        later: UnreachableError | None = None
        refused: ChannelRefusedError | None = None
        taken = False
        for number in self._to:
            try:
                if (message.id, number) not in self._done:
                    await self._post(message, self._form(number, body))
                taken = True
                self._remember(message.id, number)
            except UnreachableError as error:
                later = error
            except ChannelRefusedError as error:
                refused = error
                _log.error(
                    "sms_number_refused", position=self._to.index(number) + 1, of=len(self._to)
                )
        if later is not None:
            raise later
        if refused is not None and not taken:
            raise refused

    async def _post(self, message: Rendered, form: bytes) -> None:
        await self._poster.post(
            form,
            path=f"/2010-04-01/Accounts/{quote(self._account, safe='')}/Messages.json",
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "X-Alert-Level": message.level.value,
                "X-Alert-Id": one_line(message.id, 100),
            },
            credentials=(self._account, self._token),
            explain=twilio_code,
        )

    def _remember(self, message_id: str, number: str) -> None:
        self._done[message_id, number] = None
        while len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)

    def _form(self, number: str, body: str) -> bytes:
        way = "MessagingServiceSid" if self._sender.startswith("MG") else "From"
        return urlencode({"To": number, way: self._sender, "Body": body}).encode()

    async def close(self) -> None:
        """Keep nothing open."""


def twilio_code(body: bytes) -> str:
    """Read the code of Twilio's own error document, which says more than the status."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    code = found.get("code") if isinstance(found, dict) else None
    return f"error {code}" if isinstance(code, int) else ""

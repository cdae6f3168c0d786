"""
Slack, by an incoming webhook: a heading, the text, figures side by side, a link that acknowledges.

`&`, `<` and `>` are the only characters with which Slack's markup gives orders (mentions, links);
they are escaped everywhere, and `verbatim` keeps Slack from guessing links and names in plain text.
The stable id stands in every message, so that a repeat is recognised as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.adapters.notify.plain import bounded, lines, one_line, without

if TYPE_CHECKING:
    from gateway.adapters.notify.posting import Poster
    from gateway.ports.alerts import Rendered

_HEADING: Final = 150
_TEXT: Final = 2_900  # Slack takes 3,000 per text
_FACT: Final = 300
_MOST_FACTS: Final = 10
_SIGNS: Final = {"critical": "🔴", "high": "🟠", "medium": "🟡", "low": "🔵"}
_NEXT: Final = {"ja": "次の操作:", "en": "Next:"}
_ACKNOWLEDGE: Final = {"ja": "対応を引き受ける", "en": "Acknowledge"}


def escaped(text: str, limit: int) -> str:
    """Escape for mrkdwn and cut so that no entity is cut in two."""
    text = bounded(text, limit)
    while len(made := _entities(text)) > limit:
        text = bounded(text, len(text) - max(1, (len(made) - limit) // 5))
    return made


def _entities(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def document(message: Rendered, *, channel: str = "") -> dict[str, Any]:
    """Give what the webhook is sent."""
    title = one_line(message.title, _HEADING)
    heading = f"{_SIGNS.get(message.level.value, '')} {title}".strip()
    text = lines(without(message.text, message.todo, message.link), _TEXT).replace("`", "'")
    blocks: list[dict[str, Any]] = [
        {
            "type": "header",
            "text": {"type": "plain_text", "text": escaped(heading, _HEADING), "emoji": True},
        }
    ]
    if text:
        blocks.append({"type": "section", "text": _mrkdwn(escaped(text, _TEXT))})
    if message.todo:
        command = one_line(message.todo, 1_000).replace("`", "'")
        label = _NEXT[message.language.value]
        shown = f"{label}\n```{escaped(command, _TEXT)}```"
        blocks.append({"type": "section", "text": _mrkdwn(shown)})
    if message.link and (address := _address(message.link)):
        label = _ACKNOWLEDGE[message.language.value]
        blocks.append({"type": "section", "text": _mrkdwn(f"<{address}|{label}>")})
    mark = f"{message.level.value} · {message.stage.value} · {one_line(message.id, 100)}"
    blocks.append({"type": "context", "elements": [_mrkdwn(escaped(mark, _FACT))]})
    made: dict[str, Any] = {
        "text": escaped(heading, _HEADING),
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
        "link_names": False,
        "parse": "none",
    }
    if channel:
        made["channel"] = channel
    return made


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _address(link: str) -> str:
    """Give the link, unless something in it could end the markup early."""
    if link.startswith(("http://", "https://")) and not set(link) & set("<>| \n"):
        return link.replace("&", "&amp;")
    return ""


def _word(body: bytes) -> str:
    """Read the one word with which Slack says no, such as `channel_not_found`."""
    word = body.decode(errors="replace").strip()
    return word if word.isascii() and word.isidentifier() and len(word) < _HEADING else ""


class SlackChannel:
    """`Channel` on an incoming webhook."""

    def __init__(self, poster: Poster, *, channel: str = "") -> None:
        self._poster = poster
        self._channel = channel

    async def send(self, message: Rendered) -> None:
        """Post it."""
        await self._poster.post(
            orjson.dumps(document(message, channel=self._channel)),
            headers={
                "Content-Type": "application/json; charset=utf-8",
                "X-Alert-Level": message.level.value,
                "X-Alert-Id": one_line(message.id, 100),
            },
            explain=_word,
        )

    async def close(self) -> None:
        """Keep nothing open."""

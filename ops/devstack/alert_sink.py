"""
The alert sink: real local endpoints that record what Slack, mail, SMS and a webhook would have got.

- ``POST /slack/...`` takes what a Slack incoming webhook takes.
- ``POST /2010-04-01/Accounts/{sid}/Messages.json`` is shaped like Twilio's.
- ``POST /webhook`` takes any JSON.
- The SMTP port takes any mail.
- ``GET /deliveries`` answers them all, oldest first; ``DELETE /deliveries`` forgets them.

A delivery is ``{"channel", "level", "text", "at"}``. The level is what the message says itself: a
``level`` member or ``X-Alert-Level`` header, a word of the Slack channel or of the address it was
sent to, else the first of the four words in the text.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from collections import deque
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ops.devstack.mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from email.message import EmailMessage

    from starlette.requests import Request

    from ops.devstack.mailbox import Envelope

LEVELS: Final = ("critical", "high", "medium", "low")
_MOST_DELIVERIES: Final = 10_000
_WORD: Final = re.compile(rf"\b({'|'.join(LEVELS)})\b", re.IGNORECASE)
_UNDERSCORES: Final = str.maketrans("_-/#", "    ")


class AlertSink:
    """What was delivered, and the ways in."""

    def __init__(self) -> None:
        self._deliveries: deque[dict[str, Any]] = deque(maxlen=_MOST_DELIVERIES)

    def record(self, channel: str, text: str, *hints: object) -> None:
        """Keep one delivery; `hints` are searched for its level before the text is."""
        self._deliveries.append(
            {
                "channel": channel,
                "level": level_of(*hints, text),
                "text": text,
                "at": datetime.now(UTC).isoformat(),
            }
        )

    def mail(self, envelope: Envelope, mail: EmailMessage) -> None:
        """Keep one mail: subject and text, whoever sent it."""
        body = mail.get_body(("plain", "html"))
        content = str(body.get_content()).replace("\r\n", "\n") if body else ""
        text = f"{mail.get('subject', '')}\n{content}".strip()
        self.record("email", text, mail.get("x-alert-level"), *envelope.recipients)

    async def slack(self, request: Request) -> Response:
        """Take what Slack's incoming webhooks take."""
        message = await _json(request)
        texts = [str(message.get("text", "")), *_block_texts(message.get("blocks", []))]
        for attachment in message.get("attachments", []):
            texts.append(str(attachment.get("text", "")))
            texts.extend(_block_texts(attachment.get("blocks", [])))
        text = "\n".join(dict.fromkeys(part for part in texts if part))
        if not text:
            return PlainTextResponse("no_text", 400)
        hints = (message.get("level"), request.headers.get("x-alert-level"))
        self.record("slack", text, *hints, message.get("channel"), request.url.path)
        return PlainTextResponse("ok")

    async def sms(self, request: Request) -> Response:
        """Take what Twilio's message resource takes."""
        form = dict(parse_qsl((await request.body()).decode()))
        missing = [name for name in ("To", "Body") if not form.get(name)]
        if missing:
            return JSONResponse({"code": 21604, "message": f"missing {missing}"}, 400)
        hints = (request.headers.get("x-alert-level"), form["Body"].partition("]")[0])
        self.record("sms", form["Body"], *hints)
        sid = f"SM{len(self._deliveries):032x}"
        return JSONResponse({"sid": sid, "status": "queued", "to": form["To"]}, 201)

    async def webhook(self, request: Request) -> Response:
        """Take any JSON object."""
        message = await _json(request)
        parts = [str(message[name]) for name in ("title", "text", "message") if message.get(name)]
        text = "\n".join(parts) or orjson.dumps(message).decode()
        hints = (message.get("level"), message.get("severity"))
        self.record("webhook", text, *hints, request.headers.get("x-alert-level"))
        return Response(status_code=204)

    async def deliveries(self, request: Request) -> Response:
        """Answer, or forget, what was delivered."""
        if request.method == "DELETE":
            self._deliveries.clear()
            return Response(status_code=204)
        return JSONResponse(list(self._deliveries))


def level_of(*hints: object) -> str | None:
    """Return the first of the four words that stands in the hints, in their order."""
    for hint in hints:
        if hint and (match := _WORD.search(str(hint).translate(_UNDERSCORES))):
            return match[1].lower()
    return None


def create_app(sink: AlertSink, *, smtp_port: int) -> Starlette:
    """Make the HTTP side; it opens the SMTP side when it starts."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        server = await Mailbox(sink.mail).serve("127.0.0.1", smtp_port)
        yield
        server.close()

    messages = "/2010-04-01/Accounts/{sid}/Messages.json"
    return Starlette(
        routes=[
            Route("/health", lambda _: JSONResponse({"status": "ok"})),
            Route("/deliveries", sink.deliveries, methods=["GET", "DELETE"]),
            Route("/slack", sink.slack, methods=["POST"]),
            Route("/slack/{rest:path}", sink.slack, methods=["POST"]),
            Route("/webhook", sink.webhook, methods=["POST"]),
            Route(messages, sink.sms, methods=["POST"]),
        ],
        lifespan=lifespan,
    )


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="Record what alert channels would have got.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--smtp-port", type=int, required=True)
    options = parser.parse_args()
    app = create_app(AlertSink(), smtp_port=options.smtp_port)
    config = uvicorn.Config(app, host="127.0.0.1", port=options.port, log_level="warning")
    asyncio.run(uvicorn.Server(config).serve())


def _block_texts(blocks: Any) -> list[str]:
    """Collect the texts of Slack blocks, however deep."""
    found: list[str] = []
    if isinstance(blocks, list):
        for block in blocks:
            found.extend(_block_texts(block))
    elif isinstance(blocks, dict):
        text = blocks.get("text")
        found.extend([text] if isinstance(text, str) else _block_texts(text))
        for name in ("fields", "elements"):
            found.extend(_block_texts(blocks.get(name)))
    return found


async def _json(request: Request) -> dict[str, Any]:
    try:
        value = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


if __name__ == "__main__":
    main()

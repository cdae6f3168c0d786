"""
Where every replica puts up its second and reads those of the others, and the news of new states.

One script call a second does both. No replica's clock is used: Redis says when an entry was put up
and how old it is now. News travel by pub/sub, which may lose a message;
therefore the version of the state comes back with every reading too.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog

from gateway.adapters.redis_store.failures import translated
from gateway.adapters.redis_store.foreign import foreign
from gateway.adapters.redis_store.scripts import Script
from gateway.errors import StateUnreadableError, StoreUnavailableError
from gateway.ports.fleet import MAX_POSTING_BYTES, BoardReading, Posting

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.adapters.redis_store.server import Server
    from gateway.ports import Document

MAX_REPLICAS: Final = 256
FORGET_US: Final = 15 * 60 * 1_000_000
_ENTRY: Final = 3
_LISTEN_S: Final = 5.0
_PAUSE_S: Final = 0.5
_BOARD: Final = Script.read("board")
_log = structlog.get_logger("board")


class RedisBoard:
    """`Board` in Redis, as the replica of that name sees it."""

    def __init__(self, server: Server, replica: str) -> None:
        self._server = server
        self._replica = replica

    async def post(self, document: Document) -> BoardReading:
        """Put up this replica's document and read everybody's: one round trip."""
        text = orjson.dumps(document)
        if len(text) > MAX_POSTING_BYTES:
            raise StoreUnavailableError(
                f"Refused to put up an oversized second ({len(text)} bytes)."
            )
        return await self._exchange(text)

    async def read(self) -> BoardReading:
        """Read everybody's."""
        return await self._exchange(b"")

    async def _exchange(self, text: bytes) -> BoardReading:
        keys = self._server.keys
        answer = await self._server.run(
            _BOARD, [keys.board, keys.state], [self._replica, text, MAX_REPLICAS, FORGET_US]
        )
        if answer[0] == b"foreign":
            raise foreign(answer[1], self._server.address)
        if answer[0] == b"crowded":
            raise StoreUnavailableError(
                f"The fleet has {answer[1]} replicas already; no more are counted.",
                todo="Run another fleet under another prefix (REDIS_URL ...?prefix=name).",
            )
        now, version, *entries = answer
        return BoardReading(int(now), int(version), self._postings(int(now), entries))

    def _postings(self, now_us: int, entries: list[Any]) -> tuple[Posting, ...]:
        postings = []
        for at in range(0, len(entries), _ENTRY):
            name, at_us, text = entries[at : at + _ENTRY]
            try:
                document = orjson.loads(text) if len(text) <= MAX_POSTING_BYTES else None
            except orjson.JSONDecodeError:
                document = None
            if not isinstance(document, dict):
                raise foreign(self._server.keys.board, self._server.address)
            age_us = max(0, now_us - int(at_us))
            postings.append(Posting(name.decode(errors="replace"), age_us, document))
        return tuple(postings)

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Call `heard` with every message, for ever; a line that breaks is taken up again.

        `heard("")` means that messages may have been missed: read again. Ends when cancelled.
        """
        while True:
            try:
                await self._listen(heard)
            except (StoreUnavailableError, StateUnreadableError) as error:
                _log.info("listening_again", reason=str(error))
            await asyncio.sleep(_PAUSE_S)

    async def _listen(self, heard: Callable[[str], None]) -> None:
        with translated(str(self._server.address)):
            await self._server.client.initialize()  # a cluster's subscriber does not by itself
            async with contextlib.aclosing(self._server.client.pubsub()) as line:
                await line.subscribe(self._server.keys.channel)
                asked = False
                while True:
                    message = await line.get_message(timeout=_LISTEN_S)
                    if message is None and asked:
                        # A line that is dead without having been closed answers no ping.
                        raise TimeoutError
                    asked = message is None
                    if message is None:
                        await line.ping()
                    elif message["type"] == "subscribe":
                        heard("")
                    elif message["type"] == "message":
                        heard(message["data"].decode(errors="replace"))

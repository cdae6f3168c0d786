"""
A small SMTP server that takes every mail and keeps none for itself.

Enough of RFC 5321 for any client: EHLO, AUTH (everybody may), MAIL, RCPT, DATA with dot-stuffing,
RSET, NOOP, QUIT; bounded lines and bodies, no TLS, for it only ever listens on 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import EmailMessage

_LIMIT_BYTES: Final = 1 << 20
_OK: Final = b"250 OK\r\n"


@dataclass(slots=True)
class Envelope:
    """One mail under way."""

    sender: str = ""
    recipients: list[str] = field(default_factory=list)


class Mailbox:
    """Calls `received` for every mail."""

    def __init__(self, received: Callable[[Envelope, EmailMessage], None]) -> None:
        self._received = received

    async def serve(self, host: str, port: int) -> asyncio.Server:
        """Listen."""
        return await asyncio.start_server(self._session, host, port, limit=_LIMIT_BYTES)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
            writer.write(b"220 127.0.0.1 alert sink\r\n")
            envelope = Envelope()
            while line := await reader.readline():
                verb, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
                match verb.upper():
                    case "EHLO" | "HELO":
                        writer.write(b"250-127.0.0.1\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n")
                    case "AUTH":
                        await self._authenticate(rest, reader, writer)
                    case "MAIL":
                        envelope = Envelope(sender=_address(rest))
                        writer.write(_OK)
                    case "RCPT":
                        envelope.recipients.append(_address(rest))
                        writer.write(_OK)
                    case "DATA":
                        writer.write(b"354 end with a dot\r\n")
                        await writer.drain()
                        mail = message_from_bytes(await _body(reader), policy=policy.default)
                        self._received(envelope, mail)
                        writer.write(_OK)
                    case "RSET" | "NOOP":
                        writer.write(_OK)
                    case "QUIT":
                        writer.write(b"221 bye\r\n")
                        break
                    case _:
                        writer.write(b"502 not known\r\n")
                await writer.drain()
        writer.close()

    async def _authenticate(
        self, rest: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        steps = {"PLAIN": 1, "LOGIN": 2}.get(rest.upper().split(" ", maxsplit=1)[0], 0)
        given = max(len(rest.split()) - 1, 0)
        for _ in range(steps - given):
            writer.write(b"334 \r\n")
            await writer.drain()
            await reader.readline()
        writer.write(b"235 welcome\r\n")


async def _body(reader: asyncio.StreamReader) -> bytes:
    lines: list[bytes] = []
    size = 0
    while (line := await reader.readline()) not in {b".\r\n", b".\n", b""}:
        size += len(line)
        if size > _LIMIT_BYTES:
            raise ValueError("the mail is too long")
        lines.append(line.removeprefix(b"."))
    return b"".join(lines)


def _address(argument: str) -> str:
    return argument.partition(":")[2].split(">")[0].strip().lstrip("<")

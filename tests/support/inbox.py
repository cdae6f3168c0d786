"""Receivers of alerts, real servers of a test's own that do as scripted: HTTP, and SMTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import EmailMessage
    from pathlib import Path


@dataclass(frozen=True)
class Letter:
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Inbox:
    """Answers what `answers` says, in order; then `status`. Keeps what was accepted or not."""

    status: int = 200
    body: bytes = b"ok"
    headers: dict[str, str] = field(default_factory=dict)
    pause_s: float = 0.0
    tls: ssl.SSLContext | None = None
    address: str = "127.0.0.1"
    opened: threading.Event = field(default_factory=threading.Event)
    """Cleared: nothing is answered until it is set."""
    answers: list[int] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    """Accepted."""
    refused: list[Letter] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Listen on a free port of this machine."""
        inbox = self
        inbox.opened.set()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                """Take one."""
                length = int(self.headers.get("Content-Length", "0"))
                headers = {name.lower(): value for name, value in self.headers.items()}
                letter = Letter(self.path, headers, self.rfile.read(length))
                time.sleep(inbox.pause_s)
                inbox.opened.wait(60)
                status = inbox.answers.pop(0) if inbox.answers else inbox.status
                (inbox.letters if status < 300 else inbox.refused).append(letter)
                self.send_response(status)
                for name, value in inbox.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(inbox.body)))
                self.end_headers()
                self.wfile.write(inbox.body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET

        class Server(ThreadingHTTPServer):
            address_family = family
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Say nothing of clients that hang up."""

        self._server = Server((self.address, 0), Handler)
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.opened.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        """Its address, with a secret path as real ones have."""
        return f"http://127.0.0.1:{self.port}/hooks/T0/B0/sEcReTpath"


@dataclass
class Postbox:
    """An SMTP server: answers per verb as scripted, STARTTLS and sign-in if it is told to."""

    tls: ssl.SSLContext | None = None
    from_the_start: bool = False
    """TLS from the first byte instead of STARTTLS."""
    sign_in: bool = False
    answers: dict[str, str] = field(default_factory=dict)
    """Verb -> what it says instead of yes."""
    pause_s: float = 0.0
    mails: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """Every command, as it came; those sent encrypted begin with a star."""
    receivers: list[str] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        """Listen on a free port of this machine."""
        tls = self.tls if self.from_the_start else None
        self._server = await asyncio.start_server(self._session, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        self._server.close()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._talk(reader, writer)
        writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        secret = self.from_the_start
        await asyncio.sleep(self.pause_s)
        writer.write(f"{self.answers.get('CONNECT', '220 here')}\r\n".encode())
        while line := await reader.readline():
            text = line.decode().strip()
            verb = text.split(" ")[0].upper()
            self.said.append(f"*{text}" if secret else text)
            if verb in self.answers:
                writer.write(f"{self.answers[verb]}\r\n".encode())
            elif verb == "EHLO":
                offers = ["250-here"]
                offers += ["250-STARTTLS"] if self.tls and not secret else []
                offers += ["250-AUTH PLAIN"] if self.sign_in and (secret or not self.tls) else []
                writer.write("\r\n".join([*offers, "250 8BITMIME", ""]).encode())
            elif verb == "STARTTLS":
                writer.write(b"220 go\r\n")
                await writer.drain()
                await writer.start_tls(self.tls)
                secret = True
            elif verb == "AUTH":
                writer.write(b"235 welcome\r\n")
            elif verb == "RCPT":
                self.receivers.append(text.partition("<")[2].partition(">")[0])
                writer.write(b"250 OK\r\n")
            elif verb == "DATA":
                writer.write(b"354 go\r\n")
                body = await reader.readuntil(b"\r\n.\r\n")
                self.raw.append(body[:-3].replace(b"\r\n..", b"\r\n."))
                self.mails.append(message_from_bytes(self.raw[-1], policy=policy.default))
                writer.write(f"{self.answers.get('END', '250 OK')}\r\n".encode())
            else:
                writer.write(b"221 bye\r\n" if verb == "QUIT" else b"250 OK\r\n")
            await writer.drain()
            if verb == "QUIT":
                return


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A certificate of its own for `localhost`: the server's side, and who trusts it."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(cert, key)
    return server, ssl.create_default_context(cafile=str(cert))

"""
E-mail, by SMTP: plain text and HTML, the incident's mails in one thread, the same id at every try.

Credentials only travel encrypted: `smtps://` is TLS from the first byte, `smtp://` upgrades with
STARTTLS (insisted on where there are credentials, unless the server is this very machine). The
connection goes to the address that was checked; the certificate has to be the host's.
"""

from __future__ import annotations

import asyncio
import html
import ipaddress
import socket
import ssl  # noqa: TC003 - kept with asyncio's own
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.headerregistry import Address as MailAddress
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from typing import TYPE_CHECKING, Final

import aiosmtplib
import structlog

from gateway.adapters.notify.plain import lines, one_line, without
from gateway.core.model import SECOND_US
from gateway.ports.alerts import ChannelRefusedError, ChannelUnreachableError

if TYPE_CHECKING:
    from gateway.adapters.notify.targets import Address, Targets
    from gateway.ports.alerts import Rendered

DEADLINE_S: Final = 20.0
_CONNECT_S: Final = 4.0
_SUBJECT: Final = 200
_TEXT: Final = 20_000
_PERMANENT: Final = 500
_HTML: Final = """<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><title>{title}</title></head>
<body style="font-family:system-ui,sans-serif;color:#1b1f24;line-height:1.5">
<p style="border-left:6px solid {colour};padding-left:12px;font-size:1.15em"><b>{title}</b></p>
<pre style="font-family:inherit;white-space:pre-wrap;margin:0 0 1em">{text}</pre>
{link}<p style="color:#667;font-size:0.85em">{mark}</p>
</body></html>
"""
_COLOURS: Final = {
    "critical": "#c1121f",
    "high": "#e36414",
    "medium": "#d4a017",
    "low": "#3a6ea5",
}
_ACKNOWLEDGE: Final = {"ja": "対応を引き受ける", "en": "Acknowledge"}

_log = structlog.get_logger("mail")


@dataclass(frozen=True, slots=True)
class Server:
    """The SMTP server; credentials are never shown."""

    host: str
    port: int
    tls: bool = False
    """TLS from the first byte; otherwise STARTTLS where it is offered."""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


def compose(message: Rendered, *, sender: str, to: tuple[str, ...]) -> EmailMessage:
    """Write the mail. Nothing in a header can break its line: that much is one_line's."""
    mail = EmailMessage(policy=SMTP_POLICY)
    domain = sender.rpartition("@")[2]
    thread = f"<incident-{message.incident}@syncgate.{domain}>"
    title = one_line(message.title, _SUBJECT - 12)
    mail["Subject"] = f"[{message.level.value.upper()}] {title}"
    mail["From"] = MailAddress("syncgate", addr_spec=sender)
    mail["To"] = [MailAddress(addr_spec=each) for each in to]
    mail["Date"] = datetime.fromtimestamp(message.at_us / SECOND_US, UTC)
    mail["Message-ID"] = f"<{_word(message.id)}@syncgate.{domain}>"
    if message.incident:
        mail["References"] = thread
        mail["In-Reply-To"] = thread
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail["Content-Language"] = message.language.value
    mail["X-Alert-Level"] = message.level.value
    mail["X-Alert-Id"] = _word(message.id)
    mail.set_content(lines(message.text, _TEXT) + "\n")
    mail.add_alternative(_html(message, title), subtype="html")
    return mail


def _html(message: Rendered, title: str) -> str:
    link = ""
    if message.link and message.link.startswith(("http://", "https://")):
        label = _ACKNOWLEDGE[message.language.value]
        link = f'<p><a href="{html.escape(message.link)}">{label}</a></p>\n'
    return _HTML.format(
        language=message.language.value,
        title=html.escape(title),
        colour=_COLOURS.get(message.level.value, "#667"),
        text=html.escape(lines(without(message.text, message.link), _TEXT)),
        link=link,
        mark=html.escape(f"{message.level.value} · {message.stage.value} · {_word(message.id)}"),
    )


def _word(text: str) -> str:
    """Give what may stand in a message id and in any header."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in ".-_") else "-" for c in text)
    return kept[:150] or "none"


class MailChannel:
    """`Channel` to a few addresses, one mail for all; `trust`: instead of the system's roots."""

    def __init__(
        self,
        server: Server,
        targets: Targets,
        *,
        sender: str,
        to: tuple[str, ...],
        deadline_s: float = DEADLINE_S,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._server = server
        self._targets = targets
        self._sender = sender
        self._to = to
        self._deadline_s = deadline_s
        self._trust = trust

    async def send(self, message: Rendered) -> None:
        """Hand it to the server."""
        mail = compose(message, sender=self._sender, to=self._to)
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._send(mail)
        except aiosmtplib.SMTPException as error:
            raise _translated(error) from error
        except TimeoutError as error:
            raise ChannelUnreachableError(
                f"The mail server did not take it within {self._deadline_s:g} s."
            ) from error
        except OSError as error:
            raise ChannelUnreachableError(
                f"The mail server cannot be reached ({type(error).__name__})."
            ) from error

    async def _send(self, mail: EmailMessage) -> None:
        server = self._server
        connected, address = await self._connect()
        client = aiosmtplib.SMTP(
            hostname=server.host,
            sock=connected,
            port=None,
            use_tls=server.tls,
            start_tls=False,
            local_hostname=_own_name(),
            timeout=self._deadline_s,
            tls_context=self._trust,
        )
        try:
            await client.connect()
            await self._sign_in(client, here=address.is_loopback)
            refused, _ = await client.send_message(mail)
        except BaseException:
            client.close()
            connected.close()
            raise
        if refused:
            _log.error("mail_recipients_refused", count=len(refused), of=len(self._to))
        try:
            await client.quit()
        except aiosmtplib.SMTPException:
            client.close()  # the mail is taken; how the goodbye went is nobody's trouble

    async def _sign_in(self, client: aiosmtplib.SMTP, *, here: bool) -> None:
        """Encrypt if that is offered; credentials only go out encrypted, or stay on the machine."""
        server = self._server
        if not server.tls:
            await client.ehlo()
            if client.supports_extension("starttls"):
                await client.starttls()
            elif server.user and not here:
                raise ChannelRefusedError(
                    "The mail server offers no STARTTLS, and credentials are not sent in the "
                    "clear.",
                    todo="Use an smtps:// address, or a server that offers STARTTLS.",
                )
        if server.user:
            await client.login(server.user, server.password)

    async def _connect(self) -> tuple[socket.socket, Address]:
        failure: OSError | None = None
        loop = asyncio.get_running_loop()
        server = self._server
        for address in await self._targets.addresses(server.host, server.port):
            is_4 = isinstance(address, ipaddress.IPv4Address)
            found = socket.socket(socket.AF_INET if is_4 else socket.AF_INET6, socket.SOCK_STREAM)
            found.settimeout(0)
            try:
                async with asyncio.timeout(_CONNECT_S):
                    await loop.sock_connect(found, (str(address), server.port))
            except OSError as error:
                found.close()
                failure = error
                continue
            except BaseException:
                found.close()
                raise
            return found, address
        raise failure or OSError("no address")

    async def close(self) -> None:
        """Keep nothing open."""


def _own_name() -> str:
    name = socket.gethostname()
    return name if name.isascii() and name.replace("-", "").replace(".", "").isalnum() else "gate"


def _translated(
    error: aiosmtplib.SMTPException,
) -> ChannelUnreachableError | ChannelRefusedError:
    """Say what the server's no means: 4xx and no answer pass, 5xx do not. Its text is not shown."""
    if isinstance(error, aiosmtplib.SMTPNotSupported):
        return ChannelRefusedError(
            "The mail server offers no way to sign in that we know.",
            todo="Leave user and password out of the address, or use another server.",
        )
    codes = [error.code] if isinstance(error, aiosmtplib.SMTPResponseException) else []
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        codes = [each.code for each in error.recipients]
    if not codes or min(codes) < _PERMANENT:
        shown = f" ({min(codes)})" if codes else f" ({type(error).__name__})"
        return ChannelUnreachableError(f"The mail server did not take it{shown}.")
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return ChannelRefusedError(
            f"The mail server refused our credentials ({codes[0]}).",
            todo="Correct user and password in the channel's SMTP address.",
        )
    return ChannelRefusedError(
        f"The mail server refused the mail ({min(codes)}).",
        todo="Check sender and receivers of this channel.",
    )

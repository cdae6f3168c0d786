"""Mail by a real SMTP server: what arrives, how credentials travel, what each refusal means."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from gateway.adapters.notify.mail import MailChannel, Server
from gateway.adapters.notify.targets import Targets
from gateway.ports.alerts import ChannelRefusedError, ChannelUnreachableError, Language
from ops.devstack.mailbox import Mailbox
from tests.support.inbox import Postbox, certificate
from tests.support.told import LINK, rendered

if TYPE_CHECKING:
    import ssl
    from email.message import EmailMessage
    from pathlib import Path

HERE = Targets(frozenset({"127.0.0.1", "localhost", "mail.test"}), private=True)
FROM, TO = "syncgate@example.com", ("team@example.com", "lead@example.com")


def channel(port: int, **more: object) -> MailChannel:
    """Mail by that port of this machine."""
    settings = {"host": "localhost", "port": port}
    deadline_s = more.pop("deadline_s", 5.0)
    trust = more.pop("trust", None)
    targets = more.pop("targets", HERE)
    server = Server(**settings | more)  # type: ignore[arg-type]
    return MailChannel(server, targets, sender=FROM, to=TO, deadline_s=deadline_s, trust=trust)  # type: ignore[arg-type]


async def test_a_mail_has_text_html_and_an_id_that_stays() -> None:
    """Both parts say the same; a repeat has the same Message-ID, an incident is one thread."""
    async with Postbox() as box:
        await channel(box.port).send(rendered())
        await channel(box.port).send(rendered())
    first, again = box.mails
    assert first["Subject"] == "[CRITICAL] Error rate too high (new)"
    assert first["From"] == "syncgate <syncgate@example.com>"
    assert first["To"] == "team@example.com, lead@example.com"
    assert first["X-Alert-Level"] == "critical"
    assert first["Message-ID"] == again["Message-ID"] != ""
    assert first["References"] == "<incident-12@syncgate.example.com>"
    assert first["Auto-Submitted"] == "auto-generated"
    plain = first.get_body(("plain",)).get_content()
    page = first.get_body(("html",)).get_content()
    assert "Weight to new: 10 %" in plain
    assert LINK in plain
    assert "Weight to new: 10 %" in page
    assert f'<a href="{LINK.replace("&", "&amp;")}">Acknowledge</a>' in page
    assert box.receivers[:2] == list(TO)


async def test_japanese_arrives_whole() -> None:
    """Subject and both parts."""
    async with Postbox() as box:
        await channel(box.port).send(
            rendered(
                language=Language.JA, figures={"title": "エラー率の上昇", "why": "理由 髙橋😀"}
            )
        )
    (mail,) = box.mails
    assert mail["Subject"].startswith("[CRITICAL] エラー率の上昇")
    assert "理由 髙橋😀" in mail.get_body(("plain",)).get_content()
    assert "対応を引き受ける" in mail.get_body(("html",)).get_content()
    assert all(len(line) <= 998 for line in box.raw[0].split(b"\r\n"))


async def test_the_dev_stacks_mailbox_takes_it() -> None:
    """The sink speaks enough SMTP for the real client."""
    got: list[EmailMessage] = []
    server = await Mailbox(lambda _, mail: got.append(mail)).serve("127.0.0.1", 0)
    await channel(server.sockets[0].getsockname()[1]).send(rendered())
    server.close()
    assert got[0]["Subject"] == "[CRITICAL] Error rate too high (new)"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's certificate and who trusts it."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    folder: Path = tmp_path_factory.mktemp("tls")
    return certificate(folder)


@pytest.mark.parametrize("from_the_start", [True, False])
async def test_credentials_travel_encrypted(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], *, from_the_start: bool
) -> None:
    """TLS from the first byte or STARTTLS: the sign-in is inside."""
    server, trust = tls
    async with Postbox(tls=server, from_the_start=from_the_start, sign_in=True) as box:
        mail = channel(box.port, tls=from_the_start, user="u", password="p", trust=trust)
        await mail.send(rendered())
    assert len(box.mails) == 1
    assert [line[:5] for line in box.said if "AUTH" in line] == ["*AUTH"]


async def test_a_certificate_of_somebody_else_is_not_trusted(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """The name in the certificate has to be the server's, and its issuer known."""

    async def here(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    server, trust = tls
    elsewhere = Targets(HERE.hosts, private=True, resolve=here)
    async with Postbox(tls=server, from_the_start=True) as box:
        for more in ({"trust": None}, {"trust": trust, "host": "mail.test", "targets": elsewhere}):
            with pytest.raises(ChannelUnreachableError):
                await channel(box.port, tls=True, **more).send(rendered())
    assert not box.mails


async def test_credentials_are_not_sent_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without STARTTLS that is not this machine gets no password."""
    monkeypatch.setattr("ipaddress.IPv4Address.is_loopback", property(lambda _: False))
    async with Postbox(sign_in=True) as box:
        with pytest.raises(ChannelRefusedError, match="STARTTLS"):
            await channel(box.port, user="u", password="p").send(rendered())
    assert not [line for line in box.said if "AUTH" in line]


@pytest.mark.parametrize(
    ("answers", "passes"),
    [
        ({"CONNECT": "421 busy"}, True),
        ({"MAIL": "451 later"}, True),
        ({"RCPT": "450 greylisted"}, True),
        ({"END": "452 full"}, True),
        ({"AUTH": "454 later"}, True),
        ({"CONNECT": "554 go away"}, False),
        ({"MAIL": "553 not you"}, False),
        ({"RCPT": "550 unknown"}, False),
        ({"END": "554 spam"}, False),
        ({"AUTH": "535 5.7.8 wrong password p-secret"}, False),
    ],
)
async def test_what_passes_and_what_does_not(answers: dict[str, str], *, passes: bool) -> None:
    """4xx is tried again, 5xx is given up; the server's own words are not repeated."""
    expected = ChannelUnreachableError if passes else ChannelRefusedError
    async with Postbox(answers=answers, sign_in=True) as box:
        with pytest.raises(expected) as failure:
            await channel(box.port, user="u", password="p-secret").send(rendered())
    assert "p-secret" not in str(failure.value)


async def test_a_server_that_hangs_or_is_gone_is_tried_again() -> None:
    """Its deadline, no more."""
    async with Postbox(pause_s=5) as box:
        with pytest.raises(ChannelUnreachableError, match=r"0\.2 s"):
            await channel(box.port, deadline_s=0.2).send(rendered())
    with pytest.raises(ChannelUnreachableError):
        await channel(1, deadline_s=1.0).send(rendered())


def test_nothing_shows_the_password() -> None:
    """Not even its representation."""
    server = Server("mail.test", 587, user="someone", password="p-secret")
    assert "p-secret" not in repr(server)
    assert "someone" not in repr(server)

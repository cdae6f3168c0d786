"""Every channel against a real local server: what arrives, and what each answer means."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import shutil
import time
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from gateway.adapters.notify import posting
from gateway.adapters.notify.alertmanager import AlertmanagerChannel
from gateway.adapters.notify.posting import Poster
from gateway.adapters.notify.slack import SlackChannel
from gateway.adapters.notify.sms import SmsChannel, segments
from gateway.adapters.notify.targets import Targets
from gateway.adapters.notify.webhook import WebhookChannel
from gateway.ports.alerts import ChannelRefusedError, ChannelUnreachableError, Language
from tests.support.inbox import Inbox, certificate
from tests.support.recording import HandClock
from tests.support.told import LINK, rendered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HERE = Targets(frozenset({"127.0.0.1", "localhost"}), private=True)
TOKEN = "a-secret-token-of-twilio"
KEY = "0123456789abcdef-shared-secret"


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """A server that answers as scripted."""
    with Inbox() as server:
        yield server


def poster(inbox: Inbox, *, deadline_s: float = 5.0) -> Poster:
    """What posts to it."""
    return Poster("The receiver", inbox.url, HERE, deadline_s)


def sms(inbox: Inbox, *, to: tuple[str, ...] = ("+819000000001",), most: int = 3) -> SmsChannel:
    """SMS by it."""
    return SmsChannel(
        Poster("Twilio", f"http://127.0.0.1:{inbox.port}", HERE),
        account="AC1", token=TOKEN, sender="+15550001", to=to, most_segments=most,
    )  # fmt: skip


async def test_slack_gets_blocks_a_link_and_the_stable_id(inbox: Inbox) -> None:
    """A heading, the figures, the exact command, the link; the id to recognise a repeat by."""
    message = rendered()
    await SlackChannel(poster(inbox), channel="#critical-alerts").send(message)
    (letter,) = inbox.letters
    said = letter.json
    assert letter.path == "/hooks/T0/B0/sEcReTpath"
    assert said["channel"] == "#critical-alerts"
    assert [block["type"] for block in said["blocks"]] == [
        "header", "section", "section", "section", "context",
    ]  # fmt: skip
    assert "Error rate too high (new)" in said["text"]
    text = said["blocks"][1]["text"]["text"]
    assert "5.2 %" in text
    assert "Weight to new: 10 %" in text
    assert said["blocks"][2]["text"]["text"] == 'Next:\n```syncgate rollback --reason "errors"```'
    address = LINK.replace("&", "&amp;")
    assert said["blocks"][3]["text"]["text"] == f"<{address}|Acknowledge>"
    assert message.id in said["blocks"][4]["elements"][0]["text"]
    assert letter.headers["x-alert-id"] == message.id


async def test_the_webhook_is_signed_over_timestamp_and_body(inbox: Inbox) -> None:
    """A receiver with the secret can tell a true alert from a forged or replayed one."""
    clock = HandClock()
    await WebhookChannel(poster(inbox), clock=clock, secret=KEY).send(rendered())
    (letter,) = inbox.letters
    stamp = letter.headers["syncgate-timestamp"]
    assert stamp == str(clock.wall_us() // 1_000_000)
    signed = hmac.new(KEY.encode(), stamp.encode() + b"." + letter.body, hashlib.sha256)
    assert letter.headers["syncgate-signature"] == f"v1={signed.hexdigest()}"
    assert letter.headers["syncgate-delivery"] == letter.json["id"] == rendered().id
    assert letter.json["level"] == "critical"
    assert letter.json["data"]["sample"] == 1200
    assert KEY.encode() not in letter.body


async def test_without_a_secret_nothing_pretends_to_be_signed(inbox: Inbox) -> None:
    """No secret, no signature header."""
    await WebhookChannel(poster(inbox), clock=HandClock()).send(rendered())
    assert "syncgate-signature" not in inbox.letters[0].headers


async def test_an_sms_is_a_twilio_form_within_its_segments(inbox: Inbox) -> None:
    """The form, the sign-in and the length that the account pays for."""
    inbox.status = 201
    await sms(inbox, most=2).send(rendered(figures={"why": "very long " * 100}))
    (letter,) = inbox.letters
    form = parse_qs(letter.body.decode())
    assert letter.path == "/2010-04-01/Accounts/AC1/Messages.json"
    assert letter.headers["authorization"] == "Basic " + b64encode(f"AC1:{TOKEN}".encode()).decode()
    assert form["To"] == ["+819000000001"]
    assert form["From"] == ["+15550001"]
    (body,) = form["Body"]
    assert segments(body) == 2
    assert body.startswith("[CRITICAL #12] Error rate too high (new)")
    assert body.endswith(LINK)


async def test_a_second_number_that_fails_does_not_wake_the_first_again(inbox: Inbox) -> None:
    """A retry goes on where the try before ended."""
    inbox.answers = [201, 500, 201, 201]
    channel = sms(inbox, to=("+819000000001", "+819000000002", "+819000000003"))
    with pytest.raises(ChannelUnreachableError):
        await channel.send(rendered())
    await channel.send(rendered())
    numbers = [parse_qs(letter.body.decode())["To"][0] for letter in inbox.letters]
    assert numbers == ["+819000000001", "+819000000003", "+819000000002"]


async def test_a_number_that_is_refused_keeps_no_other_from_being_told(inbox: Inbox) -> None:
    """A colleague's old number is no reason to wake nobody; when all are refused, it is dead."""
    inbox.answers = [400, 201]
    await sms(inbox, to=("+819000000001", "+819000000002")).send(rendered())
    assert [parse_qs(one.body.decode())["To"] for one in inbox.letters] == [["+819000000002"]]
    inbox.status = 400
    with pytest.raises(ChannelRefusedError):
        await sms(inbox, to=("+819000000001", "+819000000002")).send(rendered())


async def test_japanese_reaches_every_channel_whole(inbox: Inbox) -> None:
    """Nothing is lost to an encoding."""
    message = rendered(language=Language.JA, figures={"title": "エラー率の上昇", "why": "理由😀"})
    await SlackChannel(poster(inbox)).send(message)
    await WebhookChannel(poster(inbox), clock=HandClock()).send(message)
    await sms(inbox).send(message)
    slack, webhook, text = inbox.letters
    assert "エラー率の上昇" in slack.json["text"]
    assert "理由😀" in webhook.json["text"]
    assert "エラー率の上昇" in parse_qs(text.body.decode())["Body"][0]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_what_may_pass_is_tried_again(inbox: Inbox, status: int) -> None:
    """Full, slow or broken servers get better."""
    inbox.status = status
    with pytest.raises(ChannelUnreachableError, match=str(status)):
        await SlackChannel(poster(inbox)).send(rendered())


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422])
async def test_what_will_never_be_better_is_given_up(inbox: Inbox, status: int) -> None:
    """A wrong credential is not repeated for a day."""
    inbox.status, inbox.body = status, b"channel_is_archived"
    with pytest.raises(ChannelRefusedError, match=f"{status}, channel_is_archived"):
        await SlackChannel(poster(inbox)).send(rendered())


async def test_twilio_s_own_code_is_named(inbox: Inbox) -> None:
    """Twilio says more in its code than in its status."""
    inbox.status, inbox.body = 400, b'{"code": 21211, "message": "The \'To\' number is invalid"}'
    with pytest.raises(ChannelRefusedError, match="error 21211"):
        await sms(inbox).send(rendered())


async def test_retry_after_is_honoured(inbox: Inbox) -> None:
    """Seconds, as Slack says them."""
    inbox.status, inbox.headers = 429, {"Retry-After": "42"}
    with pytest.raises(ChannelUnreachableError) as failure:
        await SlackChannel(poster(inbox)).send(rendered())
    assert failure.value.retry_after_s == 42


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(inbox: Inbox, status: int) -> None:
    """Who answers for the target decides where alerts go, not the target."""
    with Inbox() as elsewhere:
        inbox.status, inbox.headers = status, {"Location": elsewhere.url}
        with pytest.raises(ChannelRefusedError, match="redirect"):
            await SlackChannel(poster(inbox)).send(rendered())
        assert not elsewhere.letters


async def test_a_server_that_hangs_costs_its_deadline_only(inbox: Inbox) -> None:
    """The deadline is the channel's own."""
    inbox.pause_s = 3.0
    began = time.monotonic()
    with pytest.raises(ChannelUnreachableError, match=r"within 0\.2 s"):
        await SlackChannel(poster(inbox, deadline_s=0.2)).send(rendered())
    assert time.monotonic() - began < 2.5


async def test_an_endless_answer_is_not_read_to_the_end() -> None:
    """A few kilobytes tell enough."""

    async def drone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(drone, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    await WebhookChannel(Poster("It", url, HERE, 5.0), clock=HandClock()).send(rendered())
    server.close()


async def test_errors_name_no_secret(inbox: Inbox) -> None:
    """Neither messages nor representations hold a path, a token or a key."""
    inbox.status, inbox.body = 401, b"sEcReTpath"
    channels = (
        SlackChannel(poster(inbox)),
        sms(inbox),
        WebhookChannel(poster(inbox), clock=HandClock(), secret=KEY),
        AlertmanagerChannel(poster(inbox)),
    )
    for channel in channels[1:]:
        with pytest.raises(ChannelRefusedError) as failure:
            await channel.send(rendered())
        assert "sEcReTpath" not in str(failure.value)
    for text in map(repr, (*channels, poster(inbox))):
        assert not any(secret in text for secret in ("sEcReT", TOKEN, KEY))
    closed = Poster("Slack", "http://127.0.0.1:1/hooks/sEcReTpath", HERE)
    with pytest.raises(ChannelUnreachableError) as unreachable:
        await SlackChannel(closed).send(rendered())
    assert "sEcReT" not in str(unreachable.value)
    assert "sEcReT" not in repr(unreachable.value.__cause__)


async def test_the_connection_goes_to_the_address_that_was_checked(inbox: Inbox) -> None:
    """One look-up per message: a name that changes its mind after the look gains nothing."""
    asked: list[str] = []

    async def rebinding(host: str, _: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    targets = Targets(frozenset({"alerts.test"}), private=True, resolve=rebinding)
    url = f"http://alerts.test:{inbox.port}/x"
    await WebhookChannel(Poster("It", url, targets), clock=HandClock()).send(rendered())
    assert asked == ["alerts.test"]
    assert inbox.letters[0].headers["host"] == f"alerts.test:{inbox.port}"


async def test_a_name_that_leads_home_is_refused(inbox: Inbox) -> None:
    """Without leave, nothing of this machine or a private network is called."""

    async def home(_host: str, _port: int) -> list[str]:
        return ["::ffff:127.0.0.1"]

    targets = Targets(frozenset({"alerts.test"}), resolve=home)
    poster = Poster("It", f"http://alerts.test:{inbox.port}/x", targets)
    with pytest.raises(ChannelRefusedError, match="private network"):
        await SlackChannel(poster).send(rendered())
    assert not inbox.letters
    assert not inbox.refused


async def test_over_tls_the_certificate_has_to_be_the_host_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection goes to an address; name and certificate are still the host's."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")

    async def here(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    server, trust = certificate(tmp_path)
    targets = Targets(frozenset({"localhost", "alerts.test"}), private=True, resolve=here)
    with Inbox(tls=server) as inbox:

        def channel(host: str) -> SlackChannel:
            return SlackChannel(Poster("Slack", f"https://{host}:{inbox.port}/x", targets, 5.0))

        with pytest.raises(ChannelUnreachableError):
            await channel("localhost").send(rendered())  # nobody known has signed it
        monkeypatch.setattr(posting, "_trust", lambda: trust)
        await channel("localhost").send(rendered())
        assert inbox.letters[0].headers["host"] == f"localhost:{inbox.port}"
        with pytest.raises(ChannelUnreachableError):
            await channel("alerts.test").send(rendered())
        assert len(inbox.letters) == 1


async def test_ipv6_is_called_as_well() -> None:
    """An address in brackets is an address."""
    try:
        inbox = Inbox(address="::1").__enter__()
    except OSError:
        pytest.skip("this machine has no IPv6")
    try:
        targets = Targets(frozenset({"::1"}), private=True)
        poster = Poster("It", f"http://[::1]:{inbox.port}/x", targets)
        await SlackChannel(poster).send(rendered())
        assert inbox.letters[0].headers["host"] == f"[::1]:{inbox.port}"
    finally:
        inbox.__exit__()


async def test_the_next_address_is_tried_when_one_does_not_answer(inbox: Inbox) -> None:
    """A host with several addresses is reached by any of them."""

    async def several(_host: str, _port: int) -> list[str]:
        return ["127.0.0.3", "127.0.0.1"]

    targets = Targets(frozenset({"alerts.test"}), private=True, resolve=several)
    await SlackChannel(Poster("It", f"http://alerts.test:{inbox.port}/x", targets)).send(rendered())
    assert len(inbox.letters) == 1

"""
Text that tries to be something else: as a reason, a listing's text, a report, a name; everywhere.

Every string goes into every figure that people or feeds can fill, through every channel's own
writer; a share of them (all in the soak) through real servers, too.
"""

from __future__ import annotations

import asyncio
import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from gateway.adapters.logs import configure_logs
from gateway.adapters.notify import alertmanager, mail, slack, webhook
from gateway.adapters.notify.log import LogChannel
from gateway.adapters.notify.mail import MailChannel, Server
from gateway.adapters.notify.plain import one_line
from gateway.adapters.notify.posting import Poster
from gateway.adapters.notify.slack import SlackChannel
from gateway.adapters.notify.sms import SmsChannel, segments
from gateway.adapters.notify.targets import Targets
from gateway.ports.alerts import Language, Rendered, Stage
from tests.support.inbox import Inbox, Postbox
from tests.support.scale import scale
from tests.support.shared import shared
from tests.support.told import LINK, delivery, shipped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HERE = Targets(frozenset({"127.0.0.1"}), private=True)
OF_OUR_OWN = [
    "<!channel> <!here> <@U123> <#C1> <https://evil.example|click me>",
    "&lt;!channel&gt;",
    "a\r\nBcc: everybody@example.com\r\n\r\nbody",
    "x\r\n.\r\nMAIL FROM:<evil@example.com>",
    "\u202egnp.exe\u202c \u2066\u2069 \u200b\ufeff",
    "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "``` ` ```\n*bold* _it_ ~no~ > quote",
    "</pre><script>alert(1)</script><img src=x onerror=alert(1)>",
    "=?utf-8?q?hidden?= \udcff lone",
    "{{ 7*7 }} {link} ${HOME} %s %(x)s",
    "Z" + "\u0301" * 200,
    "x" * 100_000,
]
STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
)


def strings() -> list[str]:
    """The corpus, then our own."""
    rows = shared("corpus/naughty_strings.jsonl").read_text().splitlines()
    found = [json.loads(row)["text"] for row in rows]
    assert len(found) == 515
    return [*found, *OF_OUR_OWN]


@pytest.fixture(scope="module")
def naughty() -> list[str]:
    """All of them."""
    return strings()


def some(naughty: list[str]) -> list[str]:
    """All in the soak; else every so many-th, and our own."""
    return [*naughty[:: scale(full=1, quick=12)], *OF_OUR_OWN]


def told(text: str, language: Language = Language.EN) -> Rendered:
    """An alert that says it wherever somebody else's words are said."""
    words = ("title", "why", "system", "value_text", "todo", "actor", "phase",
             "acknowledged_by", "acknowledged_reason", "rule", "step_title")  # fmt: skip
    figures: dict[str, Any] = {**dict.fromkeys(words, text), "names": [text, text]}
    return shipped_once().render(
        delivery(figures=figures, language=language, stage=Stage.ACKNOWLEDGED)
    )


_TEMPLATES: list[Any] = []


def shipped_once() -> Any:
    """The templates, read once."""
    if not _TEMPLATES:
        _TEMPLATES.append(shipped())
    return _TEMPLATES[0]


def texts(value: object) -> Iterator[str]:
    """Every string in a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def test_a_message_is_plain_lines_of_bounded_length(naughty: list[str]) -> None:
    """Nothing steers, the title is one line, no value adds a line of its own."""
    harmless = len(told("word").text.split("\n"))
    for text in naughty:
        message = told(text)
        assert not STEERING.search(message.title + message.text + message.short + message.todo)
        assert "\n" not in message.title
        assert len(message.text.split("\n")) <= harmless, repr(text)
        assert len(message.text) <= 6_000
        message.text.encode()


def test_slack_sees_no_mention_and_no_link_but_ours(naughty: list[str]) -> None:
    """Angle brackets are escaped everywhere; the one link is the signed one; sizes are Slack's."""
    ours = f"<{LINK.replace('&', '&amp;')}|Acknowledge>"
    for text in naughty:
        said = slack.document(told(text))
        for shown in texts(said):
            assert not re.search("[<>]", shown.replace(ours, "")), repr(text)
            assert not re.search(r"&(?!amp;|lt;|gt;)", shown), repr(text)
            assert not STEERING.search(shown)
            assert len(shown) <= 3_000
        assert len(said["blocks"][0]["text"]["text"]) <= 150
        for block in said["blocks"]:
            if block["type"] == "section" and block["text"]["text"].startswith("```"):
                assert block["text"]["text"].count("`") == 6, repr(text)


class _Tags(HTMLParser):
    """What a reader's mail program would make of it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.tags.append(f"{tag} {' '.join(sorted(name for name, _ in attrs))}")

    def handle_data(self, data: str) -> None:
        """Note it."""
        self.text += data


def test_mail_keeps_its_headers_and_tags(naughty: list[str]) -> None:
    """No header more, none longer than a line; in HTML no tag but ours; the text is shown whole."""

    def tags(message: Rendered) -> _Tags:
        composed = mail.compose(message, sender="a@example.com", to=("b@example.com",))
        seen = _Tags()
        seen.feed(composed.get_body(("html",)).get_content())
        return seen

    plain = mail.compose(told("word"), sender="a@example.com", to=("b@example.com",))
    expected = tags(told("word")).tags
    for text in [*naughty[:: scale(full=1, quick=3)], *OF_OUR_OWN]:
        message = told(text)
        composed = mail.compose(message, sender="a@example.com", to=("b@example.com",))
        raw = composed.as_bytes()
        head = raw.partition(b"\r\n\r\n")[0].decode("ascii")
        names = re.findall(r"^([A-Za-z-]+):", head, re.MULTILINE)
        assert names == list(plain.keys()), repr(text)
        assert str(composed["To"]) == "b@example.com"
        assert not STEERING.search(str(composed["Subject"]))
        seen = tags(message)
        assert seen.tags == expected, repr(text)
        assert one_line(message.title, 150).rstrip("…") in seen.text, repr(text)


def test_the_webhook_s_json_is_clean_and_bounded(naughty: list[str]) -> None:
    """JSON that every parser takes, without what steers a terminal it is printed on."""
    for text in naughty:
        body = webhook.body(told(text))
        assert len(body) <= 64 * 1024
        for shown in texts(json.loads(body)):
            assert not STEERING.search(shown)


def test_alertmanager_s_labels_are_clean(naughty: list[str]) -> None:
    """Label values are one line, never empty where one is needed."""
    for text in naughty:
        for alert in alertmanager.alerts(told(text)):
            assert alert["labels"]["alertname"]
            for shown in texts(alert):
                assert not STEERING.search(shown)
            assert all("\n" not in value for value in alert["labels"].values())


async def test_the_log_stays_one_line_each(naughty: list[str], tmp_path: Path) -> None:
    """One alert, one line of log, whatever it says."""
    log = tmp_path / "log"
    configure_logs(level="DEBUG", path=log)
    try:
        for text in naughty:
            await LogChannel().send(told(text))
    finally:
        configure_logs(level="INFO", path=None)
    assert LINK not in log.read_text(), "a log's readers are not those who are told"
    written = log.read_text().splitlines()
    assert len(written) == len(naughty)
    assert not STEERING.search("".join(written))


async def test_real_servers_get_it_inert(naughty: list[str]) -> None:
    """Slack, SMS and mail over real sockets: as many as were sent, each as it was written."""
    picked = some(naughty)
    with Inbox(status=201) as inbox:
        by_slack = SlackChannel(Poster("Slack", inbox.url, HERE))
        by_sms = SmsChannel(
            Poster("Twilio", f"http://127.0.0.1:{inbox.port}", HERE),
            account="AC1", token="t", sender="+15550001", to=("+819000000001",),
        )  # fmt: skip
        async with Postbox() as box:
            server = Server("127.0.0.1", box.port)
            by_mail = MailChannel(server, HERE, sender="a@example.com", to=("b@example.com",))
            for text in picked:
                message = told(text, Language.JA)
                one = Rendered(**{**fields(message), "id": f"id-{picked.index(text)}"})
                await asyncio.gather(by_slack.send(one), by_sms.send(message_of(one, text)))
                await by_mail.send(one)
    assert len(box.mails) == len(picked)
    assert box.receivers == ["b@example.com"] * len(picked)
    assert {line.partition(" ")[0] for line in box.said} == {"EHLO", "MAIL", "RCPT", "DATA", "QUIT"}
    for letter in inbox.letters:
        if letter.path.startswith("/hooks"):
            assert "<!" not in letter.body.decode()
            continue
        form = parse_qs(letter.body.decode(), keep_blank_values=True, strict_parsing=True)
        assert sorted(form) == ["Body", "From", "To"]
        assert not STEERING.search(form["Body"][0])
        assert segments(form["Body"][0]) <= 3


def fields(message: Rendered) -> dict[str, Any]:
    """Its attributes."""
    return {name: getattr(message, name) for name in type(message).__slots__}


def message_of(message: Rendered, text: str) -> Rendered:
    """The same under an id of the string's own, so that no repeat is left out."""
    return Rendered(**{**fields(message), "id": f"sms-{message.id}-{len(text)}"})

"""Text that tries to be something else, on the pages that people see: dashboard and link."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import sqlite3
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from tests.support.gateway_process import GatewayProcess, call, until
from tests.support.inbox import Inbox
from tests.support.scale import scale
from tests.support.shared import shared
from tests.support.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OURS = re.compile(
    "html|head|meta|title|link|body|header|main|section|nav|footer|h[1-3]|p|div|span|strong|b|em|i|"
    "small|code|pre|a|form|label|input|button|ul|ol|li|table|thead|tbody|tfoot|tr|th|td|caption|dl|"
    "dt|dd|time|br|meter|progress|script|noscript|output|details|summary|figure|figcaption"
)
"""What the pages may be made of; `script` only with a source of our own."""
OF_OUR_OWN = [
    "</title><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus=alert(1) x='",
    "<svg/onload=alert(1)>",
    "javascript:alert(1)",
    "\u202egnp.exe",
    "<style>*{display:none}</style>",
]


class Seen(HTMLParser):
    """What a browser would make of the page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what is none of ours."""
        values = dict(attrs)
        if not OURS.fullmatch(tag):
            self.wrong.append(tag)
        if tag == "script" and not str(values.get("src", "")).startswith("/dashboard/"):
            self.wrong.append("an inline script")
        for name, value in attrs:
            if name.startswith("on") or name == "style":
                self.wrong.append(f"{tag} {name}")
            if name in {"href", "src", "action"} and not str(value).startswith(("/", "?", "#")):
                self.wrong.append(f"{tag} {name}={value}")


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """A share of the corpus (all in the soak), and our own."""
    rows = shared("corpus/naughty_strings.jsonl").read_text().splitlines()
    found = [json.loads(row)["text"] for row in rows]
    return [*[each for each in found[:: scale(full=1, quick=40)] if each.strip()], *OF_OUR_OWN]


@pytest.fixture(scope="module")
def inbox() -> Iterator[Inbox]:
    """Where the links arrive."""
    with Inbox() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, inbox: Inbox) -> Iterator[GatewayProcess]:
    """A gateway that tells it."""
    old, new = Upstream("old"), Upstream("new")
    folder: Path = tmp_path_factory.mktemp("gateway")
    settings = {
        "ALERT_WEBHOOK_URL": inbox.url,
        "ALERT_ALLOWED_HOSTS": "127.0.0.1",
        "ALERT_ALLOW_PRIVATE": "true",
    }
    gateway = GatewayProcess(folder / "state", old.url, new.url, settings).start()
    gateway.order("start")
    yield gateway
    gateway.stop()
    old.kill()
    new.kill()


def signed_in(gateway: GatewayProcess) -> dict[str, str]:
    """The cookie of somebody who signed in."""
    connection = http.client.HTTPConnection(gateway.admin_url.removeprefix("http://"), timeout=10)
    form = urlencode({"token": "a-token-for-tests"})
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/login", form, kind)
    answer = connection.getresponse()
    answer.read()
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


def links(gateway: GatewayProcess) -> list[str]:
    """Every link that was made, oldest first: as stored, for sending keeps to its pace."""
    with contextlib.closing(sqlite3.connect(gateway.state_dir / "alerts.sqlite3")) as store:
        rows = store.execute(
            "select figures from deliveries where stage = 'raised' and channel = 'webhook' "
            "order by seq"
        ).fetchall()
    return [json.loads(row[0])["link"] for row in rows]


def open_rules(gateway: GatewayProcess) -> list[str]:
    """What is wrong now."""
    return [one["rule"] for one in gateway.admin("/alerts").json["items"]]


def taken(link: str, name: str, reason: str) -> str:
    """Fill in the form behind a link; the page that follows."""
    body = urlencode({"name": name, "reason": reason}, errors="replace").encode()
    try:
        with urlopen(Request(link, data=body), timeout=20) as answer:
            return answer.read().decode()
    except HTTPError as error:
        with error:
            return error.read().decode()


def test_no_dashboard_takes_it_for_markup(gateway: GatewayProcess, texts: list[str]) -> None:
    """As a reason and as a user's report: shown as text, whatever it says."""
    cookie = signed_in(gateway)
    for text in texts:
        gateway.admin("/rollout/weight", {"percent": 1, "reason": text})
        gateway.admin("/user-reports", {"severity": "minor", "text": text})
        page = call(f"{gateway.admin_url}/", **cookie)
        assert page.status == 200
        assert Seen(page.body.decode()).wrong == [], repr(text)


def test_no_page_behind_a_link_does(gateway: GatewayProcess, texts: list[str]) -> None:
    """As the name and note of whoever takes an alert: before, then, and afterwards."""
    for text in texts[-scale(full=100, quick=3) :]:
        before = len(links(gateway))
        if gateway.admin("/rollout/rollback", {"reason": text}).status != 200:
            gateway.order("rollback")  # refused as a reason: it is still a name, and a note
        until(lambda before=before: len(links(gateway)) > before)
        link = links(gateway)[-1]
        for page in (call(link).body.decode(), taken(link, text, text), call(link).body.decode()):
            assert Seen(page).wrong == [], repr(text)
        gateway.order("resume")
        until(lambda: "rollback" not in open_rules(gateway))

"""Alerts through everything: a receiver that is down, hangs or refuses, and a gateway killed."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.support.gateway_process import GatewayProcess, until
from tests.support.inbox import Inbox
from tests.support.scale import scale
from tests.support.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """Where the webhook's alerts arrive."""
    with Inbox() as server:
        yield server


@pytest.fixture
def other() -> Iterator[Inbox]:
    """Where Slack's arrive."""
    with Inbox() as server:
        yield server


@pytest.fixture
def gateway(tmp_path: Path, inbox: Inbox, other: Inbox) -> Iterator[GatewayProcess]:
    """A gateway that tells both of them."""
    old, new = Upstream("old"), Upstream("new")
    gateway = GatewayProcess(
        tmp_path / "state",
        old.url,
        new.url,
        {
            "ALERT_WEBHOOK_URL": inbox.url,
            "ALERT_SLACK_WEBHOOK_URL": other.url,
            "ALERT_ALLOWED_HOSTS": "127.0.0.1",
            "ALERT_ALLOW_PRIVATE": "true",
        },
    )
    yield gateway
    if gateway.process is not None:
        gateway.stop()
    old.kill()
    new.kill()


def ids(inbox: Inbox) -> Counter[str]:
    """What arrived, by the id that a receiver sees."""
    return Counter(letter.json["id"] for letter in inbox.letters)


def stored(gateway: GatewayProcess, channel: str) -> set[str]:
    """The ids of everything that was to be told by a channel."""
    with contextlib.closing(sqlite3.connect(gateway.state_dir / "alerts.sqlite3")) as store:
        rows = store.execute("select id from deliveries where channel = ?", (channel,)).fetchall()
    assert rows
    return {row[0] for row in rows}


def messages(inbox: Inbox) -> set[str]:
    """The titles that arrived."""
    return {letter.json["title"] for letter in inbox.letters}


def test_killed_while_the_receiver_is_down_everything_arrives(
    gateway: GatewayProcess, inbox: Inbox
) -> None:
    """Kill -9, again and again, while nothing can be sent: later each arrives, none is lost.

    Killed right after one was sent, the others come all the same; only ids can repeat.
    """
    inbox.status = 503
    gateway.start()
    gateway.order("start")
    for turn in range(scale(full=10, quick=1)):
        gateway.order("rollback")
        until(lambda: inbox.refused)
        inbox.refused.clear()
        gateway.process.send_signal(signal.SIGKILL)
        gateway.process.wait()
        gateway.start()
        gateway.order("resume", reason=f"turn {turn}")
    inbox.status = 200
    wanted = {"Deployment started: 0 % to new", "Rolled back: all traffic is on old"}
    until(lambda: wanted <= messages(inbox), within_s=90)
    assert max(ids(inbox).values()) == 1, "refused ones were not taken, so nothing comes twice"

    seen = len(inbox.letters)
    gateway.order("emergency-stop")
    until(lambda: len(inbox.letters) > seen)
    gateway.process.send_signal(signal.SIGKILL)
    gateway.process.wait()
    gateway.start()
    until(lambda: set(ids(inbox)) >= stored(gateway, "webhook"), within_s=90)


def test_a_receiver_that_hangs_slows_nothing_else(
    gateway: GatewayProcess, inbox: Inbox, other: Inbox
) -> None:
    """Orders are answered, the tick goes on and Slack is told while the webhook hangs."""
    inbox.opened.clear()
    gateway.start()
    gateway.order("start")
    until(lambda: other.letters)
    for percent in range(10):
        gateway.order("weight", percent=percent)
    gateway.order("rollback")
    until(lambda: any("Rolled back" in letter.json["text"] for letter in other.letters))
    assert not inbox.letters, "all of that while the first message still hangs"
    inbox.opened.set()
    until(lambda: "Rolled back: all traffic is on old" in messages(inbox), within_s=60)

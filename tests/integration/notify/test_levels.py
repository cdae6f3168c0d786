"""Each level of the shipped alerts.toml over real servers and a fake clock, from sign to end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from gateway.adapters.alert_store import SqliteAlertStore
from gateway.bootstrap.channels import build_channels
from gateway.control.deliveries import Deliveries
from gateway.control.lease import SoleLease
from gateway.control.telling import messages
from gateway.core.alerts import Ack, acknowledge
from gateway.core.analysis import Metric, Severity
from gateway.policy import load_alerts
from gateway.ports.alerts import AlertSettings
from gateway.settings import Secrets, Settings
from tests.support.alerts import NEW, OLD, SHIPPED, World
from tests.support.inbox import Inbox, Postbox
from tests.support.recording import HandClock
from tests.support.told import shipped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

POLICY = load_alerts(Path(SHIPPED))
SETTINGS = AlertSettings(
    POLICY.plan,
    {one.name: one.languages for one in POLICY.channels if one.languages},
    POLICY.link_valid_s,
)
LINK = "https://gate.example.com/a/1?e=1&s=x"
MINUTE, HOUR = 60, 3_600
LEVELS = {
    Severity.CRITICAL: ({"slack", "email", "sms", "webhook"}, 15 * MINUTE),
    Severity.HIGH: ({"slack", "email", "webhook"}, HOUR),
    Severity.MEDIUM: ({"slack", "webhook"}, 4 * HOUR),
    Severity.LOW: ({"slack", "webhook"}, 24 * HOUR),
}


@dataclass
class Town:
    """A world that is looked at, and everybody who is told."""

    web: Inbox
    box: Postbox
    folder: Path
    world: World = field(default_factory=lambda: World(POLICY.plan))
    clock: HandClock = field(default_factory=HandClock)
    version: int = 0
    sent: int = 0

    def __post_init__(self) -> None:
        root = f"http://127.0.0.1:{self.web.port}"
        levels = [level.value for level in Severity]
        secrets = {
            **{f"ALERT_SLACK_{one.upper()}_URL": f"{root}/slack/{one}" for one in levels},
            "ALERT_SMTP_URL": f"smtp://127.0.0.1:{self.box.port}",
            "ALERT_EMAIL_FROM": "syncgate@example.com",
            "ALERT_EMAIL_TO": "team@example.com",
            "ALERT_TWILIO_URL": root,
            "ALERT_TWILIO_ACCOUNT_SID": "AC1",
            "ALERT_TWILIO_AUTH_TOKEN": "token",
            "ALERT_TWILIO_FROM": "+15005550006",
            "ALERT_SMS_TO": "+819012345678",
            "ALERT_WEBHOOK_URL": f"{root}/webhook",
        }
        settings = Settings(
            _env_file=None, ALERT_ALLOWED_HOSTS="127.0.0.1", ALERT_ALLOW_PRIVATE=True
        )  # type: ignore[call-arg]
        made = build_channels(POLICY.channels, settings, secrets=Secrets(secrets), clock=self.clock)
        self.channels = made.ready
        self.store = SqliteAlertStore(self.folder)
        self.sender = Deliveries(
            self.store, shipped(), made.ready, clock=self.clock, lease=SoleLease(),
            draw=lambda: 0.0, per_minute=dict.fromkeys(made.ready, 6_000), poll_s=0.01,
        )  # fmt: skip
        self.world.sync_s = 100.0

    async def pass_time(self, seconds: float, *, step_s: float = 10) -> None:
        """Look again and again while everything is measured, and send what follows."""
        for _ in range(round(seconds / step_s)):
            self.world.now_s += step_s
            for metric in (Metric.CPU_RATIO, Metric.MEMORY_RATIO, Metric.DISK_RATIO):
                self.world.measure(metric, 0.1)
            for system in (OLD, NEW):
                self.world.probe(system, 0)
            self.world.look()
        await self.send()

    async def send(self) -> None:
        """Store what was told since, and wait until all of it arrived."""
        tells, self.sent = self.world.tells[self.sent :], len(self.world.tells)
        self.clock.now = self.world.now_us
        made = [
            one
            for tell in tells
            for one in messages(
                tell, SETTINGS, usable=tuple(self.channels), state=self.world.state,
                plan=self.world.rollout, link=LINK,
            )
        ]  # fmt: skip
        self.version = await self.store.commit(
            {"of": "a test"}, expected_version=self.version, token=1, deliveries=made
        )
        self.sender.wake()
        async with asyncio.timeout(20):
            while await self.store.next_due_us() is not None:
                await asyncio.sleep(0.01)

    def heard(self) -> dict[str, list[str]]:
        """Everything that arrived since the last time, by kind of channel."""
        found: dict[str, list[str]] = {}
        for letter in self.web.letters:
            if letter.path.startswith("/slack"):
                texts = [block["text"]["text"] for block in letter.json["blocks"][:-1]]
                found.setdefault("slack", []).append("\n".join([letter.path, *texts]))
            elif letter.path == "/webhook":
                found.setdefault("webhook", []).append(letter.json["text"])
            else:
                (body,) = parse_qs(letter.body.decode())["Body"]
                found.setdefault("sms", []).append(body)
        for mail in self.box.mails:
            text = mail.get_body(("plain",)).get_content()
            found.setdefault("email", []).append(f"{mail['Subject']}\n{text}")
        self.web.letters.clear()
        self.box.mails.clear()
        return found


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    """All is well, and has been for a while."""
    with Inbox(status=201) as web:
        async with Postbox() as box:
            made = Town(web, box, tmp_path)
            task = asyncio.create_task(made.sender.run())
            await made.pass_time(120)
            assert made.heard() == {}
            yield made
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await made.store.close()


def spoil(world: World, level: Severity) -> None:
    """Let new be as bad as this level asks for."""
    if level is Severity.CRITICAL:
        world.errors[NEW] = 0.062
    else:
        world.sync_s = {"high": 601.0, "medium": 421.0, "low": 301.0}[level.value]


@pytest.mark.parametrize("level", list(Severity))
async def test_one_incident_from_its_first_sign_to_its_end(town: Town, level: Severity) -> None:
    """Once each to the right channels, in both languages; escalated, taken, over."""
    kinds, within_s = LEVELS[level]
    spoil(town.world, level)
    await town.pass_time(60)
    said = town.heard()
    assert set(said) == kinds
    began_us = town.world.tells[0].at_us
    for one in said["slack"]:
        assert one.startswith(f"/slack/{level.value}")
        assert LINK.replace("&", "&amp;") in one
    english, japanese = sorted(said["slack"], key=lambda one: "新システムの比率" in one)
    figure = "6.2 %" if level is Severity.CRITICAL else "min"
    assert figure in english
    assert "Weight to new: 10 %" in english
    assert "新システムの比率: 10 %" in japanese
    assert len(said.get("email", [])) == (2 if "email" in kinds else 0), "both languages"
    assert len(said.get("sms", [])) == (1 if "sms" in kinds else 0)
    assert len(said["webhook"]) == 1

    left_s = within_s - (town.world.now_us - began_us) / 1_000_000
    step_s = 10 if within_s < HOUR else 50
    await town.pass_time(left_s - left_s % step_s - step_s, step_s=step_s)
    assert town.heard() == {}, "not a step before its time"
    await town.pass_time(2 * step_s, step_s=step_s)
    escalated = town.heard()
    assert set(escalated) == kinds
    assert any("senior developer" in text for text in escalated["slack"])

    ack = Ack("Hanako", "looking", town.world.now_us)
    town.world.take(acknowledge(town.world.book, town.world.alerts, 1, ack))
    await town.send()
    taken = town.heard()
    assert set(taken) == kinds
    assert any("Hanako が対応を引き受けました" in text for text in taken["slack"])
    assert any("Hanako has taken it" in text for text in taken["slack"])

    town.world.errors[NEW], town.world.sync_s = 0.0, 100.0
    await town.pass_time(20 * MINUTE)
    over = town.heard()
    assert set(over) == kinds
    assert any("It lasted" in text for text in over["slack"])
    assert any("継続時間" in text for text in over["slack"])
    assert len(over["webhook"]) == 1

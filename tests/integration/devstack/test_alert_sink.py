"""The alert sink records what each channel's real client would have delivered."""

from __future__ import annotations

import smtplib
import sys
from email.message import EmailMessage
from pathlib import Path

import httpx2
import pytest

from ops.devstack.ports import accepts, free_port
from ops.devstack.process import Command, Process

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def sink(server_logs):
    """A running sink: its URL and its SMTP port."""
    port, smtp_port = free_port(), free_port()
    process = Process(
        Command(
            name="alert_sink",
            argv=[
                sys.executable,
                "-m",
                "ops.devstack.alert_sink",
                f"--port={port}",
                f"--smtp-port={smtp_port}",
            ],
            log=server_logs / "alert_sink.log",
            cwd=ROOT,
        )
    )
    process.wait_until(lambda: accepts(port) and accepts(smtp_port))
    yield f"http://127.0.0.1:{port}", smtp_port
    process.stop()


@pytest.fixture(autouse=True)
def _forgotten(sink):
    httpx2.delete(f"{sink[0]}/deliveries")


def _last(sink) -> tuple[str, str | None, str]:
    (delivery,) = httpx2.get(f"{sink[0]}/deliveries").json()
    assert delivery["at"]
    return delivery["channel"], delivery["level"], delivery["text"]


def test_slack_blocks_become_their_text(sink):
    """A Slack message counts with everything a reader would see, its level by its channel."""
    message = {
        "channel": "#critical-alerts",
        "text": "エラー率 12.4%",
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": "Rolled back"}},
            {"type": "section", "fields": [{"type": "mrkdwn", "text": "weight 10 → 0"}]},
        ],
    }
    answer = httpx2.post(f"{sink[0]}/slack/T0/B0/secret", json=message)
    assert (answer.status_code, answer.text) == (200, "ok")
    assert _last(sink) == ("slack", "critical", "エラー率 12.4%\nRolled back\nweight 10 → 0")


def test_slack_refuses_an_empty_message(sink):
    """An empty message is refused with Slack's own word, and not recorded."""
    answer = httpx2.post(f"{sink[0]}/slack/T0/B0/x", json={})
    assert (answer.status_code, answer.text) == (400, "no_text")
    assert httpx2.get(f"{sink[0]}/deliveries").json() == []


def test_a_text_message_looks_sent_to_its_client(sink):
    """Twilio's client gets a message id, and the text is recorded."""
    answer = httpx2.post(
        f"{sink[0]}/2010-04-01/Accounts/AC1/Messages.json",
        data={"To": "+815012345678", "From": "+1", "Body": "CRITICAL: new is down"},
        auth=("AC1", "token"),
    )
    assert (answer.status_code, answer.json()["status"]) == (201, "queued")
    assert _last(sink) == ("sms", "critical", "CRITICAL: new is down")


def test_the_gateways_webhook_is_recorded(sink):
    """The JSON that the gateway posts is kept with its own level."""
    body = {"level": "high", "title": "Error rate", "text": "6.1 % of 230", "key": "k", "at_us": 1}
    assert httpx2.post(f"{sink[0]}/webhook", json=body).status_code == 204
    assert _last(sink) == ("webhook", "high", "Error rate\n6.1 % of 230")


def test_a_mail_is_recorded_with_its_subject(sink):
    """A mail through a real SMTP client arrives whole: Japanese, dots and all."""
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = "[medium] 同期が遅い", "a@b.test", "ops@b.test"
    mail.set_content("7.2 分\n.先頭の点\n")
    with smtplib.SMTP("127.0.0.1", sink[1]) as client:
        client.login("anybody", "anything")
        client.send_message(mail)
    assert _last(sink) == ("email", "medium", "[medium] 同期が遅い\n7.2 分\n.先頭の点")


def test_a_message_without_a_level_is_not_given_one(sink):
    """What says no level gets none, rather than a wrong one."""
    httpx2.post(f"{sink[0]}/webhook", json={"text": "followed the highway"})
    assert _last(sink) == ("webhook", None, "followed the highway")

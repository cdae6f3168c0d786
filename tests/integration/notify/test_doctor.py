"""`syncgate doctor` on alerts, as a person runs it: what is sent, what is only said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.channels import outcomes
from gateway.cli.session import Session
from gateway.settings import load_settings
from tests.support.inbox import Inbox

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[3]


def doctor(folder: Path, *options: str, **settings: str) -> dict[str, dict[str, str]]:
    """Run it there; its checks by name. A service that is not there is no matter here."""
    run = subprocess.run(
        [sys.executable, "-m", "gateway", "doctor", "--json", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "GATEWAY_PORT": "0", **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 1, run.stderr
    assert "sEcReT" not in run.stdout + run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return {check["name"]: check for check in found["checks"]}


def here(inbox: Inbox, broken: Inbox) -> dict[str, str]:
    """Slack by one server, the webhook by another."""
    return {
        "ALERT_SLACK_WEBHOOK_URL": inbox.url,
        "ALERT_WEBHOOK_URL": broken.url,
        "ALERT_ALLOWED_HOSTS": "127.0.0.1",
        "ALERT_ALLOW_PRIVATE": "true",
    }


def test_each_channel_is_tried_and_told_with_reason_and_remedy(tmp_path: Path) -> None:
    """Taken, refused with what to do, and not set with what to set; secrets in none of it."""
    with Inbox() as inbox, Inbox(status=403) as broken:
        found = doctor(tmp_path, "--yes", **here(inbox, broken))
    assert found["alerts"]["status"] == "pass"
    assert found["slack-critical"]["status"] == "pass"
    assert "took a test message" in found["slack-critical"]["detail"]
    assert found["webhook"]["status"] == "fail"
    assert "403" in found["webhook"]["detail"]
    assert found["webhook"]["fix"] == "Check this channel's credentials."
    assert found["sms-oncall"]["status"] == "todo"
    assert "ALERT_TWILIO_ACCOUNT_SID" in found["sms-oncall"]["fix"]
    assert [one.json["text"] for one in inbox.letters] == ["🔵 Test message from syncgate"] * 4
    assert "log" not in found


def test_nobody_is_bothered_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without somebody who agrees, or with --dry-run, nothing is sent, and that is said."""
    with Inbox() as inbox, Inbox() as other:
        for name, value in here(inbox, other).items():
            monkeypatch.setenv(name, value)
        settings = load_settings(env_file=None)
        for yes, dry_run in ((False, False), (False, True), (True, True)):
            session = Session(lang="en", as_json=True)
            found = {one[0]: one for one in outcomes(session, settings, yes=yes, dry_run=dry_run)}
            _, status, detail, _ = found["webhook"]
            assert status == "todo"
            assert "not tried" in detail
        assert not inbox.letters
        assert not other.letters

"""From settings to channels: what is missing is said, what cannot be right stops the start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.adapters.clock import SystemClock
from gateway.bootstrap.channels import Channels, build_channels
from gateway.cli.serve import alert_mistakes
from gateway.errors import SettingsError
from gateway.policy import load_alerts
from gateway.settings import Secrets, Settings, load_secrets, load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

SHIPPED = Path(__file__).parents[2] / "config"
GOOD = {
    "ALERT_SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T0/B0/sEcReT",
    "ALERT_SMTP_URL": "smtp://someone:sEcReT%40x@mail.example.com:587",
    "ALERT_EMAIL_FROM": "syncgate@example.com",
    "ALERT_EMAIL_TO": "a@example.com, b@example.com",
    "ALERT_TWILIO_ACCOUNT_SID": "AC0123456789abcdef0123456789abcdef",
    "ALERT_TWILIO_AUTH_TOKEN": "sEcReTtoken",
    "ALERT_TWILIO_FROM": "+15005550006",
    "ALERT_SMS_TO": "+819012345678",
    "ALERT_WEBHOOK_URL": "https://alerts.example.com/in/sEcReT",
    "ALERT_WEBHOOK_SECRET": "sEcReT-0123456789",
    "ALERT_ALERTMANAGER_URL": "http://alertmanager.example.com:9093",
}
HOSTS = "mail.example.com,alerts.example.com,alertmanager.example.com"


def channels(values: Mapping[str, str], *, hosts: str = HOSTS, private: bool = False) -> Channels:
    """The shipped channels with these variables."""
    settings = Settings(_env_file=None, ALERT_ALLOWED_HOSTS=hosts, ALERT_ALLOW_PRIVATE=private)  # type: ignore[call-arg]
    named = load_alerts(SHIPPED / "alerts.toml").channels
    return build_channels(named, settings, secrets=Secrets(values), clock=SystemClock())


def faults(values: Mapping[str, str], **more: object) -> dict[str, str]:
    """What is wrong with them: variable -> what."""
    with pytest.raises(SettingsError) as failure:
        channels(values, **more)  # type: ignore[arg-type]
    assert "sEcReT" not in str(failure.value)
    return {fault.where: fault.problem for fault in failure.value.faults}


def test_with_everything_set_every_channel_is_ready() -> None:
    """Slack's own host needs no listing; the others are listed."""
    made = channels(GOOD)
    assert set(made.ready) == set(made.kinds)
    assert made.unset == {}
    assert made.notes() == []
    assert made.unsigned == ()
    assert made.per_minute["sms-oncall"] == 10
    assert "sEcReT" not in repr(made)


def test_with_nothing_set_only_the_log_hears_and_that_is_said() -> None:
    """Never silent: each channel that goes nowhere is named with the variables to set."""
    made = channels({})
    assert set(made.ready) == {"log"}
    assert made.unset["slack-critical"] == ("ALERT_SLACK_CRITICAL_URL or ALERT_SLACK_WEBHOOK_URL",)
    assert made.unset["sms-oncall"][0] == "ALERT_TWILIO_ACCOUNT_SID"
    assert len(made.notes()) == len(made.unset) == len(made.kinds) - 1


def test_a_level_s_own_webhook_goes_before_the_common_one() -> None:
    """One webhook serves all levels until each has its own."""
    own = {"ALERT_SLACK_HIGH_URL": "https://hooks.slack.com/services/T0/B1/x"}
    assert set(channels(own).ready) == {"slack-high", "log"}


def test_every_fault_at_once() -> None:
    """One restart, all mistakes, by the variables' names, without their values."""
    assert faults(
        {
            "ALERT_SLACK_WEBHOOK_URL": "http://hooks.slack.com/services/sEcReT",
            "ALERT_SMTP_URL": "smtp://sEcReT@mail.example.com",
            "ALERT_EMAIL_FROM": "nobody",
            "ALERT_EMAIL_TO": "a@example.com",
            "ALERT_TWILIO_ACCOUNT_SID": "AC/../x",
            "ALERT_TWILIO_AUTH_TOKEN": "sEcReT\n",
            "ALERT_TWILIO_FROM": "a name that is too long",
            "ALERT_SMS_TO": "090-1234-5678",
            "ALERT_WEBHOOK_URL": "https://sEcReT@alerts.example.com/",
            "ALERT_WEBHOOK_SECRET": "short",
            "ALERT_ALERTMANAGER_URL": "alertmanager:9093",
        }
    ) == {
        "ALERT_SLACK_WEBHOOK_URL": "is not a URL for this channel",
        "ALERT_EMAIL_FROM": "is no mail address",
        "ALERT_TWILIO_ACCOUNT_SID": "is no account",
        "ALERT_TWILIO_FROM": "is no sender",
        "ALERT_SMS_TO": "holds something that is no number",
        "ALERT_WEBHOOK_URL": "holds a user or password",
        "ALERT_WEBHOOK_SECRET": "is too weak",
        "ALERT_ALERTMANAGER_URL": "is not a URL for this channel",
    }


@pytest.mark.parametrize(
    "value",
    [
        "nonsense", "ftp://alerts.example.com/", "https://", "https:///x", "//alerts.example.com/",
        "https://alerts.example.com:99999/", "https://alerts.example.com:0/",
        "https://alerts.example.com/a b", "https://alerts.example.com/\x01", "https://[::1/",
        "javascript:alert(1)", "file:///etc/passwd", "https://alerts.example.com/x#y",
    ],
)  # fmt: skip
def test_a_bad_url_stops_the_start(value: str) -> None:
    """What cannot be called is not called later."""
    assert set(faults({"ALERT_WEBHOOK_URL": value})) == {"ALERT_WEBHOOK_URL"}


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]",
     "[fd00::1]", "0.0.0.0"],
)  # fmt: skip
def test_a_private_address_has_to_be_allowed(host: str) -> None:
    """Listed or not: this machine and private networks only with leave, some never."""
    values = {"ALERT_WEBHOOK_URL": f"http://{host}:8080/x"}
    listed = host.strip("[]")
    assert "not a public address" in faults(values, hosts=listed)["ALERT_WEBHOOK_URL"]
    if host in {"169.254.169.254", "0.0.0.0"}:
        assert faults(values, hosts=listed, private=True)
    else:
        assert "webhook" in channels(values, hosts=listed, private=True).ready


def test_a_host_that_is_not_listed_is_named_with_the_setting() -> None:
    """The message says what to add."""
    found = faults({"ALERT_WEBHOOK_URL": "https://alerts.example.net/sEcReT"})
    assert found == {
        "ALERT_WEBHOOK_URL": "leads to alerts.example.net, which is not an allowed host"
    }


@pytest.mark.parametrize(
    "address",
    ["a@b\r\nBcc: c@d", "a b@example.com", "a@", "@b", "", "a,b@example.com ,", "é@example.com",
     "x" * 300 + "@example.com", "<a@example.com>", "A <a@example.com>"],
)  # fmt: skip
def test_a_sender_is_an_address_and_nothing_else(address: str) -> None:
    """No header can be smuggled in by a setting."""
    made = {**GOOD, "ALERT_EMAIL_FROM": address or "x"}
    assert set(faults(made)) == {"ALERT_EMAIL_FROM"}


@pytest.mark.parametrize("text", ["a b", "http://x", "a/b", "a,*", "*.", "a..b", "ex ample.com"])
def test_the_list_of_hosts_holds_names_only(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL or a lone star in the list is a mistake, told at once."""
    monkeypatch.setenv("ALERT_ALLOWED_HOSTS", text)
    with pytest.raises(SettingsError, match="ALERT_ALLOWED_HOSTS"):
        load_settings(env_file=None)


def test_secrets_come_from_the_file_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As all settings do; nothing lists or shows them."""
    env = tmp_path / ".env"
    env.write_text("ALERT_SMTP_URL=smtp://from-file\nALERT_EMAIL_TO=a@example.com\n")
    monkeypatch.setenv("ALERT_SMTP_URL", "smtp://from-environment")
    monkeypatch.delenv("ALERT_EMAIL_TO", raising=False)
    secrets = load_secrets(env_file=env)
    assert secrets.get("ALERT_SMTP_URL") == "smtp://from-environment"
    assert secrets.get("ALERT_EMAIL_TO") == "a@example.com"
    assert secrets.get("ALERT_NOT_SET") is None
    assert "from-" not in repr(secrets)


def test_mistakes_in_several_files_are_told_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad template and a bad URL: one start tells both."""
    import shutil

    shutil.copytree(SHIPPED / "messages", tmp_path / "messages")
    (tmp_path / "messages" / "en" / "started.txt").write_text("{nonsense}\n")
    monkeypatch.setenv("ALERT_WEBHOOK_URL", "https://alerts.example.net/sEcReT")
    settings = Settings(_env_file=None, GATEWAY_POLICY=tmp_path / "rollout.toml")  # type: ignore[call-arg]
    told = "\n".join(alert_mistakes(settings))
    assert "ALERT_WEBHOOK_URL" in told
    assert "started.txt:1: {nonsense} is no field" in told
    assert "sEcReT" not in told

"""Reports of a running gateway: JSON, page, command; what is unknown; the summary told once."""

from __future__ import annotations

import asyncio
import shutil
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.adapters.rollup_store import SqliteRollups
from gateway.core import histogram
from gateway.core.rollup import Bucket, Counted, Level, Standing
from tests.integration.admin.test_command import run
from tests.support.gateway_process import TOKEN, GatewayProcess, until
from tests.support.inbox import Inbox, Postbox

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = Path(__file__).parents[3] / "config"
HOSTILE = '<script>alert(1)</script>"><img src=x> =cmd|'


def now_hour() -> int:
    """The hour under way."""
    return int(time.time()) // 3600


def filled(folder: Path, hours: dict[int, int]) -> None:
    """Put hours into a state directory as an earlier run left them: hour -> requests of old."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    buckets = [
        Bucket(
            hour, covered_s=3_600,
            systems={
                "old": Counted(
                    ok=count, syncs=2, listings=500,
                    latency=((histogram.bucket_of(20_000), count),),
                    pace=((histogram.bucket_of(4_000), 2),),
                ),
            },
            levels={"cpu_ratio": Level(2, 0.6, 0.5)},
            happened={"rollbacks": 1, "decisions": 2},
            standing=Standing(hour * 3_600_000_000, "running", "parallel", 5.0, 0.995, 900),
        )
        for hour, count in hours.items()
    ]  # fmt: skip

    async def write() -> None:
        store = SqliteRollups(folder)
        await store.put(buckets)
        await store.close()

    asyncio.run(write())


def page(gateway: GatewayProcess, path: str, **headers: str) -> tuple[str, str]:
    """Ask for HTML: media type and text."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "text/html,*/*;q=0.8"} | headers
    request = urllib.request.Request(gateway.admin_url + path, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.headers["content-type"]), answer.read().decode()


@pytest.fixture(scope="module")
def reported(tmp_path_factory: Any, services: tuple[Any, Any]) -> Iterator[GatewayProcess]:
    """A gateway that was here 30 hours ago for three hours, and again an hour ago."""
    folder = tmp_path_factory.mktemp("reports")
    hour = now_hour()
    filled(folder / "state", {hour - 30: 100, hour - 29: 100, hour - 28: 100, hour - 1: 600})
    gateway = GatewayProcess(folder / "state", services[0].url, services[1].url).start()
    for _ in range(40):
        assert gateway.status().status == 200
    gateway.admin("/user-reports", {"severity": "serious", "text": HOSTILE})
    gateway.order("start")
    gateway.order("rollback")
    until(lambda: gateway.admin("/alerts").json["items"])
    yield gateway
    if gateway.process:
        assert gateway.stop() == 0, gateway.log.read_text()[-3000:]


def test_a_day_stands_beside_the_one_before(reported: GatewayProcess) -> None:
    """Counts of now and of an hour ago, against the three hours of the day before."""
    found = until(
        lambda: (
            r
            if (r := reported.admin("/reports/daily").json)["total"]["requests"]["now"] >= 640
            else None
        )
    )
    old = next(one for one in found["systems"] if one["system"] == "old")
    assert old["requests"] == {
        "now": 640, "before": 300, "change_ratio": pytest.approx(640 / 300 - 1),
    }  # fmt: skip
    assert old["listings_synced"]["before"] == 1_500
    assert old["sync_seconds_per_1000"]["now"] == pytest.approx(4, rel=0.04)
    assert found["total"]["success_ratio"]["now"] == 1.0
    assert found["rollout"]["at_end"]["status"] == "rolled_back"
    assert found["rollout"]["rollbacks"]["before"] == 3
    assert found["match_rate"]["before"] == 0.995
    assert {one["name"] for one in found["resources"]} >= {"cpu_ratio"}
    assert (found["alerts"]["raised"], found["alerts"]["items"][0]["rule"]) == (1, "rollback")
    assert found["decisions"]["items"][0]["verdict"] == "rolled_back"
    assert found["user_reports"]["total"]["now"] == 1
    assert found["user_reports"]["items"][0]["text"] == HOSTILE
    assert found["differences"]["listings"] == 0


def test_what_nobody_counted_is_unknown_and_said(reported: GatewayProcess) -> None:
    """22 of the last 24 hours, and all of a day long past: null, never zero."""
    known = reported.admin("/reports/daily").json["known"]
    assert known["unknown_hours"] in {21, 22}  # the hour may turn meanwhile
    assert 0 < known["ratio"] < 0.1
    assert known["ratio_before"] == pytest.approx(3 / 24)
    assert len(known["gaps"]) == 1
    past = reported.admin("/reports/weekly?at=2020-02-29").json
    assert past["known"]["unknown_hours"] == 168
    assert past["since"] == "2020-02-23T15:00:00Z"
    assert past["total"]["requests"]["now"] is None
    assert past["rollout"]["at_end"] is None
    assert past["rollout"]["rollbacks"]["now"] is None
    assert past["differences"] is None


@pytest.mark.parametrize("at", ["x", "2026-13-01", "20261101", "1999-01-01", "1764000000", ""])
def test_what_is_no_day_is_refused_by_name(reported: GatewayProcess, at: str) -> None:
    """422 with the field."""
    answer = reported.admin(f"/reports/daily?at={at}")
    assert answer.status == 422
    assert "query.at" in answer.body.decode()


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("text/html", "text/html"),
        ("text/html;q=0.4, application/json;q=0.5", "application/json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("text/*, application/json;q=0.1", "text/html"),
        ("text/html;q=nonsense", "application/json"),
    ],
)
def test_json_or_page_by_what_is_accepted(reported: GatewayProcess, accept: str, kind: str) -> None:
    """A program gets JSON, a browser the page."""
    media, _ = page(reported, "/api/v1/reports/daily", Accept=accept)
    assert media.partition(";")[0] == kind


def test_the_page_speaks_both_languages_and_nothing_in_it_acts(reported: GatewayProcess) -> None:
    """What a user said is text; the figures stand in it; a past without records says so."""
    _, english = page(reported, "/reports/daily?lang=en")
    _, japanese = page(reported, "/reports/weekly?lang=ja")
    assert '<html lang="en">' in english
    assert "Rolled back" in english
    assert "日次レポート" in japanese
    assert "640" in english
    for text in (english, japanese):
        assert "<script>" not in text
        assert "<img" not in text
        assert "&lt;script&gt;alert(1)" in text
        assert "style=" not in text.replace('rel="stylesheet"', "")
    _, empty = page(reported, "/reports/daily?lang=ja&at=2020-02-29")
    assert "この期間の記録はありません" in empty
    assert "アラート <small>不明 (前の期間: 不明)" in empty
    assert "なし" not in empty
    assert 'href="/reports/daily?lang=ja&amp;at=2020-02-28"' in empty
    _, start = page(reported, "/")
    assert 'href="/reports/daily?lang=en"' in start


def test_the_page_asks_to_sign_in_and_knows_only_two_reports(reported: GatewayProcess) -> None:
    """Without a token the page asks for one."""
    _, text = page(reported, "/healthz")  # anything that needs no token
    assert "ok" in text
    request = urllib.request.Request(reported.admin_url + "/reports/daily")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    with refused.value:
        assert refused.value.code == 401
        assert 'type="password"' in refused.value.read().decode()
    with pytest.raises(urllib.error.HTTPError) as missing:
        page(reported, "/reports/monthly")
    with missing.value:
        assert missing.value.code == 404


def test_the_command_reports_in_words_json_and_as_a_file(
    reported: GatewayProcess, tmp_path: Path
) -> None:
    """The same figures; the file needs nothing else; a wrong day or kind is a mistake in use."""
    shown = run(reported, "report", "daily", "--lang", "ja")
    assert shown.returncode == 0, shown.stderr
    assert "640 (300)" in shown.stdout
    assert "ユーザー報告: 1" in shown.stdout
    machine = run(reported, "report", "weekly", "--json")
    assert '"kind": "weekly"' in machine.stdout
    file = tmp_path / "report.html"
    assert run(reported, "report", "--html", str(file)).returncode == 0
    written = file.read_text()
    assert "<style>" in written
    assert "<link" not in written
    assert run(reported, "report", "yearly").returncode == 2
    assert run(reported, "report", "daily", "--at", "soon").returncode == 2
    full = run(reported, "report", "--html", str(tmp_path / "no" / "where.html"))
    assert (full.returncode, "where.html" in full.stderr) == (1, True)


def _summaries(gateway: GatewayProcess) -> list[dict[str, Any]]:
    found = gateway.admin("/alerts/messages?limit=500").json["items"]
    return [one for one in found if one["message"] == "report"]


async def test_a_summary_that_was_due_meanwhile_is_told_once(
    tmp_path: Path, services: tuple[Any, Any]
) -> None:
    """Late with its date, by Slack and mail in both languages; not again after kill -9."""
    with Inbox() as slack:
        async with Postbox() as mail:
            environment = _told_at_midnight(tmp_path, slack, mail)
            await asyncio.to_thread(_tell_and_kill, tmp_path / "state", services, environment)
    day = time.strftime("%Y-%m-%d", time.gmtime((now_hour() // 24 - 1) * 86_400))
    subjects = sorted(str(one["subject"]) for one in mail.mails)
    assert [subject.endswith(day) for subject in subjects] == [True, True]
    assert "日次レポート" in subjects[1]
    texts = [one.get_body(("plain",)).get_content() for one in mail.mails]  # type: ignore[union-attr]
    assert sorted("成功率: old 100.00 %" in text for text in texts) == [False, True]
    assert len(slack.letters) == 2
    posted = " ".join(one.body.decode() for one in slack.letters)
    assert f"syncgate report daily --at {day}" in posted


def _told_at_midnight(folder: Path, slack: Inbox, mail: Postbox) -> dict[str, str]:
    """Configure that the day before is due whatever the time is."""
    shutil.copytree(CONFIG, folder / "config")
    alerts = folder / "config" / "alerts.toml"
    text = alerts.read_text()
    for shipped, ours in (
        ('daily = { at = "09:00" }', 'daily = { at = "00:00" }'),
        ('weekly = { day = "mon", at = "09:00" }', ""),
        ("utc_offset_minutes = 540 ", "utc_offset_minutes = 0 "),
    ):
        assert shipped in text
        text = text.replace(shipped, ours)
    alerts.write_text(text)
    return {
        "GATEWAY_POLICY": str(folder / "config" / "rollout.toml"),
        "ALERT_SLACK_LOW_URL": slack.url,
        "ALERT_SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
        "ALERT_EMAIL_FROM": "gate@example.com",
        "ALERT_EMAIL_TO": "lead@example.com",
        "ALERT_ALLOWED_HOSTS": "127.0.0.1",
        "ALERT_ALLOW_PRIVATE": "true",
    }


def _tell_and_kill(state: Path, services: tuple[Any, Any], environment: dict[str, str]) -> None:
    day = now_hour() // 24
    filled(state, {day * 24 - 5: 70, day * 24 - 30: 50})
    gateway = GatewayProcess(state, services[0].url, services[1].url, environment).start()
    until(lambda: [one["state"] for one in _summaries(gateway)] == ["delivered"] * 5)
    gateway.kill()
    gateway.start()
    until(lambda: gateway.admin("/reports/daily").json["total"]["requests"]["now"] is not None)
    assert len(_summaries(gateway)) == 5
    assert gateway.stop() == 0

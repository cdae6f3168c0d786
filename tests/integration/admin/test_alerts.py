"""Alerts of a running gateway: seen, taken by API and by link, silenced, kept through kill -9."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.integration.admin.conftest import TOKENS
from tests.integration.admin.test_command import run
from tests.support.gateway_process import TOKEN, GatewayProcess, until
from tests.support.scale import scale

CONFIG = Path(__file__).parents[3] / "config"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, services: tuple[Any, Any]) -> Any:
    """A gateway of these tests alone, with a configuration of its own."""
    tmp_path = tmp_path_factory.mktemp("alerts")
    folder = tmp_path / "config"
    shutil.copytree(CONFIG, folder)
    environment = {
        "GATEWAY_ADMIN_TOKENS": TOKENS,
        "GATEWAY_POLICY": str(folder / "rollout.toml"),
        "GATEWAY_PUBLIC_URL": "https://gw.example",
    }
    gateway = GatewayProcess(
        tmp_path / "state", services[0].url, services[1].url, environment
    ).start()
    yield gateway
    if gateway.process and gateway.process.poll() is None:
        gateway.stop()


def items(gateway: GatewayProcess, query: str = "") -> list[dict[str, Any]]:
    """The open alerts."""
    found = gateway.admin(f"/alerts{query}")
    assert found.status == 200, found.body
    return list(found.json["items"])


def rolled_back(gateway: GatewayProcess) -> dict[str, Any]:
    """Roll back anew, and wait for its alert."""
    if gateway.rollout["status"] == "idle":
        gateway.order("start")
    elif gateway.rollout["status"] == "rolled_back":
        gateway.order("resume")
        until(lambda: not [a for a in items(gateway) if a["rule"] == "rollback"])
    gateway.order("weight", percent=20)
    gateway.order("rollback")
    return until(lambda: next((a for a in items(gateway) if a["rule"] == "rollback"), None))


def delete(gateway: GatewayProcess, path: str, token: str = TOKEN) -> tuple[int, str]:
    """DELETE with a reason."""
    request = urllib.request.Request(
        f"{gateway.admin_url}/api/v1{path}", data=b'{"reason": "done"}', method="DELETE",
        headers={"Authorization": f"Bearer {token}"},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def page(
    gateway: GatewayProcess, link: str, form: dict[str, str] | None = None, **headers: str
) -> tuple[int, str, Any]:
    """Open a link as a browser without any token does."""
    data = None if form is None else urllib.parse.urlencode(form).encode()
    address = gateway.admin_url + link.removeprefix("https://gw.example")
    request = urllib.request.Request(address, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error.headers


def link_of(gateway: GatewayProcess, number: int) -> str:
    """Make the link that a message would carry: by the gateway's own key."""
    from gateway.adapters.links import Links
    from gateway.core.alerts import book_from_json

    with sqlite3.connect(gateway.state_dir / "alerts.sqlite3") as direct:
        (document,) = direct.execute("select document from book").fetchone()
    incident = book_from_json(json.loads(document)).incident(number)
    assert incident is not None
    key = (gateway.state_dir / "link.key").read_text().strip().encode()
    return Links(key, "https://gw.example").make(incident, now_us=incident.raised_us, valid_s=3_600)


def test_a_rollback_is_an_alert_taken_once_and_over_when_led_out(own: GatewayProcess) -> None:
    """Seen with what to do; a second answer is refused with who has it; all is audited."""
    alert = rolled_back(own)
    assert (alert["level"], alert["state"], alert["asked"]) == (
        "critical", "open", ["on-call developer"],
    )  # fmt: skip
    number = alert["id"]
    assert own.admin(f"/alerts/{number}/ack", {}).status == 422
    taken = own.admin(f"/alerts/{number}/ack", {"reason": "looking"})
    assert taken.status == 200
    assert taken.json["acknowledged"]["by"] == "tester"
    again = own.admin(f"/alerts/{number}/ack", {"reason": "me too"})
    assert (again.status, "tester" in again.json["detail"]) == (409, True)
    assert again.json["fix"]
    missing = own.admin("/alerts/999/ack", {"reason": "x"})
    assert missing.status == 404
    assert str(number) in missing.json["detail"]
    assert "syncgate alerts" in missing.json["fix"]
    actions = [row["action"] for row in own.admin("/audit").json["items"]]
    assert "alert.acknowledge" in actions
    own.order("resume")
    until(lambda: not [a for a in items(own) if a["rule"] == "rollback"])
    recent = own.admin("/alerts?rule=rollback").json["recent"]
    assert (recent[0]["id"], recent[0]["state"]) == (number, "resolved")
    assert recent[0]["ended_at"] is not None
    assert items(own, "?level=critical&state=open&system=new") == []
    assert own.admin("/alerts?level=worst").status == 422
    sent = own.admin(f"/alerts/messages?alert={number}").json["items"]
    until(lambda: own.admin("/alerts/messages?state=waiting").json["items"] == [])
    assert {one["stage"] for one in sent} == {
        "raised", "acknowledged", "resolved",
    }  # fmt: skip


def test_kill_9_loses_no_alert_and_begins_none_twice(own: GatewayProcess) -> None:
    """What was open is open, who had it has it."""
    number = rolled_back(own)["id"]
    own.admin(f"/alerts/{number}/ack", {"reason": "looking"})
    own.kill()
    own.start()
    alert = until(lambda: next((a for a in items(own) if a["rule"] == "rollback"), None))
    assert (alert["id"], alert["acknowledged"]["by"]) == (number, "tester")
    sent = own.admin(f"/alerts/messages?alert={number}").json["items"]
    assert len([one for one in sent if one["stage"] == "raised"]) == 1


def test_a_link_shows_and_only_the_button_takes(own: GatewayProcess) -> None:
    """Without a token, in both languages; looking takes nothing, a name is asked for."""
    number = rolled_back(own)["id"]
    link = link_of(own, number)
    for _ in range(3):
        status, text, headers = page(own, link, **{"Accept-Language": "ja"})
        assert status == 200
    assert "引き受ける" in text
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "Take it" in page(own, link)[1]
    assert items(own, "?rule=rollback")[0]["acknowledged"] is None
    assert page(own, link, {"name": "  "})[0] == 422
    action = re.search(r'action="([^"]+)"', text)
    assert action is not None
    target = action[1].replace("&amp;", "&")
    status, text, _ = page(own, target, {"name": "<b>花子</b>\r\n", "reason": "見ています"})
    assert status == 200
    assert "&lt;b&gt;花子&lt;/b&gt;" in text
    taken = next(a for a in items(own) if a["id"] == number)["acknowledged"]
    assert taken["by"] == "<b>花子</b> (link)"
    assert "花子" in page(own, link, {"name": "somebody else"})[1]
    audit = own.admin("/audit").json["items"]
    row = next(row for row in audit if row["action"] == "alert.acknowledge")
    assert (row["actor"], row["ip"]) == ("<b>花子</b> (link)", "127.0.0.1")


def test_a_link_to_what_is_over_asks_nothing_of_anybody(own: GatewayProcess) -> None:
    """It says that it is over, since when, and names no command that would undo something."""
    number = rolled_back(own)["id"]
    link = link_of(own, number)
    assert "<code>syncgate" in page(own, link)[1]
    own.order("resume")
    until(lambda: "It is over" in page(own, link)[1])
    text = page(own, link)[1]
    assert "<code>" not in text
    assert re.search(r"It is over; nothing needs to be done. \(20.* UTC\)", text)


def test_a_link_that_is_wrong_or_old_opens_nothing(own: GatewayProcess) -> None:
    """Clear pages of their own, 4xx, whatever the method."""
    number = rolled_back(own)["id"]
    link = link_of(own, number)
    other = re.sub(r"/a/[^?]+", f"/a/{number}-1", link)
    for wrong in (link[:-1] + ("A" if link[-1] != "A" else "B"), other, link.split("&")[0]):
        for form in (None, {"name": "eve"}):
            status, text, _ = page(own, wrong, form)
            assert (status, "not valid" in text) == (403, True)
    from gateway.adapters.links import Links

    key = (own.state_dir / "link.key").read_text().strip().encode()
    uid = link.split("/a/")[1].split("?")[0]
    links = Links(key, "https://gw.example")
    expired = f"/a/{uid}?e=1000&s={links.sign(uid, 1000)}"
    assert page(own, expired, {"name": "eve"})[0] == 410
    gone = f"/a/77-1?e=4000000000&s={links.sign('77-1', 4000000000)}"
    assert page(own, gone)[0] == 404
    huge = page(own, link, {"name": "x" * 100_000})
    assert huge[0] == 413
    assert items(own, "?rule=rollback")[0]["acknowledged"] is None


def test_a_silence_has_an_end_and_can_be_ended(own: GatewayProcess) -> None:
    """What it covers is open but not told; the end tells it."""
    made = own.admin(
        "/alerts/silences", {"rule": "integrity", "minutes": 60, "reason": "maintenance"}
    )
    assert made.status == 201
    own.admin("/measurements", {"metric": "integrity_mismatches", "value": 3})
    alert = until(lambda: next((a for a in items(own) if a["rule"] == "integrity"), None))
    assert alert["state"] == "silenced"
    assert own.admin(f"/alerts/messages?alert={alert['id']}").json["items"] == []
    for wrong, status in (
        ({"rule": "*", "minutes": 0}, 422), ({"rule": "*"}, 422),
        ({"rule": "nothing", "minutes": 60}, 409), ({"rule": "*", "minutes": 60 * 24 * 300}, 409),
    ):  # fmt: skip
        refused = own.admin("/alerts/silences", {**wrong, "reason": "x"})
        assert refused.status == status, refused.body
    silence = made.json["id"]
    assert delete(own, f"/alerts/silences/{silence}", token="a-viewer-token")[0] == 403
    assert delete(own, f"/alerts/silences/{silence}")[0] == 200
    assert delete(own, f"/alerts/silences/{silence}")[0] == 404
    until(lambda: own.admin(f"/alerts/messages?alert={alert['id']}").json["items"])


def test_a_bad_file_leaves_the_old_rules_in_force(own: GatewayProcess) -> None:
    """Every mistake with line and key; a good one is in force at once."""
    path = Path(own.environment["GATEWAY_POLICY"]).with_name("alerts.toml")
    good = path.read_text()
    bad = good.replace('metric = "cpu_ratio"', 'metric = "cpu_ration"', 1)
    path.write_text(bad.replace("answer_within_s = 900", 'answer_within_s = "soon"', 1))
    refused = own.admin("/policy/reload", {"reason": "try"})
    assert refused.status == 409
    assert "metric" in refused.json["detail"]
    assert "levels.critical.answer_within_s" in refused.json["detail"]
    assert re.search(r"alerts\.toml:\d+ ", refused.json["detail"])
    wish = {"rule": "processor", "minutes": 1, "reason": "x"}
    assert own.admin("/alerts/silences", wish).status == 409
    path.write_text(good.replace('name = "cpu"', 'name = "processor"'))
    assert own.admin("/policy/reload", {"reason": "another name"}).status == 200
    assert own.admin("/alerts/silences", wish).status == 201


def test_the_command_shows_takes_and_silences(own: GatewayProcess) -> None:
    """Exit codes, JSON everywhere, both languages; every refusal says what to do."""
    number = rolled_back(own)["id"]
    shown = run(own, "alerts", "--rule", "rollback", "--lang", "ja")
    assert (shown.returncode, f"syncgate ack {number}" in shown.stdout) == (0, True)
    assert "切り戻し済み" in shown.stdout
    found = json.loads(run(own, "alerts", "--json").stdout)
    assert number in [one["id"] for one in found["items"]]
    assert run(own, "ack", str(number)).returncode == 2
    only = run(own, "ack", str(number), "--dry-run", "--json")
    assert json.loads(only.stdout)["path"].endswith(f"/alerts/{number}/ack")
    taken = run(own, "ack", str(number), "-r", "on it", "--json")
    assert json.loads(taken.stdout)["acknowledged"]["reason"] == "on it"
    again = run(own, "ack", str(number), "-r", "on it")
    assert (again.returncode, "taken by tester" in again.stderr) == (1, True)
    unknown = run(own, "ack", "99999", "-r", "on it", "--json")
    assert (unknown.returncode, json.loads(unknown.stdout)["error"]["exit_code"]) == (1, 1)
    assert "taken by tester" in run(own, "alerts").stdout
    made = run(own, "silence", "all", "--for", "90m", "--system", "new", "-r", "work", "--json")
    silence = json.loads(made.stdout)
    assert (silence["rule"], silence["system"]) == ("*", "new")
    assert run(own, "silence", "all", "--for", "soon", "-r", "work").returncode == 2
    assert "work" in run(own, "silence").stdout
    ended = run(own, "silence", "--end", str(silence["id"]), "-r", "done")
    assert ended.returncode == 0
    refused = run(own, "silence", "--end", str(silence["id"]), "-r", "done")
    assert refused.returncode == 1
    assert "raised" in run(own, "alerts", "--messages").stdout
    assert run(own, "alerts", "--resend", "none", "-r", "x").returncode == 1
    assert run(own, "reload", "-r", "again").returncode == 0


def test_a_filter_that_nothing_matches_is_not_all_clear(own: GatewayProcess) -> None:
    """What else is open is counted, and an unknown rule is refused with those there are."""
    rolled_back(own)
    for words in (("--level", "low", "--state", "silenced"), ("--rule", "disk")):
        shown = run(own, "alerts", *words)
        assert (shown.returncode, "open besides" in shown.stdout) == (0, True), shown.stderr
        assert "Nothing is wrong" not in shown.stdout
    unknown = run(own, "alerts", "--rule", "nosuch")
    assert (unknown.returncode, "integrity" in unknown.stderr) == (1, True)
    assert run(own, "alerts", "--rule", "source:cpu_ratio").returncode == 0
    assert own.admin("/alerts?rule=nosuch").json["code"] == "unknown-rule"


def test_a_flood_of_user_reports_is_one_alert_and_the_api_answers(own: GatewayProcess) -> None:
    """Ten thousand in a minute (in the soak): one incident, a bounded store, answers meanwhile."""
    count = scale(full=10_000, quick=300)

    def report(number: int) -> int:
        body = {"severity": "minor", "text": f"It shows the old price ({number})"}
        return own.admin("/user-reports", body).status

    with ThreadPoolExecutor(8) as pool:
        sent = pool.map(report, range(count))
        for _ in range(20):
            assert own.admin("/rollout").status == 200
        assert set(sent) == {202}
    until(lambda: [a for a in items(own) if a["rule"] == "user_reports"])
    found = [a for a in items(own) if a["rule"] == "user_reports"]
    assert len(found) == 1
    sent_messages = own.admin(f"/alerts/messages?alert={found[0]['id']}").json["items"]
    assert len({one["id"] for one in sent_messages}) == len(sent_messages) <= 10
    with sqlite3.connect(own.state_dir / "alerts.sqlite3") as direct:
        (size,) = direct.execute("select length(document) from book").fetchone()
    assert size < 50_000

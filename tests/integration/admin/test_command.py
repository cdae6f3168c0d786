"""The `syncgate` command against a real gateway: exit codes, JSON, refusals, the live view."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.gateway_process import TOKEN, GatewayProcess, until


def run(gateway: GatewayProcess | None, *words: str, cwd=None, **environment: str):
    """Run the command as an operator's script would: no terminal."""
    settings = {"GATEWAY_TOKEN": TOKEN, "LANG": "C.UTF-8", "PATH": os.environ["PATH"]}
    settings["PYTHONPATH"] = str(Path(__file__).parents[3])
    if gateway is not None:
        settings["GATEWAY_ADMIN_URL"] = gateway.admin_url
    return subprocess.run(
        [sys.executable, "-m", "gateway", *words],
        env={**settings, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cwd,
    )


def test_orders_are_given_and_the_result_is_shown(idle):
    """Weight, pause, resume, rollback: done is 0, and JSON is the new state."""
    if idle.rollout["status"] == "idle":
        assert run(idle, "start", "-r", "begin").returncode == 0
    done = run(idle, "weight", "12.5", "--reason", "more", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["weight_percent"] == 12.5
    done = run(idle, "pause", "-r", "lunch", "--lang", "ja")
    assert (done.returncode, "一時停止" in done.stdout) == (0, True)
    assert run(idle, "resume", "-r", "back").returncode == 0
    assert run(idle, "rollback", "-r", "enough").returncode == 0
    assert idle.rollout["status"] == "rolled_back"


def test_a_refusal_is_1_and_says_what_to_do(idle):
    """After a stop only a release leads on, and the command says so in both languages."""
    assert run(idle, "stop", "-r", "fire").returncode == 0
    refused = run(idle, "weight", "1", "-r", "x")
    assert refused.returncode == 1
    assert "syncgate release" in refused.stderr
    refused = run(idle, "weight", "1", "-r", "x", "--lang", "ja", "--json")
    assert refused.returncode == 1
    problem = json.loads(refused.stdout)["error"]
    assert problem["exit_code"] == 1
    assert "解除" in refused.stderr or "release" in refused.stderr
    assert run(idle, "release", "-r", "out").returncode == 0


@pytest.mark.parametrize(
    "words",
    [
        ("weight", "101", "-r", "x"),
        ("weight", "-1", "-r", "x"),
        ("weight", "ten", "-r", "x"),
        ("weight", "0.005", "-r", "x"),
        ("weight", "nan", "-r", "x"),
        ("weight", "10"),
        ("weight", "10", "-r", "  "),
        ("weight",),
        ("hold", "0", "-r", "x"),
        ("no-such-command",),
        ("status", "--no-such-option"),
        ("status", "-w"),
    ],
)
def test_wrong_usage_is_2_and_changes_nothing(idle, words):
    """Said before anything is sent."""
    before = idle.rollout["version"]
    done = run(idle, *words)
    assert done.returncode == 2, done.stderr
    assert done.stderr.strip()
    assert idle.rollout["version"] == before


def test_past_failing_gates_somebody_must_say_yes(idle):
    """Without a terminal to ask on, `--force` alone is not enough."""
    refused = run(idle, "promote", "--force", "-r", "x")
    assert refused.returncode == 1
    assert "--yes" in refused.stderr


def test_a_dry_run_only_shows(idle):
    """What would be sent, and nothing is."""
    before = idle.rollout["version"]
    done = run(idle, "weight", "99", "--dry-run")
    assert (done.returncode, "99" in done.stdout) == (0, True)
    done = run(idle, "stop", "--dry-run", "--json")
    assert json.loads(done.stdout)["dry_run"] is True
    assert idle.rollout["version"] == before


def test_nobody_there_is_3(tmp_path):
    """With where it looked and what to do."""
    done = run(None, "status", "--url", "http://127.0.0.1:9", cwd=tmp_path)
    assert done.returncode == 3
    assert "--url" in done.stderr
    done = run(None, "status", "--url", "http://127.0.0.1:9", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["error"]["exit_code"] == 3


def test_a_wrong_token_is_a_refusal(idle):
    """And no hint which token would do."""
    done = run(idle, "status", GATEWAY_TOKEN="nonsense")
    assert done.returncode == 1
    assert "GATEWAY_TOKEN" in done.stderr


def test_the_stack_that_is_up_is_found(idle, tmp_path):
    """`.devstack/env` in a folder above is enough."""
    (tmp_path / ".devstack").mkdir()
    pairs = f"GATEWAY_ADMIN_URL={idle.admin_url}\nGATEWAY_TOKEN={TOKEN}\n"
    (tmp_path / ".devstack" / "env").write_text(pairs)
    below = tmp_path / "deep"
    below.mkdir()
    done = run(None, "status", "--json", cwd=below, GATEWAY_TOKEN="")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["policy"] == "quick"


def test_the_audit_is_shown_and_verified(idle):
    """Newest first; whole."""
    if idle.rollout["status"] == "idle":
        idle.order("start")
    idle.order("weight", percent=3, reason="a reason to be found")
    assert "a reason to be found" in run(idle, "audit").stdout
    done = run(idle, "audit", "--verify", "--json")
    assert (done.returncode, json.loads(done.stdout)["intact"]) == (0, True)


def test_a_forged_audit_row_is_named(tmp_path, services):
    """Whoever goes behind the database's back breaks the chain, and the command says where."""
    gateway = GatewayProcess(tmp_path / "state", services[0].url, services[1].url)
    gateway.start()
    try:
        gateway.order("start")
        gateway.order("weight", percent=5, reason="the true reason")
        file = tmp_path / "state" / "state.sqlite3"
        with sqlite3.connect(file, timeout=10) as forged:
            forged.execute("drop trigger audit_keeps_content")
            changed = forged.execute(
                "update audit set reason = 'another' where reason = 'the true reason'"
            )
            assert changed.rowcount == 1
        done = run(gateway, "audit", "--verify")
        assert done.returncode == 1
        assert "2" in done.stderr
        done = run(gateway, "audit", "--verify", "--json")
        assert json.loads(done.stdout)["error"]["verification"]["faults"]
    finally:
        gateway.stop()


def test_status_in_a_pipe_is_plain_text(idle):
    """No colours, no cursor movements, no cut-off reason."""
    done = run(idle, "status")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert idle.rollout["why"]["en"] in done.stdout


def _read(master: int, until_text: str, within_s: float = 20.0) -> str:
    seen = ""
    deadline = time.monotonic() + within_s
    while until_text not in seen and time.monotonic() < deadline:
        if select.select([master], [], [], 0.2)[0]:
            seen += os.read(master, 65536).decode(errors="replace")
    return seen


def _read_to_the_end(master: int) -> None:
    """Whoever writes to a terminal that nobody reads cannot even take its leave."""
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        _read(master, "nothing ends it before")


def test_the_live_view_survives_the_gateway_going_away(tmp_path, services):
    """It shows the picture, says since when nobody answers, and goes on when somebody does."""
    gateway = GatewayProcess(tmp_path / "state", services[0].url, services[1].url)
    gateway.start()
    gateway.environment["GATEWAY_ADMIN_PORT"] = gateway.admin_url.rpartition(":")[2]
    master, slave = pty.openpty()
    watching = subprocess.Popen(
        [sys.executable, "-m", "gateway", "status", "-w", "--interval", "0.2"],
        env={
            "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm-256color",
            "COLUMNS": "80", "LINES": "24", "GATEWAY_TOKEN": TOKEN,
            "GATEWAY_ADMIN_URL": gateway.admin_url,
        },
        stdin=slave, stdout=slave, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    try:
        assert "IDLE" in _read(master, "IDLE")
        gateway.kill()
        assert "NO ANSWER" in _read(master, "NO ANSWER")
        gateway.start()
        assert "IDLE" in _read(master, "IDLE")
        watching.send_signal(signal.SIGINT)
        _read_to_the_end(master)
        assert watching.wait(10) == 0
    finally:
        watching.kill()
        watching.wait()
        os.close(master)
        assert gateway.stop() == 0


@pytest.mark.parametrize(
    ("words", "english", "japanese"),
    [
        (("weight",), "percent is missing", "percent を指定"),
        (("ack", "abc"), "alert: expected a whole number", "整数"),
        (("ack", "0"), "1 or more", "1 以上"),
        (("nosuch",), "no command 'nosuch'", "nosuch"),
        (("status", "--nosuch"), "no option --nosuch", "オプション --nosuch"),
        (("weight", "1", "2"), "Too much: 2", "余分"),
        (("report", "monthly"), "daily or weekly", "daily か weekly"),
        (("compare", "--export", "x.txt"), ".csv or .json", ".csv か .json"),
    ],
)
def test_wrong_usage_is_said_in_both_languages_and_as_json(words, english, japanese):
    """In our words, not the parser's; with --json there is one document, and it names the code."""
    plain = run(None, *words)
    assert (plain.returncode, english in plain.stderr, plain.stdout) == (2, True, "")
    done = run(None, *words, "--json", "--lang=ja")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["exit_code"]) == (2, 2)
    assert japanese in error["detail"]
    assert "Input should" not in plain.stderr + done.stderr


def test_the_version_is_told_without_a_gateway():
    """As every command does."""
    done = run(None, "--version")
    assert (done.returncode, done.stdout.startswith("syncgate ")) == (0, True)


def test_a_dry_run_of_what_would_be_refused_says_so(idle):
    """With what stands in the way, and the exit code of the refusal; nothing changes."""
    if idle.rollout["status"] == "idle":
        idle.order("start")
    elif idle.rollout["status"] == "paused":
        idle.order("resume")
    promoted = run(idle, "promote", "--dry-run")
    assert (promoted.returncode, "refused" in promoted.stderr) == (1, True)
    failing = [gate["name"] for gate in idle.rollout["gates"] if gate["verdict"] != "pass"]
    assert all(name in promoted.stderr for name in failing)
    assert run(idle, "release", "--dry-run").returncode == 1
    assert run(idle, "hold", "99", "--dry-run", "--lang", "ja").returncode == 1
    done = run(idle, "start", "--dry-run", "--json")
    assert json.loads(done.stdout)["error"]["dry_run"] is True
    assert run(idle, "rollback", "--dry-run").returncode == 0
    assert idle.rollout["status"] == "running"


def test_an_address_that_is_not_the_admin_port_is_suspected(idle):
    """The data port answers, too; and options are named as they are typed."""
    data = run(idle, "status", "--url", idle.data_url)
    assert (data.returncode, "admin port" in data.stderr) == (1, True)
    level = run(idle, "alerts", "--level", "foo")
    assert (level.returncode, "--level" in level.stderr) == (2, True)
    assert "query." not in level.stderr


def test_the_doctor_tells_the_gateway_that_answers_from_the_settings_here(idle, tmp_path):
    """A gateway with tokens of its own is not said to have none because none are set here."""
    done = run(idle, "doctor", "--json", "--dry-run", cwd=tmp_path)
    checks = {(one["about"], one["name"]): one for one in json.loads(done.stdout)["checks"]}
    assert checks["gateway", "gateway"]["status"] == "pass"
    assert checks["gateway", "token"]["status"] == "pass"
    assert checks["here", "tokens"]["status"] == "todo"
    assert "here" in checks["here", "tokens"]["detail"]
    shown = run(idle, "doctor", "--dry-run", "--lang", "ja", cwd=tmp_path).stdout
    assert shown.index("応答しているゲートウェイ") < shown.index("ここの設定")
    assert "トークンで接続できます" in shown


def test_columns_set_the_width_of_a_pipe(idle):
    """No line is wider, and none is needed to be wider."""
    for width in (80, 100):
        shown = run(idle, "status", COLUMNS=str(width)).stdout
        assert max(map(len, shown.splitlines())) <= width
    assert run(idle, "status", COLUMNS="wide").returncode == 0


def test_an_export_without_differences_has_its_headings(idle, tmp_path):
    """A spreadsheet shows what would be there."""
    file = tmp_path / "none.csv"
    assert run(idle, "compare", "--export", str(file)).returncode == 0
    assert "property_number,path" in file.read_text(encoding="utf-8-sig")


def test_the_command_after_a_rollback_leads_on_only_while_new_is_well(idle, services):
    """While new's probe fails it is a look; obeyed, an order would only roll back again."""
    if idle.rollout["status"] == "idle":
        idle.order("start")
    idle.order("rollback")
    until(lambda: (idle.rollout["next_command"] or "").startswith("syncgate resume"))
    services[1].script(health=503)
    try:
        until(lambda: idle.rollout["next_command"] == "syncgate alerts")
        shown = run(idle, "status", COLUMNS="80").stdout
        assert "syncgate resume once new is well" in shown
        assert "syncgate ack" in shown
    finally:
        services[1].script()
    until(lambda: (idle.rollout["next_command"] or "").startswith("syncgate resume"))

"""The admin API on a real port: orders, refusals, audit, streams."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.gateway_process import TOKEN, GatewayProcess, call, until
from tests.support.scale import scale
from tests.support.shared import ROOT


def _as(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _raw(gateway: GatewayProcess, path: str, body: bytes) -> tuple[int, dict]:
    """Send bytes as they are, for what no JSON library would write."""
    request = urllib.request.Request(
        f"{gateway.admin_url}/api/v1{path}", data=body, headers=_as(TOKEN), method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_a_rollout_from_start_to_stop_and_out_again(idle):
    """Every order answers the state that resulted."""
    gateway = idle
    if gateway.rollout["status"] == "idle":
        assert gateway.order("start").json["status"] == "running"
    else:
        gateway.order("pause")
        gateway.order("resume")
    state = gateway.order("weight", percent=12.34).json
    assert (state["weight_percent"], state["override"]) == (12.34, True)
    assert gateway.order("pause").json["status"] == "paused"
    assert gateway.order("resume").json["status"] == "running"
    state = gateway.order("rollback").json
    assert (state["status"], state["weight_percent"]) == ("rolled_back", 0)
    refused = gateway.admin("/rollout/weight", {"percent": 1, "reason": "x"})
    assert refused.status == 409
    assert refused.json["fix"]
    assert gateway.order("resume").json["weight_percent"] == 0
    state = gateway.order("emergency-stop").json
    assert (state["status"], state["weight_percent"]) == ("emergency_stopped", 0)
    assert gateway.admin("/rollout/resume", {"reason": "x"}).status == 409
    state = gateway.order("release").json
    assert (state["status"], state["weight_percent"]) == ("paused", 0)
    gateway.order("resume")


def test_promote_past_a_gate_is_refused_by_name_and_forced_only_by_an_admin(idle, services):
    """Time with a system down does not count as baked, so the bake time cannot pass."""
    gateway, new = idle, services[1]
    new.script(health=500)
    try:
        if gateway.rollout["status"] != "idle":
            gateway.order("rollback")
        gateway.order("start")
        until(lambda: gateway.rollout["systems"][1]["healthy"] is False)
        url = f"{gateway.admin_url}/api/v1/rollout/promote"
        refused = call(url, {"reason": "now"}, **_as("an-operator-token"))
        assert refused.status == 409
        assert refused.headers["content-type"] == "application/problem+json"
        assert "bake_time" in [gate["name"] for gate in refused.json["gates"]]
        assert refused.json["detail_ja"]
        wish = {"reason": "in a hurry", "force": True}
        assert call(url, wish, **_as("an-operator-token")).status == 403
        forced = call(url, wish, **_as(TOKEN))
        assert (forced.status, forced.json["phase"]) == (200, "small")
        entry = next(
            row
            for row in gateway.admin("/audit").json["items"]
            if row["action"].startswith("promote")
        )
        assert (entry["actor"], entry["reason"]) == ("tester", "in a hurry")
    finally:
        new.script()
    until(lambda: gateway.rollout["systems"][1]["healthy"])


_METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b'{"percent": -1, "reason": "x"}', 422, "body.percent"),
        (b'{"percent": 101, "reason": "x"}', 422, "body.percent"),
        (b'{"percent": "ten", "reason": "x"}', 422, "body.percent"),
        (b'{"percent": 0.005, "reason": "x"}', 422, "body.percent"),
        (b'{"percent": NaN, "reason": "x"}', 400, "body"),
        (b'{"percent": 1e400, "reason": "x"}', 400, "body"),
        (b'{"percent": 10}', 422, "body.reason"),
        (b'{"percent": 10, "reason": "  "}', 422, "body.reason"),
        (b'{"percent": 10, "reason": "x", "phase": 3}', 422, "body.phase"),
        (b"", 400, "body"),
        (b"[]", 422, "body"),
        (b'"x"', 422, "body"),
        (b"{" * 50_000, 400, "body"),
        (b"\xff\xfe", 400, "body"),
    ],
)
def test_a_bad_weight_is_refused_with_field_and_expectation(idle, body, status, field):
    """Nothing is guessed, nothing changes."""
    before = idle.rollout["version"]
    got, problem = _raw(idle, "/rollout/weight", body)
    assert got == status, problem
    assert [fault["field"] for fault in problem["errors"]] == [field]
    assert all(fault["expected"] for fault in problem["errors"])
    assert idle.rollout["version"] == before


def test_a_body_of_megabytes_is_refused_before_it_is_read(gateway):
    """An order is small."""
    status, problem = _raw(gateway, "/rollout/weight", b" " * 1_000_000)
    assert (status, problem["type"]) == (413, "urn:syncgate:problem:too-large")


@pytest.mark.parametrize("token", ["nonsense", "an-expired-token", "a-viewer-token ", None])
def test_missing_wrong_and_expired_tokens_get_one_answer(gateway, token):
    """Nobody learns which of them it was."""
    url = f"{gateway.admin_url}/api/v1/rollout"
    answer = call(url, **(_as(token) if token and token.strip() == token else {}))
    other = call(url, **_as("something-else"))
    assert answer.status == other.status == 401
    assert answer.body == other.body
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_scopes_are_a_ladder(gateway):
    """A viewer reads, an operator moves, and neither learns more from the refusal."""
    url = f"{gateway.admin_url}/api/v1"
    assert call(f"{url}/rollout", **_as("a-viewer-token")).status == 200
    body = {"reason": "x"}
    assert call(f"{url}/rollout/pause", body, **_as("a-viewer-token")).status == 403
    assert call(f"{url}/audit", **_as("an-operator-token")).status == 200


def test_every_change_is_in_the_audit_with_who_and_why(idle):
    """Newest first, paged by key, chained, and never with a token in it."""
    gateway = idle
    if gateway.rollout["status"] == "idle":
        gateway.order("start")
    for percent in (1, 2, 3):
        gateway.order("weight", percent=percent, reason=f"step {percent}")
    page = gateway.admin("/audit?limit=2").json
    assert [row["reason"] for row in page["items"]] == ["step 3", "step 2"]
    assert page["items"][0]["actor"] == "tester"
    assert page["items"][0]["ip"] == "127.0.0.1"
    assert page["items"][0]["user_agent"].startswith("Python-urllib")
    rest = gateway.admin(f"/audit?limit=1&before={page['next']}").json
    assert rest["items"][0]["reason"] == "step 1"
    assert page["items"][1]["previous"] == rest["items"][0]["digest"]
    check = gateway.admin("/audit/verification").json
    assert check["intact"]
    assert check["faults"] == []
    assert TOKEN not in json.dumps(page)
    assert TOKEN not in gateway.log.read_text()


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "before=-1", "limit=1&limit=2", "after=3", "before="],
)
def test_a_bad_query_is_named(gateway, query):
    """A misspelt parameter is not silently ignored."""
    answer = gateway.admin(f"/audit?{query}")
    assert answer.status == 422
    assert answer.json["errors"][0]["field"].startswith("query.")


def test_what_is_not_there_is_said(gateway):
    """No such path, no such method, no such decision."""
    assert gateway.admin("/nothing").status == 404
    wrong = gateway.admin("/rollout", {"reason": "x"})
    assert (wrong.status, "GET" in wrong.headers["allow"]) == (405, True)
    missing = gateway.admin("/decisions/999/hold", {"reason": "x"})
    assert missing.status == 404
    assert gateway.admin("/decisions/x/hold", {"reason": "x"}).status == 422


def test_measurements_and_reports_are_taken_in(idle):
    """They need no reason; a fact from the future is refused."""
    gateway = idle
    taken = gateway.admin("/measurements", {"metric": "integrity_mismatches", "value": 0})
    assert taken.status == 202
    late = {"metric": "cpu_ratio", "value": 0.5, "at": "2999-01-01T00:00:00Z"}
    assert gateway.admin("/measurements", late).status == 409
    report = gateway.admin("/user-reports", {"severity": "minor", "text": "<b>slow</b>"})
    assert report.status == 202
    until(lambda: "user.report" in gateway.event_kinds())


def test_events_stream_and_resume_where_a_reader_left(idle):
    """A change is seen by who listens, and again by who comes back with its id."""
    gateway = idle
    if gateway.rollout["status"] == "idle":
        gateway.order("start")
    url = f"{gateway.admin_url}/api/v1/events"
    found: list[bytes] = []
    listening = threading.Event()

    def listen() -> None:
        request = urllib.request.Request(url, headers=_as(TOKEN))
        with urllib.request.urlopen(request, timeout=20) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            listening.set()
            for line in stream:
                found.append(line)
                if line.startswith(b"data:"):
                    return

    with ThreadPoolExecutor(1) as pool:
        task = pool.submit(listen)
        assert listening.wait(10)
        gateway.order("weight", percent=7)
        task.result(timeout=20)
    number = next(line for line in found if line.startswith(b"id:")).split(b":")[1].strip()
    headers = {**_as(TOKEN), "Last-Event-ID": str(int(number) - 1)}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as stream:
        again = next(line for line in stream if line.startswith(b"id:"))
    assert again.split(b":")[1].strip() == number


def test_the_probes_and_the_contract_need_no_token(gateway):
    """A load balancer has none; Prometheus on this machine needs none."""
    assert call(f"{gateway.admin_url}/healthz").json["status"] == "ok"
    assert call(f"{gateway.admin_url}/readyz").status == 200
    assert call(f"{gateway.admin_url}/openapi.json").json["openapi"].startswith("3.1")
    metrics = call(f"{gateway.admin_url}/metrics")
    assert metrics.status == 200
    assert b"# TYPE" in metrics.body


def test_without_tokens_this_machine_may_read_and_nobody_may_change(open_gateway):
    """What to do is said; a rebound name or a proxy in between is not this machine."""
    url = f"{open_gateway.admin_url}/api/v1/rollout"
    assert call(url).status == 200
    refused = call(f"{url}/start", {"reason": "x"})
    assert refused.status == 403
    assert "GATEWAY_ADMIN_TOKENS" in refused.json["fix"]
    assert call(url, Host="rebound.example").status == 403
    assert call(url, **{"X-Forwarded-For": "10.0.0.1"}).status == 403
    assert call(f"{open_gateway.admin_url}/metrics", Host="rebound.example").status == 403


def test_garbage_on_the_socket_does_no_harm(gateway):
    """Whatever is not HTTP is answered or dropped, and the port goes on."""
    host, _, port = gateway.admin_url.removeprefix("http://").partition(":")
    for garbage in (b"\x00\x01\x02\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01" * 100):
        with socket.create_connection((host, int(port)), timeout=5) as peer:
            peer.sendall(garbage)
            peer.settimeout(5)
            peer.recv(1000)
    assert call(f"{gateway.admin_url}/healthz").status == 200


@pytest.mark.timeout(1800)
def test_schemathesis_finds_no_fault_with_any_check(gateway, tmp_path):
    """Generated calls, well-formed and not, against everything the contract says."""
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "run",
            f"{gateway.admin_url}/openapi.json", "--checks", "all", "--no-color",
            "--max-examples", str(scale(full=500, quick=2)), "--seed", "1",
            "--header", f"Authorization: Bearer {TOKEN}",
            "--exclude-path", "/api/v1/events",  # it never ends
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=1800, check=False,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks",
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    paths = call(f"{gateway.admin_url}/openapi.json").json["paths"]
    operations = sum(method in _METHODS for path in paths.values() for method in path)
    assert f"Tested: {operations - 1}\n" in done.stdout

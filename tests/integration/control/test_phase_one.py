"""Phase 1 with scripted services: proof first, and shadows that answer broken in every way."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.gateway_process import TOKEN, GatewayProcess, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.upstream import Upstream

SYNC = "POST /api/property-listings/sync"
RECORDS = [{"propertyNumber": f"n{i}", "action": "updated", "digest": "d"} for i in range(4)]
GOOD = json.dumps({"records": RECORDS, "errors": []})
HEADERS = {"Sync-Digest": "a" * 32, "Sync-Records": "4", "Sync-Dry-Run": "applied"}


@pytest.fixture
def in_phase_one(fresh_gateway: GatewayProcess) -> Iterator[GatewayProcess]:
    """A gateway under the shipped policy."""
    fresh_gateway.module = ("gateway", "serve")
    return fresh_gateway.start()


def gate(gateway: GatewayProcess, name: str) -> dict[str, Any]:
    """One gate as it stands; there are none before the first look."""
    shown = gateway.rollout
    assert shown["status"] == "running", shown["why"]
    return next((each for each in shown["gates"] if each["name"] == name), {"verdict": None})


def test_no_write_is_mirrored_to_whom_proved_nothing(
    in_phase_one: GatewayProcess, new: Upstream
) -> None:
    """Mirroring is off and the gate says why; the proof turns it on, a restart off again."""
    gateway = in_phase_one
    disproof = {"proven": False, "means": "rollback", "detail": "a dry run stored 1 rows"}
    new.script(proof=disproof)
    before = new.count(SYNC)
    gateway.order("start")
    until(lambda: gateway.rollout["mirror"]["proven"] is False)
    for _ in range(5):
        assert gateway.sync().status == 200
    shown = gateway.rollout["mirror"]
    assert not shown["on"]
    assert "a dry run stored 1 rows" in shown["why_off"]
    until(lambda: gate(gateway, "match_rate")["verdict"] == "error")
    assert "a dry run stored 1 rows" in gate(gateway, "match_rate")["reason"]
    assert new.count(SYNC) == before
    assert gateway.admin("/rollout/promote", {"reason": "test"}).status == 409

    new.script(sync_headers=HEADERS)
    until(lambda: gateway.rollout["mirror"]["on"])
    assert gateway.sync(**{"Idempotency-Key": "once"}).status == 200
    assert until(lambda: new.count(SYNC) > before)
    asked = new.seen()["headers"]["/api/property-listings/sync"]
    assert asked["sync-dry-run"] == "true"
    assert "idempotency-key" not in asked
    assert new.seen()["seen"]["POST /api/property-listings/sync/dry-run-proof"] >= 2

    new.script(instance="another", proof=disproof)
    until(lambda: not gateway.rollout["mirror"]["on"])
    until(lambda: "mirror.unproven" in gateway.event_kinds())


def agreed(gateway: GatewayProcess) -> bool:
    """Send a sync, and see whether its shadow, or one before it, was counted."""
    assert gateway.sync().status == 200
    time.sleep(0.5)
    return bool(gateway.admin("/comparisons").json["matched"])


BROKEN: tuple[tuple[dict[str, Any], tuple[str, str, str]], ...] = (
    ({"sync_body": "<html>"}, ("answer", "value", "unreadable")),
    ({"sync_body": GOOD[:-30]}, ("answer", "value", "unreadable")),
    ({"sync_body": "[" * 10_000 + "]" * 10_000}, ("answer", "value", "unreadable")),
    ({"sync_body": '{"a":' * 10_000 + "1" + "}" * 10_000}, ("answer", "value", "unreadable")),
    ({"sync_body_bytes": 50_000_000}, ("answer", "value", "unreadable")),
    ({"sync_body": json.dumps({"records": RECORDS[:3]})}, ("records[*]", "missing", "real")),
    ({"sync_body": json.dumps({"records": [*RECORDS, {**RECORDS[0], "propertyNumber": "n9"}]})},
     ("records[*]", "extra", "real")),
    ({"sync_body": GOOD.replace('"d"', '"e"')}, ("records[*].digest", "value", "real")),
    ({"sync_body": GOOD.replace('"errors"', '"errors": [], "errors"')},
     ("errors", "format", "format_only")),
    ({"sync_body": GOOD.replace('"propertyNumber"', '"x": 1, "x": 2, "propertyNumber"')},
     ("Sync-Digest", "value", "real")),
    ({"sync_body": GOOD.replace("[]", "[NaN]")}, ("errors[*]", "extra", "real")),
    ({"sync_body": json.dumps({"records": RECORDS[::-1], "errors": []})},
     ("Sync-Digest", "value", "real")),
    ({"sync_body": GOOD, "status": 422}, ("status", "value", "real")),
    ({"sync_body": GOOD, "status": 503}, ("status", "value", "real")),
)  # fmt: skip


def shadowed(gateway: GatewayProcess) -> dict[str, Any] | None:
    """Send a sync, and look for its shadow; a probe that came late may have cost the proof."""
    until(lambda: gateway.rollout["mirror"]["on"])
    before = gateway.admin("/comparisons").json["answers_opened"]
    assert gateway.sync().json["records"] == RECORDS
    for _ in range(50):
        found: dict[str, Any] = gateway.admin("/comparisons").json
        if found["answers_opened"] > before:
            return found
        time.sleep(0.1)
    return None


def seen_in(found: dict[str, Any]) -> Counter[tuple[str, str, str]]:
    """How many listings differ how."""
    return Counter({
        (each["path"], each["kind"], each["cause"]): each["count"] for each in found["differences"]
    })  # fmt: skip


def test_broken_answers_become_differences_and_hurt_nobody(
    in_phase_one: GatewayProcess, old: Upstream, new: Upstream
) -> None:
    """Each adds to its own kind and to no other; every client has its answer."""
    gateway = in_phase_one
    old.script(sync_headers=HEADERS, sync_body=GOOD)
    new.script(sync_headers=HEADERS, sync_body=GOOD)
    gateway.order("start")
    until(lambda: gateway.rollout["mirror"]["on"])
    until(lambda: agreed(gateway))
    before: Counter[tuple[str, str, str]] = Counter()
    for broken, difference in BROKEN:
        new.script(sync_headers={**HEADERS, "Sync-Digest": "b" * 32}, **broken)
        found = until(lambda: shadowed(gateway), within_s=90)
        after = seen_in(found)
        assert set(after - before) == {difference}, broken
        before = after
    assert found["coverage"]["lost"] == {}
    assert 0 < found["match_rate"] < 0.9
    assert found["lower_bound"] < found["match_rate"]
    page = gateway.admin("/comparisons/differences?limit=5").json
    assert len(page["items"]) == 5
    assert page["next"] == page["items"][-1]["id"]
    assert all(item["request_id"] and item["sync_id"] for item in page["items"])

    refused = gateway.admin("/comparisons/rules", {"path": "a[", "ignore": True, "reason": "x"})
    assert refused.status == 409
    rule = {"path": "status", "ignore": True, "reason": "422 is as good here"}
    after = gateway.admin("/comparisons/rules", rule).json
    assert after["match_rate"] > found["match_rate"]
    newest = gateway.admin("/audit").json["items"][0]
    assert (newest["action"], newest["reason"]) == ("comparison.rule", "422 is as good here")


def command(gateway: GatewayProcess, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `syncgate` as an operator would."""
    address = ("--url", gateway.admin_url, "--token", TOKEN)
    asked = [sys.executable, "-m", "gateway", *words, *address]
    return subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)


def test_shadows_without_an_answer_keep_the_gate_shut(
    in_phase_one: GatewayProcess, old: Upstream, new: Upstream
) -> None:
    """What was not compared agrees with nothing: shown apart, by reason, and the gate says it."""
    gateway = in_phase_one
    old.script(sync_headers=HEADERS, sync_body=GOOD)
    new.script(sync_headers=HEADERS, sync_body=GOOD)
    gateway.order("start")
    until(lambda: gateway.rollout["mirror"]["on"])
    until(lambda: agreed(gateway))
    until(lambda: gate(gateway, "compared")["verdict"] == "pass")
    new.script(sync_headers=HEADERS, sync_body=GOOD, cut_off=True)
    assert gateway.sync().json["records"] == RECORDS
    until(lambda: gateway.admin("/comparisons").json["coverage"]["lost"] == {"answer cut off": 1})
    found = gateway.admin("/comparisons").json
    assert found["match_rate"] == 1.0
    assert found["coverage"]["listings_lost"] == 4
    until(lambda: gate(gateway, "compared")["verdict"] == "fail")
    assert command(gateway, "compare", "--fixed", "**").returncode == 2
    done = command(gateway, "compare", "--fixed", "**", "--reason", "new was cut off", "--json")
    assert done.returncode == 0, done.stderr
    closed = json.loads(done.stdout)
    assert (closed["listings"], closed["fixes"][0]["path"]) == (0, None)
    assert closed["coverage"]["due"] == 0
    newest = gateway.admin("/audit").json["items"][0]
    assert (newest["action"], newest["reason"]) == ("comparison.fixed", "new was cut off")
    until(lambda: gate(gateway, "compared")["verdict"] == "inconclusive")
    assert gateway.admin("/comparisons/fixes", {"path": "a[", "reason": "x"}).status == 409
    assert gateway.admin("/comparisons/fixes", {"path": "a"}).status == 422

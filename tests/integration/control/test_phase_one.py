"""Phase 1 with scripted services: proof first, and shadows that answer broken in every way."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.gateway_process import GatewayProcess, until
from tests.support.scale import scale

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


BROKEN: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    ("not json", {"sync_body": "<html>"}, "answer", "unreadable"),
    ("truncated", {"sync_body": GOOD[:-30]}, "answer", "unreadable"),
    ("deep", {"sync_body": "[" * 10_000 + "]" * 10_000}, "answer", "unreadable"),
    ("large", {"sync_body": "x" * scale(full=50_000_000, quick=4_000_000)}, "answer", "unreadable"),
    ("missing", {"sync_body": json.dumps({"records": RECORDS[:3]})}, "records[*]", "real"),
    ("digests", {"sync_body": GOOD.replace('"d"', '"e"')}, "records[*].digest", "real"),
    ("repeated", {"sync_body": GOOD.replace('"errors"', '"errors": [], "errors"')}, "errors",
     "format_only"),
    ("nan", {"sync_body": GOOD.replace("[]", "[NaN]")}, "errors[*]", "real"),
    ("order", {"sync_body": json.dumps({"records": RECORDS[::-1], "errors": []})}, "Sync-Digest",
     "real"),
    ("status", {"sync_body": GOOD, "status": 422}, "status", "real"),
)  # fmt: skip


def test_broken_answers_become_differences_and_hurt_nobody(
    in_phase_one: GatewayProcess, old: Upstream, new: Upstream
) -> None:
    """Each kind is counted once under its own name; every client has its answer."""
    gateway = in_phase_one
    old.script(sync_headers=HEADERS, sync_body=GOOD)
    new.script(sync_headers=HEADERS, sync_body=GOOD)
    gateway.order("start")
    until(lambda: gateway.rollout["mirror"]["on"])
    until(lambda: agreed(gateway))
    for number, (_, broken, _, _) in enumerate(BROKEN, start=1):
        new.script(sync_headers={**HEADERS, "Sync-Digest": "b" * 32}, **broken)
        assert gateway.sync().json["records"] == RECORDS
        until(lambda n=number: gateway.admin("/comparisons").json["answers_opened"] == n)
    found = gateway.admin("/comparisons").json
    seen = {(each["path"], each["cause"]) for each in found["differences"]}
    assert seen >= {(path, cause) for _, _, path, cause in BROKEN}
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

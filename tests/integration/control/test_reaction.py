"""The gateway takes traffic back by itself, at once, and only when new is to blame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.gateway_process import until

if TYPE_CHECKING:
    from tests.support.gateway_process import GatewayProcess
    from tests.support.upstream import Upstream

ANSWERED = "GET /api/property-listings/sync/status"


def healthy_traffic(gateway: GatewayProcess, requests: int) -> None:
    """Give both systems a clean record."""
    for _ in range(requests):
        assert gateway.status().status == 200


def test_a_hard_outage_of_new_is_over_after_at_most_six_failures(
    gateway: GatewayProcess, new: Upstream
) -> None:
    """At 10 % with one worker, one request at a time: at most six clients see the outage."""
    gateway.order("weight", percent=10)
    healthy_traffic(gateway, 100)
    new.script(status=500)
    failures = sum(gateway.status().status == 500 for _ in range(300))
    assert 1 <= failures <= 6
    shown = gateway.rollout
    assert (shown["status"], shown["weight_percent"]) == ("rolled_back", 0)
    assert "New fails 100 %" in shown["why"]["en"]
    until(lambda: new.count("POST /api/property-listings/sync/stop"))
    until(lambda: "canary_sync.stopped" in gateway.event_kinds())


def test_a_refused_connection_counts_like_any_other_failure(
    fresh_gateway: GatewayProcess, new: Upstream
) -> None:
    """A dead process is noticed by its requests, before any probe is due."""
    fresh_gateway.environment["GATEWAY_PROBE_INTERVAL"] = "60000"
    gateway = fresh_gateway.start()
    gateway.order("weight", percent=50)
    healthy_traffic(gateway, 60)
    new.kill()
    try:
        answers = [gateway.status().status for _ in range(100)]
        assert until(lambda: gateway.rollout["status"] == "rolled_back")
        assert answers[-1] == 200
    finally:
        new.start_again()


def test_a_frozen_new_is_rolled_back_by_its_probes(gateway: GatewayProcess, new: Upstream) -> None:
    """A system that accepts and never answers is down, although its record so far is clean."""
    gateway.order("weight", percent=50)
    healthy_traffic(gateway, 60)
    new.freeze()
    try:
        until(lambda: gateway.rollout["status"] == "rolled_back", within_s=15)
    finally:
        new.thaw()
    assert gateway.rollout["weight_percent"] == 0


def test_both_failing_alike_holds_the_weight_and_pages_once(
    fresh_gateway: GatewayProcess, old: Upstream, new: Upstream
) -> None:
    """A shared fault is nobody's: the weight stays, one page goes out, nobody is blamed after."""
    fresh_gateway.environment["GATEWAY_BREAKER_TIMEOUT"] = "100"
    gateway = fresh_gateway.start()
    gateway.order("weight", percent=50)
    healthy_traffic(gateway, 100)
    for service in (old, new):
        service.script(status=500)
    for _ in range(100):
        gateway.status()
    assert gateway.rollout["weight_percent"] == 50
    for service in (old, new):
        service.script()
    until(lambda: {gateway.status().status for _ in range(10)} == {200})
    healthy_traffic(gateway, 300)
    shown = gateway.rollout
    assert (shown["weight_percent"], shown["status"]) == (50, "idle")
    pages = [
        alert["rule"]
        for alert in gateway.admin("/alerts").json["items"]
        if alert["rule"].startswith("finding:")
    ]
    assert pages == ["finding:shared_fault"]


def test_new_gets_another_chance_although_its_breaker_is_still_open(
    fresh_gateway: GatewayProcess, new: Upstream
) -> None:
    """After a rollback nobody tries the open breaker; resuming must not roll back for it again."""
    fresh_gateway.environment |= {"GATEWAY_BREAKER_THRESHOLD": "1", "GATEWAY_BREAKER_TIMEOUT": "1"}
    gateway = fresh_gateway.start()
    gateway.order("weight", percent=50)
    new.script(status=500)
    until(lambda: gateway.status() and gateway.rollout["status"] == "rolled_back")
    new.script()
    gateway.order("resume")
    gateway.order("weight", percent=50)
    healthy_traffic(gateway, 100)
    shown = gateway.rollout
    assert shown["weight_percent"] == 50
    assert {system["system"]: system["breaker"] for system in shown["systems"]}["new"] == "closed"
    new.script(status=500)
    until(lambda: gateway.status() and gateway.rollout["status"] == "rolled_back")


def test_a_stopped_gateway_ignores_a_forced_side(gateway: GatewayProcess) -> None:
    """The emergency stop outranks everything, an operator's token included."""
    gateway.order("weight", percent=10)
    gateway.order("emergency-stop")
    forced = {"Sync-System": "new", "Sync-Operator-Token": "a-token-for-tests"}
    assert {gateway.status(**forced).system for _ in range(20)} == {"old"}
    assert gateway.admin("/rollout/weight", {"percent": 5, "reason": "no"}).status == 409
    assert gateway.order("release").json["weight_percent"] == 0

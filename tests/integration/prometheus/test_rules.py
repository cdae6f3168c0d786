"""
The rules for Prometheus, both ways: each alert is quiet while all is well and fires when it is not.

promtool evaluates the shipped files over made-up series. One table says, per alert, which series
begin well and end badly, and when it must still be quiet and when it must fire.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

_RULES = Path(__file__).parents[3] / "ops" / "prometheus"
_FILES = (_RULES / "recording.yaml", _RULES / "alerting.yaml")

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (Debian's prometheus) is not on PATH"
)


@dataclass(frozen=True, slots=True)
class Case:
    """`series` in promtool's notation, a step of 15 s; quiet and firing are instants."""

    alert: str
    series: dict[str, str]
    quiet: str
    firing: str


def _counts(system: str, ok: str, error: str) -> dict[str, str]:
    return {
        f'syncgate_requests_total{{system="{system}",outcome="ok"}}': ok,
        f'syncgate_requests_total{{system="{system}",outcome="error"}}': error,
    }


def _measured(metric: str, good: float, bad: float, *, system: str = "") -> dict[str, str]:
    labels = f'metric="{metric}",system="{system}",instance="a"'
    return {f"syncgate_measurement{{{labels}}}": f"{good}x40 {bad}x60"}


def _switches(series: str, good: float, bad: float) -> dict[str, str]:
    return {series: f"{good}x40 {bad}x60"}


_LEVELS = (("Low", 0.75), ("Medium", 0.85), ("High", 0.95))

CASES = (
    Case("SyncgateErrorRateCritical", _counts("new", "0+90x200", "0x40 0+10x160"), "9m", "15m"),
    Case("SyncgateErrorRateHigh", _counts("new", "0+97x200", "0x40 0+3x160"), "9m", "15m"),
    Case("SyncgateErrorBudgetBurnsFast", _counts("old", "0+80x400", "0x40 0+20x360"), "9m", "95m"),
    Case("SyncgateErrorBudgetBurnsSlowly",
         _counts("old", "0+95x1600", "0x40 0+5x1560"), "9m", "380m"),
    Case("SyncgateSystemDown", _switches('syncgate_system_up{system="new"}', 1, 0), "9m", "13m"),
    Case("SyncgateGatewayDown", _switches('up{job="syncgate",instance="a"}', 1, 0), "9m", "12m"),
    Case("SyncgateGatewayAbsent", {"syncgate_state_version": "1x40 _x60"}, "9m", "19m"),
    Case("SyncgateBreakerOpen",
         _switches('syncgate_breaker_state{system="new",state="open"}', 0, 1), "9m", "12m"),
    Case("SyncgateNoWorkerReady",
         _switches('syncgate_workers{state="ready",instance="a"}', 2, 0), "9m", "12m"),
    Case("SyncgateWorkersKeepDying",
         {'syncgate_worker_restarts_total{instance="a"}': "0x40 0+1x60"}, "9m", "15m"),
    Case("SyncgateDataLoss", _measured("data_loss", 0, 1), "9m", "11m"),
    Case("SyncgateSecurityBreach", _measured("security_breach", 0, 1), "9m", "11m"),
    Case("SyncgateIntegrityMismatches", _measured("integrity_mismatches", 0, 2), "9m", "11m"),
    Case("SyncgateMatchRateLow", _measured("match_ratio", 0.999, 0.98), "9m", "20m"),
    Case("SyncgateListingsSyncedChanged",
         _measured("listings_synced", 1000, 700, system="new"), "9m", "11m"),
    Case("SyncgateSyncTimeLow",
         _switches('syncgate_sync_seconds_per_1000{system="new"}', 100, 350), "9m", "11m"),
    Case("SyncgateSyncTimeMedium",
         _switches('syncgate_sync_seconds_per_1000{system="new"}', 100, 500), "9m", "11m"),
    Case("SyncgateSyncTimeHigh",
         _switches('syncgate_sync_seconds_per_1000{system="new"}', 100, 700), "9m", "11m"),
    Case("SyncgateNewMuchSlowerThanOld",
         {'syncgate_sync_seconds_per_1000{system="old"}': "100x100",
          'syncgate_sync_seconds_per_1000{system="new"}': "120x40 250x60"}, "9m", "18m"),
    *(Case(f"Syncgate{metric.capitalize()}{level}",
           _measured(f"{metric}_ratio", 0.5, bad), "9m", "18m")
      for metric in ("cpu", "memory", "network", "disk") for level, bad in _LEVELS),
    *(Case(f"SyncgateApiUsage{level}",
           _measured("api_usage_ratio", 0.5, bad, system="new"), "9m", "13m")
      for level, bad in (("Low", 0.85), ("Medium", 0.92), ("High", 0.97))),
    Case("SyncgateRolledBack", _switches('syncgate_status{status="rolled_back"}', 0, 1),
         "9m", "11m"),
    Case("SyncgateEmergencyStopped",
         _switches('syncgate_status{status="emergency_stopped"}', 0, 1), "9m", "11m"),
    Case("SyncgateEvidenceGrows",
         _switches('syncgate_evidence_ratio{rule="errors_high"}', 0, 0.7), "9m", "12m"),
    Case("SyncgateDecisionWaits", _switches("syncgate_decisions_open", 0, 1), "15m", "22m"),
    Case("SyncgateStoreNotWritable",
         _switches('syncgate_store_writable{instance="a"}', 1, 0), "9m", "12m"),
    Case("SyncgateSourceStale",
         _switches('syncgate_measurement_age_seconds{metric="cpu_ratio",system=""}', 3, 400),
         "9m", "11m"),
    Case("SyncgateShadowsLost",
         {'syncgate_shadows_total{result="matched"}': "0+90x100",
          'syncgate_shadows_dropped_total{reason="queue_full"}': "0x40 0+10x60"}, "9m", "20m"),
    Case("SyncgateUserReports", _switches("syncgate_user_reports", 2, 3), "9m", "11m"),
    Case("SyncgateAlertsUndelivered",
         {'syncgate_alert_deliveries_total{channel="slack-low",result="dead"}': "0x40 1x60"},
         "9m", "12m"),
)  # fmt: skip


def _document(case: Case) -> dict[str, object]:
    def fires(at: str, count: int) -> dict[str, object]:
        found = [{"labels": "{}", "value": count}] if count else []
        selector = f'ALERTS{{alertname="{case.alert}",alertstate="firing"}}'
        return {"expr": f"count({selector})", "eval_time": at, "exp_samples": found}

    return {
        "name": case.alert,
        "interval": "15s",
        "input_series": [
            {"series": name, "values": values} for name, values in case.series.items()
        ],
        "promql_expr_test": [fires(case.quiet, 0), fires(case.firing, 1)],
    }


def _alerts() -> list[dict[str, object]]:
    groups = yaml.safe_load(_FILES[1].read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_every_alert_has_its_case() -> None:
    """An alert that nobody saw fire, or saw stay quiet, does not ship."""
    assert sorted(case.alert for case in CASES) == sorted(rule["alert"] for rule in _alerts())


def test_every_alert_says_what_to_do_in_both_languages() -> None:
    """A level that the routes know, a sentence in each language, and a command to run."""
    for rule in _alerts():
        assert rule["labels"]["severity"] in {"critical", "high", "medium", "low"}, rule["alert"]
        assert rule["annotations"].keys() == {"summary", "summary_ja", "description", "command"}
        assert rule["annotations"]["command"].startswith("syncgate ")


@needs_promtool
def test_each_alert_is_quiet_when_well_and_fires_when_not(tmp_path: Path) -> None:
    """All of them, evaluated by Prometheus' own tool over the shipped files."""
    document = {
        "rule_files": [str(path) for path in _FILES],
        "evaluation_interval": "1m",
        "tests": [_document(case) for case in CASES],
    }
    path = tmp_path / "cases.yaml"
    path.write_text(json.dumps(document))
    done = subprocess.run(
        ["promtool", "test", "rules", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", *map(str, _FILES)), ("check", "config", str(_RULES / "prometheus.yaml"))],
    ids=["rules", "config"],
)
def test_the_files_are_what_prometheus_reads(arguments: tuple[str, ...]) -> None:
    """Rules and scrape configuration pass Prometheus' own check."""
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not on PATH")
@pytest.mark.parametrize("severity", ["critical", "high", "medium", "low"])
def test_each_level_is_routed_to_its_own_receiver(severity: str) -> None:
    """Alertmanager's own tool reads the routes and says who is told."""
    config = _RULES.parent / "alertmanager" / "alertmanager.yaml"
    done = subprocess.run(
        ["amtool", "config", "routes", "test", f"--config.file={config}", f"severity={severity}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, severity), done.stderr

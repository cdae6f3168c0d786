"""
The control plane's own figures for Prometheus: the rollout's state and its evidence.

Names follow the convention (unit as suffix, `_ratio` from 0 to 1); labels are bounded by the policy
and the two systems. A figure that is not known is left out rather than shown as zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.core.rollout import Status
from gateway.ports import MirrorTraffic, WorkerState

if TYPE_CHECKING:
    from gateway.link import MirrorCounts
    from gateway.ports import ControlView, SystemView
    from gateway.ports.write_backs import WriteBackView

_DAY_US: Final = 24 * 3600 * 1_000_000
_SHOWN: Final = tuple(each for each in WorkerState if each is not WorkerState.LEFT)


def gauges(view: ControlView) -> dict[str, float]:
    """Give every gauge by its full name."""
    state = view.state
    cells: dict[str, float] = {
        'syncgate_weight_ratio{access="write"}': state.write_bp / 10_000,
        'syncgate_weight_ratio{access="read"}': state.read_bp / 10_000,
        "syncgate_phase_number": 0 if state.phase is None else state.phase + 1,
        "syncgate_state_version": state.version,
        "syncgate_rollbacks": state.rollbacks,
        "syncgate_decisions_open": len(state.open_decisions),
        "syncgate_incidents_open": len(state.troubles),
        "syncgate_store_writable": float(view.store_writable),
        "syncgate_bake_seconds": state.bake_us / 1_000_000,
    }
    for status in Status:
        cells[f'syncgate_status{{status="{status.value}"}}'] = float(status is state.status)
    for system in view.systems:
        cells.update(_of_system(system))
    for each in _SHOWN:
        count = sum(worker.state is each for worker in view.workers)
        cells[f'syncgate_workers{{state="{each.value}"}}'] = count
    cells["syncgate_worker_restarts_total"] = sum(worker.restarts for worker in view.workers)
    cells["syncgate_connections"] = sum(worker.connections for worker in view.workers)
    cells["syncgate_in_flight"] = sum(worker.in_flight for worker in view.workers)
    for track in view.watch.tracks if view.watch else ():
        cells[f'syncgate_evidence_ratio{{rule="{_label(track.rule.name)}"}}'] = track.level
    for gate in view.gates:
        labels = f'gate="{_label(gate.name)}",verdict="{gate.verdict.value}"'
        cells[f"syncgate_gate{{{labels}}}"] = 1
    if view.inputs:
        since_us = view.at_us - _DAY_US
        recent = sum(report.at_us >= since_us for report in view.inputs.reports)
        cells["syncgate_user_reports"] = recent
    if view.mirror is not None and view.mirror.write_back is not None:
        cells.update(_write_backs(view.mirror.write_back))
    for measurement in view.inputs.measurements if view.inputs else ():
        side = measurement.system.value if measurement.system else ""
        labels = f'metric="{measurement.metric.value}",system="{side}"'
        cells[f"syncgate_measurement{{{labels}}}"] = measurement.value
        age_s = max(0, view.at_us - measurement.at_us) / 1_000_000
        cells[f"syncgate_measurement_age_seconds{{{labels}}}"] = age_s
    return cells


def mirror_traffic(counts: MirrorCounts) -> MirrorTraffic:
    """Say what became of shadows; controls are counted apart."""
    shadows = counts.shadows
    compared = shadows.matched + shadows.differed
    lost = dict(shadows.unanswered)
    for reason, count in shadows.dropped.items():
        lost[reason] = lost.get(reason, 0) + count
    return MirrorTraffic(
        sent=compared + shadows.failed,
        compared=compared,
        dropped=tuple(lost.items()),
        in_flight=counts.in_flight,
        waiting=counts.waiting,
        held_bytes=counts.held_bytes,
    )


def _write_backs(known: WriteBackView) -> dict[str, float]:
    """Give what outlives a restart; the rest is counted by the workers."""
    ledger = known.ledger
    return {
        "syncgate_write_backs_open": ledger.open,
        "syncgate_write_backs_on": float(known.on),
        "syncgate_write_backs_cleared_total": ledger.cleared,
        "syncgate_write_backs_repaired_rows_total": ledger.repaired_rows,
    }


def _of_system(system: SystemView) -> dict[str, float]:
    label = f'system="{system.variant.value}"'
    known = {
        f"syncgate_window_error_ratio{{{label}}}": system.error_ratio,
        f"syncgate_window_requests{{{label}}}": float(system.requests),
        f"syncgate_system_up{{{label}}}": None if system.healthy is None else float(system.healthy),
        f"syncgate_sync_seconds_per_1000{{{label}}}": system.sync_seconds_per_1000,
    }
    percentiles = (("50", system.p50_ms), ("95", system.p95_ms), ("99", system.p99_ms))
    for percentile, value_ms in percentiles:
        # `quantile` is a summary's own label, and these are not cumulative.
        name = f'syncgate_window_latency_seconds{{{label},percentile="{percentile}"}}'
        known[name] = None if value_ms is None else value_ms / 1_000
    cells = {name: value for name, value in known.items() if value is not None}
    for state in ("closed", "open", "half_open", "isolated"):
        cells[f'syncgate_breaker_state{{{label},state="{state}"}}'] = float(system.breaker == state)
    return cells


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

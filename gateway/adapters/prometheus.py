"""
Cells as Prometheus text: full names with labels and their values, grouped by family.

Cells are counted where things happen and named once a second; here they only get their HELP and
TYPE lines. A counter is told by its ending, everything else is a gauge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_HISTOGRAMS: Final = frozenset({"syncgate_request_duration_seconds"})
_HELP: Final = {
    "syncgate_request_duration_seconds": "How long requests took that went well.",
    "syncgate_requests_total": "Requests that a system answered, by what the answer says of it.",
    "syncgate_upstream_failures_total": "Requests without a usable answer, by reason.",
    "syncgate_fallbacks_total": "Requests that the other system answered instead.",
    "syncgate_retries_total": "Requests sent again because no answer arrived.",
    "syncgate_upstream_connections": "Open connections to a system.",
    "syncgate_access_log_lost_total": "Lines of the access log that nobody took in time.",
    "syncgate_replays_total": "Writes whose key had its answer already; they got that one again.",
    "syncgate_refused_total": "Requests and connections the gateway itself refused, by reason.",
    "syncgate_outcomes_dropped_total": "Outcomes that no evidence has seen: a stuck link.",
    "syncgate_write_backs_on": "1 while what new writes is written back to old.",
    "syncgate_write_backs_open": "Failed write-backs not cleared by a repair yet.",
    "syncgate_write_backs_cleared_total": "Failed write-backs cleared by repairs.",
    "syncgate_write_backs_repaired_rows_total": "Rows written by repairs.",
    "syncgate_weight_ratio": "Share of the new system, 0 to 1.",
    "syncgate_phase_number": "Phase of the rollout, from 1; 0 before the start.",
    "syncgate_status": "1 for the status the rollout is in.",
    "syncgate_state_version": "Version of the rollout's state.",
    "syncgate_rollbacks": "Rollbacks since the rollout began.",
    "syncgate_decisions_open": "Decisions that wait for a person or their deadline.",
    "syncgate_incidents_open": "Troubles that were found and are not over.",
    "syncgate_store_writable": "1 while everything that happened is stored.",
    "syncgate_bake_seconds": "Healthy time spent in the phase.",
    "syncgate_workers": "Data-plane processes by state.",
    "syncgate_worker_restarts_total": "Workers that died and were replaced.",
    "syncgate_connections": "Open client connections.",
    "syncgate_in_flight": "Requests under way.",
    "syncgate_evidence_ratio": "Evidence against the new system by rule; 1 fires.",
    "syncgate_gate": "1 for what a gate of the phase says.",
    "syncgate_measurement": "Newest figure from outside the traffic.",
    "syncgate_alert_deliveries_waiting": "Alert messages of a channel that have not arrived yet.",
    "syncgate_alert_deliveries_total": "Tries to send an alert message, by what came of them; a "
    "dead one was given up.",
    "syncgate_measurement_age_seconds": "How old that figure is.",
    "syncgate_window_error_ratio": "Share of errors over the last minute.",
    "syncgate_window_requests": "Requests over the last minute.",
    "syncgate_sync_seconds_per_1000": "What 1,000 listings cost a system over the last minute.",
    "syncgate_user_reports": "Problems that users reported within a day.",
    "syncgate_shadows_total": "Shadow requests by what comparing their answers said.",
    "syncgate_shadow_listings_total": "Listings of shadow requests by what comparing them said.",
    "syncgate_shadows_unanswered_total": "Shadow requests without a usable answer, by reason.",
    "syncgate_shadows_unconfirmed_total": "Shadows whose answer did not confirm the dry run.",
    "syncgate_shadows_dropped_total": "Shadow requests that were not sent, by reason.",
    "syncgate_shadows_in_flight": "Shadow requests under way.",
    "syncgate_shadows_waiting": "Shadow requests that wait for a connection.",
    "syncgate_shadows_held_bytes": "Bytes of bodies kept for shadow requests.",
    "syncgate_controls_total": "Control shadows by what comparing their answers said.",
    "syncgate_control_listings_total": "Listings of control shadows by what comparing them said.",
    "syncgate_controls_unanswered_total": "Control shadows without a usable answer, by reason.",
    "syncgate_controls_unconfirmed_total": "Control shadows that did not confirm the dry run.",
    "syncgate_differences_overrun_total": "Differences not opened: too many waited.",
    "syncgate_shadows_timed_total": "Shadows whose time was set beside the answer's.",
    "syncgate_shadow_timed_listings_total": "Listings of the shadows that were timed.",
    "syncgate_shadow_timed_seconds_total": "What timed syncs took, by system.",
    "syncgate_write_backs_total": "Writes repeated on old after the switch, by result.",
    "syncgate_write_backs_failed_total": "Writes that old did not take, by reason.",
    "syncgate_write_backs_waiting": "Writes that wait to be repeated on old.",
    "syncgate_write_backs_held_bytes": "Bytes of bodies kept for repeating writes on old.",
    "syncgate_spans_total": "Spans of sampled requests, by what became of them.",
    "syncgate_window_latency_seconds": "Latency over the last minute.",
    "syncgate_system_up": "1 if the system's last health probe went well.",
    "syncgate_breaker_state": "1 for the worst state of the system's circuit breakers.",
}


def render(
    cells: Mapping[str, float], exemplars: Mapping[str, tuple[str, int, int]] | None = None
) -> str:
    """
    Render the text exposition format, families in order of their names.

    With `exemplars`, by cell: (trace id, microseconds, Unix microseconds), it is OpenMetrics, the
    format that can carry them; there a counter's family is named without its ending.
    """
    families: dict[str, list[tuple[str, float]]] = {}
    for name, value in cells.items():
        families.setdefault(_family(name), []).append((name, value))
    lines: list[str] = []
    for family, samples in sorted(families.items()):
        named = family if exemplars is None else family.removesuffix("_total")
        lines.append(f"# HELP {named} {_HELP.get(family, 'Not described.')}")
        lines.append(f"# TYPE {named} {_kind(family)}")
        # A histogram's samples come in the order of their edges, which is not that of their names.
        ordered = samples if family in _HISTOGRAMS else sorted(samples)
        lines.extend(
            f"{name} {_number(value)}{_exemplar(exemplars, name)}" for name, value in ordered
        )
    if exemplars is not None:
        lines.append("# EOF")
    return "\n".join(lines) + "\n"


def _exemplar(exemplars: Mapping[str, tuple[str, int, int]] | None, cell: str) -> str:
    if not exemplars or cell not in exemplars:
        return ""
    trace_id, took_us, at_us = exemplars[cell]
    return f' # {{trace_id="{trace_id}"}} {took_us / 1e6} {at_us / 1e6:.3f}'


def _family(cell: str) -> str:
    name = cell.partition("{")[0]
    base = name.rpartition("_")[0]
    return base if base in _HISTOGRAMS else name


def _kind(family: str) -> str:
    if family in _HISTOGRAMS:
        return "histogram"
    return "counter" if family.endswith("_total") else "gauge"


def _number(value: float) -> str:
    """Write whole numbers without a fraction."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))

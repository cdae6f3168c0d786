"""
Metric cells: numbers that are counted where things happen and named only when somebody looks.

The request path increments plain integers; names and labels exist here alone, once a second, for
scrapers alone: what the parent decides by is told in `link.Report` beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.core.model import Outcome

if TYPE_CHECKING:
    from gateway.link import MirrorCounts, WriteBackCounts
    from gateway.proxy.plane import Plane

OUTCOMES_DROPPED: Final = "syncgate_outcomes_dropped_total"
_OUTCOMES: Final = tuple((outcome, outcome.name.lower()) for outcome in Outcome)


def render(plane: Plane, mirror: MirrorCounts, write_backs: WriteBackCounts) -> dict[str, float]:
    """Give every cumulative value by its full name; values of several workers may be added."""
    cells: dict[str, float] = {}
    for side in plane.sides:
        system = f'system="{side.name}"'
        for outcome, word in _OUTCOMES:
            cells[f'syncgate_requests_total{{{system},outcome="{word}"}}'] = side.counts[outcome]
        for reason, count in side.failures.items():
            cells[f'syncgate_upstream_failures_total{{{system},reason="{reason}"}}'] = count
        cells[f"syncgate_fallbacks_total{{{system}}}"] = side.fallbacks
        cells[f"syncgate_retries_total{{{system}}}"] = side.retries
        cells[f"syncgate_upstream_connections{{{system}}}"] = len(side.pool.all)
    cells.update(_shadows(mirror))
    cells.update(_write_backs(write_backs))
    for reason, count in plane.refused.items():
        cells[f'syncgate_refused_total{{reason="{reason}"}}'] = count
    cells["syncgate_replays_total"] = plane.replays
    cells["syncgate_access_log_lost_total"] = plane.access_log.lost
    if plane.tracing is not None:
        cells.update(plane.tracing.cells())
    return cells


def _shadows(counts: MirrorCounts) -> dict[str, float]:
    cells: dict[str, float] = {}
    for word, of in (("shadow", counts.shadows), ("control", counts.controls)):
        for result in ("matched", "differed", "failed"):
            cells[f'syncgate_{word}s_total{{result="{result}"}}'] = getattr(of, result)
        for result in ("matched", "differed", "lost"):
            listings = getattr(of, f"listings_{result}")
            cells[f'syncgate_{word}_listings_total{{result="{result}"}}'] = listings
        for reason, count in of.unanswered.items():
            cells[f'syncgate_{word}s_unanswered_total{{reason="{reason}"}}'] = count
        mark = "control_" if word == "control" else ""
        for reason, count in of.dropped.items():
            cells[f'syncgate_shadows_dropped_total{{reason="{mark}{reason}"}}'] = count
        cells[f"syncgate_{word}s_unconfirmed_total"] = of.unconfirmed
    timed = counts.shadows
    cells["syncgate_shadows_timed_total"] = timed.timed
    cells["syncgate_shadow_timed_listings_total"] = timed.timed_listings
    for name, took_us in (("old", timed.timed_old_us), ("new", timed.timed_shadow_us)):
        cells[f'syncgate_shadow_timed_seconds_total{{system="{name}"}}'] = took_us / 1e6
    cells["syncgate_shadows_in_flight"] = counts.in_flight
    cells["syncgate_shadows_waiting"] = counts.waiting
    cells["syncgate_shadows_held_bytes"] = counts.held_bytes
    return cells


def _write_backs(counts: WriteBackCounts) -> dict[str, float]:
    cells: dict[str, float] = {
        'syncgate_write_backs_total{result="agreed"}': counts.agreed,
        'syncgate_write_backs_total{result="failed"}': counts.failed,
        "syncgate_write_backs_waiting": counts.waiting,
        "syncgate_write_backs_held_bytes": counts.held_bytes,
    }
    for reason, count in counts.failures.items():
        cells[f'syncgate_write_backs_failed_total{{reason="{reason}"}}'] = count
    return cells

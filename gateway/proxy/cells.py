"""
Metric cells: numbers that are counted where things happen and named only when somebody looks.

The request path increments plain integers; names and labels exist here alone, once a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.core.model import Outcome

if TYPE_CHECKING:
    from gateway.proxy.plane import Plane

OUTCOMES_DROPPED: Final = "syncgate_outcomes_dropped_total"
_OUTCOMES: Final = tuple((outcome, outcome.name.lower()) for outcome in Outcome)


def render(plane: Plane) -> dict[str, float]:
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
    cells.update(_shadows(plane))
    writes = plane.write_backs
    failed = sum(writes.failures.values())
    cells['syncgate_write_backs_total{result="agreed"}'] = writes.agreed
    cells['syncgate_write_backs_total{result="failed"}'] = failed
    for reason, count in writes.failures.items():
        cells[f'syncgate_write_backs_failed_total{{reason="{reason}"}}'] = count
    cells["syncgate_write_backs_waiting"] = len(writes.queue) + (writes.under_way is not None)
    cells["syncgate_write_backs_held_bytes"] = writes.held_bytes
    for reason, count in plane.refused.items():
        cells[f'syncgate_refused_total{{reason="{reason}"}}'] = count
    cells["syncgate_replays_total"] = plane.replays
    cells["syncgate_access_log_lost_total"] = plane.access_log.lost
    if plane.tracing is not None:
        cells.update(plane.tracing.cells())
    return cells


def _shadows(plane: Plane) -> dict[str, float]:
    cells: dict[str, float] = {}
    mirror = plane.mirror
    for word, tally in (("shadow", mirror.tally), ("control", mirror.controls)):
        for result in ("matched", "differed", "failed"):
            cells[f'syncgate_{word}s_total{{result="{result}"}}'] = getattr(tally, result)
        for result in ("matched", "differed", "lost"):
            listings = getattr(tally, f"listings_{result}")
            cells[f'syncgate_{word}_listings_total{{result="{result}"}}'] = listings
        for reason, count in tally.unanswered.items():
            cells[f'syncgate_{word}s_unanswered_total{{reason="{reason}"}}'] = count
    timed = mirror.tally
    cells["syncgate_shadows_timed_total"] = timed.timed
    cells["syncgate_shadow_timed_listings_total"] = timed.timed_listings
    for name, took_us in (("old", timed.timed_old_us), ("new", timed.timed_shadow_us)):
        cells[f'syncgate_shadow_timed_seconds_total{{system="{name}"}}'] = took_us / 1e6
    cells["syncgate_shadows_unconfirmed_total"] = mirror.unconfirmed
    cells["syncgate_controls_unconfirmed_total"] = mirror.controls_unconfirmed
    cells["syncgate_shadows_in_flight"] = mirror.in_flight
    cells["syncgate_shadows_waiting"] = len(mirror.queue)
    cells["syncgate_shadows_held_bytes"] = mirror.held_bytes
    for reason, count in mirror.dropped.items():
        cells[f'syncgate_shadows_dropped_total{{reason="{reason}"}}'] = count
    return cells

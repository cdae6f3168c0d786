"""What the data port answers by itself: alive, ready, figures, and 404 for every other path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.core.model import Outcome
from gateway.proxy.plane import NOT_ROUTED
from gateway.proxy.problems import document, problem

if TYPE_CHECKING:
    from gateway.proxy.guard import Head
    from gateway.proxy.plane import Plane, Side
    from gateway.proxy.problems import Answer

_ALIVE: Final = document(200, b'{"status":"ok"}')
_READY: Final = document(200, b'{"status":"ready"}')
_STARTING: Final = document(503, b'{"status":"starting"}', fields=b"Retry-After: 1\r\n")
_DRAINING: Final = document(503, b'{"status":"draining"}', fields=b"Retry-After: 1\r\n")
_NOTHING: Final = problem(404, "Nothing is served under this path.")
_READ_ONLY: Final = problem(405, "Only GET and HEAD are served here.", b"Allow: GET, HEAD\r\n")


def answer(plane: Plane, head: Head) -> Answer:
    """Answer a path that is not forwarded."""
    if head.path not in {b"/health", b"/readyz", b"/api/metrics"}:
        return _NOTHING
    if head.method not in {b"GET", b"HEAD"}:
        return _READ_ONLY
    if head.path == b"/health":
        return _ALIVE
    if head.path == b"/readyz":
        return _readiness(plane)
    return document(200, orjson.dumps(figures(plane)))


def _readiness(plane: Plane) -> Answer:
    """Ready from the first routing on: before it, what is served does not follow the weight."""
    if plane.draining:
        return _DRAINING
    return _STARTING if plane.routing is NOT_ROUTED else _READY


def figures(plane: Plane) -> dict[str, Any]:
    """Tell what this worker routes by and what it has seen."""
    routing = plane.routing
    return {
        "worker": plane.worker,
        "weight": routing.write_weight_bp / 100,
        "readWeight": routing.read_weight_bp / 100,
        "phase": routing.phase,
        "status": routing.status,
        "systems": {side.name: _side_figures(plane, side) for side in plane.sides},
    }


def _side_figures(plane: Plane, side: Side) -> dict[str, Any]:
    ok, errors, rejected = (
        side.counts[Outcome.OK], side.counts[Outcome.ERROR], side.counts[Outcome.REJECTED],
    )  # fmt: skip
    judged = ok + errors
    p50, p95, p99 = plane.latencies_ms(side)
    return {
        "requests": ok + errors + rejected,
        "errors": errors,
        "rejected": rejected,
        "errorRate": errors / judged if judged else None,
        "p50Ms": p50,
        "p95Ms": p95,
        "p99Ms": p99,
        "breaker": side.breaker.state.value,
    }

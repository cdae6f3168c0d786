"""
What is known of the two systems at this moment, gathered for a look.

Seconds of the workers (`snapshots`), figures from outside (`measurements`), the newest probe of
each, what users reported. In a fleet the other replicas' are among them, and those whose numbers
are unknown are named.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from gateway.control import records
from gateway.core.analysis import Inputs, Probe, UserReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gateway import ports
    from gateway.control.measurements import Measurements
    from gateway.control.snapshots import Snapshots
    from gateway.core.analysis import Measurement
    from gateway.core.model import Variant
    from gateway.ports import ProbeResult, SystemView

_REPORTS_KEPT: Final = 10_000
REPORTS_KEPT_US: Final = 30 * 24 * 3600 * 1_000_000


class Senses:
    """See the module."""

    def __init__(
        self,
        *,
        snapshots: Snapshots,
        measurements: Measurements,
        mirror_off: Callable[[], str | None],
    ) -> None:
        self.snapshots = snapshots
        self.measurements = measurements
        self._mirror_off = mirror_off
        self._probes: dict[Variant, Probe] = {}
        self._results: dict[Variant, ProbeResult] = {}
        self._reports: deque[UserReport] = deque(maxlen=_REPORTS_KEPT)

    def gather(
        self,
        now_us: int,
        windows_s: Iterable[int],
        *,
        measurements: tuple[Measurement, ...] | None = None,
        unknown: tuple[str, ...] = (),
        store_late_ms: int = 0,
    ) -> Inputs:
        """Give all that a judgement rests on; `unknown` names replicas nobody hears of."""
        while self._reports and self._reports[0].at_us < now_us - REPORTS_KEPT_US:
            self._reports.popleft()
        return Inputs(
            now_us=now_us,
            readings=self.snapshots.readings(windows_s),
            measurements=self.measurements.newest() if measurements is None else measurements,
            probes=tuple(self._probes.values()),
            breakers=self.snapshots.breakers(),
            reports=tuple(self._reports),
            mirror_off=self._mirror_off(),
            unknown_replicas=unknown,
            store_late_ms=store_late_ms,
        )

    def reported(self, reports: Sequence[ports.UserReport]) -> None:
        """Take in what users reported."""
        self._reports.extend(records.user_report(report) for report in reports)

    def probed(self, result: ProbeResult) -> tuple[int, bool]:
        """Take in one answer of a system's `/health`.

        Gives how many have failed in a row, and whether the system came back with this one.
        """
        before = self._probes.get(result.variant)
        failures = 0 if result.healthy else (before.failures if before else 0) + 1
        since_us = None if result.healthy or before is None else before.failing_since_us
        if not result.healthy and since_us is None:
            since_us = result.at_us - result.elapsed_us
        self._results[result.variant] = result
        self._probes[result.variant] = Probe(
            variant=result.variant,
            ok=result.healthy,
            at_us=result.at_us,
            failures=failures,
            detail=result.reason,
            failing_since_us=since_us,
        )
        return failures, result.healthy and before is not None and not before.ok

    def system(self, variant: Variant) -> SystemView:
        """Show one system over the display window."""
        return self.snapshots.system(variant, self._results.get(variant))

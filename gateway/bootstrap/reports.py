"""Everything that reports are made of, joined: the roll-ups and who tells the summaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.adapters.rollup_store import SqliteRollups
from gateway.bootstrap.files import read_alerts
from gateway.control.reporting import Audience, Reporting
from gateway.control.rollups import RollUps

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from gateway.bootstrap.alerts import Alerts
    from gateway.control.controller import Controller
    from gateway.control.snapshots import Snapshots
    from gateway.ports import Clock
    from gateway.settings import Settings


@dataclass(slots=True)
class Reports:
    """All of it, not yet started."""

    rollups: RollUps
    reporting: Reporting

    def loops(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """Give what runs for as long as the gateway does."""
        return [self.rollups.run, self.reporting.run]

    async def close(self) -> None:
        """Store the rest, and let go of the file."""
        await self.rollups.close()


def build_reports(
    settings: Settings,
    *,
    controller: Controller,
    snapshots: Snapshots,
    alerts: Alerts,
    clock: Clock,
) -> Reports:
    """Join it; only who decides on alerts keeps roll-ups and tells summaries."""
    wanted = read_alerts(settings.policy_path).reports
    store = SqliteRollups(settings.state_dir)
    rollups = RollUps(
        store,
        view=controller.view,
        seconds=snapshots,
        clock=clock,
        lease=alerts.lease,
        timetable=wanted.timetable,
    )
    reporting = Reporting(
        rollups,
        store,
        alerts_kept=alerts.store,
        teller=alerts.alerting,
        audience=Audience(wanted.channels, wanted.languages),
        clock=clock,
        lease=alerts.lease,
    )
    return Reports(rollups, reporting)

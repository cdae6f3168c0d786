"""
Roll-ups: what the gateway counts is added to the hour under way, and stored once a minute.

The seconds come from the workers' timeline, each once: what was added last is remembered, and a
look that comes late reads further back. They are of what clients asked; a shadow is no request. The
rest (loads, rollbacks, reports) is taken as it is seen at a look. Only the holder of the lease
keeps them. What was not stored when the process dies is unknown afterwards, and so is every hour in
which nobody counted. Old hours become days.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from gateway.core import rollup
from gateway.core.analysis import Metric
from gateway.core.model import SECOND_US, Variant
from gateway.core.period import DAY_H, Kind, calendar, local_day
from gateway.core.rollup import HOUR_S, HOUR_US, Bucket, Standing
from gateway.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.core.analysis import Inputs
    from gateway.core.period import Timetable
    from gateway.core.rollout import State
    from gateway.core.window import Snapshot
    from gateway.ports import Clock, ControlView, Lease
    from gateway.ports.reports import RollupStore

LOOK_S: Final = 10.0
WAITING_S: Final = 1.0
"""Between looks at whether the lease is ours now."""
STORE_EVERY_US: Final = 60 * SECOND_US
HOURS_KEPT: Final = 35 * DAY_H
DAYS_KEPT: Final = 731
_MOST_UNSTORED: Final = 48
_OLDEST_READ_S: Final = 3 * HOUR_S - 120
"""The workers' timeline knows minutes for so long."""
_LEVELS: Final = frozenset(
    {
        Metric.CPU_RATIO,
        Metric.MEMORY_RATIO,
        Metric.DISK_RATIO,
        Metric.NETWORK_RATIO,
        Metric.DATABASE_LOAD_RATIO,
        Metric.API_USAGE_RATIO,
    }
)

_log = structlog.get_logger("rollups")


class Seconds(Protocol):
    """What the workers counted: `snapshots.Snapshots`, as far as it is needed here."""

    def complete_until(self) -> int:
        """Give the first second of which not every worker has reported; 0: none ever did."""
        ...

    def span(self, variant: Variant, from_second: int, to_second: int) -> Snapshot:
        """Read what clients asked of one system over a span of seconds."""
        ...


class RollUps:
    """The hour under way, and those before."""

    def __init__(
        self,
        store: RollupStore,
        *,
        view: Callable[[], ControlView],
        seconds: Seconds,
        clock: Clock,
        lease: Lease,
        timetable: Timetable,
    ) -> None:
        self._store = store
        self._view = view
        self._seconds = seconds
        self._clock = clock
        self._lease = lease
        self.timetable = timetable
        self._order = asyncio.Lock()
        self._open: dict[int, Bucket] = {}
        """Hours with something that is not stored, and the one under way."""
        self._changed: set[int] = set()
        self._until: int | None = None
        """Seconds before this are added."""
        self._noticed = Noticed()
        self._stored_us = 0
        self._folded_hour = 0
        self.trouble = ""
        """Why the newest could not be stored."""

    async def run(self) -> None:
        """Look every ten seconds, and store once a minute."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S if self._lease.held else WAITING_S)

    async def look(self) -> None:
        """Add what is new; what cannot be stored now waits in memory."""
        async with self._order:
            try:
                await self._look()
            except StoreUnavailableError as error:
                if not self.trouble:
                    _log.error("rollups_not_stored", reason=error.message)
                self.trouble = error.message
            else:
                self.trouble = ""
            self._drop_surplus()

    async def _look(self) -> None:
        if not self._lease.held:
            if self._until is not None:  # what was counted until the lease went is still ours
                await self._add_seconds()
            await self._save()
            self._until, self._noticed = None, Noticed()
            return
        view = self._view()
        await self._add_seconds()
        await self._add_seen(view)
        if view.at_us - self._stored_us >= STORE_EVERY_US or len(self._changed) > 1:
            await self._save()
            self._stored_us = view.at_us
        hour = view.at_us // HOUR_US
        if hour != self._folded_hour:
            await self._fold(hour)
            self._folded_hour = hour

    # --- what comes in ---------------------------------------------------------------------------

    async def _add_seconds(self) -> None:
        end = self._seconds.complete_until()
        if self._until is None:
            self._until = self._clock.now_us() // SECOND_US
        at = max(self._until, end - _OLDEST_READ_S)
        while at < end:
            hour = at // HOUR_S
            to = min(end, (hour + 1) * HOUR_S)
            bucket = await self._bucket(hour)
            found = {one.value: self._seconds.span(one, at, to) for one in Variant}
            covered_s = min(one.seconds_covered for one in found.values())
            self._keep(bucket.plus_seconds(covered_s, found))
            at = self._until = to

    async def _add_seen(self, view: ControlView) -> None:
        bucket = await self._bucket(view.at_us // HOUR_US)
        levels, happened = self._noticed.look(view)
        standing = _standing(view)
        self._keep(replace(bucket.plus_levels(levels).plus_happened(happened), standing=standing))

    async def _bucket(self, hour: int) -> Bucket:
        """Find the open bucket of an hour; what was stored of it before is gone on with."""
        if hour not in self._open:
            stored = await self._store.between(hour, hour + 1)
            self._open[hour] = stored[0] if stored else Bucket(hour)
        return self._open[hour]

    def _keep(self, bucket: Bucket) -> None:
        self._open[bucket.hour] = bucket
        self._changed.add(bucket.hour)

    # --- storing ------------------------------------------------------------------------

    async def _save(self) -> None:
        if self._changed:
            changed = sorted(self._changed)
            await self._store.put([self._open[hour] for hour in changed])
            self._changed.clear()
            for hour in sorted(self._open)[:-1]:
                del self._open[hour]
        if not self._lease.held:
            self._open.clear()

    def _drop_surplus(self) -> None:
        """Keep what waits for a store within bounds; the oldest hours become unknown."""
        for hour in sorted(self._open)[:-_MOST_UNSTORED]:
            del self._open[hour]
            self._changed.discard(hour)

    async def _fold(self, now_hour: int) -> None:
        """Make days of hours that are old enough, and forget days that are too old."""
        offset_min = self.timetable.offset_min
        newest = local_day(now_hour - HOURS_KEPT, offset_min)
        end = calendar(Kind.DAILY, newest, offset_min).from_hour
        hours = await self._store.hours(end)
        for day, of in groupby(hours, key=lambda one: local_day(one.hour, offset_min)):
            begin = calendar(Kind.DAILY, day, offset_min).from_hour
            made = await asyncio.to_thread(rollup.merged, list(of), hour=begin, hours=DAY_H)
            await self._store.fold(made)
        await self._store.forget(now_hour - DAYS_KEPT * DAY_H)

    async def close(self) -> None:
        """Store the rest and let go."""
        await self.look()
        async with self._order:
            try:
                await self._save()
            except StoreUnavailableError as error:
                _log.error("rollups_not_stored", reason=error.message)
            await self._store.close()

    # --- what reports are made from -------------------------------------------------------

    async def between(self, from_hour: int, to_hour: int) -> list[Bucket]:
        """Read buckets that begin in these hours, what was counted until now included."""
        await self.look()
        async with self._order:
            found = {one.hour: one for one in await self._store.between(from_hour, to_hour)}
            found |= {h: one for h, one in self._open.items() if from_hour <= h < to_hour}
        return [found[hour] for hour in sorted(found)]


class Noticed:
    """What has been seen already, so that nothing is counted twice; a start begins from now."""

    def __init__(self) -> None:
        self._steps: dict[str, int] = {}
        self._reports_us: int | None = None
        self._figures: dict[str, int] = {}

    def look(self, view: ControlView) -> tuple[list[tuple[str, float]], dict[str, int]]:
        """Give figures that are new, and what happened since the look before."""
        if view.inputs is None:
            return [], {}
        happened = self._steps_since(view.state) | self._reports_since(view.inputs)
        return list(self._new_figures(view.inputs)), happened

    def _steps_since(self, state: State) -> dict[str, int]:
        now = {"rollbacks": state.rollbacks, "decisions": state.next_decision - 1}
        before, self._steps = self._steps or now, now
        # A number that fell is another rollout's, which counts from the beginning.
        return {
            name: count - before[name] if count >= before[name] else count
            for name, count in now.items()
        }

    def _reports_since(self, inputs: Inputs) -> dict[str, int]:
        since_us = inputs.now_us if self._reports_us is None else self._reports_us
        fresh = [one for one in inputs.reports if one.at_us > since_us]
        self._reports_us = max((one.at_us for one in fresh), default=since_us)
        return {
            "user_reports": len(fresh),
            "serious_user_reports": sum(one.serious for one in fresh),
        }

    def _new_figures(self, inputs: Inputs) -> Iterator[tuple[str, float]]:
        for one in inputs.measurements:
            if one.metric not in _LEVELS:
                continue
            name = one.metric.value + (f":{one.system.value}" if one.system else "")
            # One that is older than a look was seen, or belongs to the time before the start.
            since_us = self._figures.get(name, inputs.now_us - 2 * STORE_EVERY_US)
            if one.at_us > since_us:
                self._figures[name] = one.at_us
                yield name, one.value


def _standing(view: ControlView) -> Standing:
    state, plan = view.state, view.plan
    agreed = next(
        (
            one
            for one in (view.inputs.measurements if view.inputs else ())
            if one.metric is Metric.MATCH_RATIO
        ),
        None,
    )
    return Standing(
        at_us=view.at_us,
        status=state.status.value,
        phase=None if state.phase is None else plan.phases[state.phase].id,
        weight_percent=state.write_bp / 100,
        match_ratio=agreed.value if agreed else None,
        match_sample=agreed.sample if agreed else 0,
    )

"""
What was decided to be told goes out: due deliveries, channel by channel, until they arrived.

Deliveries are stored before they are sent and settled after, so whatever happens to the process in
between, each is made at least once under the same id. Every channel has a lane of its own with one
message under way: a slow or dead channel holds up only itself. A failing lane pauses longer and
longer and then tries one message, not all of them; what is too old, tried too often or refused for
good is dead, which is kept and shown. The control plane waits for none of this.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from gateway.core.limiter import Quota, admit
from gateway.core.model import SECOND_US
from gateway.errors import StateError, UnreachableError
from gateway.ports.alerts import (
    MOST_UNSTORED,
    ChannelRefusedError,
    ChannelUnreachableError,
    DeliveryState,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from gateway.ports import Clock, Lease
    from gateway.ports.alerts import AlertStore, Channel, Delivery, Messages

POLL_S: Final = 1.0
DEADLINE_S: Final = 30.0
"""Of one try, should a channel forget its own."""
_PAGE: Final = 100
_MOST_HELD: Final = 5_000
_REMEMBERED: Final = 2 * MOST_UNSTORED
"""Sent from memory and known by id: as many as can be offered, and sent from one offer to the next.
"""
_BURST_OF_A_MINUTE: Final = 12
_COUNT_EVERY_US: Final = 5 * SECOND_US
_NO_CHANNEL: Final = "This channel is not configured, or not any more."

_log = structlog.get_logger("deliveries")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a failing channel is tried again, and when a delivery is given up."""

    first_s: float = 5.0
    longest_s: float = 60.0
    most_tries: int = 2_000
    age_s: float = 86_400.0

    def pause_s(self, failures: int, draw: float) -> float:
        """Double from failure to failure; `draw` (0..1) takes up to half off, against crowds."""
        grown = min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 30))
        return grown * (1 - draw / 2)


@dataclass(slots=True)
class Counted:
    """What became of a channel's messages since the start."""

    sent: int = 0
    failed: int = 0
    dead: int = 0


@dataclass(slots=True)
class _Lane:
    name: str
    channel: Channel
    quota: Quota
    queue: list[tuple[int, int, str, Delivery]] = field(default_factory=list)
    counted: Counted = field(default_factory=Counted)
    failures: int = 0
    not_before_us: int = 0
    tat: int = 0
    task: asyncio.Task[None] | None = None

    def push(self, delivery: Delivery) -> None:
        """Queue it: the worst first, then the oldest."""
        heapq.heappush(self.queue, (-delivery.level.rank, delivery.made_us, delivery.id, delivery))


def _quota(per_minute: int) -> Quota:
    """Spread a minute's messages evenly, five seconds' worth at once."""
    return Quota(per_minute, 60 * SECOND_US, max(1, per_minute // _BURST_OF_A_MINUTE))


class Deliveries:
    """Sends what is stored; `channels` and `per_minute` by the channel's name."""

    def __init__(
        self,
        store: AlertStore,
        messages: Messages,
        channels: Mapping[str, Channel],
        *,
        clock: Clock,
        lease: Lease,
        draw: Callable[[], float],
        per_minute: Mapping[str, int] | None = None,
        patience: Patience | None = None,
        poll_s: float = POLL_S,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._store = store
        self._messages = messages
        self._clock = clock
        self._lease = lease
        self._draw = draw
        self._patience = patience or Patience()
        self._poll_s = poll_s
        self._deadline_s = deadline_s
        self._lanes: dict[str, _Lane] = {}
        self._held: dict[str, Delivery] = {}
        self._unstored: dict[str, Delivery] = {}
        self._let_go: set[str] = set()
        self._sent_unstored: OrderedDict[str, None] = OrderedDict()
        self._wake = asyncio.Event()
        self._store_down = False
        self._waiting: Counter[str] = Counter()
        self._counted_us = 0
        self.use(messages, channels, per_minute or {})

    def use(
        self, messages: Messages, channels: Mapping[str, Channel], per_minute: Mapping[str, int]
    ) -> None:
        """Take up other channels and words; what waits for a channel that stays is kept."""
        self._messages = messages
        before = self._lanes
        self._lanes = {}
        for name, channel in channels.items():
            quota = _quota(per_minute.get(name, 60))
            lane = before.pop(name, None) or _Lane(name, channel, quota)
            lane.channel, lane.quota = channel, quota
            self._lanes[name] = lane
        for gone in before.values():
            for *_, delivery in gone.queue:
                self._held.pop(delivery.id, None)
                self._unstored.pop(delivery.id, None)
        self._wake.set()

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels that can be used."""
        return tuple(self._lanes)

    def wake(self) -> None:
        """Look at once: something was stored."""
        self._wake.set()

    def offer(self, deliveries: Iterable[Delivery]) -> None:
        """Send what could not be stored, from memory: also that the store is gone is to be told."""
        for delivery in deliveries:
            if delivery.id in self._sent_unstored:
                self._sent_unstored.move_to_end(delivery.id)  # known for as long as it is offered
                continue
            lane = self._lanes.get(delivery.channel)
            if lane is None or delivery.id in self._held:
                continue
            if len(self._unstored) >= MOST_UNSTORED:
                _log.error("delivery_dropped", channel=delivery.channel, id=delivery.id)
                continue
            self._held[delivery.id] = self._unstored[delivery.id] = delivery
            lane.push(delivery)
        self._wake.set()

    def cells(self) -> dict[str, float]:
        """Give the figures for Prometheus, by their full names."""
        found: dict[str, float] = {}
        for lane in self._lanes.values():
            label = f'channel="{lane.name}"'
            found[f"syncgate_alert_deliveries_waiting{{{label}}}"] = self._waiting[lane.name]
            for result in ("sent", "failed", "dead"):
                labels = f'{label},result="{result}"'
                count = getattr(lane.counted, result)
                found[f"syncgate_alert_deliveries_total{{{labels}}}"] = count
        return found

    # --- the loop ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Send until cancelled; what is under way then is made again by whoever comes next."""
        try:
            while True:
                await self._look()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._poll_s):
                        await self._wake.wait()
                self._wake.clear()
        finally:
            await self._end()

    async def _end(self) -> None:
        under_way = [lane.task for lane in self._lanes.values() if lane.task is not None]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        for lane in self._lanes.values():
            lane.queue.clear()
            lane.task = None
        self._held.clear()

    async def _look(self) -> None:
        if self._lease.held:
            await self._take_due()
        else:
            self._leave_to_others()
        now_us = self._clock.now_us()
        for lane in self._lanes.values():
            if lane.task is None and lane.queue and now_us >= lane.not_before_us:
                self._start(lane, now_us)

    def _leave_to_others(self) -> None:
        """Drop what another holder of the lease finds in the store as well."""
        for lane in self._lanes.values():
            kept = [entry for entry in lane.queue if entry[2] in self._unstored]
            for entry in lane.queue:
                if entry[2] not in self._unstored:
                    self._held.pop(entry[2], None)
            heapq.heapify(kept)
            lane.queue = kept
        self._waiting.clear()

    async def _take_due(self) -> None:
        limit = min(_MOST_HELD, len(self._held) + _PAGE)
        self._let_go.clear()
        try:
            due = await self._store.due(now_us=self._clock.now_us(), limit=limit)
            await self._count()
        except StateError as error:
            if not self._store_down:
                _log.error("deliveries_unreadable", reason=error.message)
            self._store_down = True
            return
        self._store_down = False
        for delivery in due:
            if delivery.id in self._held or delivery.id in self._let_go:
                continue  # settled while we read: what we were given is older than that
            lane = self._lanes.get(delivery.channel)
            if lane is None:
                await self._bury(delivery, _NO_CHANNEL, patient=False)
            elif delivery.id in self._sent_unstored:
                await self._settle(self._store.delivered, delivery.id, patient=False)
            else:
                self._held[delivery.id] = delivery
                lane.push(delivery)

    async def _count(self) -> None:
        now_us = self._clock.now_us()
        if now_us - self._counted_us >= _COUNT_EVERY_US:
            self._counted_us = now_us
            waiting = await self._store.records(state=DeliveryState.WAITING, limit=_MOST_HELD)
            self._waiting = Counter(record.delivery.channel for record in waiting)

    def _start(self, lane: _Lane, now_us: int) -> None:
        admission, lane.tat = admit(lane.tat, now_us, lane.quota)
        if not admission.allowed:
            lane.not_before_us = now_us + admission.retry_after_us
            return
        delivery = heapq.heappop(lane.queue)[-1]
        lane.task = asyncio.create_task(self._deliver(lane, delivery))
        lane.task.add_done_callback(lambda task: self._over(lane, task))

    def _over(self, lane: _Lane, task: asyncio.Task[None]) -> None:
        if lane.task is task:
            lane.task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("delivery_failed", channel=lane.name, error=repr(error))
        self._wake.set()

    # --- one delivery ------------------------------------------------------------------------

    async def _deliver(self, lane: _Lane, delivery: Delivery) -> None:
        try:
            async with asyncio.timeout(self._deadline_s):
                await lane.channel.send(self._messages.render(delivery))
        except ChannelRefusedError as error:
            lane.failures = 0
            await self._bury(delivery, str(error))
        except UnreachableError as error:
            wait_s = error.retry_after_s if isinstance(error, ChannelUnreachableError) else None
            await self._failed(lane, delivery, error.message, wait_s)
        except TimeoutError:
            await self._failed(lane, delivery, f"No end within {self._deadline_s:g} s.", None)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not lose an alert
            _log.exception("channel_failed", channel=lane.name)
            await self._failed(lane, delivery, f"A fault of ours ({type(error).__name__}).", None)
        else:
            lane.failures = 0
            lane.counted.sent += 1
            await self._arrived(delivery)

    async def _arrived(self, delivery: Delivery) -> None:
        if self._unstored.pop(delivery.id, None) is not None:
            self._sent_unstored[delivery.id] = None
            while len(self._sent_unstored) > _REMEMBERED:
                self._sent_unstored.popitem(last=False)
        else:
            await self._settle(self._store.delivered, delivery.id)
        self._release(delivery)

    async def _failed(
        self, lane: _Lane, delivery: Delivery, reason: str, wait_s: float | None
    ) -> None:
        lane.failures += 1
        lane.counted.failed += 1
        now_us = self._clock.now_us()
        patience = self._patience
        old = now_us - delivery.made_us >= patience.age_s * SECOND_US
        if old or delivery.attempts + 1 >= patience.most_tries:
            return await self._bury(delivery, f"Given up: {reason}")
        pause_s = max(patience.pause_s(lane.failures, self._draw()), wait_s or 0.0)
        lane.not_before_us = now_us + round(pause_s * SECOND_US)
        _log.warning(
            "delivery_retried",
            channel=lane.name, id=delivery.id, attempt=delivery.attempts + 1,
            reason=reason, pause_s=round(pause_s, 1),
        )  # fmt: skip
        if delivery.id in self._unstored:
            lane.push(delivery)
            return None
        await self._settle(
            self._store.failed, delivery.id, next_us=lane.not_before_us, reason=reason
        )
        self._release(delivery)
        return None

    async def _bury(self, delivery: Delivery, reason: str, *, patient: bool = True) -> None:
        lane = self._lanes.get(delivery.channel)
        if lane is not None:
            lane.counted.dead += 1
        _log.error(
            "delivery_dead", channel=delivery.channel, id=delivery.id,
            level=delivery.level.value, reason=reason,
        )  # fmt: skip
        if self._unstored.pop(delivery.id, None) is None:
            await self._settle(self._store.dead, delivery.id, patient=patient, reason=reason)
        self._release(delivery)

    def _release(self, delivery: Delivery) -> None:
        self._held.pop(delivery.id, None)
        self._let_go.add(delivery.id)

    async def _settle(
        self,
        note: Callable[..., Awaitable[None]],
        delivery_id: str,
        *,
        patient: bool = True,
        **details: object,
    ) -> None:
        """Put on record what became of it, however long the store takes to come back.

        Until then it stays held, so that it is not sent again meanwhile.
        """
        if "next_us" not in details:
            details["at_us"] = self._clock.now_us()
        while True:
            try:
                return await note(delivery_id, **details)
            except StateError as error:
                _log.warning("delivery_unsettled", id=delivery_id, reason=error.message)
                if not patient:
                    return None
                await asyncio.sleep(self._poll_s)

"""What is to be told arrives: through outages, refusals, floods, kills and a store that is gone."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from gateway.adapters.alert_store import SqliteAlertStore
from gateway.control import deliveries as sending
from gateway.control.deliveries import Deliveries, Patience
from gateway.control.lease import SoleLease
from gateway.core.model import SECOND_US
from gateway.errors import StoreUnavailableError
from gateway.ports.alerts import (
    MOST_UNSTORED,
    ChannelRefusedError,
    ChannelUnreachableError,
    Delivery,
    DeliveryState,
    Severity,
)
from tests.support.recording import HandClock
from tests.support.scale import scale
from tests.support.told import delivery, shipped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from gateway.ports.alerts import Rendered

HOUR_S = 3_600


@dataclass
class Way:
    """A channel that does as it is told; `ids` is what arrived."""

    ids: list[str] = field(default_factory=list)
    tries: int = 0
    fails: Exception | None = None
    gate: asyncio.Event | None = None
    trouble: Callable[[], Exception | None] = lambda: None

    async def send(self, message: Rendered) -> None:
        """Take it, or not."""
        self.tries += 1
        if self.gate is not None:
            await self.gate.wait()
        error = self.fails or self.trouble()
        if error is not None:
            raise error
        self.ids.append(message.id)

    async def close(self) -> None:
        """Nothing is open."""


@dataclass
class Post:
    """A sender over a real store, with a clock of its own."""

    folder: Path
    ways: dict[str, Way]
    clock: HandClock = field(default_factory=HandClock)
    limits: dict[str, int] = field(default_factory=dict)
    lease: SoleLease = field(default_factory=SoleLease)

    def __post_init__(self) -> None:
        self.store = SqliteAlertStore(self.folder)
        self.task: asyncio.Task[None] | None = None
        self.version = 0

    def start(self) -> Deliveries:
        """A fresh sender, as after a restart."""
        self.sender = Deliveries(
            self.store, shipped(), self.ways, clock=self.clock, lease=self.lease,
            draw=lambda: 0.0, per_minute={**dict.fromkeys(self.ways, 6_000), **self.limits},
            poll_s=0.003, deadline_s=5.0,
        )  # fmt: skip
        self.task = asyncio.create_task(self.sender.run())
        return self.sender

    async def kill(self) -> None:
        """End it without a word, as kill -9 does."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def put(self, *deliveries: Delivery) -> None:
        """Store them as the control plane does."""
        now_us = self.clock.now_us()
        fresh = [replace(each, made_us=now_us, next_us=now_us) for each in deliveries]
        self.version = await self.store.commit(
            {"of": "a test"}, expected_version=self.version, token=1, deliveries=fresh
        )

    async def states(self) -> dict[str, DeliveryState]:
        """What the store says of each."""
        records = await self.store.records(limit=10_000)
        return {record.delivery.id: record.state for record in records}

    async def pass_time(self, seconds: float, *, step_s: float) -> None:
        """Move the clock in steps, with real moments in between for the sender to act."""
        for _ in range(round(seconds / step_s)):
            self.clock.advance(step_s)
            self.sender.wake()
            await asyncio.sleep(0.008)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that has to come."""
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0.002)


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    """Two channels, `a` and `b`."""
    made = Post(tmp_path, {"a": Way(), "b": Way()})
    yield made
    if made.task is not None:
        await made.kill()
    await made.store.close()


def some(count: int, channel: str = "a", level: Severity = Severity.HIGH) -> list[Delivery]:
    """Deliveries with ids of their own."""
    return [delivery(id=f"{channel}-{n:03}", channel=channel, level=level) for n in range(count)]


async def test_each_arrives_once_and_is_settled(post: Post) -> None:
    """The plain case: ten stored, ten sent, none twice."""
    post.start()
    await post.put(*some(10, "a"), *some(10, "b"))
    post.sender.wake()
    await post.until(lambda: len(post.ways["a"].ids) + len(post.ways["b"].ids) == 20)
    await post.pass_time(120, step_s=30)
    assert post.ways["a"].ids == [f"a-{n:03}" for n in range(10)]
    assert set((await post.states()).values()) == {DeliveryState.DELIVERED}


async def test_after_an_hour_of_silence_each_arrives_once(post: Post) -> None:
    """A channel that is down is asked about once a minute, then gets everything, worst first."""
    post.ways["a"].fails = ChannelUnreachableError("Slack cannot be reached (ConnectError).")
    post.start()
    await post.put(*some(20, "a"), delivery(id="worst", channel="a", level=Severity.CRITICAL))
    await post.pass_time(HOUR_S, step_s=20)
    assert post.ways["a"].ids == []
    assert 50 <= post.ways["a"].tries <= 80, "tried on, but one message at a time"
    post.ways["a"].fails = None
    await post.pass_time(180, step_s=20)
    await post.until(lambda: len(post.ways["a"].ids) == 21)
    assert sorted(post.ways["a"].ids) == sorted([f"a-{n:03}" for n in range(20)] + ["worst"])
    cells = post.sender.cells()
    assert cells['syncgate_alert_deliveries_total{channel="a",result="sent"}'] == 21
    assert cells['syncgate_alert_deliveries_total{channel="a",result="failed"}'] >= 50


async def test_a_channel_that_hangs_holds_up_only_itself(post: Post) -> None:
    """Channel b is told while a is still busy with its first."""
    post.ways["a"].gate = asyncio.Event()
    post.start()
    await post.put(*some(5, "a"), *some(5, "b"))
    await post.until(lambda: len(post.ways["b"].ids) == 5)
    assert post.ways["a"].tries == 1
    post.ways["a"].gate.set()
    await post.until(lambda: len(post.ways["a"].ids) == 5)


async def test_a_channel_that_asks_for_a_pause_gets_it(post: Post) -> None:
    """429 with Retry-After: nothing is sent before, everything after."""
    post.ways["a"].fails = ChannelUnreachableError("Slack answered 429.", retry_after_s=300)
    post.start()
    await post.put(*some(3, "a"))
    await post.until(lambda: post.ways["a"].tries == 1)
    post.ways["a"].fails = None
    await post.pass_time(290, step_s=29)
    assert post.ways["a"].tries == 1
    await post.pass_time(20, step_s=10)
    await post.until(lambda: len(post.ways["a"].ids) == 3)


async def test_what_is_refused_for_good_is_dead_seen_and_can_be_revived(post: Post) -> None:
    """A wrong credential is shown with its remedy; corrected, the alert goes out after all."""
    post.ways["a"].fails = ChannelRefusedError("Slack refused it with 403.", todo="Check it.")
    post.start()
    await post.put(*some(1, "a"))
    await post.until(lambda: post.ways["a"].tries == 1)
    await post.pass_time(60, step_s=30)
    (record,) = await post.store.records(state=DeliveryState.DEAD)
    assert record.reason == "Slack refused it with 403. Check it."
    assert post.ways["a"].tries == 1
    post.ways["a"].fails = None
    assert await post.store.revive("a-000", next_us=post.clock.now_us())
    await post.until(lambda: post.ways["a"].ids == ["a-000"])


async def test_what_is_too_old_is_given_up(post: Post) -> None:
    """After a day nobody is helped by it; it stays to be seen."""
    post.ways["a"].fails = ChannelUnreachableError("no")
    post.start()
    await post.put(*some(2, "a"))
    await post.pass_time(25 * HOUR_S, step_s=HOUR_S / 2)
    assert await post.states() == {"a-000": DeliveryState.DEAD, "a-001": DeliveryState.DEAD}
    assert post.sender.cells()['syncgate_alert_deliveries_total{channel="a",result="dead"}'] == 2


async def test_no_more_than_the_channel_may_take(post: Post) -> None:
    """24 a minute: two at once, then one every 2.5 s; the others wait and are not lost."""
    post.limits["a"] = 24
    post.start()
    await post.put(*some(12, "a"))
    await post.until(lambda: len(post.ways["a"].ids) == 2)
    await post.pass_time(10, step_s=2)
    assert 3 <= len(post.ways["a"].ids) <= 6
    await post.pass_time(30, step_s=2)
    await post.until(lambda: len(post.ways["a"].ids) == 12)


async def test_the_worst_goes_first(post: Post) -> None:
    """When a channel is behind, people hear of the critical one before the small ones."""
    post.ways["a"].gate = asyncio.Event()
    post.start()
    await post.put(*some(5, "a", Severity.LOW))
    await post.until(lambda: post.ways["a"].tries == 1)
    await post.put(delivery(id="worst", channel="a", level=Severity.CRITICAL))
    await asyncio.sleep(0.05)
    post.ways["a"].gate.set()
    await post.until(lambda: len(post.ways["a"].ids) == 6)
    assert post.ways["a"].ids[1] == "worst"


async def test_killed_between_sending_and_settling_it_comes_again_under_its_id(post: Post) -> None:
    """At least once: the receiver sees the same id twice, and never misses it."""
    real = post.store.delivered

    async def never(*_: object, **__: object) -> None:
        await asyncio.sleep(HOUR_S)

    post.store.delivered = never  # type: ignore[method-assign]
    post.start()
    await post.put(*some(3, "a"))
    await post.until(lambda: post.ways["a"].ids == ["a-000"])
    await post.kill()
    post.store.delivered = real  # type: ignore[method-assign]
    post.start()
    await post.until(lambda: len(post.ways["a"].ids) == 4)
    assert post.ways["a"].ids == ["a-000", "a-000", "a-001", "a-002"]


async def test_that_the_store_is_gone_is_told_from_memory(post: Post) -> None:
    """A full disk cannot keep its own alert in; stored later, it is not told twice."""
    real = post.store.due

    async def gone(**_: object) -> list[Delivery]:
        raise StoreUnavailableError("The disk is full.")

    post.store.due = gone  # type: ignore[method-assign]
    post.start()
    told = some(2, "a")
    post.sender.offer(told)
    post.sender.offer(told)
    await post.until(lambda: len(post.ways["a"].ids) == 2)
    post.store.due = real  # type: ignore[method-assign]
    await post.put(*told)
    await post.pass_time(10, step_s=2)
    assert post.ways["a"].ids == ["a-000", "a-001"]
    assert set((await post.states()).values()) == {DeliveryState.DELIVERED}


async def test_what_is_offered_for_hours_is_told_once(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the store is away all that waits is offered at every look: what was sent is known."""
    monkeypatch.setattr(sending, "MOST_UNSTORED", 50)
    monkeypatch.setattr(sending, "_REMEMBERED", 100)
    post.limits = {"a": 1_000_000}
    post.start()
    under_way = [replace(one, channel="a") for one in some(10, "under-way")]
    sent = len(under_way)
    for number in range(10):
        fresh = [replace(one, id=f"{number}-{one.id}") for one in some(40)]
        sent += len(fresh)
        for _ in range(2):
            post.sender.offer([*under_way, *fresh])
            await post.until(lambda: len(post.ways["a"].ids) >= sent)  # noqa: B023 - at once
    await post.pass_time(2, step_s=1)
    assert len(post.ways["a"].ids) == len(set(post.ways["a"].ids)) == sent
    assert len(post.sender._sent_unstored) <= 100


def test_what_was_sent_is_remembered_for_as_long_as_it_can_be_offered() -> None:
    """All that is kept, and all that may be sent between two offers."""
    assert sending._REMEMBERED >= 2 * MOST_UNSTORED


async def test_an_offered_one_is_tried_again_as_well(post: Post) -> None:
    """From memory or from the store: a failing channel gets it later."""
    post.ways["a"].fails = ChannelUnreachableError("no")
    post.start()
    post.sender.offer([replace(some(1, "a")[0], made_us=post.clock.now_us())])
    await post.until(lambda: post.ways["a"].tries == 1)
    post.ways["a"].fails = None
    await post.pass_time(10, step_s=5)
    await post.until(lambda: post.ways["a"].ids == ["a-000"])


async def test_only_the_holder_of_the_lease_sends(post: Post) -> None:
    """Two replicas that send are two messages."""

    class Theirs:
        held = False
        fencing_token = 0

    post.lease = Theirs()  # type: ignore[assignment]
    post.start()
    await post.put(*some(2, "a"))
    await post.pass_time(10, step_s=2)
    assert post.ways["a"].tries == 0
    post.lease.held = True  # type: ignore[misc]
    await post.until(lambda: len(post.ways["a"].ids) == 2)


async def test_a_channel_that_is_gone_from_the_configuration_is_named(post: Post) -> None:
    """What was stored for it does not wait for ever, nor vanish."""
    post.start()
    await post.put(delivery(id="lost", channel="pager"))
    await post.pass_time(4, step_s=2)
    (record,) = await post.store.records(state=DeliveryState.DEAD)
    assert "not configured" in record.reason


async def test_channels_can_be_exchanged_while_messages_wait(post: Post) -> None:
    """A corrected channel gets what waited; one that is new is used; one that is gone is named."""
    post.ways["a"].fails = ChannelUnreachableError("no")
    post.start()
    await post.put(*some(3, "a"), *some(1, "b"))
    await post.until(lambda: post.ways["a"].tries == 1 and len(post.ways["b"].ids) == 1)
    corrected, fresh = Way(), Way()
    post.sender.use(shipped(), {"a": corrected, "c": fresh}, {"a": 6_000})
    assert post.sender.channels == ("a", "c")
    await post.put(*some(2, "c"), delivery(id="late", channel="b"))
    await post.pass_time(20, step_s=5)
    await post.until(lambda: len(corrected.ids) == 3 and len(fresh.ids) == 2)
    assert (await post.states())["late"] is DeliveryState.DEAD


async def test_a_fault_of_ours_in_a_channel_loses_nothing(post: Post) -> None:
    """An exception nobody expected is a failed try like any other."""
    post.ways["a"].fails = KeyError("a fault of ours")
    post.start()
    await post.put(*some(1, "a"))
    await post.until(lambda: post.ways["a"].tries == 1)
    post.ways["a"].fails = None
    await post.pass_time(10, step_s=5)
    await post.until(lambda: post.ways["a"].ids == ["a-000"])


@pytest.mark.parametrize("seed", range(scale(full=40, quick=3)))
async def test_whatever_fails_each_arrives_at_least_once(post: Post, seed: int) -> None:
    """Random refusals for a while, random kills: nothing lost, repeats only where it was killed."""
    draw = random.Random(seed)

    def trouble() -> Exception | None:
        wait_s = draw.choice([None, 7.0])
        return ChannelUnreachableError("no", retry_after_s=wait_s) if draw.random() < 0.4 else None

    for way in post.ways.values():
        way.trouble = trouble
    post.start()
    kills = 0
    await post.put(*some(25, "a"), *some(25, "b"))
    for _ in range(400):
        await post.pass_time(20, step_s=20)
        if draw.random() < 0.05:
            kills += 1
            await post.kill()
            post.start()
        if set((await post.states()).values()) == {DeliveryState.DELIVERED}:
            break
    for name, way in post.ways.items():
        assert set(way.ids) == {f"{name}-{n:03}" for n in range(25)}
        assert len(way.ids) <= 25 + kills


def test_pauses_grow_with_jitter_and_end_growing() -> None:
    """From seconds to a minute; half of it at most is taken off by chance."""
    patience = Patience()
    assert [patience.pause_s(n, 0.0) for n in (1, 2, 3, 4, 5, 1000)] == [5, 10, 20, 40, 60, 60]
    assert patience.pause_s(1, 1.0) == 2.5
    assert patience.pause_s(10**9, 0.5) == 45
    assert patience.age_s * SECOND_US == 24 * HOUR_S * SECOND_US

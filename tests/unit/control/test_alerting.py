"""Alerts beside the controller: looked at, stored with what follows, told, answered by people."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gateway.adapters.alert_store import SqliteAlertStore
from gateway.adapters.links import Links
from gateway.control.alert_desk import AlertsDesk
from gateway.control.alerting import Alerting
from gateway.core import alerts
from gateway.core.analysis import Severity, UserReport, note
from gateway.core.model import SECOND_US
from gateway.core.rollout import State, Status
from gateway.errors import (
    RefusedError,
    StateUnreadableError,
    StoreUnavailableError,
    VersionConflictError,
)
from gateway.ports import Actor, ControlView, Notice
from gateway.ports.alerts import (
    AlertSettings,
    Delivery,
    DeliveryState,
    Language,
    LinkState,
    Stage,
)
from tests.support.alerts import NEW, World, plan
from tests.support.recording import HandClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

JUN = Actor("jun")


class Outbox:
    """Remembers what it was given from memory."""

    channels = ("chat-critical", "chat-high", "chat-medium", "news", "pager", "log")

    def __init__(self) -> None:
        self.woken = 0
        self.offered: dict[str, Delivery] = {}

    def wake(self) -> None:
        """Count."""
        self.woken += 1

    def offer(self, deliveries: Iterable[Delivery]) -> None:
        """Remember; the same again is the same."""
        self.offered |= {one.id: one for one in deliveries}


class Lease:
    """Held or not, as the test says."""

    held = True
    fencing_token = 1


class BrokenStore:
    """A store that fails as long as told; everything else is the real one's."""

    def __init__(self, store: SqliteAlertStore) -> None:
        self.store = store
        self.trouble: Exception | None = None
        self.hang: asyncio.Event | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def load(self) -> Any:
        """Read, or not."""
        if self.trouble is not None:
            raise self.trouble
        return await self.store.load()

    async def commit(self, *args: Any, **more: Any) -> int:
        """Store, or not, or late."""
        if self.hang is not None:
            await self.hang.wait()
        if self.trouble is not None:
            raise self.trouble
        return await self.store.commit(*args, **more)


class Room:
    """One process with alerts: a clock in the hand, a real store, a made-up world."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = HandClock()
        self.world = World()
        self.lease = Lease()
        self.outbox = Outbox()
        self.audited: list[tuple[str, str, str]] = []
        self.settings = AlertSettings(plan(), {"pager": ("en",)}, 3_600)
        self.store = BrokenStore(SqliteAlertStore(folder))
        self.links = Links(b"k" * 32, "http://gw.example")
        self.join()

    def join(self) -> None:
        """Make the parts anew, as a start does."""
        self.alerting = Alerting(
            self.store,  # type: ignore[arg-type]
            self.settings,
            view=self.view,
            readings=lambda _: self.world.seen().readings,
            clock=self.clock,
            lease=self.lease,
            outbox=self.outbox,
            link=lambda one, now_us, valid_s: self.links.make(one, now_us=now_us, valid_s=valid_s),
            patience_s=0.2,
        )
        self.desk = AlertsDesk(
            self.alerting,
            self.store,  # type: ignore[arg-type]
            clock=self.clock,
            audit=self.audit,
            reload=self.reload,
        )

    async def reload(self) -> AlertSettings:
        """Take up what the test has put in place of the file."""
        await self.alerting.use(self.settings)
        return self.settings

    async def audit(self, action: str, *, by: Actor, reason: str, text: str) -> None:
        """Remember."""
        self.audited.append((action, by.name, reason))

    def view(self) -> ControlView:
        """The controller's view of the made-up world."""
        self.world.now_s = (self.clock.now - HandClock().now) / SECOND_US
        seen = self.world.seen()
        return ControlView(
            at_us=seen.now_us, state=seen.state, plan=seen.plan, judgement=None, gates=(),
            inputs=seen.inputs, watch=None, systems=(), workers=(), events=(),
            store_writable=seen.store_writable,
        )  # fmt: skip

    async def look(self, after_s: float = 1) -> None:
        """Time passes, then it looks."""
        self.clock.advance(after_s)
        await self.alerting.look()

    async def restart(self) -> None:
        """Kill -9 and start again: only what was stored is left."""
        await self.store.store.close()
        self.store = BrokenStore(SqliteAlertStore(self.folder))
        self.join()
        await self.alerting.restore()

    async def waiting(self) -> list[Delivery]:
        """What is stored to be sent."""
        return await self.store.store.due(now_us=2**62, limit=1_000)

    async def told(self) -> list[str]:
        """Stage and channel of everything stored, oldest first, in one language."""
        records = await self.store.store.records(limit=1_000)
        return [
            f"{one.delivery.stage.value} {one.delivery.channel}"
            for one in reversed(records)
            if one.delivery.language is Language.JA or one.delivery.channel == "pager"
        ]


# HandClock starts somewhere else than the world: one clock for both.
@pytest.fixture
async def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Room]:
    """A room in which nothing is wrong yet."""
    monkeypatch.setattr("tests.support.alerts.BEGAN_US", HandClock().now)
    room = Room(tmp_path)
    await room.alerting.restore()
    yield room
    await room.store.store.close()


async def test_an_alert_is_stored_with_its_messages_and_told_once(room: Room) -> None:
    """One message per channel and language, with figures and a link; then silence."""
    await room.look()
    room.world.errors[NEW] = 0.02
    for _ in range(50):
        await room.look()
    found = await room.waiting()
    assert {(one.channel, one.language) for one in found} == {
        ("chat-high", Language.JA), ("chat-high", Language.EN),
    }  # fmt: skip
    japanese = next(one for one in found if one.language is Language.JA)
    assert (japanese.stage, japanese.incident, japanese.message) == (Stage.RAISED, 1, "alert")
    assert japanese.figures["value_text"] == "2 %"
    assert japanese.figures["title"] == "errors。"
    assert japanese.figures["names"] == ["Dev"]
    assert "エラー率" in str(japanese.figures["why"])
    assert str(japanese.figures["link"]).startswith("http://gw.example/a/1-")
    assert japanese.figures["phase"] == "2 small"
    assert room.outbox.offered == {}
    assert room.outbox.woken >= 1


async def test_a_channel_that_is_not_set_is_left_out_and_the_log_hears_it(room: Room) -> None:
    """Nobody is told of an alert by a message that can only fail."""
    room.outbox.channels = ("log",)
    room.world.errors[NEW] = 0.2
    await room.look()
    assert {one.channel for one in await room.waiting()} == {"log"}


async def test_kill_9_loses_no_alert_and_begins_none_twice(room: Room) -> None:
    """Whenever it happens: before the look, after it, after the answer, after the escalation."""
    room.world.errors[NEW] = 0.2
    await room.restart()
    await room.look()
    await room.restart()
    for _ in range(5):
        await room.look()
        await room.restart()
    assert await room.told() == ["raised chat-critical"]
    await room.look(900)
    await room.restart()
    await room.look()
    assert (await room.told())[1:] == ["escalated chat-critical", "escalated pager"]
    await room.desk.acknowledge(1, by=JUN, reason="on it")
    await room.restart()
    await room.look(100_000)
    assert (await room.told())[3:] == ["acknowledged chat-critical", "acknowledged pager"]
    room.world.errors[NEW] = 0.0
    await room.look()
    await room.restart()
    await room.look(60)
    await room.restart()
    await room.look(60)
    assert (await room.told())[5:] == ["resolved chat-critical", "resolved pager"]
    (over,) = await room.desk.ended()
    assert (over.rule, over.level) == ("errors", Severity.CRITICAL)


async def test_what_happened_while_it_was_down_is_told_after(room: Room) -> None:
    """Derived from what stands, not from what was said in passing."""
    await room.look()
    state = room.world.state
    why = note("rolled_back_by_person", actor="jun")
    room.world.state = replace(
        state, status=Status.ROLLED_BACK, version=9, write_bp=0, read_bp=0, why=why
    )
    await room.restart()
    await room.look()
    assert await room.told() == ["raised chat-critical"]
    (message, _) = await room.waiting()
    assert message.message == "rollback"


async def test_two_steps_within_a_second_are_both_told(room: Room) -> None:
    """Started and moved on at once: the states come one by one."""
    await room.look()
    state = room.world.state
    began = replace(state, started_at_us=77, phase=0, version=6)
    moved = replace(began, phase=1, version=7)
    room.alerting.moved(began)
    room.alerting.moved(moved)
    room.world.state = moved
    await room.look()
    assert [one.message for one in await room.waiting()] == ["started", "promoted"]


async def test_a_notice_is_one_incident_until_it_is_over(room: Room) -> None:
    """One per key, in both languages if it has them; the store's own is derived."""
    trouble = Notice(
        Severity.HIGH, "loop_failed", "It failed.", 0, data={"text_ja": "失敗しました。"}
    )
    for _ in range(3):
        room.alerting.tell(trouble)
        room.alerting.tell(Notice(Severity.CRITICAL, "store_unwritable", "x", 0, key="store"))
        await room.look()
    assert await room.told() == ["raised chat-high"]
    japanese = next(d for d in await room.waiting() if d.language is Language.JA)
    assert (japanese.figures["why"], japanese.message) == ("失敗しました。", "notice")
    room.alerting.tell(replace(trouble, data={"resolved": True}))
    await room.look()
    assert (await room.told())[1:] == ["resolved chat-high"]


async def test_a_flood_of_notices_is_bounded(room: Room) -> None:
    """A thousand different ones in a second: the surplus is logged, nothing grows."""
    for number in range(1_000):
        room.alerting.tell(Notice(Severity.LOW, f"n{number}", "x", 0))
    await room.look()
    assert len(await room.waiting()) == 256


async def test_ten_thousand_user_reports_are_one_incident(room: Room) -> None:
    """And the store holds one, whatever their number."""
    from gateway.core.analysis import Metric, Relation
    from tests.support.alerts import rule

    of_users = rule(
        "users", metric=Metric.USER_REPORTS, comparison=Relation.AT_LEAST, systems=(None,),
        steps=(alerts.Step(Severity.MEDIUM, 3, 3),), window_s=86_400,
    )  # fmt: skip
    await room.alerting.use(replace(room.settings, plan=plan(of_users)))
    for _ in range(60):
        room.world.reports += [UserReport(room.clock.now, serious=False)] * 170
        await room.look()
    assert len(room.world.reports) > 10_000
    assert await room.told() == ["raised chat-medium"]


async def test_when_the_store_is_gone_alerts_go_out_from_memory(room: Room) -> None:
    """That it is gone is one of them; when it is back, all of it is stored, once."""
    await room.look()
    room.store.trouble = StoreUnavailableError("full")
    room.world.store_writable = False
    await room.look()
    await room.look()
    assert {one.channel for one in room.outbox.offered.values()} == {"chat-critical"}
    assert not room.desk.view().stored
    answered = await room.desk.acknowledge(1, by=JUN, reason="disk")
    assert answered.ack is not None
    assert len(room.outbox.offered) == 4
    room.store.trouble = None
    await room.look()
    assert room.desk.view().stored
    assert {one.id for one in await room.waiting()} == set(room.outbox.offered)
    await room.restart()
    await room.look()
    assert await room.told() == ["raised chat-critical", "acknowledged chat-critical"]


async def test_a_store_that_hangs_delays_and_doubles_nothing(room: Room) -> None:
    """Its late answer is taken up; meanwhile alerts go out."""
    await room.look()
    room.store.hang = asyncio.Event()
    room.world.errors[NEW] = 0.02
    await room.look()
    assert len(room.outbox.offered) == 2
    room.world.errors[NEW] = 0.2
    await room.look()
    assert len(room.outbox.offered) == 4
    room.store.hang.set()
    await room.look()
    await room.look()
    assert room.desk.view().stored
    assert await room.told() == ["raised chat-high", "updated chat-critical"]


@pytest.mark.parametrize("mood", ["refuses", "hangs"])
async def test_a_store_that_is_away_for_long_fills_no_memory(
    room: Room, monkeypatch: pytest.MonkeyPatch, mood: str
) -> None:
    """The oldest are let go of, but for those of the commit under way; what stands is kept."""
    monkeypatch.setattr("gateway.control.alerting.MOST_UNSTORED", 10)
    room.alerting._patience_s = 0.01
    await room.look()
    if mood == "refuses":
        room.store.trouble = StoreUnavailableError("full")
    else:
        room.store.hang = asyncio.Event()
    for _ in range(30):
        for errors in (0.2, 0.0, 0.0):
            room.world.errors[NEW] = errors
            await room.look(61)
        assert len(room.alerting._deliveries) <= 10
        assert len(room.alerting._ended) <= 10
    room.store.trouble = None
    if room.store.hang is not None:
        room.store.hang.set()
    await room.look()
    await room.look()
    assert room.desk.view().stored
    numbers = [one.number for one in await room.desk.ended(limit=100)]
    assert max(numbers) == 30
    assert 10 <= len(numbers) < 30
    incidents = {one.delivery.incident for one in await room.desk.deliveries(limit=100)}
    assert 30 in incidents
    assert (1 in incidents) is (mood == "hangs")


async def test_who_does_not_hold_the_lease_decides_nothing(room: Room) -> None:
    """But what only it knows is told, once, from memory."""
    room.lease.held = False
    room.world.errors[NEW] = 0.2
    room.alerting.tell(Notice(Severity.HIGH, "own_trouble", "Mine.", 0))
    await room.look()
    await room.look()
    assert await room.waiting() == []
    assert [one.figures["why"] for one in room.outbox.offered.values()] == ["Mine."] * 2
    room.lease.held = True
    await room.look()
    assert await room.told() == ["raised chat-critical"]


async def test_people_see_and_answer_on_a_replica_that_does_not_decide(room: Room) -> None:
    """It shows the holder's book; an answer given here is a change for a person."""
    room.world.errors[NEW] = 0.2
    await room.look()
    room.lease.held = False
    room.join()
    room.lease.fencing_token = 0
    await room.look()
    (one,) = room.desk.view().book.open
    assert not room.desk.view().deciding
    taken = await room.desk.acknowledge(one.number, by=JUN, reason="mine")
    assert taken.ack is not None
    await room.look()
    assert await room.told() == ["raised chat-critical", "acknowledged chat-critical"]
    room.store.trouble = StoreUnavailableError("away")
    await room.look()
    with pytest.raises(StoreUnavailableError):
        await room.desk.silence("*", system=None, until_us=room.clock.now + 9, by=JUN, reason="x")


async def test_another_holder_that_was_faster_is_not_overwritten(room: Room) -> None:
    """Its book is read, and what stands is found in it again."""
    await room.look()
    room.world.errors[NEW] = 0.2
    other = Alerting(
        room.store, room.settings, view=room.view, readings=lambda _: room.world.seen().readings,  # type: ignore[arg-type]
        clock=room.clock, lease=room.lease, outbox=room.outbox, link=lambda *_: None,
    )  # fmt: skip
    await other.look()
    room.alerting.tell(Notice(Severity.HIGH, "kept", "x", 0))
    await room.look()
    assert await room.told() == ["raised chat-critical"]
    await room.look()
    assert await room.told() == ["raised chat-critical", "raised chat-high"]
    answer = Actor("ann")
    await AlertsDesk(
        other,
        room.store,
        clock=room.clock,
        audit=room.audit,
        reload=room.reload,
    ).acknowledge(1, by=answer, reason="mine")
    with pytest.raises(RefusedError, match="taken by ann"):
        await room.desk.acknowledge(1, by=JUN, reason="mine")


async def test_two_that_never_agree_end_with_a_refusal(room: Room) -> None:
    """Somebody else wins twice: the person is told to look again."""
    await room.look()
    room.world.errors[NEW] = 0.2
    await room.look()
    room.store.trouble = VersionConflictError("moved on")
    with pytest.raises(VersionConflictError):
        await room.desk.acknowledge(1, by=JUN, reason="mine")


async def test_a_book_that_is_none_is_never_replaced(room: Room) -> None:
    """Said, with what to do; the store stays as it is."""
    await room.store.store.commit({"format": 9}, expected_version=0, token=1)
    with pytest.raises(StateUnreadableError, match="cannot be used"):
        await room.alerting.restore()
    stored = await room.store.store.load()
    assert stored is not None
    assert stored.document == {"format": 9}


async def test_a_store_that_cannot_be_read_yet_is_waited_for(room: Room) -> None:
    """Without the book nobody knows what was told: nothing is told until it can be read."""
    room.world.errors[NEW] = 0.2
    await room.look()
    await room.restart()
    room.store.trouble = StoreUnavailableError("away")
    room.alerting._version = None
    await room.look()
    room.store.trouble = None
    await room.look()
    assert await room.told() == ["raised chat-critical"]


async def test_people_answer_silence_and_are_on_record(room: Room) -> None:
    """Acknowledged once; a silence with an end, listed, ended early; each audited."""
    room.world.errors[NEW] = 0.2
    await room.look()
    await room.desk.acknowledge(1, by=JUN, reason="on it")
    with pytest.raises(RefusedError, match="not open") as refusal:
        await room.desk.acknowledge(7, by=JUN, reason="on it")
    assert "open now: 1" in refusal.value.message
    assert "syncgate alerts" in refusal.value.todo
    until_us = room.clock.now + 3_600 * SECOND_US
    made = await room.desk.silence("errors", system="new", until_us=until_us, by=JUN, reason="work")
    assert room.desk.view().book.silences == (made,)
    with pytest.raises(RefusedError, match="no silence 9"):
        await room.desk.lift(9, by=JUN, reason="done")
    await room.desk.lift(made.id, by=JUN, reason="done")
    assert room.desk.view().book.silences == ()
    assert room.audited == [
        ("alert.acknowledge", "jun", "on it"), ("alert.silence", "jun", "work"),
        ("alert.unsilence", "jun", "done"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "after_s", "words"),
    [
        ("errors", -1, "from now on"),
        ("errors", 8 * 86_400, "too far away"),
        ("nothing", 60, "'nothing'"),
    ],
)
async def test_a_silence_without_an_end_or_a_rule_is_refused(
    room: Room, rule: str, after_s: int, words: str
) -> None:
    """Every silence ends, and it names something that there is."""
    until_us = room.clock.now + after_s * SECOND_US
    with pytest.raises(RefusedError, match=words):
        await room.desk.silence(rule, system=None, until_us=until_us, by=JUN, reason="work")


async def test_silences_are_bounded(room: Room) -> None:
    """The hundred-and-first is refused with what to do."""
    until_us = room.clock.now + 60 * SECOND_US
    for _ in range(alerts.MOST_SILENCES):
        await room.desk.silence("*", system=None, until_us=until_us, by=JUN, reason="work")
    with pytest.raises(RefusedError, match="already"):
        await room.desk.silence("*", system=None, until_us=until_us, by=JUN, reason="work")


async def test_a_dead_message_can_be_sent_again(room: Room) -> None:
    """After the credentials were corrected; of any other it is refused."""
    room.world.errors[NEW] = 0.2
    await room.look()
    (first, *_) = await room.waiting()
    await room.store.store.dead(first.id, at_us=1, reason="refused")
    (dead,) = await room.desk.deliveries(state=DeliveryState.DEAD)
    await room.desk.revive(dead.delivery.id, by=JUN, reason="fixed")
    assert await room.desk.deliveries(state=DeliveryState.DEAD) == []
    with pytest.raises(RefusedError, match="given up"):
        await room.desk.revive("x", by=JUN, reason="fixed")


async def test_the_file_is_read_again_and_the_loop_looks_by_itself(room: Room) -> None:
    """Other rules are in force at the next look."""
    running = asyncio.create_task(room.alerting.run())
    from gateway.core.analysis import Metric
    from tests.support.alerts import rule

    room.settings = replace(
        room.settings, plan=plan(rule("rejected", metric=Metric.SUCCESS_RATIO,
            steps=(alerts.Step(Severity.HIGH, 0.5, 0.4),)))
    )  # fmt: skip
    await room.desk.reload(by=JUN, reason="stricter")
    async with asyncio.timeout(5):
        while not room.desk.view().book.open:
            await asyncio.sleep(0.01)
    running.cancel()
    assert room.desk.view().book.open[0].rule == "rejected"


def test_a_link_opens_one_incident_until_it_expires() -> None:
    """Another incident, another end, another key or anything else: wrong."""
    links = Links(b"k" * 32, "http://gw.example")
    world = World()
    world.errors[NEW] = 0.2
    (incident,) = world.look(0).book.open
    now_us = world.now_us
    url = links.make(incident, now_us=now_us, valid_s=60)
    path, _, query = url.partition("?")
    until, signature = (part[2:] for part in query.split("&"))
    uid = path.rpartition("/")[2]
    assert len(url) < 100
    assert links.check(uid, until, signature, now_us=now_us) is LinkState.GOOD
    late_us = now_us + 61 * SECOND_US
    assert links.check(uid, until, signature, now_us=late_us) is LinkState.EXPIRED
    wrong = [
        ("2" + uid[1:], until, signature),
        (uid, str(int(until) + 1), signature),
        (uid, until, signature[:-1] + "A" if signature[-1] != "A" else signature[:-1] + "B"),
        (uid, until, ""),
        (uid, until, "é" * 24),
        (uid, "", signature),
        (uid, "9" * 13, signature),
        (uid, "٣", signature),
    ]
    for parts in wrong:
        assert links.check(*parts, now_us=now_us) is LinkState.WRONG
    other = Links(b"x" * 32, "http://gw.example")
    assert other.check(uid, until, signature, now_us=now_us) is LinkState.WRONG


def test_the_state_of_a_fresh_gateway_tells_nothing() -> None:
    """Idle, nothing measured yet: no alert, no news."""
    world = World()
    world.state = State()
    world.blind = True
    world.look(0)
    assert world.told() == []

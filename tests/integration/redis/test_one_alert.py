"""Two that both believe to decide, on one real store: one incident, one message for each reader."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.adapters.redis_store.address import read_address
from gateway.adapters.redis_store.alerts import RedisAlertStore
from gateway.adapters.redis_store.server import Server
from gateway.control.alerting import Alerting
from gateway.core.rollout import Status
from gateway.ports import ControlView
from gateway.ports.alerts import AlertSettings, Language, Stage
from tests.support.alerts import NEW, World, plan
from tests.support.recording import HandClock
from tests.support.redis_servers import fresh_prefix
from tests.support.scale import scale

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

    from gateway.ports.alerts import Delivery
    from tests.support.redis_servers import RedisServer


class Outbox:
    """Nothing is sent; what could not be stored would be offered from memory."""

    channels = ("chat-critical", "chat-high", "chat-medium", "news", "pager", "log")

    def __init__(self) -> None:
        self.offered: list[Delivery] = []

    def wake(self) -> None:
        """Stored messages are looked at by the test."""

    def offer(self, deliveries: Iterable[Delivery]) -> None:
        """Remember."""
        self.offered += deliveries


class Holder:
    """`Lease` that is held by everybody, under the same token: the worst that can be."""

    held = True
    fencing_token = 7


async def test_two_at_once_tell_once(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They look in the same moment, again and again, while new fails and is taken back."""
    clock, world, outbox = HandClock(), World(), Outbox()
    monkeypatch.setattr("tests.support.alerts.BEGAN_US", clock.now)

    def view() -> ControlView:
        world.now_s = (clock.now - HandClock().now) / 1e6
        seen = world.seen()
        return ControlView(
            at_us=seen.now_us, state=seen.state, plan=seen.plan, judgement=None, gates=(),
            inputs=seen.inputs, watch=None, systems=(), workers=(), events=(),
            store_writable=True,
        )  # fmt: skip

    address = replace(read_address(redis_server.url), prefix=fresh_prefix(), timeout_s=5.0)
    servers = [Server(address), Server(address)]
    both = [
        Alerting(
            RedisAlertStore(server), AlertSettings(plan(), {}, 3_600), view=view,
            readings=lambda _: world.seen().readings, clock=clock, lease=Holder(), outbox=outbox,
            link=lambda *_: None, patience_s=10,
        )
        for server in servers
    ]  # fmt: skip
    for second in range(scale(quick=20, full=300)):
        if second == 3:
            world.errors[NEW] = 0.2
        if second == 5:
            world.state = replace(world.state, version=6, status=Status.ROLLED_BACK, write_bp=0)
        clock.advance(1)
        await asyncio.gather(*(one.look() for one in both))
    records = await RedisAlertStore(servers[0]).records(limit=1_000)
    told = [one.delivery for one in records]
    each = Counter((one.incident, one.stage, one.channel, one.language) for one in told)
    assert set(each.values()) == {1}
    raised = {
        (one.incident, one.figures["title"])
        for one in told
        if one.stage is Stage.RAISED and one.language is Language.EN
    }
    assert sorted(str(title) for _, title in raised) == ["Rolled back", "errors"]
    assert outbox.offered == []
    for server in servers:
        await server.close()

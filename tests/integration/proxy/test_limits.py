"""How much one client, one address, one upstream and the whole worker are given."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

from gateway.core.model import Outcome
from gateway.proxy.configuration import DataPlaneSettings
from tests.support.dataplane import (
    OK,
    UNREACHABLE,
    Received,
    RecordingUpstream,
    data_plane,
    split_answer,
    unlimited,
)

LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


async def test_a_client_over_its_limit_gets_429_and_is_told_when_to_come_back() -> None:
    """By API key, else by address; X-Client-Id buys nothing; the upstream is not bothered."""
    async with (
        RecordingUpstream() as old,
        data_plane(
            DataPlaneSettings(old.url, UNREACHABLE, rate_limit_per_second=0.001, rate_limit_burst=3)
        ) as gateway,
    ):
        for number in range(3):
            assert (await gateway.ask(headers={"X-Client-Id": str(number)})).status == 200
        limited = await gateway.ask(headers={"X-Client-Id": "9"})
        assert limited.status == 429
        assert int(limited.headers["retry-after"]) > 0
        assert limited.headers["ratelimit"].startswith('"client";r=0;t=')
        assert limited.headers["ratelimit-policy"].startswith('"client";q=3;w=')
        assert limited.headers["content-type"] == "application/problem+json"
        assert json.loads(limited.body)["status"] == 429
        assert (await gateway.ask(headers={"apikey": "other"})).status == 200
        assert (await gateway.ask("/health")).status == 200
        assert len(old.requests) == 4
        assert gateway.plane.old.counts[Outcome.ERROR] == 0


async def test_an_upstream_over_its_limit_is_spared() -> None:
    """The limit is the upstream's, whoever asks."""
    async with (
        RecordingUpstream() as old,
        data_plane(unlimited(old.url, UNREACHABLE, upstream_limit_per_second=2)) as gateway,
    ):
        answers = [await gateway.ask(headers={"apikey": str(n)}) for n in range(5)]
        assert [answer.status for answer in answers] == [200, 200, 429, 429, 429]
        assert "retry-after" in answers[-1].headers
        assert gateway.plane.in_flight == 0


async def test_more_than_the_worker_can_carry_is_shed() -> None:
    """Above the bound the answer is a quick 503; what was under way finishes."""
    release = asyncio.Event()

    async def waits(_: Received) -> bytes:
        await release.wait()
        return OK

    async with (
        RecordingUpstream(waits) as old,
        data_plane(unlimited(old.url, UNREACHABLE, in_flight=3)) as gateway,
    ):
        under_way = [asyncio.create_task(gateway.ask()) for _ in range(3)]
        while len(old.requests) < 3:
            await asyncio.sleep(0.005)
        shed = await gateway.ask()
        assert (shed.status, shed.headers["retry-after"]) == (503, "1")
        release.set()
        assert [(await task).status for task in under_way] == [200] * 3
        assert (await gateway.ask()).status == 200


async def test_busy_upstream_connections_make_others_wait_their_turn() -> None:
    """Ten at once over two connections: all are served, in turn."""

    async def slowly(_: Received) -> bytes:
        await asyncio.sleep(0.005)
        return OK

    async with (
        RecordingUpstream(slowly) as old,
        data_plane(unlimited(old.url, UNREACHABLE, upstream_connections=2)) as gateway,
    ):
        answers = await asyncio.gather(*(gateway.ask() for _ in range(10)))
        assert [answer.status for answer in answers] == [200] * 10
        assert old.connections == 2


async def test_waiting_too_long_for_a_connection_is_our_own_503() -> None:
    """It says nothing about the upstream, so it is no error of its."""

    async def never(_: Received) -> bytes:
        await asyncio.sleep(30)
        return OK

    async with (
        RecordingUpstream(never) as old,
        data_plane(
            unlimited(old.url, UNREACHABLE, upstream_connections=1, connect_timeout_ms=50)
        ) as gateway,
    ):
        first = asyncio.create_task(gateway.ask())
        while not old.requests:
            await asyncio.sleep(0.005)
        assert (await gateway.ask()).status == 503
        assert gateway.runs == []
        first.cancel()


async def test_under_twice_what_a_system_can_do_half_is_served_in_time() -> None:
    """The queue does not stand: who is served waited a moment, and the others are told soon."""

    async def slowly(_: Received) -> bytes:
        await asyncio.sleep(0.02)
        return OK

    statuses: Counter[int] = Counter()
    waiting: list[int] = []
    async with (
        RecordingUpstream(slowly) as old,
        data_plane(unlimited(old.url, UNREACHABLE, upstream_connections=4)) as gateway,
    ):

        async def asks() -> None:
            statuses[(await gateway.ask()).status] += 1

        asked = []
        for _ in range(40):  # three seconds of 400 a second, where 200 can be served
            asked += [asyncio.create_task(asks()) for _ in range(30)]
            await asyncio.sleep(0.075)
            waiting.append(len(gateway.plane.old.pool.waiting))
        await asyncio.gather(*asked)
        assert set(statuses) == {200, 503}
        assert statuses[200] > 100
        assert max(waiting[-10:]) < max(waiting) / 2  # it does not grow with the overload's length
        assert gateway.plane.refused["upstream_saturated"] == statuses[503]
        assert not gateway.plane.old.counts[Outcome.ERROR]
        assert (await gateway.ask()).status == 200


async def test_those_who_wait_are_served_when_connections_close_behind_others() -> None:
    """An upstream that ends each connection with its answer: ten at once, one after the other."""
    async with (
        RecordingUpstream(LAST, close_after=True) as old,
        data_plane(unlimited(old.url, UNREACHABLE, upstream_connections=1)) as gateway,
    ):
        answers = await asyncio.gather(*(gateway.ask() for _ in range(10)))
        assert [answer.status for answer in answers] == [200] * 10
        assert old.connections == 10


async def test_connections_per_address_are_bounded_and_given_back() -> None:
    """Beyond the bound the answer is 503 at once; a closed connection makes room."""
    async with (
        RecordingUpstream() as old,
        data_plane(unlimited(old.url, UNREACHABLE, connections_per_address=3)) as gateway,
    ):
        held = [await gateway.connect() for _ in range(3)]
        for _, writer in held:
            writer.write(b"G")
        while len(gateway.plane.connections) < 3:
            await asyncio.sleep(0.005)
        reader, writer = await gateway.connect()
        assert split_answer(await reader.read()).status == 503
        writer.transport.abort()
        for _, writer in held:
            writer.transport.abort()
        while gateway.plane.connections:
            await asyncio.sleep(0.005)
        assert (await gateway.ask()).status == 200
        assert gateway.plane.connection_limits.admitted == 0

"""Where requests go, seen from outside."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.core.model import Weight
from gateway.core.splitter import assign
from gateway.proxy.configuration import OperatorToken
from tests.support.dataplane import (
    Received,
    RecordingUpstream,
    data_plane,
    routing,
    unlimited,
)
from tests.support.scale import scale

if TYPE_CHECKING:
    from datetime import tzinfo

SYNC = "/api/property-listings/sync"
TOKEN = "a-token-of-an-operator"
DIGEST = hashlib.sha256(TOKEN.encode()).hexdigest()


async def shares(gateway, count: int = 100) -> Counter[str]:
    """How `count` requests without a key are split."""
    answers = [await gateway.ask() for _ in range(count)]
    return Counter(answer.headers["sync-system"] for answer in answers)


async def test_the_split_without_a_key_is_exact_also_after_a_change() -> None:
    """Any hundred requests show the weight, whatever came before."""
    async with (
        RecordingUpstream() as old,
        RecordingUpstream() as new,
        data_plane(unlimited(old.url, new.url)) as gateway,
    ):
        for version, percent in enumerate((10, 50, 33, 1, 100, 0, 99, 7), start=2):
            gateway.plane.route(routing(percent, version))
            assert (await shares(gateway))["new"] == percent


async def test_reads_and_writes_are_split_apart() -> None:
    """A weight of its own each."""
    async with (
        RecordingUpstream() as old,
        RecordingUpstream() as new,
        data_plane(
            unlimited(old.url, new.url), routing(read_weight_bp=10_000, write_weight_bp=0)
        ) as gateway,
    ):
        assert (await gateway.ask()).headers["sync-system"] == "new"
        assert (await gateway.ask(SYNC, "POST", body=b"")).headers["sync-system"] == "old"


@pytest.mark.parametrize("header", ["X-Client-Id", "apikey"])
async def test_a_client_with_a_key_stays(header: str) -> None:
    """The same key goes the same way, which is the way the core says; so does a POST of it."""
    async with (
        RecordingUpstream() as old,
        RecordingUpstream() as new,
        data_plane(unlimited(old.url, new.url), routing(40)) as gateway,
    ):
        for number in range(20):
            expected = assign(b"client-%d" % number, b"salt", Weight(4_000)).value
            for method, body in (("GET", None), ("POST", b""), ("GET", None)):
                answer = await gateway.ask(
                    method=method, body=body, headers={header: f"client-{number}"}
                )
                assert answer.headers["sync-system"] == expected


async def test_an_operator_may_force_a_side_and_the_token_goes_no_further() -> None:
    """With the right token only; emergency stop outranks it."""
    settings = {"operator_tokens": (OperatorToken("0" * 64), OperatorToken(DIGEST))}
    async with (
        RecordingUpstream() as old,
        RecordingUpstream() as new,
        data_plane(unlimited(old.url, new.url, **settings), routing(0)) as gateway,
    ):
        force = {"Sync-System": "new", "Sync-Operator-Token": TOKEN}
        assert (await gateway.ask(headers=force)).headers["sync-system"] == "new"
        assert new.requests[0].header("sync-operator-token") is None
        assert new.requests[0].header("sync-system") is None
        wrong = {**force, "Sync-Operator-Token": "guess"}
        assert (await gateway.ask(headers=wrong)).headers["sync-system"] == "old"
        assert (await gateway.ask(headers={"Sync-System": "new"})).headers["sync-system"] == "old"
        gateway.plane.route(routing(100, 2))
        back = {**force, "Sync-System": "old"}
        assert (await gateway.ask(headers=back)).headers["sync-system"] == "old"
        gateway.plane.route(routing(100, 3, stopped=True))
        assert (await gateway.ask(headers=force)).headers["sync-system"] == "old"
        assert (await gateway.ask()).headers["sync-system"] == "old"


async def test_an_operators_token_ends_with_its_last_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the worker runs: it is looked at with each request, in UTC."""

    class Clock(datetime):
        """Tells what the test says."""

        said = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            assert tz is UTC
            return cls.said

    monkeypatch.setattr("gateway.proxy.plane.datetime", Clock)
    settings = {"operator_tokens": (OperatorToken(DIGEST, "2026-11-30"),)}
    async with (
        RecordingUpstream() as old,
        RecordingUpstream() as new,
        data_plane(unlimited(old.url, new.url, **settings), routing(0)) as gateway,
    ):
        force = {"Sync-System": "new", "Sync-Operator-Token": TOKEN}
        assert (await gateway.ask(headers=force)).headers["sync-system"] == "new"
        Clock.said += timedelta(seconds=1)
        assert (await gateway.ask(headers=force)).headers["sync-system"] == "old"


async def test_an_older_routing_is_ignored() -> None:
    """Versions only grow, so a message that was overtaken changes nothing."""
    async with (
        RecordingUpstream() as old,
        RecordingUpstream() as new,
        data_plane(unlimited(old.url, new.url), routing(100, 5)) as gateway,
    ):
        gateway.plane.route(routing(0, 4))
        assert (await gateway.ask()).headers["sync-system"] == "new"
        gateway.plane.route(routing(100, 5, mirror_to="old", mirror_rate=1.0))
        assert (
            gateway.plane.mirror.target is gateway.plane.old
        )  # the state is the same, this is not


async def test_nothing_is_lost_or_doubled_while_the_weight_moves() -> None:
    """A thousand requests at once, ten times 0 -> 100 -> 0: each answered once, by one system."""

    async def echo(request: Received) -> bytes:
        await asyncio.sleep(0)
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (
            len(request.body),
            request.body,
        )

    total, at_once = scale(full=20_000, quick=3_000), 1_000
    async with (
        RecordingUpstream(echo) as old,
        RecordingUpstream(echo) as new,
        data_plane(
            unlimited(old.url, new.url, upstream_connections=128, connect_timeout_ms=60_000)
        ) as gateway,
    ):
        numbers = iter(range(total))
        answered: Counter[bytes] = Counter()

        async def client() -> None:
            reader, writer = await gateway.connect()
            for number in numbers:
                if number % (total // 20) == 0:
                    version = gateway.plane.routing.version + 1
                    gateway.plane.route(routing(100 if version % 2 else 0, version))
                body = b"%d" % number
                writer.write(
                    b"POST /api/property-listings/sync HTTP/1.1\r\nHost: g\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
                )
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200 OK"), head
                answered[await reader.readexactly(len(body))] += 1
            writer.transport.abort()

        await asyncio.gather(*(client() for _ in range(at_once)))
        assert answered == Counter(b"%d" % number for number in range(total))
        seen = Counter(request.body for request in old.requests + new.requests)
        assert seen == answered
        assert old.requests
        assert new.requests

"""Shadow requests: what they carry, and that they can do a client no harm."""

from __future__ import annotations

import asyncio
from time import monotonic_ns

from gateway.core.model import Outcome
from gateway.link import Report, decode, encode
from gateway.proxy.reporter import Reporter
from tests.support.dataplane import (
    UNREACHABLE,
    Received,
    RecordingUpstream,
    data_plane,
    routing,
    unlimited,
)

SYNC = "/api/property-listings/sync"
MIRRORED = {"mirror_to": "new", "mirror_rate": 1.0}


def sync_answer(digest: str, body: bytes = b"{}", records: int = 3) -> bytes:
    """What a sync answers, as far as the gateway looks at it."""
    return (
        "HTTP/1.1 200 OK\r\nSync-Id: 0000-id\r\nSync-Status: completed\r\nSync-Dry-Run: applied\r\n"
        f"Sync-Digest: {digest}\r\nSync-Records: {records}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def until(condition) -> None:
    """Wait for what happens after the answer."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_shadow_is_a_dry_run_of_the_same_bytes() -> None:
    """It names the sync it shadows, carries no idempotency key, and is compared by digest."""
    async with (
        RecordingUpstream(sync_answer("aa")) as old,
        RecordingUpstream(sync_answer("aa", b"other bytes")) as new,
        data_plane(unlimited(old.url, new.url), routing(0, **MIRRORED)) as gateway,
    ):
        headers = {"Idempotency-Key": "k", "sync-dry-run": "false", "X-Mine": "1"}
        del headers["Idempotency-Key"]
        answered = await gateway.ask(SYNC, "POST", headers, b'{"mode":"full"}')
        assert answered.headers["sync-system"] == "old"
        await until(lambda: gateway.plane.mirror.tally.matched)
        (shadow,) = new.requests
        assert shadow.body == b'{"mode":"full"}'
        assert shadow.header("sync-dry-run") == "true"
        assert shadow.header("sync-shadow-of") == "0000-id"
        assert shadow.header("idempotency-key") is None
        assert shadow.header("x-mine") == "1"
        assert shadow.header("x-request-id") == answered.headers["x-request-id"]
        assert old.requests[0].header("sync-dry-run") == "false"
        assert gateway.plane.mirror.tally.listings_matched == 3
        cells = gateway.cells()
        assert cells["syncgate_shadows_timed_total"] == 1
        assert cells["syncgate_shadow_timed_listings_total"] == 3
        took = [
            cells[f'syncgate_shadow_timed_seconds_total{{system="{s}"}}'] for s in ("old", "new")
        ]
        assert all(0 < each < 10 for each in took)
        assert gateway.runs == [("old", int(Outcome.OK)), ("new", int(Outcome.OK))]


async def test_what_a_shadow_came_to_is_told_apart_from_what_clients_asked() -> None:
    """New served nobody: no request of a client, and one copy of three listings."""
    async with (
        RecordingUpstream(sync_answer("aa")) as old,
        RecordingUpstream(sync_answer("aa")) as new,
        data_plane(unlimited(old.url, new.url), routing(0, **MIRRORED)) as gateway,
    ):
        await gateway.ask(SYNC, "POST", body=b"{}")
        plane = gateway.plane
        await until(lambda: plane.mirror.tally.matched)
        now_us = monotonic_ns() // 1000 + plane.epoch_us + 1_000_000
        reporter = Reporter(plane, on_close=lambda: None)
        told: list[Report] = []
        reporter.send = lambda message: told.append(decode(encode(message)))  # type: ignore[assignment, method-assign]
        reporter._flowing = lambda: True  # type: ignore[method-assign]
        reporter.report(now_us)
        asked = [one.variants["new"].ok for one in told]
        copies = [one.copies["new"] for one in told if one.copies]
        assert sum(asked) == 0
        assert [(one.ok, one.syncs, one.listings) for one in copies] == [(1, 1, 3)]
        assert sum(one.variants["old"].syncs for one in told) == 1


async def test_only_syncs_are_shadowed_and_only_when_routing_says_so() -> None:
    """Reads and other writes are not; nothing is while the mirror is off."""
    async with (
        RecordingUpstream(sync_answer("aa")) as old,
        RecordingUpstream(sync_answer("aa")) as new,
        data_plane(unlimited(old.url, new.url), routing(0, **MIRRORED)) as gateway,
    ):
        await gateway.ask()
        await gateway.ask("/api/property-listings/AA1", "PUT", body=b"{}")
        gateway.plane.route(routing(0, 2))
        await gateway.ask(SYNC, "POST", body=b"{}")
        gateway.plane.route(routing(0, 3, mirror_to="new", mirror_rate=0.5))
        for _ in range(10):
            await gateway.ask(SYNC, "POST", body=b"{}")
        await until(lambda: gateway.plane.mirror.in_flight == 0)
        assert len(new.requests) == 5


async def test_a_shadow_that_confirms_no_dry_run_is_the_last() -> None:
    """It may have been stored: this worker mirrors nothing more until it is told to."""
    unconfirmed = sync_answer("aa").replace(b"Sync-Dry-Run: applied\r\n", b"")
    async with (
        RecordingUpstream(sync_answer("aa")) as old,
        RecordingUpstream(unconfirmed) as new,
        data_plane(unlimited(old.url, new.url), routing(0, **MIRRORED)) as gateway,
    ):
        await gateway.ask(SYNC, "POST", body=b"{}")
        await until(lambda: gateway.plane.mirror.tally.unconfirmed == 1)
        for _ in range(3):
            await gateway.ask(SYNC, "POST", body=b"{}")
        assert len(new.requests) == 1


async def test_a_share_is_repeated_against_the_system_that_answered() -> None:
    """The control is a dry run of the same sync; it counts for nobody and is told apart."""
    found = []

    async def moody(received: Received) -> bytes:
        return sync_answer("bb" if received.header("sync-shadow-of") else "aa")

    async with (
        RecordingUpstream(moody) as old,
        RecordingUpstream(sync_answer("aa")) as new,
        data_plane(
            unlimited(old.url, new.url), routing(0, **MIRRORED, control_rate=0.5)
        ) as gateway,
    ):
        mirror = gateway.plane.mirror
        mirror.on_difference = found.append
        for _ in range(4):
            await gateway.ask(SYNC, "POST", body=b"{}")
        await until(lambda: mirror.controls.differed == 2 and mirror.tally.matched == 4)
        controls = [each for each in old.requests if each.header("sync-shadow-of")]
        assert [each.header("sync-dry-run") for each in controls] == ["true", "true"]
        assert {each.header("sync-shadow-digest") for each in controls} == {"aa"}
        assert [(each.control, each.variant) for each in found] == [(True, "old")] * 2
        assert mirror.tally.differed == 0
        assert (
            sorted(gateway.runs) == [("new", int(Outcome.OK))] * 4 + [("old", int(Outcome.OK))] * 4
        )
        cells = gateway.cells()
        assert cells['syncgate_controls_total{result="differed"}'] == 2
        assert cells['syncgate_control_listings_total{result="differed"}'] == 6


async def test_a_control_that_fails_shows_no_noise_and_one_unconfirmed_is_the_last() -> None:
    """A server error is a miss; an answer that may have been stored ends the repeating alone."""
    broken = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
    stored = sync_answer("aa").replace(b"Sync-Dry-Run: applied\r\n", b"")
    answers = {"controls": broken}

    async def old_service(received: Received) -> bytes:
        return answers["controls"] if received.header("sync-shadow-of") else sync_answer("aa")

    async with (
        RecordingUpstream(old_service) as old,
        RecordingUpstream(sync_answer("aa")) as new,
        data_plane(
            unlimited(old.url, new.url), routing(0, **MIRRORED, control_rate=1.0)
        ) as gateway,
    ):
        mirror = gateway.plane.mirror
        await gateway.ask(SYNC, "POST", body=b"{}")
        await until(lambda: mirror.controls.unanswered == {"server error": 1})
        answers["controls"] = stored
        await gateway.ask(SYNC, "POST", body=b"{}")
        await until(lambda: mirror.controls.unconfirmed == 1)
        await gateway.ask(SYNC, "POST", body=b"{}")
        await until(lambda: mirror.tally.matched == 3)
        assert (mirror.tally.unconfirmed, mirror.controls.differed) == (0, 0)
        assert sum(each.header("sync-shadow-of") is not None for each in old.requests) == 2


async def test_differences_are_handed_on_with_both_bodies() -> None:
    """By status, by digest, and by bytes where there is no digest."""
    found = []
    plain = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
    for one, other in (
        (sync_answer("aa"), sync_answer("bb")),
        (sync_answer("aa", records=3), sync_answer("aa", records=2)),
        (plain + b"x", plain + b"y"),
        (plain + b"x", b"HTTP/1.1 422 No\r\nContent-Length: 1\r\n\r\nx"),
    ):
        async with (
            RecordingUpstream(one) as old,
            RecordingUpstream(other) as new,
            data_plane(unlimited(old.url, new.url), routing(0, **MIRRORED)) as gateway,
        ):
            gateway.plane.mirror.on_difference = found.append
            await gateway.ask(SYNC, "POST", body=b"{}")
            await until(lambda g=gateway: g.plane.mirror.tally.differed)
    assert [difference.statuses for difference in found] == [(200, 200)] * 3 + [(200, 422)]
    assert found[0].digests == ("aa", "bb")
    assert found[1].records == (3, 2)
    assert found[2].bodies == ("eA==", "eQ==")


async def test_a_dead_or_slow_mirror_costs_no_client_anything() -> None:
    """Dead: counted against the canary. Slow: bounded, the rest dropped with a reason."""
    async with (
        RecordingUpstream(sync_answer("aa")) as old,
        data_plane(unlimited(old.url, UNREACHABLE), routing(0, **MIRRORED)) as gateway,
    ):
        assert (await gateway.ask(SYNC, "POST", body=b"{}")).status == 200
        await until(lambda: gateway.plane.mirror.tally.failed)
        assert gateway.plane.mirror.tally.unanswered == {"connection refused": 1}
        assert gateway.cells()['syncgate_shadow_listings_total{result="lost"}'] == 3
        assert gateway.runs[-1] == ("new", int(Outcome.ERROR))

    async def never(_: Received) -> bytes:
        await asyncio.sleep(30)
        return sync_answer("aa")

    async with (
        RecordingUpstream(sync_answer("aa")) as old,
        RecordingUpstream(never) as new,
        data_plane(
            unlimited(
                old.url, new.url, mirror_in_flight=2, mirror_queue=3, mirror_timeout_ms=100,
            ),
            routing(0, **MIRRORED),
        ) as gateway,
    ):  # fmt: skip
        for _ in range(10):
            assert (await gateway.ask(SYNC, "POST", body=b"{}")).status == 200
        assert gateway.plane.mirror.in_flight <= 2
        assert gateway.plane.mirror.tally.dropped["queue_full"] >= 5
        gateway.plane.route(routing(0, 2))
        await until(lambda: not gateway.plane.mirror.queue and not gateway.plane.mirror.in_flight)
        assert gateway.plane.mirror.held_bytes == 0


async def test_a_queue_is_bounded_in_bytes_too() -> None:
    """One huge body does not take the place of memory for everything else."""
    async with (
        RecordingUpstream(sync_answer("aa")) as old,
        RecordingUpstream(lambda _: asyncio.sleep(30, sync_answer("aa"))) as new,
        data_plane(
            unlimited(old.url, new.url, mirror_in_flight=1, mirror_queue_bytes=1000),
            routing(0, **MIRRORED),
        ) as gateway,
    ):
        for _ in range(3):
            await gateway.ask(SYNC, "POST", body=b"x" * 900)
        mirror = gateway.plane.mirror
        assert mirror.tally.dropped == {
            "queue_bytes_full": 2
        }  # what is under way holds memory, too
        assert (mirror.in_flight, len(mirror.queue), mirror.held_bytes) == (1, 0, 902)


async def test_an_answer_too_large_to_keep_is_a_difference() -> None:
    """It is an answer; what of it arrives before it is given up is bounded."""
    found = []
    async with (
        RecordingUpstream(sync_answer("aa")) as old,
        RecordingUpstream(sync_answer("aa", b"x" * 200_000)) as new,
        data_plane(
            unlimited(old.url, new.url, mirror_answer_bytes=100_000), routing(0, **MIRRORED)
        ) as gateway,
    ):
        mirror = gateway.plane.mirror
        mirror.on_difference = found.append
        assert (await gateway.ask(SYNC, "POST", body=b"{}")).status == 200
        await until(lambda: mirror.tally.differed)
        assert [(each.statuses, each.bodies) for each in found] == [((200, 200), None)]
        assert (mirror.held_bytes, mirror.tally.failed) == (0, 0)
        assert gateway.runs == [("old", int(Outcome.OK))]


async def test_of_large_differences_a_budget_is_handed_on_and_the_rest_is_counted() -> None:
    """The first ones are opened at once; then it takes time to earn the next."""
    found = []
    async with (
        RecordingUpstream(sync_answer("aa", b"x" * 10_000)) as old,
        RecordingUpstream(sync_answer("bb", b"y" * 10_000)) as new,
        data_plane(
            unlimited(
                old.url, new.url, mirror_opened_burst_bytes=50_000, mirror_opened_bytes_per_s=0
            ),
            routing(0, **MIRRORED),
        ) as gateway,
    ):
        mirror = gateway.plane.mirror
        mirror.on_difference = found.append
        for _ in range(10):
            await gateway.ask(SYNC, "POST", body=b"{}")
            await until(lambda: not mirror.in_flight)
        assert len(found) == 3  # the third was begun with room left
        assert mirror.tally.dropped == {"difference_not_opened": 7}
        assert (mirror.tally.differed, mirror.tally.listings_differed) == (10, 30)
        mirror.opened_per_s = 10**9
        await until(lambda: mirror.room_bytes == 50_000)
        await gateway.ask(SYNC, "POST", body=b"{}")
        await until(lambda: len(found) == 4)

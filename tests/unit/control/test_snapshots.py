"""Seconds of workers become windows; silence becomes unknown."""

from __future__ import annotations

import json
from dataclasses import replace

from gateway.control.counting import since
from gateway.control.snapshots import Snapshots
from gateway.core.model import SECOND_US, Variant
from gateway.link import (
    MirrorCounts,
    Report,
    ShadowCounts,
    VariantSecond,
    WriteBackCounts,
    decode,
    encode,
)

START_S = 1_800_000_000


def tell(
    snapshots: Snapshots, worker: int, second: int, *, ok: int = 1, now_s: int | None = None
) -> None:
    """One worker's report of one second, heard just after it ended."""
    report = Report(
        worker, second, 1, {"old": VariantSecond(ok=ok)}, {"old": "closed"},
        {"syncgate_requests_total": float(ok), "syncgate_open": 1.0},
    )  # fmt: skip
    now = second + 1 if now_s is None else now_s
    snapshots.report(report, now * SECOND_US + 100_000)


def joined(*workers: int) -> Snapshots:
    """A picture that expects these workers."""
    snapshots = Snapshots(workers=len(workers))
    for worker in workers:
        snapshots.worker_joined(worker, START_S * SECOND_US)
    return snapshots


def test_all_workers_are_added_up() -> None:
    """Two workers of three requests each are six."""
    snapshots = joined(1, 2)
    for worker in (1, 2):
        tell(snapshots, worker, START_S, ok=3)
    old, new = snapshots.readings([60])
    assert (old.variant, old.ok) == (Variant.BASELINE, 6)
    assert (new.variant, new.ok) == (Variant.CANARY, 0)


def test_shadows_are_judged_and_not_counted_as_what_clients_asked() -> None:
    """Ten mirrored answers of new beside two that clients had: gates see 12, reports 2."""
    snapshots = joined(1)
    slow, quick = ((200, 10),), ((30, 2),)
    report = Report(
        1, START_S, 1, {"new": VariantSecond(ok=2, latency=quick, syncs=2, listings=6)}, {}, {},
        copies={"new": VariantSecond(ok=9, errors=1, latency=slow, syncs=9, listings=900)},
    )  # fmt: skip
    snapshots.report(report, (START_S + 1) * SECOND_US)
    _, new = snapshots.readings([60])
    assert (new.ok, new.errors, new.syncs, new.listings) == (11, 1, 11, 906)
    asked = snapshots.span(Variant.CANARY, START_S, START_S + 1)
    assert (asked.requests, asked.errors, asked.syncs, asked.listings) == (2, 0, 2, 6)
    assert (asked.latency, asked.seconds_covered) == (quick, 1)
    assert snapshots.totals()['syncgate_request_duration_seconds_count{system="new"}'] == 2


def test_the_shadows_of_another_replica_are_taken_from_what_clients_asked() -> None:
    """It tells all it counted first, as older ones do, and then what of it were shadows."""
    snapshots = Snapshots(workers=1)
    every = VariantSecond(ok=5, rejected=1, latency=((30, 2), (200, 3)), syncs=4, listings=40)
    copies = VariantSecond(ok=3, latency=((200, 3),), pace=(), syncs=3, listings=30)
    now_us = (START_S + 1) * SECOND_US
    snapshots.replica_told(-1, "b", complete_second=START_S, breakers={})
    snapshots.replica_second(-1, START_S, {Variant.CANARY: every}, now_us)
    snapshots.replica_copies(-1, START_S, {Variant.CANARY: copies}, now_us)
    _, new = snapshots.readings([60])
    assert (new.ok, new.rejected, new.syncs) == (5, 1, 4)
    asked = snapshots.span(Variant.CANARY, START_S, START_S + 1)
    assert (asked.ok, asked.rejected, asked.syncs, asked.listings) == (2, 1, 1, 10)
    assert (200, 3) not in asked.latency
    assert asked.latency_ms(1.0) == asked.latency_ms(0.01)


def test_a_silent_worker_makes_the_readings_old() -> None:
    """What one of two does not tell is unknown, however much the other tells."""
    snapshots = joined(1, 2)
    for second in range(START_S, START_S + 5):
        tell(snapshots, 1, second)
        if second < START_S + 2:
            tell(snapshots, 2, second)
    [old, _] = snapshots.readings([60])
    assert old.at_us == (START_S + 2) * SECOND_US
    snapshots.worker_gone(2)
    [old, _] = snapshots.readings([60])
    assert old.at_us == (START_S + 5) * SECOND_US


def test_a_jump_of_the_wall_clock_is_translated_away() -> None:
    """The worker's seconds jump by an hour; the parent files them under its own."""
    snapshots = joined(1)
    for second in range(START_S, START_S + 3):
        tell(snapshots, 1, second)
    for second in range(START_S + 3, START_S + 6):
        tell(snapshots, 1, second + 3600, now_s=second + 1)
    for second in range(START_S + 6, START_S + 9):
        tell(snapshots, 1, second - 3600, now_s=second + 1)
    [old, _] = snapshots.readings([60])
    assert (old.ok, old.at_us) == (9, (START_S + 9) * SECOND_US)


def test_long_windows_move_in_steps_but_are_never_called_stale() -> None:
    """A day's window is not read anew every second; its age is that of the newest second."""
    snapshots = joined(1)
    tell(snapshots, 1, START_S)
    snapshots.readings([86_400])
    for second in range(START_S + 1, START_S + 10):
        tell(snapshots, 1, second)
    [old, _] = snapshots.readings([86_400])
    assert old.at_us == (START_S + 10) * SECOND_US
    assert old.ok == 1
    for second in range(START_S + 10, START_S + 200):
        tell(snapshots, 1, second)
    [old, _] = snapshots.readings([86_400])
    assert old.ok == 200


def test_counters_of_a_worker_that_is_gone_stay_and_its_gauges_go() -> None:
    """A restart must not look like a counter running backwards."""
    snapshots = joined(1)
    tell(snapshots, 1, START_S, ok=5)
    snapshots.worker_gone(1)
    snapshots.worker_joined(2, START_S * SECOND_US)
    tell(snapshots, 2, START_S + 1, ok=2)
    totals = snapshots.totals()
    assert (totals["syncgate_requests_total"], totals["syncgate_open"]) == (7, 1)


def test_what_workers_counted_of_mirrors_stays_and_what_they_held_goes() -> None:
    """The match rate and the proof of dry runs rest on it: no restart may take anything back."""
    snapshots = joined(1, 2)
    for worker in (1, 2):
        mirror = MirrorCounts(
            ShadowCounts(matched=3, unconfirmed=1, dropped={"queue_full": 2}),
            ShadowCounts(differed=worker),
            in_flight=4, waiting=5, held_bytes=6,
        )  # fmt: skip
        writes = WriteBackCounts(7, {"old failed": 1}, waiting=8, held_bytes=9)
        report = Report(worker, START_S, 1, {}, {}, {}, mirror=mirror, write_backs=writes)
        heard = decode(encode(report))
        assert heard == report
        snapshots.report(heard, (START_S + 1) * SECOND_US)
    snapshots.worker_gone(1)
    totals = snapshots.totals()
    assert totals.mirror == MirrorCounts(
        ShadowCounts(matched=6, unconfirmed=2, dropped={"queue_full": 4}),
        ShadowCounts(differed=3),
        in_flight=4, waiting=5, held_bytes=6,
    )  # fmt: skip
    assert totals.write_backs == WriteBackCounts(14, {"old failed": 2}, waiting=8, held_bytes=9)
    assert totals.write_backs.failed == 2
    before = replace(totals.mirror, shadows=ShadowCounts(matched=9, dropped={"queue_full": 3}))
    fresh = since(before, totals.mirror).shadows
    assert fresh == ShadowCounts(unconfirmed=2, dropped={"queue_full": 1})


def test_a_report_of_an_older_worker_is_read() -> None:
    """While an upgrade is under way a worker may not know of counts that came later."""
    raw = json.loads(encode(Report(1, START_S, 1, {}, {}, {})))
    del raw["mirror"], raw["write_backs"], raw["exemplars"]
    assert decode(json.dumps(raw).encode()) == Report(1, START_S, 1, {}, {}, {})


def test_what_a_worker_that_is_gone_said_last_does_not_haunt_the_figures() -> None:
    """A word that is heard after the end neither opens a breaker for good nor leaves a gauge."""
    snapshots = joined(1, 2)
    tell(snapshots, 1, START_S)
    tell(snapshots, 2, START_S)
    snapshots.worker_gone(1)
    tell(snapshots, 1, START_S + 1)
    snapshots.breaker(1, Variant.CANARY, "open")
    assert not any(reading.open for reading in snapshots.breakers())
    assert snapshots.totals()["syncgate_open"] == 1


def test_a_worker_cannot_flood_the_exposition() -> None:
    """More cells than any worker can mean are not taken."""
    snapshots = joined(1)
    cells = {f"syncgate_{number}": 1.0 for number in range(10_000)}
    snapshots.report(Report(1, START_S, 1, {}, {}, cells), (START_S + 1) * SECOND_US)
    assert not {f"syncgate_{number}" for number in range(10_000)} & set(snapshots.totals())


def test_nothing_seen_is_not_zero() -> None:
    """Before the first report the readings are infinitely old and the figures unknown."""
    snapshots = Snapshots(workers=1)
    [old, _] = snapshots.readings([60])
    assert old.at_us == 0
    view = snapshots.system(Variant.BASELINE, None)
    assert (view.error_ratio, view.p95_ms, view.breaker, view.healthy) == (
        None, None, "unknown", None,
    )  # fmt: skip


def test_the_worst_breaker_is_shown() -> None:
    """One worker that gave up is what an operator must see."""
    snapshots = joined(1, 2)
    snapshots.breaker(1, Variant.CANARY, "closed")
    snapshots.breaker(2, Variant.CANARY, "open")
    assert snapshots.system(Variant.CANARY, None).breaker == "open"
    assert [reading.open for reading in snapshots.breakers()] == [False, True]

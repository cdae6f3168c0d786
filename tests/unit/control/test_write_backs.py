"""The record of write-backs: nothing is forgotten, and only a repair that left nothing clears."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from gateway.adapters.write_back_store import WRITE_BACKS_FILE, SqliteWriteBacks
from gateway.control import write_backs
from gateway.control.worker_process import WorkerChanged
from gateway.control.write_backs import WriteBackRecord
from gateway.errors import RefusedError, StoreUnavailableError
from gateway.link import WriteBackCounts, WriteBackFailed, decode, encode
from gateway.ports import Actor, WorkerState
from gateway.ports.write_backs import RepairReport, WriteBackFailure

if TYPE_CHECKING:
    from pathlib import Path

BY = Actor("tester")


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.at_us = 1_000

    def now_us(self) -> int:
        """Give the time it was set to."""
        return self.at_us


def failed(at_us: int, reason: str = "old answered 500", **more: Any) -> WriteBackFailed:
    """What a worker tells."""
    return WriteBackFailed(1, at_us, at_us, reason, sync_id="s", request_id="r", **more)


async def started(folder: Path, **more: Any) -> tuple[WriteBackRecord, Clock]:
    """A record on a file, as a gateway starts with it."""
    clock = Clock()
    record = WriteBackRecord(SqliteWriteBacks(folder, **more), clock)
    await record.restore()
    return record, clock


async def stored(record: WriteBackRecord, count: int) -> None:
    """Wait until so many failures are on file."""
    async with asyncio.timeout(10):
        while sum(each.count for each in await record.failures(100_000)) < count:
            await asyncio.sleep(0.005)


async def test_failures_outlive_a_restart_and_are_cleared_by_a_repair_that_left_nothing(
    tmp_path: Path,
) -> None:
    """One that left rows, or began before a failure, clears none of what it may have missed."""
    record, clock = await started(tmp_path)
    record.follow(on=True)
    for at_us in (10, 20, 30):
        record.heard(failed(at_us, listings=3))
    await stored(record, 3)
    await record.close()
    record, clock = await started(tmp_path)
    said: list[str] = []

    async def audit(_kind: str, *, text: str, **_: Any) -> None:
        said.append(text)

    record.audit = audit
    assert [each.from_us for each in await record.failures(2)] == [30, 20]
    clock.at_us = 500
    await record.repaired(RepairReport(began_us=400, repaired=7, left=2), by=BY, reason="x")
    ledger = record.view(WriteBackCounts(), on=True).ledger
    assert (ledger.open, ledger.cleared, ledger.repaired_rows) == (3, 0, 7)
    await record.repaired(RepairReport(began_us=25, repaired=1, left=0), by=BY, reason="x")
    ledger = record.view(WriteBackCounts(), on=True).ledger
    assert (ledger.open, ledger.cleared, ledger.repaired_rows) == (1, 2, 8)
    assert (ledger.first_us, ledger.last_us, ledger.repaired_at_us) == (30, 30, 500)
    assert "2 failed write-backs are cleared, 1 are open" in said[-1]
    with pytest.raises(RefusedError):
        await record.repaired(RepairReport(began_us=501, repaired=0, left=0), by=BY, reason="x")
    await record.close()


async def test_what_nobody_could_tell_is_a_failure_too(tmp_path: Path) -> None:
    """A worker that died, and a gateway that did not end in order; one that did leaves none."""
    record, clock = await started(tmp_path)
    died = WorkerChanged(1, WorkerState.DEAD, detail="killed", unexpected=True)
    record.heard(died)
    record.follow(on=True)
    clock.at_us = 2_000
    record.heard(died)
    await stored(record, 1)
    (gap,) = await record.failures(9)
    assert (gap.reason, gap.from_us, gap.to_us) == ("a worker died", 1_000, 2_000)
    # No close(): the process is gone. The next one finds out.
    again, clock = await started(tmp_path)
    await stored(again, 2)
    assert (await again.failures(1))[0].reason == "the gateway did not end in order"
    again.follow(on=True)
    again.heard(failed(1_500))
    await stored(again, 3)
    await again.close()
    third, _ = await started(tmp_path)
    assert third.view(WriteBackCounts(), on=False).ledger.open == 3
    await third.close()


async def test_beyond_the_bound_failures_are_summed_up_by_reason(tmp_path: Path) -> None:
    """None is forgotten: the newest of its reason then stands for many between two times."""
    record, _ = await started(tmp_path, most_rows=3)
    for at_us in range(1, 11):
        record.heard(failed(at_us, f"reason {at_us % 2}", listings=1))
    await stored(record, 10)
    rows = await record.failures(99)
    assert len(rows) == 3
    assert sum(each.listings for each in rows) == 10
    assert max(each.to_us for each in rows) == 10
    record.heard(failed(11, "a new reason"))
    await stored(record, 11)
    assert len(await record.failures(99)) == 4
    await record.close()


async def test_what_waits_for_the_disk_is_summed_up_beyond_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory as in a worker and on file: all listings, from the earliest to the latest."""
    monkeypatch.setattr(write_backs, "NOT_STORED_MOST", 2)
    record, _ = await started(tmp_path)
    for at_us in (10, 30, 20, 15):
        record.heard(failed(at_us, listings=2))
    assert record.view(WriteBackCounts(), on=True).ledger.open == 4
    await stored(record, 4)
    summed, first = await record.failures(9)
    assert (first.count, first.from_us) == (1, 10)
    assert (summed.count, summed.listings, summed.from_us, summed.to_us) == (3, 6, 15, 30)
    await record.close()


async def test_a_record_that_cannot_be_written_is_said_and_written_later(tmp_path: Path) -> None:
    """A full disk loses nothing; it is tried again when somebody looks."""
    record, _ = await started(tmp_path)
    real, record._store.add = record._store.add, _full  # type: ignore[method-assign]
    record.heard(failed(10))
    record.heard(failed(20))
    async with asyncio.timeout(10):
        while not record.view(WriteBackCounts(), on=True).trouble:
            await asyncio.sleep(0.005)
    assert record.view(WriteBackCounts(), on=True).ledger.open == 2
    record._store.add = real  # type: ignore[method-assign]
    async with asyncio.timeout(10):
        while record.view(WriteBackCounts(), on=True).trouble:
            await asyncio.sleep(0.005)
    await stored(record, 2)
    assert record.view(WriteBackCounts(), on=True).ledger.open == 2
    await record.close()


def _full(_failures: object) -> Any:
    raise StoreUnavailableError("the disk is full", todo="make room")


async def test_a_foreign_file_is_left_alone(tmp_path: Path) -> None:
    """The gateway runs; that nothing is on record is said."""
    with sqlite3.connect(tmp_path / WRITE_BACKS_FILE.name) as foreign:
        foreign.execute("create table mine (x)")
    record, _ = await started(tmp_path)
    assert "another program" in record.view(WriteBackCounts(), on=True).trouble
    record.heard(failed(10))
    await record.close()
    with sqlite3.connect(tmp_path / WRITE_BACKS_FILE.name) as foreign:
        assert foreign.execute("select name from sqlite_schema").fetchall() == [("mine",)]


def test_a_failure_travels_whole() -> None:
    """Over the link and back."""
    told = failed(10, listings=3, path="/x", count=4)
    assert decode(encode(told)) == told
    assert WriteBackFailure(10, 10, "why").count == 1

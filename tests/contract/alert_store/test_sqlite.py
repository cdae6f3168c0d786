"""The SQLite store of alerts under the contract, and what only a file can suffer."""

from __future__ import annotations

import random
import re
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from gateway.adapters import alert_store
from gateway.adapters.alert_store import ALERTS_FILE, SqliteAlertStore
from gateway.errors import StateUnreadableError, StoreUnavailableError
from gateway.ports.alerts import AlertStore, DeliveryState
from tests.contract.alert_store.contract import BOOK, AlertStoreContract, delivery, over
from tests.support.scale import scale

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class TestSqliteAlertStore(AlertStoreContract):
    """Every test of the contract on a file."""

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[AlertStore]:
        """A store in a directory of its own."""
        store = SqliteAlertStore(tmp_path)
        yield store
        await store.close()

    @pytest.fixture
    async def reopened(self, tmp_path: Path) -> AsyncIterator[AlertStore]:
        """A store that was closed after its first step, and opened again."""
        first = SqliteAlertStore(tmp_path)
        await first.commit(BOOK, expected_version=0, token=1, deliveries=(delivery("kept"),))
        await first.close()
        second = SqliteAlertStore(tmp_path)
        yield second
        await second.close()


@pytest.mark.parametrize("document", ["", "no json", "[]"])
async def test_a_damaged_book_is_refused_with_what_to_do(tmp_path: Path, document: str) -> None:
    """Said, and left as it is."""
    store = SqliteAlertStore(tmp_path)
    await store.commit(BOOK, expected_version=0, token=1)
    await store.close()
    direct = sqlite3.connect(tmp_path / ALERTS_FILE.name)
    with direct:
        direct.execute("update book set document = ?", (document,))
    direct.close()
    store = SqliteAlertStore(tmp_path)
    with pytest.raises(StateUnreadableError, match="no book") as refusal:
        await store.load()
    await store.close()
    assert "move it away" in refusal.value.todo


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    """It is recognised by its mark; so is one of another version, and one that is no database."""
    direct = sqlite3.connect(tmp_path / ALERTS_FILE.name)
    direct.execute("create table notes (text)")
    direct.close()
    with pytest.raises(StateUnreadableError, match="another program"):
        SqliteAlertStore(tmp_path)
    (tmp_path / ALERTS_FILE.name).write_bytes(b"my notes" * 1000)
    with pytest.raises(StateUnreadableError, match="cannot be read"):
        SqliteAlertStore(tmp_path)


async def test_another_versions_file_is_refused(tmp_path: Path) -> None:
    """Better no alerts than misread ones; said at the start."""
    await SqliteAlertStore(tmp_path).close()
    direct = sqlite3.connect(tmp_path / ALERTS_FILE.name)
    direct.execute("pragma user_version = 9")
    direct.close()
    with pytest.raises(StateUnreadableError, match="schema 9"):
        SqliteAlertStore(tmp_path)


async def test_a_full_disk_stores_nothing_and_recovers(tmp_path: Path) -> None:
    """What does not fit is refused whole; when there is room, it goes on."""
    store = SqliteAlertStore(tmp_path)
    await store.commit(BOOK, expected_version=0, token=1)
    await store._thread.run(lambda direct: direct.execute("pragma max_page_count = 20").fetchall())
    big = {"text": "x" * 500_000}
    with pytest.raises(StoreUnavailableError, match="full"):
        await store.commit(big, expected_version=1, token=1, deliveries=(delivery("a"),))
    assert await store.due(now_us=10**18) == []
    await store._thread.run(
        lambda direct: direct.execute("pragma max_page_count = 99999").fetchall()
    )
    assert await store.commit(big, expected_version=1, token=1) == 2
    await store.close()


async def test_what_is_over_is_kept_in_bounded_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest stay; what still waits is never thrown away."""
    monkeypatch.setattr(alert_store, "SETTLED_KEPT", 5)
    monkeypatch.setattr(alert_store, "ENDED_KEPT", 3)
    monkeypatch.setattr(alert_store, "_PRUNE_EVERY", 2)
    store = SqliteAlertStore(tmp_path)
    many = tuple(delivery(f"d{n}") for n in range(20))
    ends = tuple(over(n, n) for n in range(10))
    await store.commit(BOOK, expected_version=0, token=1, deliveries=many, ended=ends)
    for n in range(1, 20):
        await store.delivered(f"d{n}", at_us=n)
    await store.commit(BOOK, expected_version=1, token=1)
    assert (await store.counts())[DeliveryState.DELIVERED] == 5
    assert [r.delivery.id for r in await store.records(state=DeliveryState.WAITING)] == ["d0"]
    assert [one.number for one in await store.ended()] == [9, 8, 7]
    await store.close()


WRITER = """
import asyncio, sys
from pathlib import Path
from gateway.adapters.alert_store import SqliteAlertStore
from tests.contract.alert_store.contract import delivery, over

async def main():
    store = SqliteAlertStore(Path(sys.argv[1]))
    stored = await store.load()
    n = stored.version if stored else 0
    print("ready", flush=True)
    while True:
        n = await store.commit({"n": n + 1}, expected_version=n, token=1,
            deliveries=(delivery(f"{n + 1}-slack"), delivery(f"{n + 1}-mail")),
            ended=(over(n + 1, n + 1),))
        print(n, flush=True)

asyncio.run(main())
"""


async def test_kill_9_at_any_point_leaves_a_whole_step(tmp_path: Path) -> None:
    """The book, the deliveries that follow from it and what ended always agree."""
    draw = random.Random(7)
    known = 0
    for _ in range(scale(full=200, quick=4)):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(draw.uniform(0.001, 0.05))
        writer.kill()
        told = re.findall(r"(\d+)\n", writer.stdout.read())
        writer.wait()
        writer.stdout.close()
        acknowledged = max([known, *map(int, told)])
        store = SqliteAlertStore(tmp_path)
        stored = await store.load()
        known = stored.version if stored else 0
        assert acknowledged <= known <= acknowledged + 1
        assert stored is None or stored.document["n"] == known
        assert (await store.counts())[DeliveryState.WAITING] == 2 * known
        assert len(await store.ended(limit=100_000)) == known
        await store.close()
    assert known > 0

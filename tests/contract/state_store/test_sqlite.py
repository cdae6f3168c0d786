"""The SQLite store under the contract, and what only a file can suffer."""

from __future__ import annotations

import random
import re
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from gateway.adapters.sqlite_store import SqliteStore
from gateway.adapters.state_file import STATE_FILE
from gateway.errors import StateError, StateLockedError, StateUnreadableError
from gateway.ports import StateStore, Transition
from tests.contract.state_store.contract import StateStoreContract, audit, step
from tests.support.scale import scale

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


class TestSqliteStore(StateStoreContract):
    """Every test of the contract on a file."""

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[StateStore]:
        """A store in a directory of its own."""
        store = SqliteStore(tmp_path / "store")
        yield store
        await store.close()

    @pytest.fixture
    async def reopened(self, tmp_path: Path) -> AsyncIterator[StateStore]:
        """A store that was closed after its first step, and opened again."""
        first = SqliteStore(tmp_path / "again")
        await first.commit(step(0, 1))
        await first.close()
        second = SqliteStore(tmp_path / "again")
        yield second
        await second.close()


async def _damaged(directory: Path, damage: Callable[[sqlite3.Connection], object]) -> None:
    """Store three steps, then go behind the store's back."""
    store = SqliteStore(directory)
    for number in range(3):
        await store.commit(step(number, number))
    await store.close()
    direct = sqlite3.connect(directory / STATE_FILE.name)
    with direct:
        direct.execute("drop trigger audit_keeps_rows")
        direct.execute("drop trigger audit_keeps_content")
        damage(direct)
    direct.close()


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("update rollout_state set document = ''", "is blank"),
        ("update rollout_state set document = printf('%2000000s', 'x')", "is oversized"),
        ("update rollout_state set document = replace(document, '2', '3')", "was altered"),
        ("update rollout_state set document = '[]'", "was altered"),
        ("update rollout_state set version = version + 10", "was altered"),
    ],
)
async def test_a_damaged_state_is_refused_with_what_to_do(
    tmp_path: Path, statement: str, words: str
) -> None:
    """Blank, oversized, altered or foreign: said, and left as it is."""
    await _damaged(tmp_path, lambda direct: direct.execute(statement))
    store = SqliteStore(tmp_path)
    with pytest.raises(StateUnreadableError, match=words) as refusal:
        await store.load()
    await store.close()
    assert "Restore" in refusal.value.todo
    assert "move it away" in refusal.value.todo


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("update audit set reason = 'as agreed' where seq = 2", "entry 2 was altered"),
        ("update audit set actor = 'mallory' where seq = 1", "entry 1 was altered"),
        ("update audit set ip = null where seq = 3", "entry 3 was altered"),
        ("update audit set after = '{}' where seq = 2", "entry 2 was altered"),
        ("delete from audit where seq = 2", "entry 2 is missing"),
        ("delete from audit where seq = 1", "entry 1 is missing"),
        ("delete from audit where seq = 3", "the last entries are missing (3 to 3)"),
        ("delete from audit", "the last entries are missing (1 to 3)"),
        ("update audit set seq = 9 where seq = 3", "entry 3 to 8 is missing"),
    ],
)
async def test_a_tampered_audit_names_the_row(tmp_path: Path, statement: str, fault: str) -> None:
    """Whoever goes behind the triggers' back is found, and where."""
    await _damaged(tmp_path, lambda direct: direct.execute(statement))
    store = SqliteStore(tmp_path)
    check = await store.verify_audit()
    await store.close()
    assert check.faults[0] == fault
    assert not check.intact


async def test_the_audit_can_be_neither_changed_nor_deleted(tmp_path: Path) -> None:
    """Plain SQL on the file meets a trigger."""
    store = SqliteStore(tmp_path)
    await store.commit(step(0, 1))
    await store.close()
    direct = sqlite3.connect(tmp_path / STATE_FILE.name)
    for statement in ("delete from audit", "update audit set reason = ''"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            direct.execute(statement)
    direct.close()


async def test_a_directory_has_one_owner(tmp_path: Path) -> None:
    """The second is told who has it; when the first lets go, it may."""
    first = SqliteStore(tmp_path)
    with pytest.raises(StateLockedError, match=r"process \d+"):
        SqliteStore(tmp_path)
    await first.close()
    await SqliteStore(tmp_path).close()


@pytest.mark.parametrize("content", [b"", b"my notes" * 1000])
async def test_a_file_that_is_something_else(tmp_path: Path, content: bytes) -> None:
    """An empty file is a new one; any other is refused and left alone."""
    file = tmp_path / STATE_FILE.name
    file.write_bytes(content)
    if content:
        with pytest.raises(StateUnreadableError):
            SqliteStore(tmp_path)
        assert file.read_bytes() == content
    else:
        await SqliteStore(tmp_path).close()


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    """It is recognised by its mark, not by luck with table names."""
    direct = sqlite3.connect(tmp_path / STATE_FILE.name)
    direct.execute("create table notes (text)")
    direct.close()
    with pytest.raises(StateUnreadableError, match="another program"):
        SqliteStore(tmp_path)


async def test_a_full_disk_stores_nothing_and_recovers(tmp_path: Path) -> None:
    """The step that does not fit is refused whole; when there is room, it goes on."""
    store = SqliteStore(tmp_path)
    await store.commit(step(0, 1))
    await store._thread.run(lambda direct: direct.execute("pragma max_page_count = 20").fetchall())
    big = Transition(1, document={"text": "x" * 500_000}, audit=(audit("big"),))
    with pytest.raises(StateError, match="full"):
        await store.commit(big)
    assert len(await store.audit()) == 1
    await store._thread.run(
        lambda direct: direct.execute("pragma max_page_count = 99999").fetchall()
    )
    assert (await store.commit(big)).version == 2
    await store.close()


WRITER = """
import asyncio, sys
from pathlib import Path
from gateway.adapters.sqlite_store import SqliteStore
from tests.contract.state_store.contract import step

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    stored = await store.load()
    number = stored.version if stored else 0
    print("ready", flush=True)
    while True:
        await store.commit(step(number, number + 1))
        number += 1
        print(number, flush=True)

asyncio.run(main())
"""


async def test_kill_9_at_any_point_leaves_a_whole_step(tmp_path: Path) -> None:
    """Whatever was acknowledged is there; state, audit, decision and event agree."""
    draw = random.Random(7)
    known = 0
    for _ in range(scale(full=200, quick=6)):
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
        store = SqliteStore(tmp_path)
        stored = await store.load()
        version = stored.version if stored else 0
        assert acknowledged <= version <= acknowledged + 1
        known = version
        assert stored is None or stored.document["number"] == version
        assert [entry.at_us for entry in await store.audit(limit=1)] == [version][: version > 0]
        assert (await store.verify_audit()).entries == version
        assert len(await store.decisions(limit=100_000)) == version
        assert len(await store.events(limit=100_000)) == version
        await store.close()
    assert known > 0

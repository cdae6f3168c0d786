"""
A SQLite file of ours with a thread of its own, for those who wait in an event loop.

All calls run on that thread, in order, so that an fsync never stands in the loop's way. The file is
opened at once: what is wrong with it is said at the start.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from gateway.adapters.sqlite_file import SqliteFile

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from gateway.adapters.sqlite_file import FileKind

T = TypeVar("T")


class SqliteThread:
    """The thread and its file."""

    def __init__(self, directory: Path, kind: FileKind) -> None:
        self.file = SqliteFile(directory, kind)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=self.file.path.stem)
        try:
            self._executor.submit(self.file.open).result()
        except BaseException:
            self._executor.shutdown()
            raise

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do it with the database; each statement stands alone."""
        return await self._within(self.file.database, work)

    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do it in one transaction: all of it is stored, or nothing."""
        return await self._within(self.file.transaction, work)

    async def close(self) -> None:
        """Finish what is under way, then let go of the file."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self.file.close)
        self._executor.shutdown()

    async def _within(
        self,
        given: Callable[[], AbstractContextManager[sqlite3.Connection]],
        work: Callable[[sqlite3.Connection], T],
    ) -> T:
        def done() -> T:
            with given() as database:
                return work(database)

        return await asyncio.get_running_loop().run_in_executor(self._executor, done)

"""The keys in SQLite under the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.adapters.idempotency import SqliteKeys
from tests.contract.key_store.contract import KeyStoreContract, scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gateway.ports.keys import KeyStore

__all__ = ["scope"]


class TestSqliteKeys(KeyStoreContract):
    """Every test of the contract on a file; its time is the caller's."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[KeyStore]:
        """A file of the test's own."""
        keys = SqliteKeys(tmp_path / "keys.sqlite3")
        yield keys
        keys.close()

    @pytest.fixture
    def now(self) -> list[float]:
        """The caller's clock."""
        return [1_000_000.0]

    @pytest.fixture
    def clock(self, now: list[float]) -> Callable[[], int]:
        """It, read in whole seconds."""
        return lambda: int(now[0])

    @pytest.fixture
    def passes(self, now: list[float]) -> Callable[[float], None]:
        """It, moved on."""

        def passes(seconds: float) -> None:
            now[0] += seconds

        return passes

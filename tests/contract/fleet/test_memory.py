"""The fleet in memory, on which control is simulated, under the same contracts as Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.fleet.contract import MARGIN_MS, TERM_MS, BoardContract, LeaseContract
from tests.support.fleet_memory import MemoryBoard, MemoryLease, MemoryServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.ports.fleet import Board, FleetLease


@pytest.fixture
def now() -> list[int]:
    """Everybody's clock."""
    return [1_000_000_000]


@pytest.fixture
def server(now: list[int]) -> MemoryServer:
    """What all share."""
    return MemoryServer(lambda: now[0])


@pytest.fixture
def passes(now: list[int]) -> Callable[[float], Awaitable[None]]:
    """Its time is ours."""

    async def passes(seconds: float) -> None:
        now[0] += int(seconds * 1e6)

    return passes


class TestMemoryLease(LeaseContract):
    """The lease's contract."""

    @pytest.fixture
    def claimants(self, server: MemoryServer) -> Callable[[str], FleetLease]:
        """Leases of one fleet."""
        return lambda name: MemoryLease(
            server, name, server.now_us, term_us=TERM_MS * 1_000, margin_us=MARGIN_MS * 1_000
        )


class TestMemoryBoard(BoardContract):
    """The board's contract."""

    @pytest.fixture
    def boards(self, server: MemoryServer) -> Callable[[str], Board]:
        """Boards of one fleet."""
        return lambda name: MemoryBoard(server, name)

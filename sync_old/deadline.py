"""
A limit on how long PostgreSQL may be silent.

Cancelling a query would itself wait for the silent server, so the connection is closed instead:
whoever reads from it gets an error at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from sync_old.faults import ConnectionLost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def answered_within(
    seconds: float, connection: psycopg.AsyncConnection[Any]
) -> AsyncIterator[None]:
    """Give the work inside so many seconds; after them it ends with `ConnectionLost`."""
    # A descriptor of our own: the number of psycopg's may soon belong to another connection.
    line = socket.socket(fileno=os.dup(connection.fileno()))
    loop = asyncio.get_running_loop()
    timer = loop.call_later(seconds, _cut, line)
    try:
        yield
    except psycopg.OperationalError as exc:
        if loop.time() < timer.when():
            raise
        raise ConnectionLost(
            f"PostgreSQL did not answer in {seconds:g} s; it may still finish what it was asked,"
            " and repeating is safe"
        ) from exc
    finally:
        timer.cancel()
        line.close()


def _cut(line: socket.socket) -> None:
    with contextlib.suppress(OSError):  # broken by itself meanwhile
        line.shutdown(socket.SHUT_RDWR)

"""A transport that says it has not sent all: what the connection was doing goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.proxy.intake import BODY, BUSY, HEAD, IDLE, WRITING, Phase
from gateway.proxy.problems import CONTINUE
from tests.support.dataplane import Memory

if TYPE_CHECKING:
    from gateway.proxy.protocol import ClientConnection

EXPECTS = b"POST /x HTTP/1.1\r\nHost: g\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: g\r\n\r\n"
BEGUN = {IDLE: b"", HEAD: b"GET /x", BODY: EXPECTS}


def answer(connection: ClientConnection) -> None:
    """Let the request under way have its answer."""
    connection.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2", b"\r\nX: ", b"y", b"ok")


@pytest.mark.parametrize("phase", BEGUN)
async def test_a_pause_with_no_answer_under_way_changes_nothing(phase: Phase) -> None:
    """Neither the phase nor its deadline, however often it comes and goes."""
    connection, transport = Memory(asyncio.get_running_loop()).fresh()
    if BEGUN[phase]:
        connection.data_received(BEGUN[phase])
    before = connection.deadline_us, transport.sent
    connection.plane.now_us += 1_000_000
    for _ in range(3):
        connection.pause_writing()
        assert connection.phase is phase
        connection.resume_writing()
        assert connection.phase is phase
    assert (connection.deadline_us, transport.sent) == before
    assert transport.sent.count(CONTINUE) == (phase is BODY)


async def test_a_pause_from_before_the_answer_still_holds_the_next_request() -> None:
    """`100 Continue` was not sent, and the answer behind it neither: nothing more is served."""
    memory = Memory(asyncio.get_running_loop())
    connection, _ = memory.fresh()
    connection.data_received(EXPECTS)
    connection.pause_writing()
    connection.data_received(b"[]" + GET)
    assert (connection.phase, len(memory.pool.calls)) == (BUSY, 1)
    answer(connection)
    assert connection.phase is WRITING
    assert connection.deadline_us > connection.plane.now_us
    assert len(memory.pool.calls) == 1
    connection.resume_writing()
    assert (connection.phase, len(memory.pool.calls)) == (BUSY, 2)
    answer(connection)
    assert connection.phase is IDLE

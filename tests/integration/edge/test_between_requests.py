"""What may stand between two requests on one connection: empty lines, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.edge.test_mutations import passed_on
from tests.support.dataplane import Memory

GET = b"GET /t HTTP/1.1\r\nHost: g\r\n\r\n"
POST = b"POST /s HTTP/1.1\r\nHost: g\r\nContent-Length: 4\r\n\r\n\r\n\r\n"
CHUNKED = (
    b"POST /s HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"6\r\na\r\n\r\nb\r\n0\r\nX: y\r\n\r\n"
)
FIRST = {"get": GET, "post": POST, "chunked": CHUNKED}


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("stray", [b"\n", b"\r", b"\n\r\n", b"\r\r\n", b"\r\n\n", b" \r\n", b"\0"])
async def test_a_bare_cr_or_lf_before_a_later_request_is_refused(first: str, stray: bytes) -> None:
    """However the bytes are cut: the first request is served, what follows is not."""
    memory = Memory(asyncio.get_running_loop())
    raw = FIRST[first] + stray + GET
    for cut in range(len(raw)):
        assert len(passed_on(memory, [raw[:cut], raw[cut:]])) == 1, cut
        (connection,) = memory.plane.connections
        assert connection.transport.sent.count(b"HTTP/1.1 400 ") == 1, cut


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("lines", [b"", b"\r\n", b"\r\n\r\n"])
async def test_empty_lines_before_a_later_request_are_skipped(first: str, lines: bytes) -> None:
    """RFC 9112, 2.2; and the same three requests are seen whole, cut anywhere, and byte by byte."""
    memory = Memory(asyncio.get_running_loop())
    raw = FIRST[first] + lines + GET + lines + FIRST[first]
    whole = passed_on(memory, [raw])
    assert [request.method for request in whole][1] == b"GET"
    assert len(whole) == 3
    assert whole[0].body == whole[2].body == {
        "get": b"", "post": b"\r\n\r\n", "chunked": b"a\r\n\r\nb",
    }[first]  # fmt: skip
    for cut in range(len(raw)):
        assert passed_on(memory, [raw[:cut], raw[cut:]]) == whole, cut
    assert passed_on(memory, [raw[at : at + 1] for at in range(len(raw))]) == whole


async def test_no_other_protocol_is_spoken_later_on_a_connection() -> None:
    """RTSP and ICE, which llhttp also takes, are refused later on a connection as at its start."""
    memory = Memory(asyncio.get_running_loop())
    for line in (b"GET /t RTSP/1.0", b"POST /t ICE/1.0"):
        assert len(passed_on(memory, [GET + line + b"\r\nHost: g\r\n\r\n"])) == 1
        (connection,) = memory.plane.connections
        assert connection.transport.sent.count(b"HTTP/1.1 400 ") == 1, line

"""Mutated requests: no crash, and nothing passed on that a strict reading does not see."""

from __future__ import annotations

import asyncio
import random

from tests.integration.edge.test_request_corpus import vectors
from tests.support.dataplane import Memory
from tests.support.scale import scale
from tests.support.strict_http import Complete, read_stream

GET = b"GET /t HTTP/1.1\r\nHost: g\r\n\r\n"
CHUNKED = b"POST /s HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n"
OWN = [
    CHUNKED + b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n" + GET,
    b"POST /s HTTP/1.1\r\nHost: g\r\nContent-Length: 5\r\n\r\nhello" + GET,
    b"GET /t HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n",
    b"PUT /s HTTP/1.0\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi",
]
SPICE = [
    b"\r", b"\n", b"\r\n", b" ", b"\t", b"\x00", b"\x0b", b"\x7f", b"\x80", b"_", b",", b";", b":",
    b"0", b"1", b"+", b"-", b"chunked", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n", GET, b"\r\n\r\n", b"RTSP",
]  # fmt: skip


def mutated(raw: bytes, dice: random.Random) -> bytes:
    """Change one to three places."""
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(raw) + 1)
        to = min(len(raw), at + dice.randint(1, 8))
        kind = dice.randrange(5)
        if kind == 0:
            raw = raw[:at] + raw[to:]
        elif kind == 1:
            raw = raw[:at] + dice.choice(SPICE) + raw[at:]
        elif kind == 2:
            raw = raw[:at] + dice.choice(SPICE) + raw[to:]
        elif kind == 3:
            raw = raw[:to] + raw[at:]
        else:
            raw = raw[:at] + bytes([dice.randrange(256)]) + raw[to:]
    return raw


def passed_on(memory: Memory, pieces: list[bytes]) -> list[Complete]:
    """What the edge would have sent to an upstream, answering each request at once."""
    connection, transport = memory.fresh()
    passed = []
    for piece in pieces:
        if not transport.closed:
            connection.data_received(piece)
        while len(memory.pool.calls) > len(passed):
            call = memory.pool.calls[len(passed)]
            method, target, _ = call.request_head.split(b"\r\n", 1)[0].split(b" ")
            passed.append(Complete(method, target, bytes(call.body)))
            memory.plane.in_flight -= 1
            connection.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", b"X: ", b"1", b"")
    return passed


def normalised(request: Complete) -> Complete:
    """An absolute target is passed on as a path."""
    target = request.target
    if target[:7].lower() == b"http://":
        _, slash, rest = target[7:].partition(b"/")
        target = slash + rest or b"/"
    return Complete(request.method, target, request.body)


async def test_what_is_passed_on_is_what_a_strict_reader_sees() -> None:
    """In the same order, with the same bytes, whole and cut in two."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    bases = OWN * 100 + [
        vector.raw
        for name in ("http11probe", "llhttp_requests")
        for vector in vectors(name)
        if 0 < len(vector.raw) < 1000
    ]
    memory = Memory(asyncio.get_running_loop())
    passed_some = 0
    for _ in range(scale(full=100_000, quick=4_000)):
        raw = mutated(dice.choice(bases), dice)
        expected = [normalised(request) for request in read_stream(raw)]
        cut = dice.randrange(len(raw) + 1)
        for pieces in ([raw], [raw[:cut], raw[cut:]]):
            passed = passed_on(memory, pieces)
            assert passed == expected[: len(passed)], (seed, pieces, expected)
        passed_some += bool(passed)
    assert passed_some > 100

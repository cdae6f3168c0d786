"""A head known by its shape is read as it would be read anew, whatever its values are."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from tests.support.dataplane import Memory
from tests.support.scale import scale

if TYPE_CHECKING:
    from gateway.proxy.guard import Head

TRACES = [
    b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    b"00-11111111111111111111111111111111-2222222222222222-00",
    b"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
    b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
    b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
    b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    b"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    b"", b"nonsense",
]  # fmt: skip
IDS = [b"r1", b"another-one", b"a" * 128, b"a" * 129, b"with space", b"", b"\xff", b"a\tb", b"(x)"]
LENGTHS = [b"0", b"3", b"7", b"007", b"+3", b"3, 3", b"0x3", b"", b"99999999999", b"17000000"]
NAMES = {
    "id": [b"X-Request-Id", b"x-request-id", b"X_Request_Id"],
    "trace": [b"traceparent", b"Traceparent"],
    "length": [b"Content-Length", b"content-length"],
}
OTHERS = [
    b"Host: g", b"Accept: */*", b"X-Client-Id: c", b"Connection: close", b"tracestate: a=b",
    b"Connection: X-Request-Id", b"Transfer-Encoding: chunked", b"Expect: 100-continue",
    b"X-Forwarded-For: me",
]  # fmt: skip


def line(dice: random.Random, kind: str, values: list[bytes]) -> bytes:
    """One field, mostly as one would write it."""
    name = dice.choices(NAMES[kind], [9] + [1] * (len(NAMES[kind]) - 1))[0]
    return name + dice.choices([b": ", b":", b":  "], [8, 1, 1])[0] + dice.choice(values)


def pair(dice: random.Random) -> tuple[bytes, bytes]:
    """Two requests that differ at most in their values."""
    lines = dice.sample(OTHERS, dice.randint(0, 2)) + [OTHERS[0]] * (dice.random() < 0.9)
    places = []
    for kind, values in (("id", IDS), ("trace", TRACES), ("length", LENGTHS)):
        for _ in range(dice.choices([0, 1, 2], [5, 5, 1])[0]):
            places.append((len(lines), values))
            lines.append(line(dice, kind, values[:2]))
    method = dice.choice([b"GET", b"POST"])
    both = []
    for changed in (False, True):
        fields = list(lines)
        if changed:
            for at, values in places:
                name, _, _ = fields[at].partition(b":")
                fields[at] = (
                    name + b": " + dice.choices(values, [3, 3] + [1] * (len(values) - 2))[0]
                )
        order = random.Random(len(places)).sample(fields, len(fields))
        body = b"[1,2,3]"[: dice.choice((3, 7))] if method == b"POST" else b""
        both.append(method + b" /t HTTP/1.1\r\n" + b"\r\n".join([*order, b"", b""]) + body)
    return both[0], both[1]


def read(memory: Memory, connection: Any, transport: Any, raw: bytes) -> tuple[Head | None, Any]:
    """What reaches the upstream of one request, head and body, or what it is refused with."""
    before = len(memory.pool.calls)
    transport.sent = b""
    connection.data_received(raw)
    if len(memory.pool.calls) == before:
        return None, transport.sent[:12]
    call = memory.pool.calls[before]
    return call.head, bytes(call.body)


async def test_a_shape_reads_every_value_as_the_long_way_does() -> None:
    """Same method, path, fields, ids and body; same refusals; and often enough by shape."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    memory = Memory(asyncio.get_running_loop())
    by_shape = 0
    for _ in range(scale(full=100_000, quick=4_000)):
        first, second = pair(dice)
        anew = read(memory, *memory.fresh(), second)
        connection, transport = memory.fresh()
        if read(memory, connection, transport, first)[0] is None or transport.closed:
            continue
        memory.plane.in_flight -= 1
        connection.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", b"X: ", b"1", b"")
        if transport.closed or connection.parser is not None:
            continue  # its last request, or some of its bytes wait to become one
        known = memory.plane.shapes.get(second[: second.find(b"\r\n\r\n") + 4])
        by_shape += known is not None and second != first
        assert read(memory, connection, transport, second) == anew, (seed, first, second)
    assert by_shape > scale(full=2_000, quick=80)

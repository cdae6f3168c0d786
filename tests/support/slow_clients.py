"""
The slow clients of the shared corpus, played against a real port.

As a program it keeps a crowd of them connected, every kind in turn, and prints one JSON line for
each that was closed: its kind and after how many seconds. Kinds that end by themselves come again
after a pause.

    python -m tests.support.slow_clients PORT COUNT SECONDS
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import sys
from time import monotonic
from typing import Any

import uvloop

from tests.support.shared import shared

TIMED = [
    "idle", "one-byte", "drip-reqline", "drip-headers", "no-final-crlf", "body-silent",
    "body-drip", "chunk-drip", "expect-never", "slow-read", "zero-window",
]  # fmt: skip
"""Those that only a deadline ends."""
BRIEF = ["expect-immediate", "half-close", "abort-mid-body", "abort-before-response"]
"""Those that end by themselves; `pipeline-100` and `keepalive-10k` are load, not slowness."""
PAUSE_S = 1.0


def scripts() -> dict[str, list[list[Any]]]:
    """The client scripts of the corpus by their short name; who reads slowly asks for `/large`."""
    lines = shared("corpus/slow_clients.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        if row["id"] in {"slow/slow-read", "slow/zero-window"}:
            row["script"][0][1] = row["script"][0][1].replace("GET / ", "GET /large ")
    return {row["id"].removeprefix("slow/"): row["script"] for row in rows}


async def act(port: int, script: list[list[Any]], pace: float = 1.0) -> float:
    """Play one script until the gateway closes, and tell after how many seconds it did."""
    began = monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    closed = asyncio.ensure_future(_until_closed(reader, writer, script))
    try:
        for step in script:
            await _step(writer, step, pace, closed)
        return await closed - began
    finally:
        closed.cancel()
        writer.transport.abort()


async def _until_closed(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, script: list[list[Any]]
) -> float:
    if any(step[0] in {"read-drip", "noread"} for step in script):
        # The client's own transport must not read either, or the window never fills.
        writer.transport.pause_reading()
        while not _gone(writer):
            await asyncio.sleep(0.1)
        return monotonic()
    with contextlib.suppress(ConnectionError):
        while await reader.read(65_536):
            pass
    return monotonic()


async def _step(
    writer: asyncio.StreamWriter, step: list[Any], pace: float, closed: asyncio.Future[float]
) -> None:
    kind = step[0]
    pieces: list[bytes] = []
    if kind == "send":
        writer.write(step[1].encode())
    elif kind == "shutwr":
        writer.write_eof()
    elif kind == "rst":
        await asyncio.sleep(0.02)
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    elif kind == "drip":
        pieces = [bytes([byte]) for byte in step[1].encode()]
    elif kind == "repeat":
        pieces = [step[1].encode()] * step[3]
    for piece in pieces:
        if closed.done() or writer.transport.is_closing():
            return
        writer.write(piece)
        await asyncio.sleep(step[2] * pace)


def _gone(writer: asyncio.StreamWriter) -> bool:
    """Tell, without reading, whether the other end has gone (by TCP_INFO's first byte)."""
    raw = writer.get_extra_info("socket")
    established = 1
    return bool(raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != established)


async def crowd(port: int, count: int, seconds: float) -> None:
    """Keep `count` clients connected for `seconds`, then let each meet its end."""
    everything = scripts()
    names = TIMED + BRIEF
    until = monotonic() + seconds

    async def one(name: str) -> None:
        while monotonic() < until:
            script = everything[name]
            if name in BRIEF:
                with contextlib.suppress(TimeoutError, ConnectionError):
                    await asyncio.wait_for(act(port, script), PAUSE_S)
                await asyncio.sleep(PAUSE_S)
            else:
                took_s = await act(port, script)
                sys.stdout.write(json.dumps([name, took_s]) + "\n")
                sys.stdout.flush()

    await asyncio.gather(*(one(names[n % len(names)]) for n in range(count)))


if __name__ == "__main__":
    uvloop.run(crowd(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))

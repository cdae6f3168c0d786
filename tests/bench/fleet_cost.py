"""
What a fleet costs its Redis: operations, bytes and CPU per replica and per request, as it grows.

    python -m tests.bench.fleet_cost [--replicas 1,3,5] [--rate 1000] [--seconds 10] [--keys 200]

Operations are commands as clients send them (one script call is one), counted by MONITOR; what the
scripts do inside is in the CPU. Requests are small reads of `--keys` clients with a limit each, at
`--rate` per second over the whole fleet, without `Idempotency-Key`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import re
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gateway.adapters import redis_store
from tests.support.fleet_process import FleetProcesses
from tests.support.redis_servers import LOOPBACK, RedisFactory
from tests.support.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.redis_servers import RedisServer

MOST_PER_REQUEST = 0.01
"""What is asked for, at 1,000 requests per second."""
_LANES = 8
_PATIENCE_S = 10
_MONITORED = re.compile(rb'\+[\d.]+ \[\d+ (?!lua)[^\]]+\] "(\w+)"(?: "(\w{40})")?')
_SCRIPTS = {
    hashlib.sha1(script.read_bytes(), usedforsecurity=False).hexdigest(): script.stem
    for script in Path(redis_store.__file__).parent.glob("*.lua")
}
_PATH = "/api/property-listings/sync/status"


@dataclass(frozen=True)
class Cost:
    """One fleet's, over one window."""

    replicas: int
    seconds: float
    requests: int
    refused: int
    operations: Counter[str]
    in_bytes: int
    out_bytes: int
    cpu_s: float
    memory_bytes: int

    @property
    def per_request(self) -> float:
        """Operations per request."""
        return sum(self.operations.values()) / max(1, self.requests)

    def row(self) -> str:
        """One line of the table."""
        calls = sum(self.operations.values()) / self.seconds
        return (
            f"{self.replicas:8d} {self.requests / self.seconds:9.0f} {calls:9.1f} "
            f"{calls / self.replicas:12.2f} {self.per_request:12.4f} "
            f"{self.in_bytes / self.seconds / 1e3:9.1f} {self.out_bytes / self.seconds / 1e3:9.1f} "
            f"{self.cpu_s / self.seconds * 1e3:9.2f} {self.memory_bytes / 1e3:9.0f}"
        )


HEADING = (
    f"{'replicas':>8} {'req/s':>9} {'calls/s':>9} {'per replica':>12} {'per request':>12} "
    f"{'in kB/s':>9} {'out kB/s':>9} {'CPU ms/s':>9} {'data kB':>9}"
)


@contextlib.contextmanager
def counted(server: RedisServer) -> Iterator[Counter[str]]:
    """Count what clients send, by command; what scripts call is marked and left out."""
    seen: Counter[str] = Counter()
    line = socket.create_connection((LOOPBACK, server.port))
    line.sendall(b"MONITOR\r\n")

    def listen() -> None:
        with line.makefile("rb") as lines:
            for told in lines:
                command = _MONITORED.match(told)
                if command:
                    name = command[1].decode().upper()
                    sha1 = (command[2] or b"").decode()
                    seen[_SCRIPTS.get(sha1, name)] += 1

    thread = threading.Thread(target=listen)
    thread.start()
    time.sleep(0.3)
    seen.clear()
    try:
        yield seen
    finally:
        line.shutdown(socket.SHUT_RDWR)
        thread.join()
        line.close()


async def _lane(url: str, lane: int, keys: int, pause_s: float, until_s: float) -> tuple[int, int]:
    """Ask over one connection, evenly; give how many were answered, and how many refused."""
    host = urlsplit(url)
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    answered = refused = 0
    due = time.monotonic()
    while time.monotonic() < until_s:
        key = (answered * _LANES + lane) % keys
        head = f"GET {_PATH} HTTP/1.1\r\nHost: gateway\r\napikey: client-{key}\r\n\r\n"
        writer.write(head.encode())
        raw = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE_S)
        length = next(
            (
                int(line[15:])
                for line in raw.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            ),
            0,
        )
        await reader.readexactly(length)
        answered += 1
        refused += raw.startswith(b"HTTP/1.1 429")
        due += pause_s
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    writer.close()
    return answered, refused


async def _load(urls: Sequence[str], *, rate: float, seconds: float, keys: int) -> tuple[int, int]:
    until_s = time.monotonic() + seconds
    lanes = [(url, lane) for url in urls for lane in range(_LANES)]
    pause_s = len(lanes) / rate
    done = await asyncio.gather(
        *(_lane(url, number, keys, pause_s, until_s) for number, (url, _) in enumerate(lanes))
    )
    return sum(one for one, _ in done), sum(one for _, one in done)


def measure(count: int, *, rate: float, seconds: float, keys: int, folder: Path) -> Cost:
    """Let a fleet of so many replicas serve for a while."""
    factory = RedisFactory()
    services = Upstream("old"), Upstream("new")
    for service in services:
        service.script()
    fleet = FleetProcesses.make(
        folder,
        factory("valkey"),
        services,
        names="abcdefghij"[:count],
        GATEWAY_LEASE_TIME="5000",
        GATEWAY_RATE_LIMIT_PER_SECOND="100",
        GATEWAY_PROBE_INTERVAL="1000",
    )
    try:
        fleet.start()
        fleet.change("a", 10)
        urls = [gateway.data_url for gateway in fleet]
        asyncio.run(_load(urls, rate=rate, seconds=2, keys=keys))
        with fleet.redis.direct() as client:
            before: dict[str, Any] = client.info()
            begun = time.monotonic()
            requests, refused = asyncio.run(_load(urls, rate=rate, seconds=seconds, keys=keys))
            took_s = time.monotonic() - begun
            after: dict[str, Any] = client.info()
        # MONITOR costs the server more than the fleet does: it gets a window of its own.
        with counted(fleet.redis) as seen:
            asyncio.run(_load(urls, rate=rate, seconds=seconds, keys=keys))
        return Cost(
            replicas=count,
            seconds=took_s,
            requests=requests,
            refused=refused,
            operations=seen,
            in_bytes=after["total_net_input_bytes"] - before["total_net_input_bytes"],
            out_bytes=after["total_net_output_bytes"] - before["total_net_output_bytes"],
            cpu_s=sum(after[name] - before[name] for name in ("used_cpu_sys", "used_cpu_user")),
            memory_bytes=after["used_memory_dataset"],
        )
    finally:
        for service in services:
            service.kill()
        fleet.stop()
        factory.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when more is asked of Redis than is allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", default="3")
    parser.add_argument("--rate", type=float, default=1_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--keys", type=int, default=200)
    chosen = parser.parse_args(arguments)
    say = sys.stdout.write
    say(f"What a fleet asks of its Redis ({chosen.keys} clients with limits)\n{HEADING}\n")
    worst = 0.0
    for count in map(int, chosen.replicas.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            cost = measure(
                count, rate=chosen.rate, seconds=chosen.seconds, keys=chosen.keys,
                folder=Path(folder),
            )  # fmt: skip
        say(cost.row() + f"  {dict(cost.operations.most_common(6))}\n")
        sys.stdout.flush()
        if count == 3:
            worst = cost.per_request
    if worst:
        say(f"Redis operations per request: {worst:.4f} (asked for: at most {MOST_PER_REQUEST})\n")
    return int(worst > MOST_PER_REQUEST)


if __name__ == "__main__":
    sys.exit(main())

"""Load by wrk, CPU by the kernel's own accounting of the contender's processes."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.contenders import BODY_BYTES, Contender, find

if TYPE_CHECKING:
    from collections.abc import Sequence

TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")
_UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6}
POST = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = string.rep("a", {bytes})
"""
NAMED = """
local n = 0
function request()
  n = n + 1
  return wrk.format(nil, nil, {["X-Request-Id"] = "r" .. n})
end
"""


@dataclass(frozen=True)
class Workload:
    """What is asked for."""

    name: str
    path: str
    post: bool
    mirrored: bool
    concurrency: int
    named: bool = False
    """Each request has an id of its own, so that no head comes twice."""


@dataclass(frozen=True)
class Reading:
    """One round of one contender."""

    requests: int
    cpu_us: float
    p50_us: float
    errors: str


def cpu_ticks(pids: Sequence[int]) -> int:
    """Add up user and system time of processes, finished threads included."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total


def resident_kib(pids: Sequence[int]) -> int:
    """Add up resident memory."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def run(contender: Contender, workload: Workload, seconds: int, folder: Path) -> Reading:
    """Load one contender for a while."""
    program = find("wrk")
    assert program is not None
    command = [
        program, "-t1", f"-c{workload.concurrency}", f"-d{seconds}s", "--latency",
        f"http://127.0.0.1:{contender.port}{workload.path}",
    ]  # fmt: skip
    if workload.post or workload.named:
        script = folder / "requests.lua"
        script.write_text(NAMED if workload.named else POST.format(bytes=BODY_BYTES))
        command[1:1] = ["-s", str(script)]
    before = cpu_ticks(contender.pids)
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    time.sleep(0.05)  # what a mirror does after the answer is its cost too
    spent = (cpu_ticks(contender.pids) - before) * TICK_US
    requests = re.search(r"(\d+) requests in", output)
    p50 = re.search(r"50%\s+([\d.]+)(us|ms|s)", output)
    assert requests is not None, output
    count = int(requests[1])
    errors = "; ".join(re.findall(r"(?:Non-2xx.*|Socket errors.*)", output))
    return Reading(
        requests=count,
        cpu_us=spent / max(count, 1),
        p50_us=float(p50[1]) * _UNITS[p50[2]] if p50 else float("nan"),
        errors=errors,
    )


def memory_of_idle_connections(contender: Contender, count: int = 1_000) -> int:
    """Open connections that made one request each, and see what they weigh, in KiB."""
    request = b"GET /api/property-listings/small HTTP/1.1\r\nHost: g\r\n\r\n"
    before = resident_kib(contender.pids)
    held = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", contender.port))
        client.sendall(request)
        held.append(client)
    for client in held:
        assert client.recv(4096)
    grown = resident_kib(contender.pids) - before
    for client in held:
        client.close()
    return grown

"""
Load by wrk, CPU by the kernel's own accounting of the contender's processes.

Only a window inside each run is measured, in the middle of steady load: connections are open by
then, on both sides, as with clients that keep theirs. The upstreams count the requests in it.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.contenders import BODY_BYTES, Contender, find

if TYPE_CHECKING:
    from collections.abc import Sequence

SETTLE_S = 0.4
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


def cpu_ns(pids: Sequence[int]) -> int:
    """Add up the time on a CPU, user and system, of all threads of these processes."""
    return sum(
        int(thread.read_text().split()[0])
        for pid in pids
        for thread in Path(f"/proc/{pid}/task").glob("*/schedstat")
    )


def served(upstreams: Sequence[int]) -> int:
    """Ask upstreams how many requests they have had."""
    total = 0
    for port in upstreams:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/served", timeout=5) as told:
            total += int(told.read().split()[9])  # the third number of the third line
    return total


def resident_kib(pids: Sequence[int]) -> int:
    """Add up resident memory."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def run(
    contender: Contender, workload: Workload, seconds: float, folder: Path, upstreams: Sequence[int]
) -> Reading:
    """Load one contender for a while; of what is mirrored, only the first upstream counts."""
    program = find("wrk")
    assert program is not None
    command = [
        program, "-t1", f"-c{workload.concurrency}", f"-d{ceil(seconds + SETTLE_S)}s", "--latency",
        f"http://127.0.0.1:{contender.port}{workload.path}",
    ]  # fmt: skip
    if workload.post or workload.named:
        script = folder / "requests.lua"
        script.write_text(NAMED if workload.named else POST.format(bytes=BODY_BYTES))
        command[1:1] = ["-s", str(script)]
    counted = upstreams[:1] if workload.mirrored else upstreams
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
        time.sleep(SETTLE_S)
        count, spent = -served(counted), -cpu_ns(contender.pids)
        time.sleep(seconds)
        spent += cpu_ns(contender.pids)
        count += served(counted)
        output, _ = load.communicate()
    p50 = re.search(r"50%\s+([\d.]+)(us|ms|s)", output)
    errors = "; ".join(re.findall(r"(?:Non-2xx.*|Socket errors.*)", output))
    return Reading(
        requests=count,
        cpu_us=spent / 1000 / max(count, 1),
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

"""
What 200 slow clients do to everybody else's 99th percentile.

Rounds alternate between the gateway with and without the crowd; healthy traffic is the same in
both: eight connections, small GETs, each ten to thirty milliseconds after the last answer, so that
the machine has room and a late answer is the gateway's. Deadlines are those that are shipped.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

from tests.bench.contenders import ROOT, find, gateway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNT = 200
ALLOWED_PERCENT = 10
GATHERING_S = 3.0
PACED = "function delay() return math.random(10, 30) end"
UNITS = {"us": 1.0, "ms": 1e3}


def p99_us(port: int, folder: Path) -> float:
    """Ask for three seconds."""
    script = folder / "paced.lua"
    script.write_text(PACED)
    program = find("wrk")
    assert program is not None
    url = f"http://127.0.0.1:{port}/api/property-listings/small"
    command = [program, "-t1", "-c8", "-d3s", "-s", str(script), "--latency", url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"99%\s+([\d.]+)(us|ms)", output)
    assert found is not None, output
    return float(found[1]) * UNITS[found[2]]


@contextlib.contextmanager
def crowd(port: int) -> Iterator[None]:
    """Keep the slow clients connected."""
    arguments = [str(port), str(COUNT), "600"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.slow_clients", *arguments],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        time.sleep(GATHERING_S)
        yield
    finally:
        process.kill()
        process.wait()


def main(old: int, new: int, folder: Path, *, rounds: int) -> None:
    """Print both medians and the growth."""
    with gateway("gateway", old, new, mirror=False, prefix="/") as contender:
        alone, crowded = [], []
        p99_us(contender.port, folder)
        for _ in range(rounds):
            alone.append(p99_us(contender.port, folder))
            with crowd(contender.port):
                crowded.append(p99_us(contender.port, folder))
    grown = 100 * (median(crowded) / median(alone) - 1)
    sys.stdout.write(
        f"p99 of healthy requests, medians of {rounds} rounds: alone {median(alone):.0f} us, "
        f"beside {COUNT} slow clients {median(crowded):.0f} us: {grown:+.0f} % "
        f"(<= {ALLOWED_PERCENT}) {'met' if grown <= ALLOWED_PERCENT else 'MISSED'}\n"
    )

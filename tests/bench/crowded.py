"""
What 200 slow clients do to everybody else's 99th percentile.

Rounds alternate between the gateway with and without the crowd; healthy traffic is the same in
both: eight connections, small GETs, each ten to thirty milliseconds after the last answer, so that
the machine has room and a late answer is the gateway's. Deadlines are those that are shipped.

Slow clients live on other machines. Here they share two cores with gateway, load and upstream, and
cost more than twice the time of the gateway that serves them, so they are run when nobody else
wants a core (SCHED_IDLE). They still cost the machine wake-ups and the kernel's work on loopback.
So in turn they are set on a second gateway, too: what healthy requests lose beyond that, they lose
to the slow clients of their own gateway. What those cost it in CPU is the kernel's count.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from tests.bench.contenders import ROOT, find, gateway
from tests.bench.load import cpu_ns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNT = 200
ALLOWED_PERCENT = 10
GATHERING_S = 3.0
ASKED_S = 8
PACED = "function delay() return math.random(10, 30) end"
UNITS = {"us": 1.0, "ms": 1e3}


def p99_us(port: int, folder: Path) -> float:
    """Ask for some seconds: three thousand requests, so that thirty are beyond the figure."""
    script = folder / "paced.lua"
    script.write_text(PACED)
    program = find("wrk")
    assert program is not None
    url = f"http://127.0.0.1:{port}/api/property-listings/small"
    command = [program, "-t1", "-c8", f"-d{ASKED_S}s", "-s", str(script), "--latency", url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"99%\s+([\d.]+)(us|ms)", output)
    assert found is not None, output
    return float(found[1]) * UNITS[found[2]]


@contextlib.contextmanager
def crowd(port: int) -> Iterator[None]:
    """Keep the slow clients connected, at nobody's cost but the gateway's."""
    arguments = [str(port), str(COUNT), "600"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.slow_clients", *arguments],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.sched_setscheduler(process.pid, os.SCHED_IDLE, os.sched_param(0))
    try:
        time.sleep(GATHERING_S)
        yield
    finally:
        process.kill()
        process.wait()


def busy_ms_per_s(pids: tuple[int, ...]) -> float:
    """What the gateway costs while only the crowd is there."""
    before, began = cpu_ns(pids), time.monotonic()
    time.sleep(GATHERING_S)
    return (cpu_ns(pids) - before) / 1e6 / (time.monotonic() - began)


def main(old: int, new: int, folder: Path, *, rounds: int) -> None:
    """Print the medians, and the median of the growth within each round."""
    run = partial(gateway, old=old, new=new, mirror=False, prefix="/")
    with run("gateway") as asked, run("other") as other:
        p99: dict[str, list[float]] = {"alone": [], "elsewhere": [], "here": []}
        busy = []
        p99_us(asked.port, folder)
        idle = busy_ms_per_s(asked.pids)
        for number in range(rounds):
            # Each comes first by turns: a machine that slows down favours none.
            for arm in (list(p99) * 2)[number % 3 :][:3]:
                with (
                    contextlib.nullcontext()
                    if arm == "alone"
                    else crowd((asked if arm == "here" else other).port)
                ):
                    if arm == "here":
                        busy.append(busy_ms_per_s(asked.pids))
                    p99[arm].append(p99_us(asked.port, folder))
    alone, elsewhere, here = (median(seen) for seen in p99.values())
    sys.stdout.write(
        f"p99 of healthy requests, medians of {rounds} rounds: alone {alone:.0f} us, beside "
        f"{COUNT} slow clients {here:.0f} us, with those at another gateway of the machine "
        f"{elsewhere:.0f} us\nit grows by {grown(p99['here'], p99['alone'])}; beyond what they "
        f"cost the machine by {grown(p99['here'], p99['elsewhere'])}\n"
        f"The crowd costs the gateway {median(busy) - idle:.1f} ms of CPU a second.\n"
    )


def grown(crowded: list[float], alone: list[float]) -> str:
    """Say the median growth within a round, and whether that is little enough."""
    percent = 100 * (median(c / a for c, a in zip(crowded, alone, strict=True)) - 1)
    verdict = "met" if percent <= ALLOWED_PERCENT else "MISSED"
    return f"{percent:+.0f} % (<= {ALLOWED_PERCENT}) {verdict}"

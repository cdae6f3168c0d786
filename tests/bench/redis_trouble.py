"""
What a Redis in trouble costs the clients of a fleet: nothing they could measure.

Two gateways of one worker each, on one Redis, stand before the same systems. Each is asked by four
connections, small GETs of two hundred clients with limits, each ten to thirty milliseconds after
the last answer, so that the machine has room and a late answer is a gateway's. In every round all
troubles take turns with none; each begins and ends within its own window. Of the two gateways the
worse p99 counts; the figure is the median of the rounds' differences.

    python -m tests.bench.redis_trouble [ROUNDS]
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.bench.contenders import find, free_port, nginx
from tests.support.fleet_process import FleetProcesses
from tests.support.gateway_process import STATUS, until
from tests.support.shaky_redis import TROUBLES, ShakyRedis

if TYPE_CHECKING:
    from collections.abc import Iterator

ALLOWED_MS = 5.0
SECONDS = 4
BEGINS_S = 0.5
LASTS_S = 2.5
"""Longer than the lease (2 s)."""
MOMENT_S = 0.3
BRIEF = {"empty after a restart", "failed over"}
WELL = "none"
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
PACED = """
local n = 0
function request()
  n = n + 1
  return wrk.format("GET", nil, {["apikey"] = "client-" .. n % 200})
end
function delay() return math.random(10, 30) end
"""
SYSTEM = """
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    default_type application/json;
    location = /health {{ return 200 '{{"status":"ok","instance":"bench"}}'; }}
    location = /api/metrics {{ return 200 '{{"system":"{name}"}}'; }}
    location = {path} {{ return 200 '{{"system":"{name}","status":"completed"}}'; }}
  }}
}}
"""


@dataclass
class Window:
    """What was seen of one trouble, a window per round."""

    p99_ms: list[float] = field(default_factory=list)
    errors: set[str] = field(default_factory=set)


@contextlib.contextmanager
def system(folder: Path, name: str) -> Iterator[Any]:
    """Run a system that answers at once; gives what a fleet needs of it."""
    port = free_port()
    with nginx(folder, name, SYSTEM.format(port=port, name=name, path=STATUS)):
        yield SimpleNamespace(url=f"http://127.0.0.1:{port}")


@contextlib.contextmanager
def fleet_of_two(folder: Path) -> Iterator[tuple[FleetProcesses, ShakyRedis]]:
    """Start everything."""
    with contextlib.ExitStack() as stack:
        services = tuple(stack.enter_context(system(folder, name)) for name in ("old", "new"))
        redis = ShakyRedis()
        stack.callback(redis.stop)
        fleet = FleetProcesses.make(
            folder,
            redis,
            services,  # type: ignore[arg-type]  # only where they are is asked for
            names="ab",
            GATEWAY_RATE_LIMIT_PER_SECOND="100",
            GATEWAY_UPSTREAM_LIMIT_PER_SECOND="10000",
            GATEWAY_PROBE_INTERVAL="1000",
        )
        stack.callback(fleet.stop)
        fleet.start()
        fleet.change("a", 10)
        yield fleet, redis


def ask(fleet: FleetProcesses, script: Path) -> list[subprocess.Popen[str]]:
    """Start asking every gateway for a while."""
    program = find("wrk")
    assert program is not None
    command = [program, "-t1", "-c4", f"-d{SECONDS}s", "-s", str(script), "--latency"]
    return [
        subprocess.Popen([*command, gateway.data_url + STATUS], stdout=subprocess.PIPE, text=True)
        for gateway in fleet
    ]


def look(fleet: FleetProcesses, redis: ShakyRedis, trouble: str, script: Path, to: Window) -> None:
    """Let one trouble come and go while both gateways are asked."""
    if trouble == "failed over":
        redis.leave_behind()
    asking = ask(fleet, script)
    if trouble != WELL:
        time.sleep(BEGINS_S)
        with TROUBLES[trouble](redis):
            time.sleep(MOMENT_S if trouble in BRIEF else LASTS_S)
    outputs = [one.communicate()[0] for one in asking]
    found = [re.search(r"99%\s+([\d.]+)(us|ms|s)", output) for output in outputs]
    to.p99_ms.append(max(float(one[1]) * UNITS[one[2]] for one in found if one is not None))
    for output in outputs:
        to.errors |= set(re.findall(r"(?:Non-2xx.*|Socket errors.*)", output))
    until(fleet.complete)


def main(folder: Path, *, rounds: int) -> list[str]:
    """Print the table; name what was missed."""
    script = folder / "paced_clients.lua"
    script.write_text(PACED)
    windows = {trouble: Window() for trouble in (WELL, *TROUBLES)}
    with fleet_of_two(folder) as (fleet, redis):
        look(fleet, redis, WELL, script, Window())
        for number in range(rounds):
            order = list(windows)
            shift = number % len(order)
            for trouble in order[shift:] + order[:shift]:
                look(fleet, redis, trouble, script, windows[trouble])
    sys.stdout.write(
        f"Redis in trouble under a fleet of two, medians of {rounds} rounds of {SECONDS} s (p99 "
        f"may grow by {ALLOWED_MS:g} ms); load of the machine: {os.getloadavg()[0]:.1f}\n\n"
        "trouble                 p99 alone ms   in trouble ms   grown ms\n"
    )
    missed = [each for trouble in TROUBLES for each in show(trouble, windows)]
    alone = windows[WELL].p99_ms
    sys.stdout.write(f"With nothing wrong p99 was {min(alone):.2f} to {max(alone):.2f} ms.\n")
    return missed


def show(trouble: str, windows: dict[str, Window]) -> Iterator[str]:
    """Print one row; name what was missed."""
    alone, seen = windows[WELL], windows[trouble]
    grown = median(b - a for a, b in zip(alone.p99_ms, seen.p99_ms, strict=True))
    missed = [f"{grown:+.1f} ms"] if grown > ALLOWED_MS else []
    missed += sorted(seen.errors | alone.errors)
    sys.stdout.write(
        f"{trouble:22} {median(alone.p99_ms):13.2f} {median(seen.p99_ms):15.2f} {grown:+10.2f}   "
        f"{'MISSED: ' + '; '.join(missed) if missed else 'met'}\n"
    )
    return (f"Redis {trouble}: {one}" for one in missed)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="syncgate-bench-") as made:
        place = Path(made)
        place.chmod(0o755)
        main(place, rounds=int(sys.argv[1]) if len(sys.argv) > 1 else 6)

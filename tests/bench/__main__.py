"""
`make bench`: what a request costs, side by side with nginx, HAProxy and Caddy, in one run.

CPU per request is user + system time of the contender's own processes, from the kernel's
accounting; the load generator and the upstreams are not in it. Contenders take turns within each
round, and the ratio is the median of the rounds' ratios, so that a machine that is busy with
something else for a while does not decide the result.

    python -m tests.bench [--quick] [--rounds N] [--seconds S] [--only W1,W2,W3,W4]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tests.bench import (
    comparison_speed,
    contenders,
    crowded,
    differing,
    evidence_table,
    fleet_cost,
    mirror_trouble,
    redis_trouble,
)
from tests.bench.load import Reading, Workload, memory_of_idle_connections, run

if TYPE_CHECKING:
    from collections.abc import Iterator

TARGETS = {
    ("W1", 32): (1.4, 1.3), ("W2", 32): (1.1, 1.0), ("W3", 32): (0.9, 0.8),
    ("W1", 256): (1.6, None), ("W2", 256): (1.3, None), ("W3", 256): (0.95, None),
}  # fmt: skip
"""Ratio to nginx: what is asked for, and the stretch."""
TITLES = {
    "W1": "small GET, 300 B",
    "W2": "POST 60 KB -> 2 KB",
    "W3": "POST 60 KB -> 60 KB, mirrored and compared (of the others only nginx can mirror)",
    "W4": "small GET, no two heads alike",
}
P50_ALLOWANCE_US = 30
PROFILE = """What profiles of a worker show (perf, Nov 2026): of a 60 KB POST 72 % is the kernel, in
the same calls as nginx's but for three small ones, 24 % Python, 4 % uvloop and libc. Of a small GET
two thirds is the kernel; of its 6 us of Python no part takes above 0.7. Ratios move by a tenth with
what else the machine does, most at 32 connections: look at several runs.
"""


def say(text: str, *, end: str = "\n") -> None:
    """Print at once, so that a long run shows where it is."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


@dataclass(frozen=True)
class Bench:
    """Everything that runs, and how long to look at it."""

    upstreams: tuple[int, int]
    entered: dict[str, contenders.Contender]
    folder: Path
    rounds: int
    seconds: float

    def taking_part(self, workload: Workload) -> dict[str, contenders.Contender]:
        """Give those that can do what is asked."""
        if workload.mirrored:
            return {"nginx": self.entered["nginx"], "gateway": self.entered["mirroring"]}
        return {name: self.entered[name] for name in ("nginx", "haproxy", "caddy", "gateway")}

    def measure(self, workload: Workload) -> dict[str, list[Reading]]:
        """Let the contenders take turns."""
        taking_part = self.taking_part(workload)
        readings: dict[str, list[Reading]] = {name: [] for name in taking_part}
        for _ in range(self.rounds):
            for name, contender in taking_part.items():
                reading = run(contender, workload, self.seconds, self.folder, self.upstreams)
                readings[name].append(reading)
        return readings


def workloads(only: set[str]) -> list[Workload]:
    """The table's rows."""
    prefix = "/api/property-listings"
    rows = [
        Workload(name, f"{prefix}/{path}", post=post, mirrored=mirrored, concurrency=concurrency)
        for concurrency in (1, 32, 256)
        for name, path, post, mirrored in (
            ("W1", "small", False, False),
            ("W2", "answer/sync", True, False),
            ("W3", "echo/sync", True, True),
        )
    ]
    rows.append(
        Workload("W4", f"{prefix}/small", post=False, mirrored=False, concurrency=32, named=True)
    )
    return sorted((row for row in rows if row.name in only), key=lambda row: row.name)


def show(workload: Workload, readings: dict[str, list[Reading]]) -> list[str]:
    """Print one row; name what was missed."""
    row = f"{workload.name} at {workload.concurrency}"
    cost = {name: median(r.cpu_us for r in rounds) for name, rounds in readings.items()}
    pairs = zip(readings["gateway"], readings["nginx"], strict=True)
    ratio = median(ours.cpu_us / theirs.cpu_us for ours, theirs in pairs)
    target, stretch = TARGETS.get((workload.name, workload.concurrency), (None, None))
    missed = []
    note = "-"
    if target is not None:
        reached = stretch is not None and ratio <= stretch
        verdict = (
            f"stretch {stretch:.1f} met" if reached else "met" if ratio <= target else "MISSED"
        )
        note = f"<= {target:.2f}  {verdict}"
        missed += [f"{row}: {ratio:.2f} instead of {target:.2f}"] if ratio > target else []
    elif workload.name == "W1":
        p50 = {name: median(r.p50_us for r in rounds) for name, rounds in readings.items()}
        above = p50["gateway"] - p50["nginx"]
        verdict = "met" if above <= P50_ALLOWANCE_US else "MISSED"
        note = f"p50 {above:+.0f} us above nginx, <= {P50_ALLOWANCE_US}  {verdict}"
        missed += [f"{row}: p50 {above:+.0f} us"] if above > P50_ALLOWANCE_US else []
    if "caddy" in cost and cost["caddy"] <= cost["gateway"]:
        missed.append(f"{row}: dearer than Caddy")
    others = "".join(
        f"{cost[name]:9.1f}" if name in cost else f"{'-':>9}"
        for name in ("nginx", "haproxy", "caddy", "gateway")
    )
    say(f"{workload.name}  {workload.concurrency:5d} {others} {ratio:7.2f}   {note}")
    for name, rounds in readings.items():
        for error in {r.errors for r in rounds if r.errors}:
            say(f"            {name}: {error}")
    return missed


@contextlib.contextmanager
def everything(rounds: int, seconds: float) -> Iterator[Bench]:
    """Start all upstreams and contenders."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="syncgate-bench-")))
        folder.chmod(0o755)
        old = stack.enter_context(contenders.upstream(folder, "old"))
        new = stack.enter_context(contenders.upstream(folder, "new"))
        entered = {
            "nginx": stack.enter_context(contenders.split_by_nginx(folder, old, new)),
            "haproxy": stack.enter_context(contenders.split_by_haproxy(folder, old, new)),
            "caddy": stack.enter_context(contenders.split_by_caddy(folder, old, new)),
            "gateway": stack.enter_context(contenders.gateway("gateway", old, new, mirror=False)),
            "mirroring": stack.enter_context(
                contenders.gateway("mirroring", old, new, mirror=True)
            ),
        }
        yield Bench((old, new), entered, folder, rounds, seconds)


def cost_table(bench: Bench, rows: list[Workload]) -> list[str]:
    """Print the table; name what was missed."""
    say(
        f"CPU per request in us, one serving process each, medians of {bench.rounds} rounds of "
        f"{bench.seconds:g} s; load of the machine before: {os.getloadavg()[0]:.1f}\n\n"
        "     conns    nginx  haproxy    caddy  gateway   ratio   to nginx: target"
    )
    missed: list[str] = []
    last = ""
    for workload in rows:
        if workload.name != last:
            say(f"-- {TITLES[workload.name]}")
            last = workload.name
        missed += show(workload, bench.measure(workload))
    say("\nall targets met" if not missed else "\nmissed: " + "; ".join(missed))
    if missed:
        say(PROFILE)
    return missed


def main() -> int:
    """Run the comparison; 0 also when a target is missed, because a bench measures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round, a first look")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=0.6)
    parser.add_argument("--only", default="W1,W2,W3,W4")
    options = parser.parse_args()
    if absent := contenders.missing():
        sys.stderr.write(
            f"Nothing to compare with: {', '.join(absent)} not found.\n"
            f"Install with: sudo apt-get install {' '.join(absent)}\n"
        )
        return 1
    rounds = 1 if options.quick else options.rounds
    with everything(rounds, options.seconds) as bench:
        say("Memory of 1,000 idle connections, MiB:", end="")
        for name in ("nginx", "haproxy", "caddy", "gateway"):
            grown = memory_of_idle_connections(bench.entered[name])
            say(f"  {name} {grown / 1024:.1f}", end="")
        say("\n")
        cost_table(bench, workloads(set(options.only.split(","))))
        crowded.main(*bench.upstreams, bench.folder, rounds=2 if options.quick else 6)
        say("")
        differing.main(bench.folder, rounds=rounds, seconds=options.seconds)
        say("")
        mirror_trouble.main(bench.upstreams[0], bench.folder, rounds=1 if options.quick else 6)
        say("")
        redis_trouble.main(bench.folder, rounds=1 if options.quick else 5)
    say("")
    comparison_speed.main()
    say("")
    evidence_table.main()
    say("")
    fleet_cost.main(["--seconds", "3" if options.quick else "8"])
    return 0


if __name__ == "__main__":
    sys.exit(main())

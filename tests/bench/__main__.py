"""
`make bench`: what a request costs, side by side with nginx and HAProxy, in one run.

CPU per request is user + system time of the contender's own processes, from the kernel's
accounting; the load generator and the upstreams are not in it. Contenders take turns within each
round, and the ratio is the median of the rounds' ratios, so that a machine that is busy with
something else for a while does not decide the result.

    python -m tests.bench [--rounds N] [--seconds S] [--only W1,W2,W3,W4]
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.bench import comparison_speed, contenders, evidence_table
from tests.bench.load import Reading, Workload, memory_of_idle_connections, run

TARGETS = {
    ("W1", 32): 1.4, ("W2", 32): 1.1, ("W3", 32): 0.9,
    ("W1", 256): 1.6, ("W2", 256): 1.3, ("W3", 256): 0.95,
}  # fmt: skip
TITLES = {
    "W1": "small GET, 300 B",
    "W2": "POST 60 KB -> 2 KB",
    "W3": "POST 60 KB -> 60 KB, mirrored",
    "W4": "small GET, no two heads alike",
}
P50_ALLOWANCE_US = 30
PROFILE = """What a profile of the worker shows (py-spy, Nov 2026): of a small GET about 47 % is
write(2), 20 % epoll, a quarter Python; of a mirrored 60 KB POST 44 % is writev(2), 12 % epoll, 9 %
read(2), 9 % copying what was read into a bytes object, a fifth Python. What nginx does not pay is
Python and that copy. Ratios move by a fifth with what else the machine does: look at several runs.
"""


def say(text: str, *, end: str = "\n") -> None:
    """Print at once, so that a long run shows where it is."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


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


def measure(
    entered: dict[str, contenders.Contender], workload: Workload, *,
    rounds: int, seconds: float, folder: Path, upstreams: tuple[int, int],
) -> dict[str, list[Reading]]:  # fmt: skip
    """Let the contenders take turns."""
    taking_part = {"nginx": entered["nginx"]}
    if workload.mirrored:
        taking_part["gateway"] = entered["mirroring"]
    else:
        taking_part |= {"haproxy": entered["haproxy"], "gateway": entered["gateway"]}
    readings: dict[str, list[Reading]] = {name: [] for name in taking_part}
    for _ in range(rounds):
        for name, contender in taking_part.items():
            readings[name].append(run(contender, workload, seconds, folder, upstreams))
    return readings


def show(workload: Workload, readings: dict[str, list[Reading]]) -> bool:
    """Print one row; tell whether its target was met."""
    cost = {name: median(r.cpu_us for r in rounds) for name, rounds in readings.items()}
    pairs = zip(readings["gateway"], readings["nginx"], strict=True)
    ratio = median(ours.cpu_us / theirs.cpu_us for ours, theirs in pairs)
    target = TARGETS.get((workload.name, workload.concurrency))
    met = target is None or ratio <= target
    haproxy = f"{cost['haproxy']:8.1f}" if "haproxy" in cost else "       -"
    note = "" if target is None else f"<= {target:.2f} {'met' if met else 'MISSED'}"
    if workload.name == "W1" and workload.concurrency == 1:
        p50 = {name: median(r.p50_us for r in rounds) for name, rounds in readings.items()}
        above = p50["gateway"] - p50["nginx"]
        note = f"p50 {above:+.0f} us above nginx (<= {P50_ALLOWANCE_US})"
    say(
        f"{workload.name}  {workload.concurrency:4d}  {cost['nginx']:8.1f} {haproxy} "
        f"{cost['gateway']:8.1f}   {ratio:5.2f}   {note}",
    )
    for name, rounds in readings.items():
        for error in {r.errors for r in rounds if r.errors}:
            say(f"      {name}: {error}")
    return met


def main() -> int:
    """Run the comparison; 0 also when a target is missed, because a bench measures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--only", default="W1,W2,W3,W4")
    options = parser.parse_args()
    if absent := contenders.missing():
        sys.stderr.write(
            f"Nothing to compare with: {', '.join(absent)} not found.\n"
            f"Install with: sudo apt-get install {' '.join(absent)}\n"
        )
        return 1
    rows = workloads(set(options.only.split(",")))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="syncgate-bench-")))
        folder.chmod(0o755)
        old = stack.enter_context(contenders.upstream(folder, "old"))
        new = stack.enter_context(contenders.upstream(folder, "new"))
        entered = {
            "nginx": stack.enter_context(contenders.split_by_nginx(folder, old, new)),
            "haproxy": stack.enter_context(contenders.split_by_haproxy(folder, old, new)),
            "gateway": stack.enter_context(contenders.gateway("gateway", old, new, mirror=False)),
            "mirroring": stack.enter_context(
                contenders.gateway("mirroring", old, new, mirror=True)
            ),
        }
        say("Memory of 1,000 idle connections, MiB:", end="")
        for name in ("nginx", "haproxy", "gateway"):
            grown = memory_of_idle_connections(entered[name])
            say(f"  {name} {grown / 1024:.1f}", end="")
        say("\n\nCPU per request in microseconds, one serving process each, medians of "
              f"{options.rounds} rounds of {options.seconds} s\n")  # fmt: skip
        say("     conns     nginx  haproxy  gateway   ratio to nginx")
        missed = 0
        last = ""
        for workload in rows:
            if workload.name != last:
                say(f"-- {TITLES[workload.name]}")
                last = workload.name
            readings = measure(
                entered, workload,
                rounds=options.rounds, seconds=options.seconds, folder=folder, upstreams=(old, new),
            )  # fmt: skip
            missed += not show(workload, readings)
        say(f"\n{missed} of the targets missed" if missed else "\nall targets met")
    if missed:
        say(PROFILE)
    say("")
    comparison_speed.main()
    say("")
    evidence_table.main()
    return 0


if __name__ == "__main__":
    sys.exit(main())

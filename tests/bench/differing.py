"""
W3d: what mirroring costs when one answer in twenty differs, comparison and control plane included.

As W3, and the systems answer as real ones do: 60 KB of records, an id of its own for each sync, a
digest over all. The gateway is the whole of it, parent and worker, in the first phase with the
policy that is shipped; what differs is handed to the parent and compared there, field by field.
Nginx mirrors the same requests and compares nothing.

    python -m tests.bench.differing [ROUNDS]
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from gateway.policy import DEFAULT_COMPARISON, load_comparison
from tests.bench.contenders import ROOT, Contender, children, free_port, nginx, split_by_nginx
from tests.bench.load import Workload, cpu_ns, run
from tests.support.gateway_process import GatewayProcess, call, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHARES_PERCENT = (0, 5)
ALLOWED = {5: 1.2}
CONNECTIONS = 32
PATH = "/api/property-listings/echo/records/sync"
RECORDS = 700
CHANGED = 3
WARMING_ROUNDS = 12
RESTED_SHARE = 0.1
CONTROL_RATE = load_comparison(ROOT / DEFAULT_COMPARISON).control_rate
SYSTEM = """
  open_file_cache max=16; root {folder}/www;
  split_clients "$http_x_request_id" $which {{ {split} }}
  map $which $digest {{ same {same}; other {other}; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    default_type application/json;
    add_header Sync-Dry-Run applied; add_header Sync-Status completed;
    add_header Sync-Records {records}; add_header Sync-Digest $digest;
    add_header Sync-Id $request_id;
    location = /served {{ stub_status; }}
    location = /health {{ return 200 '{{"status":"ok","instance":"bench"}}'; }}
    location = /api/metrics {{ return 200 '{{"system":"{name}"}}'; }}
    location = /api/property-listings/sync/dry-run-proof {{
      return 200 '{{"proven":true,"means":"raise","detail":"it stores nothing"}}';
    }}
    error_page 405 =200 $uri;
    location {path} {{ try_files /$which =404; }}
  }}
}}
"""


def answers() -> tuple[bytes, bytes]:
    """Make what both systems say when they agree, and when they do not."""

    def digest(text: str) -> str:
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    same: list[dict[str, Any]] = [
        {"propertyNumber": f"AA{n:05}", "action": "updated", "digest": digest(str(n))}
        for n in range(RECORDS)
    ]
    row = {"propertyNumber": "AA00000", "address": "東京都千代田区1-1", "priceYen": 38_000_000}
    rows = {"row": {**row, "priceYen": 39_000_000}, "shadowOfRow": row}
    other = [
        {**each, "digest": digest("other"), **rows} if n < CHANGED else each
        for n, each in enumerate(same)
    ]
    texts = (
        json.dumps({"status": "completed", "stats": {"total": RECORDS}, "records": records})
        for records in (same, other)
    )
    agreed, differing = (text.encode() for text in texts)
    return agreed, differing


@contextlib.contextmanager
def system(folder: Path, name: str, percent: int) -> Iterator[int]:
    """Run a system that says something else in so many answers; gives its port."""
    www = folder / "www"
    www.mkdir(exist_ok=True)
    www.chmod(0o755)
    for file, body in zip(("same", "other"), answers(), strict=True):
        (www / file).write_bytes(body)
    split = f"{percent}% other; * same;" if percent else "* same;"
    port = free_port()
    body = SYSTEM.format(
        folder=folder, port=port, name=name, split=split, path=PATH, records=RECORDS,
        same="a" * 32, other="b" * 32,
    )  # fmt: skip
    with nginx(folder, f"{name}-{percent}", body):
        until(lambda: answering(port))
        yield port


def answering(port: int) -> bool:
    """Tell whether somebody answers there."""
    try:
        return call(f"http://127.0.0.1:{port}/health").status == 200
    except OSError:
        return False


@contextlib.contextmanager
def whole_gateway(
    folder: Path, old: int, new: int, name: str
) -> Iterator[tuple[Contender, GatewayProcess]]:
    """Run parent and worker as they are shipped, in the first phase, mirroring."""
    process = GatewayProcess(
        folder / name, f"http://127.0.0.1:{old}", f"http://127.0.0.1:{new}",
        environment={"GATEWAY_CONNECTIONS_PER_ADDRESS": "0", "GATEWAY_PROBE_INTERVAL": "1000"},
        module=("gateway", "serve"),
    ).start()  # fmt: skip
    try:
        process.order("start")
        until(lambda: process.rollout["mirror"]["on"])
        port = int(process.data_url.rpartition(":")[2])
        yield Contender(name, port, children(process.pid), mirrors=True), process
    finally:
        process.stop()


def exhausted(process: GatewayProcess) -> bool:
    """Tell whether some of what differed was not opened any more."""
    return bool(process.rollout["mirror"]["traffic"]["dropped"].get("difference_not_opened"))


def measure(
    pair: Sequence[Contender], folder: Path, old: int, *, rounds: int, seconds: float
) -> tuple[float, float, float]:
    """Let both take turns; gives the CPU of each and the median ratio.

    What the gateway costs at rest is shown apart: on a busy machine, where few requests get
    through, it would be most of the figure.
    """
    workload = Workload("W3d", PATH, post=True, mirrored=True, concurrency=CONNECTIONS)
    idle = idle_share(pair[1])
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds):
        for contender, readings in zip(pair, (theirs, ours), strict=True):
            reading = run(contender, workload, seconds, folder, [old])
            if contender is pair[0]:
                readings.append(reading.cpu_us)
                continue
            at_rest_us = idle * seconds * 1e6 / max(reading.requests, 1)
            # What the gateway repeats against old to learn what is noise nobody has asked for.
            readings.append((reading.cpu_us - at_rest_us) * (1 + CONTROL_RATE))
    ratio = median(a / b for a, b in zip(ours, theirs, strict=True))
    return median(theirs), median(ours), ratio


def warm_up(contender: Contender, process: GatewayProcess, folder: Path, old: int) -> None:
    """Go on until the gateway has opened what it opens at once, and has read it."""
    workload = Workload("W3d", PATH, post=True, mirrored=True, concurrency=CONNECTIONS)
    for _ in range(WARMING_ROUNDS):
        run(contender, workload, 2.0, folder, [old])
        if exhausted(process):
            break
    until(lambda: idle_share(contender) < RESTED_SHARE)


def idle_share(contender: Contender) -> float:
    """Say what the gateway costs when nothing happens, as a share of one core."""
    before, began = cpu_ns(contender.pids), time.monotonic_ns()
    time.sleep(1.0)
    return (cpu_ns(contender.pids) - before) / (time.monotonic_ns() - began)


def main(folder: Path, *, rounds: int, seconds: float) -> list[str]:
    """Print the table; name what was missed."""
    sys.stdout.write(
        f"W3d: POST 60 KB -> {len(answers()[0]) // 1024} KB as real syncs answer, mirrored, at "
        f"{CONNECTIONS} connections; parent and worker\ndiffer    nginx  gateway   ratio\n"
    )
    missed = []
    for percent in SHARES_PERCENT:
        with contextlib.ExitStack() as stack:
            old = stack.enter_context(system(folder, "steady", 0))
            new = stack.enter_context(system(folder, "moody", percent))
            theirs = stack.enter_context(split_by_nginx(folder, old, new))
            gateway = whole_gateway(folder, old, new, f"whole-{percent}")
            ours, process = stack.enter_context(gateway)
            if percent:
                warm_up(ours, process, folder, old)
            pair = (theirs, ours)
            nginx_us, gateway_us, ratio = measure(pair, folder, old, rounds=rounds, seconds=seconds)
            idle = idle_share(ours)
        allowed = ALLOWED.get(percent, math.inf)
        said = f"<= {allowed:.2f}  {'met' if ratio <= allowed else 'MISSED'}"
        sys.stdout.write(
            f"{percent:4} % {nginx_us:9.1f} {gateway_us:8.1f} {ratio:7.2f}   "
            f"{said if percent in ALLOWED else '-'}; at rest {idle:.1%} of a core\n"
        )
        missed += [] if ratio <= allowed else [f"W3d at {percent} %: {ratio:.2f}"]
    return missed


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="syncgate-bench-") as made:
        place = Path(made)
        place.chmod(0o755)
        main(place, rounds=int(sys.argv[1]) if len(sys.argv) > 1 else 3, seconds=1.0)

"""A worker as a process: what it says to its parent, and how it comes and goes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from gateway.core.model import Outcome
from gateway.link import BreakerChanged, Drained, Hello, Outcomes, Report, ShadowDiffered
from tests.support.dataplane import (
    OK,
    UNREACHABLE,
    DataPlane,
    Received,
    RecordingUpstream,
    data_plane,
    routing,
    split_answer,
    unlimited,
)
from tests.support.scale import scale
from tests.support.shared import ROOT
from tests.support.workers import Fleet, fleet

SYNC = "/api/property-listings/sync"


def client(workers: Fleet) -> DataPlane:
    """Ask the workers as one would ask a data plane in this process."""
    return DataPlane(None, workers.port)  # type: ignore[arg-type]  # nothing to look into


async def test_a_worker_reports_every_second_and_errors_at_once() -> None:
    """The failure is told before the second is over; its report follows."""
    async with (
        RecordingUpstream() as old,
        fleet(unlimited(old.url, UNREACHABLE), routing(50)) as workers,
    ):
        worker = await workers.start()
        assert worker.heard(Hello)[0].pid == worker.process.pid
        for _ in range(4):
            assert (await client(workers).ask()).status == 200
        told = await worker.until(Outcomes)
        names = [(name, outcome) for one in told for name, outcome, _ in one.runs]
        assert ("new", Outcome.ERROR) in names
        for _ in range(8):
            await client(workers).ask()
        changed = await worker.until(BreakerChanged)
        assert (changed[0].variant, changed[0].state) == ("new", "open")
        await worker.until(Report, 3)
        reports = worker.heard(Report)
        seconds = [report.second for report in reports]
        assert seconds == sorted(set(seconds))
        assert reports[-1].routing_version == 1
        assert reports[-1].breakers == {"old": "closed", "new": "open"}
        await worker.leave()
        total = sum(second.variants["old"].ok for second in worker.heard(Report))
        assert total == 12
        runs = Counter()
        for message in worker.heard(Outcomes):
            for name, outcome, count in message.runs:
                runs[name, outcome] += count
        assert runs["old", Outcome.OK] == 12
        assert runs["new", Outcome.ERROR] == 5


async def test_a_routing_reaches_the_next_request() -> None:
    """Over the link, into effect, and named in the reports."""
    async with (
        RecordingUpstream() as old,
        RecordingUpstream() as new,
        fleet(unlimited(old.url, new.url), routing(0)) as workers,
    ):
        worker = await workers.start()
        assert (await client(workers).ask()).headers["sync-system"] == "old"
        await worker.route(routing(100, 2))
        assert (await client(workers).ask()).headers["sync-system"] == "new"
        worker.writer.write(b"this is no message\n")
        await worker.route(routing(0, 3))
        assert (await client(workers).ask()).headers["sync-system"] == "old"


async def test_a_difference_travels_to_the_parent() -> None:
    """Both bodies, for another process to open."""
    async with (
        RecordingUpstream(OK) as old,
        RecordingUpstream(OK.replace(b"ok", b"no")) as new,
        fleet(unlimited(old.url, new.url), routing(0, mirror_to="new", mirror_rate=1.0)) as workers,
    ):
        worker = await workers.start()
        await client(workers).ask(SYNC, "POST", body=b"{}")
        (difference,) = await worker.until(ShadowDiffered)
        assert difference.bodies == ("b2s=", "bm8=")
        assert difference.path == SYNC


async def test_a_worker_ends_when_its_parent_is_gone() -> None:
    """A closed link means there is nobody left to report to."""
    async with fleet(unlimited(UNREACHABLE, UNREACHABLE), routing()) as workers:
        worker = await workers.start()
        worker.writer.close()
        async with asyncio.timeout(10):
            assert await worker.process.wait() != 0


async def test_a_worker_ends_with_its_parent_however_that_ends() -> None:
    """The kernel sees to it when the parent is killed."""
    script = (
        "import os, socket, subprocess, sys\n"
        "l = socket.create_server(('127.0.0.1', 0)); a, b = socket.socketpair()\n"
        "p = subprocess.Popen([sys.executable, '-m', 'gateway.proxy.worker', '0',"
        " str(l.fileno()), str(b.fileno())], pass_fds=[l.fileno(), b.fileno()])\n"
        "b.close(); a.recv(1000); print(p.pid, flush=True); sys.stdin.read()\n"
    )
    settings = unlimited(UNREACHABLE, UNREACHABLE).to_json()
    parent = await asyncio.create_subprocess_exec(
        "python3", "-c", script.replace("sys.executable", repr(os.sys.executable)),
        stdin=-1, stdout=-1, env={**os.environ, "SYNCGATE_WORKER": settings},
        cwd=ROOT,
    )  # fmt: skip
    assert parent.stdout is not None
    async with asyncio.timeout(20):
        worker = int(await parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        await parent.wait()
        while _state(worker) != "Z":
            await asyncio.sleep(0.01)


def _state(pid: int) -> str:
    """What the kernel says of a process; one that is gone is as dead as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


async def test_draining_finishes_what_is_under_way() -> None:
    """What is under way is answered with `Connection: close`, readiness is off, then it goes."""
    release = asyncio.Event()

    async def waits(_: Received) -> bytes:
        await release.wait()
        return OK

    async with (
        RecordingUpstream(waits) as old,
        fleet(unlimited(old.url, UNREACHABLE, drain_idle_ms=100), routing()) as workers,
    ):
        worker = await workers.start()
        idle_reader, idle_writer = await client(workers).connect()
        asked_reader, asked_writer = await client(workers).connect()
        idle_writer.write(b"GET /readyz HTTP/1.1\r\nHost: g\r\n\r\n")
        assert split_answer(await idle_reader.read(4096)).status == 200
        asked_writer.write(
            f"POST {SYNC} HTTP/1.1\r\nHost: g\r\nContent-Length: 2\r\n\r\n[]".encode()
        )
        while not old.requests:
            await asyncio.sleep(0.005)
        worker.process.terminate()
        await asyncio.sleep(0.02)
        idle_writer.write(b"GET /readyz HTTP/1.1\r\nHost: g\r\n\r\n")
        draining = split_answer(await idle_reader.read())
        assert (draining.status, draining.headers["connection"]) == (503, "close")
        release.set()
        answered = split_answer(await asked_reader.read())
        assert (answered.status, answered.headers["connection"]) == (200, "close")
        async with asyncio.timeout(10):
            assert await worker.process.wait() == 0
        (last,) = await worker.until(Drained)
        assert last.finished == 1


async def test_a_worker_short_of_descriptors_still_answers() -> None:
    """Beyond what it has room for it says 503 or hangs up, and recovers when others leave."""
    async with (
        RecordingUpstream() as old,
        fleet(
            unlimited(old.url, UNREACHABLE, upstream_connections=16, mirror_in_flight=4),
            routing(),
            descriptors=256,
        ) as workers,
    ):
        await workers.start()
        held = []
        for _ in range(300):
            with contextlib.suppress(ConnectionError):
                held.append(await client(workers).connect())
        for _, writer in held:
            writer.write(b"GET /health HTTP/1.1\r\nHost: g\r\n\r\n")
        answers = []
        for reader, _ in held:
            try:
                answers.append(split_answer(await reader.read(4096)).status)
            except ConnectionError:
                answers.append(0)
        assert set(answers) <= {200, 503, 0}
        assert answers.count(200) == 256 - 2 * 20 - 256 // 16 - 64
        assert answers.count(503) > 0
        for _, writer in held:
            writer.transport.abort()
        async with asyncio.timeout(10):
            while await _status(client(workers)) != 200:
                await asyncio.sleep(0.02)


async def _status(gateway: DataPlane) -> int:
    """The status of one request; 0 when the gateway hung up."""
    try:
        return (await gateway.ask()).status
    except ConnectionError:
        return 0


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_rolling_restarts_lose_and_double_nothing(method: str) -> None:
    """Workers come and go on one socket while clients keep asking, with and without keep-alive."""

    async def echo(request: Received) -> bytes:
        await asyncio.sleep(random.uniform(0, 0.01))
        name = request.target.rpartition("/")[2].encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(name), name)

    restarts = scale(full=100, quick=3)
    async with (
        RecordingUpstream(echo) as old,
        fleet(unlimited(old.url, UNREACHABLE, drain_idle_ms=300), routing()) as workers,
    ):
        current = await workers.start()
        stop = asyncio.Event()
        asked: list[str] = []

        async def keeps_asking(number: int) -> None:
            reader = writer = None
            count = 0
            while not stop.is_set():
                name = f"{number}-{count}"
                count += 1
                if writer is None:
                    reader, writer = await client(workers).connect()
                body = "Content-Length: 2\r\n\r\n[]" if method == "POST" else "\r\n"
                close = "Connection: close\r\n" if number % 2 else ""
                writer.write(
                    f"{method} {SYNC}/{name} HTTP/1.1\r\nHost: g\r\n{close}{body}".encode()
                )
                asked.append(name)
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
                assert await reader.readexactly(len(name)) == name.encode()
                if b"Connection: close" in head:
                    writer.close()
                    writer = None
                await asyncio.sleep(0.02)

        clients = [asyncio.create_task(keeps_asking(number)) for number in range(8)]
        for _ in range(restarts):
            successor = await workers.start()
            await current.leave()
            current = successor
        stop.set()
        await asyncio.gather(*clients)
        received = Counter(request.target.rpartition("/")[2] for request in old.requests)
        assert received == Counter(asked)
        assert len(asked) > restarts * 10


async def test_the_access_log_is_a_sample(capfd: pytest.CaptureFixture[str]) -> None:
    """One line in so many, with what one needs to find the request again."""
    async with (
        RecordingUpstream() as old,
        data_plane(unlimited(old.url, UNREACHABLE, access_log_every=3)) as gateway,
    ):
        answers = [await gateway.ask(headers={"X-Request-Id": f"id-{n}"}) for n in range(7)]
        gateway.plane.tick()
        assert len(answers) == 7
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if "took_us" in line]
    assert [line["request_id"] for line in lines] == ["id-2", "id-5"]
    assert {(line["status"], line["system"], line["method"]) for line in lines} == {
        (200, "old", "GET")
    }

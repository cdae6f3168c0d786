"""
A scriptable sync service in a process of its own, so that it can be frozen and killed for real.

`POST /_script` sets how it behaves from now on, `GET /_seen` tells what it was asked, and `GET
/_arrivals` when clients' calls arrived. Everything under `/api/property-listings` answers as its
system would; `/health` and `/api/metrics` have switches of their own.

    python -m tests.support.upstream old 0     # prints the port it took
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter, deque
from typing import Any

DEFAULTS: dict[str, Any] = {
    "status": 200,
    "delay_ms": 0,
    "hang": False,
    "health": 200,
    "metrics": None,
    "sync_status": "completed",
    "proof": {"proven": True, "means": "raise", "detail": "nothing was left behind"},
    "instance": "first",
    "sync_headers": {},
    "sync_body": None,
    "sync_body_bytes": None,
    "cut_off": False,
    "listings": 10,
}
_ARRIVALS_KEPT = 20_000


class Service:
    """One system under script."""

    def __init__(self, system: str) -> None:
        self.system = system
        self.script = dict(DEFAULTS)
        self.seen: Counter[str] = Counter()
        self.agents: Counter[str] = Counter()
        self.headers: dict[str, dict[str, str]] = {}
        self.arrivals: deque[float] = deque(maxlen=_ARRIVALS_KEPT)

    async def serve(self, port: int) -> None:
        """Listen, say where, and answer until killed."""
        server = await asyncio.start_server(self.connection, "127.0.0.1", port)
        sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        await server.serve_forever()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after the other."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, target, _ = head[0].split(" ", 2)
                headers = {
                    line.partition(":")[0].lower(): line.partition(":")[2].strip()
                    for line in head[1:]
                    if line
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                status, extra, answer = await self.answer(method, target, headers, body)
                fields = {
                    "Content-Type": "application/json",
                    "Content-Length": len(answer),
                    **extra,
                }
                lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
                if self.script["cut_off"] and target.endswith("/sync"):
                    answer = answer[: len(answer) // 2]
                writer.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + answer)
                await writer.drain()
                if self.script["cut_off"] and target.endswith("/sync"):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(  # noqa: PLR0911 - one return per path
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, object], bytes]:
        """Decide one answer by the script."""
        path = target.partition("?")[0]
        if path == "/_script":
            self.script = {**DEFAULTS, **json.loads(body)}
            return 200, {}, b"{}"
        if path == "/_seen":
            told = {"seen": self.seen, "agents": self.agents, "headers": self.headers}
            return 200, {}, json.dumps(told).encode()
        if path == "/_arrivals":
            return 200, {}, json.dumps(list(self.arrivals)).encode()
        self.seen[f"{method} {path}"] += 1
        self.agents[headers.get("user-agent", "")] += 1
        self.headers[path] = headers
        if path == "/health":
            alive = {"status": "ok", "instance": self.script["instance"]}
            return self.script["health"], {}, json.dumps(alive).encode()
        if path.endswith("/sync/dry-run-proof"):
            return 200, {}, json.dumps(self.script["proof"]).encode()
        if path == "/api/metrics":
            return 200, {}, json.dumps(self.metrics()).encode()
        if path.endswith("/sync/stop"):
            return 202, {}, b"{}"
        return await self.business(method, path)

    async def business(self, method: str, path: str) -> tuple[int, dict[str, object], bytes]:
        """Answer a client's call by the script."""
        self.arrivals.append(time.monotonic())
        script = self.script
        if script["hang"]:
            await asyncio.sleep(3600)
        if script["delay_ms"]:
            await asyncio.sleep(script["delay_ms"] / 1000)
        if method == "POST" and path.endswith("/sync"):
            extra = {
                "Sync-Id": f"{self.system}-{self.seen[f'{method} {path}']}",
                "Sync-Status": script["sync_status"],
                "Sync-Records": script["listings"],
            }
            extra |= script["sync_headers"]
            if script["sync_body_bytes"] is not None:
                return script["status"], extra, b"x" * script["sync_body_bytes"]
            if script["sync_body"] is not None:
                return script["status"], extra, script["sync_body"].encode()
            answer = {"system": self.system, "status": script["sync_status"]}
            return script["status"], extra, json.dumps(answer).encode()
        return script["status"], {}, json.dumps({"system": self.system}).encode()

    def metrics(self) -> Any:
        """Give the figures of a healthy service, or what the script says."""
        if self.script["metrics"] is not None:
            return self.script["metrics"]
        return {
            "system": self.system,
            "syncs": {"completed": 3, "partial": 0, "failed": 0, "successRatio": 1.0},
            "listingsSynced": 100,
            "syncSecondsPer1000": [1.0, 1.2, 0.9],
            "apiUsage": {"used": 1, "limit": 10, "ratio": 0.1},
        }


class Upstream:
    """The test's hold on a `Service` in a child process."""

    def __init__(self, system: str) -> None:
        self.system = system
        self.port = 0
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.upstream", self.system, str(self.port)],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        self.port = int(process.stdout.readline())
        return process

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def script(self, **behaviour: Any) -> None:
        """Behave so from now on; what is not named goes back to its default."""
        assert set(behaviour) <= set(DEFAULTS)
        self._call("/_script", json.dumps(behaviour).encode())

    def seen(self) -> dict[str, Any]:
        """What it was asked: counts by method and path, by user agent, last headers by path."""
        told: dict[str, Any] = json.loads(self._call("/_seen"))
        return told

    def count(self, what: str) -> int:
        """How often it was asked `METHOD /path`."""
        return int(self.seen()["seen"].get(what, 0))

    def arrivals(self) -> list[float]:
        """When clients' calls arrived, on the machine's steady clock; so many of the newest."""
        told: list[float] = json.loads(self._call("/_arrivals"))
        return told

    def freeze(self) -> None:
        """Stop it in its tracks: connections open, nothing answered."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill -9: its port refuses connections."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def start_again(self) -> None:
        """Listen on the same port again."""
        self.process = self._start()

    def _call(self, path: str, body: bytes | None = None) -> bytes:
        with urllib.request.urlopen(self.url + path, data=body, timeout=10) as answer:
            return bytes(answer.read())


if __name__ == "__main__":
    asyncio.run(Service(sys.argv[1]).serve(int(sys.argv[2])))

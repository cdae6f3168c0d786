"""
Run one Starlette app as a process of its own.

The socket is bound before anything else is started, so a taken port is a sentence and exit code 1,
not a traceback after half a start. Exactly one line goes to standard output, when the socket
accepts: ``ready <name> http://host:port pid=<pid>``; whoever started the process waits for it. Logs
are JSON lines on standard error, or in LOG_FILE_PATH. SIGTERM and SIGINT finish what is under way
and exit 0.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO

import structlog
import uvicorn

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from starlette.applications import Starlette

EXIT_REFUSED: Final = 1
_BACKLOG: Final = 2048
_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; `port_setting` is the variable to change when the port is taken."""

    host: str
    port: int
    port_setting: str


def bind(address: Address) -> socket.socket:
    """Listen, or end the process with a message that says what to do. Port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen(_BACKLOG)
    except OSError as exc:
        listener.close()
        refuse(
            f"Cannot listen on {address.host}:{address.port} ({exc.strerror}). "
            f"Stop what listens there, or set {address.port_setting} to another port."
        )
    listener.setblocking(False)  # noqa: FBT003 - the socket API's own signature
    return listener


def refuse(message: str) -> NoReturn:
    """End the process: it cannot start, and this is why."""
    sys.stderr.write(message + "\n")
    raise SystemExit(EXIT_REFUSED)


def die_with_parent() -> None:
    """Ask the kernel for SIGTERM when the process that started us dies, however it dies."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the request took effect
        os.kill(os.getpid(), signal.SIGTERM)


def configure_logging(level: str, path: Path | None = None) -> None:
    """Send structlog's and the standard library's records to one place, one JSON line each."""
    stream: TextIO = sys.stderr
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = path.open("a", encoding="utf-8", buffering=1)
        except OSError as exc:
            refuse(f"LOG_FILE_PATH {path} cannot be written ({exc.strerror}).")
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=number, force=True)
    # A line per request of a library's client is noise beside our own.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


class _Server(uvicorn.Server):
    """Says when it is ready, and treats a signal as a wish to end well."""

    def __init__(self, config: uvicorn.Config, ready_line: str) -> None:
        super().__init__(config)
        self._ready_line = ready_line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            sys.stdout.write(self._ready_line + "\n")
            sys.stdout.flush()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        # uvicorn would raise the signal again after a clean shutdown, and exit as if killed.
        self._captured_signals.clear()


def serve(
    app: Starlette,
    listener: socket.socket,
    *,
    name: str,
    drain_s: int = 30,
    with_parent: bool = False,
) -> int:
    """Serve until a signal comes; the exit code is 0, or 1 if the app could not start."""
    if with_parent and threading.current_thread() is threading.main_thread():
        die_with_parent()
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=drain_s,
    )
    server = _Server(config, f"ready {name} http://{shown}:{port} pid={os.getpid()}")
    try:
        server.run(sockets=[listener])
    finally:
        listener.close()
    return 0 if server.started else EXIT_REFUSED

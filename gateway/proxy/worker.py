"""
The worker process: uvicorn's server, our protocol, one inherited socket, one link to the parent.

A worker is started with two inherited file descriptors: the listening socket of the data port and
its end of the socketpair. It says `Hello` when it listens, routes by the last `Routing` it was sent
(until the first one everything goes to the baseline), and leaves when it gets SIGTERM (drained, then
`Drained`) or when the link closes (the parent is gone).

    python -m gateway.proxy.worker NUMBER LISTEN_FD LINK_FD  # settings as JSON in SYNCGATE_WORKER

or, from a composition root that also gives a store for idempotency keys, `run_worker(...)`.
"""

from __future__ import annotations

import os
import sys

from gateway.proxy.configuration import DataPlaneSettings

SETTINGS_VARIABLE = "SYNCGATE_WORKER"


def run_worker(settings: DataPlaneSettings, *, number: int, listen_fd: int, link_fd: int) -> int:
    """Serve until told to leave; return the exit code."""
    raise NotImplementedError


def main(arguments: list[str]) -> int:
    """Start a worker from the command line of a process that inherits the two descriptors."""
    number, listen_fd, link_fd = map(int, arguments)
    settings = DataPlaneSettings.from_json(os.environ.pop(SETTINGS_VARIABLE))
    return run_worker(settings, number=number, listen_fd=listen_fd, link_fd=link_fd)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

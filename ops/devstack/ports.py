"""
Free ports on the loopback interface.

A port is taken by binding it: whoever asks "is it free?" by connecting mistakes a slow server for a
free port. Ports handed out are remembered, so that two parts of one stack never get the same one
between the asking and their own bind.
"""

from __future__ import annotations

import socket
from typing import Final

LOOPBACK: Final = "127.0.0.1"

_handed_out: set[int] = set()


def free_port(preferred: int | None = None) -> int:
    """Return `preferred` where nobody listens on it, else any free port."""
    for candidate in (preferred, *([0] * 50)):
        if candidate is None:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # What servers do themselves: a port in TIME_WAIT is free, one with a listener is not.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, candidate))
            except OSError:
                continue
            port = int(probe.getsockname()[1])
        if port not in _handed_out:
            _handed_out.add(port)
            return port
    raise RuntimeError("no free port on 127.0.0.1: is the range of ephemeral ports used up?")


def accepts(port: int) -> bool:
    """Whether somebody listens on the port right now."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=0.25):
            return True
    except OSError:
        return False

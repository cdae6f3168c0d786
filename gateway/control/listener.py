"""
The listening sockets, bound before anything is started.

A port that is taken is said at once and by its setting's name; workers inherit the data socket, so
that they can be replaced without the port ever being closed.
"""

from __future__ import annotations

import errno
import socket
from typing import Final

from gateway.errors import PortUnavailableError

BACKLOG: Final = 2048


def listen(host: str, port: int, *, setting: str) -> socket.socket:
    """Bind and listen; PortUnavailableError names the setting that would change the port."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise PortUnavailableError(
            f"The address {host!r} cannot be resolved ({error.strerror}).",
            todo=f"Correct {setting.replace('PORT', 'HOST')}.",
        ) from error
    family, kind, protocol, _, address = addresses[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
    except OSError as error:
        listener.close()
        raise PortUnavailableError(
            f"Cannot listen on {host} port {port}: {_why(error)}.",
            todo=f"Stop what uses it, or choose another with {setting}.",
        ) from error
    return listener


def url_of(listener: socket.socket, *, scheme: str = "http") -> str:
    """Give the URL by which this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is taken"
    if error.errno == errno.EACCES:
        return "this user may not use that port"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address"
    return error.strerror or str(error)

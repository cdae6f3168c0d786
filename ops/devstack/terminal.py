"""How the dev stack speaks to a terminal, and how it is told to stop."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

from rich.console import Console

from ops.devstack.process import end_with_parent

if TYPE_CHECKING:
    from types import FrameType

_WIDTH_WITHOUT_TERMINAL: Final = 100


class Stopped(Exception):  # noqa: N818 - it is an order, not an error
    """Somebody asked us to stop."""


def console(*, width: int = _WIDTH_WITHOUT_TERMINAL) -> Console:
    """Return where to print: as wide as the terminal, or `width` where there is none."""
    found = Console(highlight=False)
    if not found.is_terminal:
        found = Console(highlight=False, width=width)
    return found


def stop_on_signals() -> None:
    """Turn SIGTERM, SIGHUP and Ctrl-C into `Stopped`, once: a second one must not cut the stop."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    if "MAKELEVEL" in os.environ:
        # Started by make: a `make up` that was killed must not leave the stack behind. A shell is
        # another matter, it may end before what it put into the background.
        end_with_parent(signal.SIGTERM)

"""
A child process that cannot outlive its parent.

Every part of the dev stack is a direct child of the process that asked for it, in a session of
its own (a Ctrl-C in the terminal reaches the parent alone, which then stops its parts in order) and
with ``PR_SET_PDEATHSIG``: when the parent dies, however it dies, the kernel signals the child.

Two properties of that signal shape this module. It is cleared when credentials change, so it is set
after the change of user. And it is sent when the *thread* that forked the child ends, so processes
are started from the main thread only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_PR_SET_PDEATHSIG: Final = 1
_POLL_S: Final = 0.02
_LOG_TAIL_LINES: Final = 25
# Loaded before any fork: between fork and exec nothing may be imported or allocated needlessly.
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class StartError(RuntimeError):
    """A part did not get ready; the message carries the end of its log."""


@dataclass(frozen=True, slots=True)
class Account:
    """The unprivileged user a server runs as when we are root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and how it is told to stop.

    `stop_signal` asks for an orderly end; `orphan_signal` is sent by the kernel when we are gone.
    """

    name: str
    argv: Sequence[str]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    stop_timeout_s: float = 10.0


class Process:
    """One running part of the stack."""

    def __init__(self, command: Command) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("start servers from the main thread: they die with the thread")
        self.command = command
        command.log.parent.mkdir(parents=True, exist_ok=True)
        with command.log.open("ab") as log:
            self._popen = subprocess.Popen(  # noqa: S603 - the stack runs the servers it found
                list(command.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **command.env},
                cwd=command.cwd,
                start_new_session=True,
                preexec_fn=_tied_to(os.getpid(), command.orphan_signal),  # noqa: PLW1509 - see module
                user=command.account.uid if command.account else None,
                group=command.account.gid if command.account else None,
                extra_groups=[] if command.account else None,
            )

    @property
    def name(self) -> str:
        """What the part is called in tables and messages."""
        return self.command.name

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._popen.poll()

    def log_tail(self, lines: int = _LOG_TAIL_LINES) -> str:
        """Return the last lines it wrote."""
        try:
            text = self.command.log.read_text("utf-8", "replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:])

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float = 30.0) -> None:
        """Return once `ready` says so; raise StartError if the process ends or time is up."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if self.exit_code is not None:
                raise StartError(
                    f"{self.name} ended at once (exit code {self.exit_code}); "
                    f"its log {self.command.log} ends with:\n{self.log_tail()}"
                )
            if time.monotonic() > deadline:
                self.stop()
                raise StartError(
                    f"{self.name} was not ready after {timeout_s:.0f} s; "
                    f"its log {self.command.log} ends with:\n{self.log_tail()}"
                )
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """End it in order; after its time is up, end it and everything of its session."""
        if self._popen.poll() is None:
            self._popen.send_signal(self.command.stop_signal)
            try:
                self._popen.wait(self.command.stop_timeout_s)
            except subprocess.TimeoutExpired:
                _kill_session(self._popen.pid)
                self._popen.wait()

    def kill(self) -> None:
        """SIGKILL to it and to everything of its session: what a crash looks like."""
        if self._popen.poll() is None:
            _kill_session(self._popen.pid)
            self._popen.wait()


def end_with_parent(order: signal.Signals) -> None:
    """Have the kernel send us `order` when whoever started us is gone."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(order))


def _tied_to(parent: int, orphan_signal: signal.Signals) -> Callable[[], None]:
    number = int(orphan_signal)

    def tie() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it died between the fork and the line above
            os._exit(1)

    return tie


def _kill_session(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return

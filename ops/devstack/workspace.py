"""
Temporary folders that are gone when their owner is, even after a kill -9.

A folder's name carries the process id of its owner, when that process started, and the namespace in
which that id means something. Nobody can clean up after being killed, so the next one to ask for a
folder removes those whose owner is gone.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

_PREFIX: Final = "syncgate-"
_PUBLIC: Final = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - names within are unpredictable
_NAME: Final = re.compile(r"syncgate-(\d+)-(\d+)-(\d+)-\w+")


def temporary_folder() -> Path:
    """Make a folder that other users may pass through (servers run as one), not list."""
    base = _base()
    _sweep(base)
    owner = os.getpid()
    name = f"{_PREFIX}{_namespace()}-{owner}-{_started(owner)}-"
    path = Path(tempfile.mkdtemp(prefix=name, dir=base))
    path.chmod(0o711)
    return path


def remove(path: Path) -> None:
    """Remove a folder, whoever owns what is in it."""
    shutil.rmtree(path, ignore_errors=True)


def _base() -> Path:
    """Return TMPDIR, unless we are root and the account that servers run as could not enter it."""
    chosen = Path(tempfile.gettempdir()).resolve()
    if os.geteuid() != 0:
        return chosen
    for base in (chosen, *_PUBLIC):
        if all(folder.stat().st_mode & stat.S_IXOTH for folder in (base, *base.parents)):
            return base
    return chosen


def _sweep(base: Path) -> None:
    for path in base.glob(f"{_PREFIX}*"):
        if (match := _NAME.fullmatch(path.name)) and _mine(path):
            namespace, owner, started = (int(group) for group in match.groups())
            if namespace == _namespace() and _started(owner) != started:
                remove(path)


def _namespace() -> int:
    """Tell two containers that share a /tmp apart: the same id names different processes there."""
    return Path("/proc/self/ns/pid").stat().st_ino


def _mine(path: Path) -> bool:
    """Only our own real folders: in a shared /tmp anybody may plant a name."""
    with contextlib.suppress(OSError):
        status = path.lstat()
        return status.st_uid == os.getuid() and not path.is_symlink()
    return False


def _started(pid: int) -> int:
    """Return the start time of a process in clock ticks since boot, 0 if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return 0
    # The second field is the command in parentheses and may hold anything.
    return int(stat.rpartition(")")[2].split()[19])

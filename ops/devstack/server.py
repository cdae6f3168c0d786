"""A server that is running: ours, or one that was there before us."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.devstack.workspace import remove

if TYPE_CHECKING:
    from pathlib import Path

    from ops.devstack.process import Process


@dataclass(frozen=True, slots=True)
class Server:
    """Where it is, where it came from, and what is ours of it: its process and its data."""

    url: str
    source: str
    process: Process | None = None
    folder: Path | None = None

    def stop(self) -> None:
        """Stop the server and remove its data; one that was there before us stays."""
        if self.process is not None:
            self.process.stop()
        if self.folder is not None:
            remove(self.folder)

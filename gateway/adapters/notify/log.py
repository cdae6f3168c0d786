"""The log as an inbox: always there, so that no notice is ever lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from gateway.ports import Notice

_LEVELS: Final = {"critical": "critical", "high": "error", "medium": "warning", "low": "info"}
_log = structlog.get_logger("notice")


class LogNotifier:
    """`Notifier` that writes one log line."""

    async def notify(self, notice: Notice) -> None:
        """Write it down."""
        write = getattr(_log, _LEVELS.get(notice.level, "warning"))
        write("notice", level=notice.level, title=notice.title, text=notice.text, key=notice.key)

"""The log as an inbox: always there, so that no alert is ever lost; one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from gateway.adapters.notify.plain import one_line, without

if TYPE_CHECKING:
    from gateway.ports.alerts import Rendered

_LEVELS: Final = {"critical": "critical", "high": "error", "medium": "warning", "low": "info"}
_log = structlog.get_logger("alert")


class LogChannel:
    """`Channel` that writes one log line."""

    async def send(self, message: Rendered) -> None:
        """Write it down."""
        write = getattr(_log, _LEVELS.get(message.level.value, "warning"))
        write(
            "alert",
            id=one_line(message.id, 200),
            incident=message.incident,
            level=message.level.value,
            stage=message.stage.value,
            title=one_line(message.title, 300),
            # Whoever reads the log may not act for whoever is told.
            text=one_line(without(message.text, message.link), 2_000),
        )

    async def close(self) -> None:
        """Keep nothing open."""

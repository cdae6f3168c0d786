"""
Logs: one JSON line per event on standard error (or in a file), words for people on a terminal.

Only what matters is logged and never a secret: callers pass values by name, and names that sound
like a secret are masked here once more.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path

_SECRET_WORDS: Final = ("token", "password", "secret", "authorization", "apikey", "dsn")


def configure_logs(*, level: str, path: Path | None = None) -> None:
    """Set up structlog for this process; call once."""
    stream = path.open("a", buffering=1, encoding="utf-8") if path else sys.stderr
    terminal = path is None and stream.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            mask_secrets,
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if terminal else _json_line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    # Libraries that use the standard library's logging: only what is wrong.
    logging.basicConfig(
        level=logging.WARNING, stream=stream, format="%(levelname)s %(name)s %(message)s"
    )


def mask_secrets(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace values whose name sounds like a secret."""
    for name in event:
        if any(word in name.lower() for word in _SECRET_WORDS):
            event[name] = "(hidden)"
    return event


def _json_line(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    return orjson.dumps(dict(event), default=str).decode()

"""
Prometheus Alertmanager, by its API v2: an incident becomes an alert that fires until it is over.

Labels identify an alert there, so they hold only what stays the same while the trouble lasts, and
the level, by which people route. When the level changes or the trouble ends, the alerts of the
other levels are ended in the same call. `endsAt` of a firing alert lies far ahead: we tell of the
end ourselves, and Alertmanager's own five minutes would resolve what nobody solved.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.adapters.notify.plain import lines, one_line
from gateway.core.analysis import Severity
from gateway.core.model import SECOND_US
from gateway.ports.alerts import Stage

if TYPE_CHECKING:
    from gateway.adapters.notify.posting import Poster
    from gateway.ports.alerts import Rendered

PATH: Final = "/api/v2/alerts"
_FIRES_FOR_US: Final = 7 * 86_400 * SECOND_US
_NEWS_FOR_US: Final = 300 * SECOND_US


def alerts(message: Rendered) -> list[dict[str, Any]]:
    """Give what the call is sent."""
    began_us = message.figures.get("raised_us")
    starts_us = began_us if isinstance(began_us, int) and began_us > 0 else message.at_us
    made = []
    for level in Severity:
        fires = level is message.level and message.stage is not Stage.RESOLVED
        if message.incident == 0 and not fires:
            continue
        ends_us = max(message.at_us, starts_us)
        if fires:
            ends_us += _FIRES_FOR_US if message.incident else _NEWS_FOR_US
        made.append(
            {
                "labels": _labels(message, level),
                "annotations": _annotations(message),
                "startsAt": _time(starts_us),
                "endsAt": _time(ends_us),
            }
        )
    return made


def _labels(message: Rendered, level: Severity) -> dict[str, str]:
    rule = message.figures.get("rule") or message.key or "notice"
    system = message.figures.get("system")
    labels = {
        "alertname": one_line(rule, 100) or "notice",
        "severity": level.value,
        "service": "syncgate",
    }
    if system:
        labels["system"] = one_line(system, 20)
    if message.incident:
        labels["incident"] = str(message.incident)
    return labels


def _annotations(message: Rendered) -> dict[str, str]:
    found = {
        "summary": one_line(message.title, 300),
        "description": lines(message.text, 4_000),
        "todo": one_line(message.todo, 1_000),
        "delivery": one_line(message.id, 200),
        "language": message.language.value,
    }
    return {name: text for name, text in found.items() if text}


def _time(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / SECOND_US, UTC).isoformat(timespec="milliseconds")


class AlertmanagerChannel:
    """`Channel` to one Alertmanager."""

    def __init__(self, poster: Poster) -> None:
        self._poster = poster

    async def send(self, message: Rendered) -> None:
        """Post it."""
        await self._poster.post(
            orjson.dumps(alerts(message)),
            path=PATH,
            headers={"Content-Type": "application/json"},
        )

    async def close(self) -> None:
        """Keep nothing open."""

"""
What only the whole alerts file can show: names that lead nowhere, bounds that could never be right.

As in `checks`, the raw tables are read, so that this also speaks when something else is wrong.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from gateway.core.analysis import Metric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.policy.lines import Path

Fault = tuple["Path", str]

STANDING: Final = ("rollback", "emergency_stop", "store")
"""What can be followed up besides rules."""
_LEVELS: Final = ("critical", "high", "medium", "low")
_WINDOW: Final = frozenset(metric.value for metric in Metric if metric.from_window)
_REPORTS: Final = frozenset({"user_reports", "serious_user_reports"})
_NEEDS: Final[dict[str, tuple[tuple[str, ...], bool]]] = {
    "slack": (("url",), False),
    "email": (("url",), True),
    "sms": (("account", "token", "from"), True),
    "webhook": (("url",), False),
    "alertmanager": (("url",), False),
    "log": ((), False),
}
"""Kind -> the secrets it cannot do without, and whether it has receivers."""


def alert_faults(raw: dict[str, Any]) -> list[Fault]:
    """All mistakes that are not of one key alone."""
    return [*_twice(raw), *_lost_channels(raw), *_rules(raw), *_channels(raw), *_follow_ups(raw)]


def _tables(table: dict[str, Any], key: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    found = table.get(key)
    if isinstance(found, list):
        for index, each in enumerate(found):
            if isinstance(each, dict):
                yield (key, index), each


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _twice(raw: dict[str, Any]) -> Iterator[Fault]:
    for key in ("rules", "channels"):
        names: set[str] = set()
        for path, table in _tables(raw, key):
            name = table.get("name")
            if isinstance(name, str):
                if name in names:
                    yield (*path, "name"), f"{name!r} is used twice"
                if key == "rules" and name in STANDING:
                    yield (*path, "name"), f"{name!r} is the gateway's own; expected another name"
                names.add(name)


def _lost_channels(raw: dict[str, Any]) -> Iterator[Fault]:
    known = {str(table.get("name")) for _, table in _tables(raw, "channels")}
    users: list[tuple[Path, dict[str, Any]]] = [
        *_tables(raw, "escalation"), *_tables(raw, "follow_ups"),
    ]  # fmt: skip
    levels = raw.get("levels")
    if isinstance(levels, dict):
        users += [(("levels", k), t) for k, t in levels.items() if isinstance(t, dict)]
    news = raw.get("news")
    if isinstance(news, dict):
        users.append((("news",), news))
    reports = raw.get("reports")
    if isinstance(reports, dict):
        users.append((("reports",), reports))
        if (reports.get("daily") or reports.get("weekly")) and not reports.get("channels"):
            yield ("reports",), "expected channels: a summary has to go somewhere"
    for path, table in users:
        named = table.get("channels")
        for name in named if isinstance(named, list) else ():
            if isinstance(name, str) and name not in known:
                listed = ", ".join(sorted(known)) or "none is there"
                yield (*path, "channels"), f"expected a channel of this file ({listed}): {name!r}"


def _rules(raw: dict[str, Any]) -> Iterator[Fault]:
    for path, rule in _tables(raw, "rules"):
        steps = [(key, rule[key]) for key in _LEVELS if isinstance(rule.get(key), dict)]
        if not steps:
            yield path, "expected at least one of critical, high, medium, low"
        rising = rule.get("comparison", ">") in {">", ">="}
        yield from _order(path, steps, rising=rising)
        metric = rule.get("metric")
        for key, step in steps:
            yield from _hysteresis((*path, key), step, rising=rising)
            bound = _number(step.get("threshold"))
            ratio = isinstance(metric, str) and metric.endswith("_ratio")
            if ratio and rule.get("of", "value") == "value" and bound is not None and bound > 1:
                said = f"expected a ratio from 0 to 1 (5 % is 0.05), found {bound:g}"
                yield (*path, key, "threshold"), said
        yield from _whole(path, rule, metric)


def _order(path: Path, steps: list[tuple[str, Any]], *, rising: bool) -> Iterator[Fault]:
    """Check that a worse level is not easier to reach than a milder one."""
    for (_, worse), (key, milder) in pairwise(steps):
        hard, mild = _number(worse.get("threshold")), _number(milder.get("threshold"))
        if hard is not None and mild is not None and ((hard <= mild) if rising else (hard >= mild)):
            word = "less" if rising else "more"
            yield (*path, key), f"expected {word} than the worse level's {hard:g}, found {mild:g}"


def _hysteresis(path: Path, step: dict[str, Any], *, rising: bool) -> Iterator[Fault]:
    bound, clear = _number(step.get("threshold")), _number(step.get("clear"))
    if bound is None or clear is None:
        return
    if (clear > bound) if rising else (clear < bound):
        word = "at most" if rising else "at least"
        yield (*path, "clear"), f"expected {word} the threshold {bound:g}, found {clear:g}"


def _whole(path: Path, rule: dict[str, Any], metric: object) -> Iterator[Fault]:
    systems = rule.get("systems")
    if not isinstance(systems, list):
        return
    if len(systems) > len({str(one) for one in systems}):
        yield (*path, "systems"), "expected each system once"
    if metric in _WINDOW and "whole" in systems:
        yield (*path, "systems"), f"expected old or new: {metric} is counted for each of them"
    if metric in _REPORTS and systems != ["whole"]:
        yield (*path, "systems"), "expected whole: a report names no system"
    if rule.get("of") == "change" and (metric in _WINDOW or metric in _REPORTS):
        yield (*path, "of"), "expected a metric that is measured, such as listings_synced"


def _channels(raw: dict[str, Any]) -> Iterator[Fault]:
    for path, channel in _tables(raw, "channels"):
        kind = channel.get("kind")
        needs = _NEEDS.get(kind) if isinstance(kind, str) else None
        if needs is None:
            continue
        secrets, receivers = needs
        written = channel.get("secrets")
        given = written if isinstance(written, dict) else {}
        missing = [name for name in secrets if name not in given]
        for name in missing:
            yield path, f"expected secrets.{name}: the environment variable with it"
        if receivers and not channel.get("to") and "to" not in given:
            yield path, f"expected 'to' (or secrets.to): {kind} needs receivers"


def _follow_ups(raw: dict[str, Any]) -> Iterator[Fault]:
    known = {str(table.get("name")) for _, table in _tables(raw, "rules")} | set(STANDING)
    for path, table in _tables(raw, "follow_ups"):
        rule = table.get("rule")
        if isinstance(rule, str) and rule not in known:
            yield (*path, "rule"), f"expected a rule of this file, or {', '.join(STANDING)}"

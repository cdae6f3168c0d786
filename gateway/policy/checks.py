"""
What only the whole file can show: gaps, doubles, thresholds that could never be right.

The checks read the raw tables, not the validated ones, so that they also speak when something else
in the file is wrong; whatever is not of the expected kind is left to the shape.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from gateway.core.analysis import Metric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.policy.lines import Path

Fault = tuple["Path", str]

_PHASE_WEIGHTS: Final = ("read_percent", "write_percent")
_HUGE: Final = 10**15
_WINDOW: Final = frozenset(metric.value for metric in Metric if metric.from_window)
_OWN: Final = _WINDOW | {
    *(metric.value for metric in Metric if metric.from_mirror),
    *(Metric.USER_REPORTS.value, Metric.SERIOUS_USER_REPORTS.value),
}


def whole_file_faults(raw: dict[str, Any]) -> list[Fault]:
    """All mistakes that are not of one key alone."""
    return [
        *_phase_faults(raw),
        *_mirror_faults(raw),
        *_names_twice(raw),
        *(fault for path, asked in _asked(raw) for fault in _asked_faults(path, asked)),
        *(fault for path, limit in _tables(raw, "limits") for fault in _limit_faults(path, limit)),
        *_freeze_faults(raw),
        *_source_faults(raw),
    ]


def _tables(
    table: dict[str, Any], key: str, at: Path = ()
) -> Iterator[tuple[Path, dict[str, Any]]]:
    found = table.get(key)
    if isinstance(found, list):
        for index, each in enumerate(found):
            if isinstance(each, dict):
                yield (*at, key, index), each


def _asked(raw: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    yield from _tables(raw, "triggers")
    yield from _tables(raw, "goals")
    for path, phase in _tables(raw, "phases"):
        yield from _tables(phase, "gates", path)
        yield from _tables(phase, "triggers", path)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if -_HUGE < value < _HUGE else None


def _phase_faults(raw: dict[str, Any]) -> Iterator[Fault]:
    phases = list(_tables(raw, "phases"))
    highest = dict.fromkeys(_PHASE_WEIGHTS, 0.0)
    for index, (path, phase) in enumerate(phases):
        if phase.get("number") != index + 1 and _number(phase.get("number")) is not None:
            expected = f"expected {index + 1}: phases are numbered 1, 2, 3, ... without a gap"
            yield (*path, "number"), expected
        yield from _weight_faults(path, phase, highest)
        yield from _bake_faults(path, phase, last=index == len(phases) - 1)
    if phases and not all(weight == 100 for weight in highest.values()):  # noqa: PLR2004 - percent
        yield phases[-1][0], "expected 100 % in the last phase: the rollout would never complete"


def _weight_faults(path: Path, phase: dict[str, Any], highest: dict[str, float]) -> Iterator[Fault]:
    both = "weight_percent" in phase
    split = [key for key in _PHASE_WEIGHTS if key in phase]
    if both == bool(split) or (split and len(split) < len(_PHASE_WEIGHTS)):
        yield path, "expected either weight_percent, or both read_percent and write_percent"
    for key in _PHASE_WEIGHTS:
        name = key if key in phase else "weight_percent"
        weight = _number(phase.get(name))
        if weight is None:
            continue
        if abs(weight * 100 - round(weight * 100)) > 1e-6:  # noqa: PLR2004 - float noise
            yield (*path, name), f"expected steps of 0.01 percent, found {weight}"
        if weight < highest[key]:
            yield (*path, name), f"expected at least {highest[key]:g}: weights only rise"
        highest[key] = max(weight, highest[key])


def _mirror_faults(raw: dict[str, Any]) -> Iterator[Fault]:
    for path, phase in _tables(raw, "phases"):
        mirror = phase.get("mirror")
        if not isinstance(mirror, dict) or mirror.get("dry_run", True) is not False:
            continue
        if mirror.get("to") == "old":
            yield (
                (*path, "mirror"),
                'expected stores = "two" instead: then all that new writes is written back to old',
            )
        elif raw.get("stores", "one") != "two":
            yield (
                (*path, "mirror"),
                "expected dry_run = true: with one database both systems would write the same rows",
            )


def _bake_faults(path: Path, phase: dict[str, Any], *, last: bool) -> Iterator[Fault]:
    bake_s = _number(phase.get("bake_s"))
    if last:
        for key in ("gates", "triggers"):
            if phase.get(key):
                yield (*path, key), "not expected in the last phase: entering it completes"
        if bake_s:
            yield (*path, "bake_s"), "expected 0 in the last phase: entering it completes"
        return
    if bake_s == 0:
        yield (*path, "bake_s"), "expected a time above 0: a phase must prove itself"
    if not phase.get("gates"):
        yield path, "expected at least one gate: nothing else may lead on"


def _names_twice(raw: dict[str, Any]) -> Iterator[Fault]:
    ids: set[object] = set()
    for path, phase in _tables(raw, "phases"):
        if isinstance(phase.get("id"), str):
            if phase["id"] in ids:
                yield (*path, "id"), f"{phase['id']!r} is used twice"
            ids.add(phase["id"])
    names: set[tuple[str, object]] = set()
    for path, asked in _asked(raw):
        kind = "trigger" if "triggers" in path else str(path[:-1])
        if isinstance(asked.get("name"), str):
            if (kind, asked["name"]) in names:
                yield (*path, "name"), f"{asked['name']!r} is used twice"
            names.add((kind, asked["name"]))


def _asked_faults(path: Path, asked: dict[str, Any]) -> Iterator[Fault]:
    metric, threshold = asked.get("metric"), _number(asked.get("threshold"))
    ratio = isinstance(metric, str) and metric.endswith("_ratio")
    if ratio and asked.get("basis", "value") == "value" and threshold is not None and threshold > 1:
        yield (
            (*path, "threshold"),
            f"expected a ratio from 0 to 1 (5 % is 0.05), found {threshold:g}",
        )
    if "confidence" in asked and not ratio:
        yield (*path, "confidence"), "expected only for ratios: other figures have no such interval"
    if metric not in _WINDOW and asked.get("basis") == "ratio_to_old" and not ratio:
        yield (*path, "basis"), "expected a metric that both systems have"
    if "triggers" not in path:
        return
    healthy = _number(asked.get("healthy_ratio"))
    if metric == "error_ratio":
        yield from _evidence_faults(path, asked, healthy, threshold)
    elif "healthy_ratio" in asked:
        yield (*path, "healthy_ratio"), "expected for error_ratio only"


def _evidence_faults(
    path: Path, asked: dict[str, Any], healthy: float | None, threshold: float | None
) -> Iterator[Fault]:
    if "healthy_ratio" not in asked:
        yield (
            path,
            "healthy_ratio is missing: an error rate is judged against the rate that is fine",
        )
    if asked.get("comparison", ">") not in {">", ">="}:
        yield (*path, "comparison"), "expected '>' for an error rate"
    if asked.get("basis", "value") != "value":
        yield (*path, "basis"), "expected 'value': old is compared by itself"
    if healthy is not None and threshold is not None and threshold <= healthy:
        yield (
            (*path, "threshold"),
            f"expected more than the healthy rate {healthy:g}, found {threshold:g}",
        )
    if threshold is not None and abs(threshold * 10_000 - round(threshold * 10_000)) > 1e-6:  # noqa: PLR2004 - float noise
        yield (*path, "threshold"), f"expected whole hundredths of a percent, found {threshold:g}"
    if threshold is not None and threshold >= 1:
        yield (*path, "threshold"), "expected less than 1: every request failing must be above it"


def _limit_faults(path: Path, limit: dict[str, Any]) -> Iterator[Fault]:
    rising = limit.get("worse", ">") in {">", ">="}
    order = [(key, _number(limit.get(key))) for key in ("target", "warning", "critical")]
    given = [(key, value) for key, value in order if value is not None]
    if not given:
        yield path, "expected at least one of target, warning, critical"
    for (_, milder), (key, harder) in pairwise(given):
        if (harder < milder) if rising else (harder > milder):
            word = "at least" if rising else "at most"
            yield (*path, key), f"expected {word} the milder level {milder:g}, found {harder:g}"
    metric = limit.get("metric")
    if isinstance(metric, str) and metric.endswith("_ratio"):
        for key, value in given:
            if value > 1:
                yield (
                    (*path, key),
                    f"expected a ratio from 0 to 1 (5 % is 0.05), found {value:g}",
                )


def _source_faults(raw: dict[str, Any]) -> Iterator[Fault]:
    asked: set[tuple[object, object]] = set()
    for path, source in _tables(raw, "sources"):
        metric, system = source.get("metric"), source.get("system")
        if metric in _OWN:
            yield (*path, "metric"), f"{metric} is counted by the gateway itself"
        if isinstance(metric, str) and isinstance(system, str | None):
            if (metric, system) in asked:
                yield (*path, "metric"), f"{metric} of this system has a source already"
            asked.add((metric, system))
        if isinstance(source.get("query"), str) and not source["query"].strip():
            yield (*path, "query"), "expected PromQL"


def _freeze_faults(raw: dict[str, Any]) -> Iterator[Fault]:
    for path, freeze in _tables(raw, "once_freezes"):
        start, end = freeze.get("from_at"), freeze.get("to_at")
        for key, instant in (("from_at", start), ("to_at", end)):
            if isinstance(instant, datetime) and instant.tzinfo is None:
                yield (*path, key), "expected an offset from UTC, such as 2026-12-28T00:00:00+09:00"
        aware = [i for i in (start, end) if isinstance(i, datetime) and i.tzinfo is not None]
        if len(aware) == 2 and aware[1] <= aware[0]:  # noqa: PLR2004 - start and end
            yield (*path, "to_at"), "expected later than from_at"
    for path, freeze in _tables(raw, "weekly_freezes"):
        begin = (freeze.get("from_day"), freeze.get("from_time"))
        if begin == (freeze.get("to_day"), freeze.get("to_time")):
            yield (*path, "to_time"), "expected another time than the beginning"

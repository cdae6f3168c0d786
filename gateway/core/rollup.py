"""
What an hour came to, and what hours come to together: counts that add, for reports.

A bucket holds whole hours. Latencies and paces stay histograms, so that the quantiles of a week are
those of its requests and not an average of quantiles. What nobody counted is not in a bucket:
`covered_s` says of how many seconds it knows, and the rest of its time is unknown, never zero.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from gateway.core import histogram
from gateway.core.histogram import EMPTY, Counts
from gateway.core.model import SECOND_US, Variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.core.window import SecondLike

HOUR_S: Final = 3600
HOUR_US: Final = HOUR_S * SECOND_US
BUCKET_FORMAT: Final = 1
_SYSTEMS: Final = tuple(variant.value for variant in Variant)
_COUNTS: Final = ("ok", "errors", "rejected", "syncs", "listings")


class ForeignBucketError(ValueError):
    """What is stored is no bucket of ours; the message says why."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What one system did; `latency` in microseconds, `pace` in milliseconds per 1,000 listings."""

    ok: int = 0
    errors: int = 0
    rejected: int = 0
    syncs: int = 0
    listings: int = 0
    latency: Counts = EMPTY
    pace: Counts = EMPTY

    @property
    def requests(self) -> int:
        """All that it was asked."""
        return self.ok + self.errors + self.rejected

    @property
    def error_ratio(self) -> float | None:
        """Errors among what is judged: all but the rejected. None: nothing was."""
        judged = self.ok + self.errors
        return self.errors / judged if judged else None

    def latency_ms(self, q: float) -> float | None:
        """Give a quantile of the time that requests took which went well."""
        found = histogram.quantile(self.latency, q)
        return None if found is None else found / 1000

    def pace_s(self, q: float) -> float | None:
        """Give a quantile of the seconds that syncs took per 1,000 listings."""
        found = histogram.quantile(self.pace, q)
        return None if found is None else found / 1000


NOTHING: Final = Counted()


def counted(parts: Iterable[Counted | SecondLike]) -> Counted:
    """Add up what one system did, or what two did together."""
    of = list(parts)
    sums = {name: sum(getattr(one, name) for one in of) for name in _COUNTS}
    return Counted(
        **sums,
        latency=histogram.merge(one.latency for one in of),
        pace=histogram.merge(one.pace for one in of),
    )


@dataclass(frozen=True, slots=True)
class Level:
    """A figure that was looked at now and then, such as a load."""

    looks: int
    total: float
    most: float

    @property
    def average(self) -> float:
        """The mean of the looks."""
        return self.total / self.looks

    def plus(self, other: Level) -> Level:
        """Join two spans."""
        return Level(self.looks + other.looks, self.total + other.total, max(self.most, other.most))


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the rollout stood at an instant."""

    at_us: int
    status: str
    phase: str | None
    weight_percent: float
    match_ratio: float | None = None
    """How far the systems agreed, by all that was compared until then."""
    match_sample: int = 0


@dataclass(frozen=True, slots=True)
class Bucket:
    """Whole hours since the epoch: one, or those of a day."""

    hour: int
    hours: int = 1
    covered_s: int = 0
    """Seconds of which every worker reported."""
    systems: Mapping[str, Counted] = field(default_factory=dict)
    levels: Mapping[str, Level] = field(default_factory=dict)
    happened: Mapping[str, int] = field(default_factory=dict)
    """How often things happened that are counted when they are seen."""
    standing: Standing | None = None
    """At the end."""

    @property
    def end_hour(self) -> int:
        """The first hour after it."""
        return self.hour + self.hours

    def of(self, system: str) -> Counted:
        """Give what one system did."""
        return self.systems.get(system, NOTHING)

    def plus_seconds(self, covered_s: int, systems: Mapping[str, SecondLike]) -> Bucket:
        """Add what was counted over some seconds."""
        added = {name: counted((self.of(name), more)) for name, more in systems.items()}
        return replace(
            self, covered_s=self.covered_s + covered_s, systems={**self.systems, **added}
        )

    def plus_levels(self, values: Iterable[tuple[str, float]]) -> Bucket:
        """Add one look at each of some figures."""
        levels = dict(self.levels)
        for name, value in values:
            look = Level(1, value, value)
            levels[name] = levels[name].plus(look) if name in levels else look
        return replace(self, levels=levels)

    def plus_happened(self, more: Mapping[str, int]) -> Bucket:
        """Count what happened; what did not is not named."""
        return replace(self, happened=_summed((self.happened, more)))


def merged(buckets: Iterable[Bucket], *, hour: int, hours: int) -> Bucket:
    """Add buckets up to one of these hours; those that are missing stay unknown."""
    of = list(buckets)
    levels: dict[str, Level] = {}
    for bucket in of:
        for name, level in bucket.levels.items():
            levels[name] = levels[name].plus(level) if name in levels else level
    standings = [one.standing for one in of if one.standing is not None]
    return Bucket(
        hour=hour,
        hours=hours,
        covered_s=sum(one.covered_s for one in of),
        systems={name: counted(one.of(name) for one in of) for name in _SYSTEMS},
        levels=levels,
        happened=_summed(one.happened for one in of),
        standing=max(standings, key=lambda one: one.at_us, default=None),
    )


def gaps(buckets: Iterable[Bucket], *, from_hour: int, to_hour: int) -> tuple[tuple[int, int], ...]:
    """List spans of hours (from, to) of which nothing at all is known, oldest first."""
    found: list[tuple[int, int]] = []
    at = from_hour
    for bucket in sorted(buckets, key=lambda one: one.hour):
        if bucket.covered_s <= 0:
            continue
        if bucket.hour > at:
            found.append((at, min(bucket.hour, to_hour)))
        at = max(at, bucket.end_hour)
    if at < to_hour:
        found.append((at, to_hour))
    return tuple(found)


def _summed(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            total[name] = total.get(name, 0) + count
    return {name: count for name, count in total.items() if count}


def to_json(bucket: Bucket) -> dict[str, Any]:
    """Plain JSON values, with a format number."""
    return {
        "format": BUCKET_FORMAT,
        "hour": bucket.hour,
        "hours": bucket.hours,
        "covered_s": bucket.covered_s,
        "systems": {name: asdict(one) for name, one in bucket.systems.items()},
        "levels": {name: asdict(one) for name, one in bucket.levels.items()},
        "happened": dict(bucket.happened),
        "standing": None if bucket.standing is None else asdict(bucket.standing),
    }


def from_json(raw: object) -> Bucket:
    """Read what `to_json` gave. Raises ForeignBucketError."""
    if not isinstance(raw, dict) or raw.get("format") != BUCKET_FORMAT:
        raise ForeignBucketError(f"not an object of format {BUCKET_FORMAT}")
    try:
        return Bucket(
            hour=int(raw["hour"]),
            hours=int(raw["hours"]),
            covered_s=int(raw["covered_s"]),
            systems={name: _counted(one) for name, one in raw["systems"].items()},
            levels={name: Level(**one) for name, one in raw["levels"].items()},
            happened={name: int(count) for name, count in raw["happened"].items()},
            standing=None if raw["standing"] is None else Standing(**raw["standing"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ForeignBucketError(f"not a bucket: {error!r}") from error


def _counted(raw: dict[str, Any]) -> Counted:
    both = {name: tuple((int(b), int(n)) for b, n in raw[name]) for name in ("latency", "pace")}
    return Counted(**{**raw, **both})

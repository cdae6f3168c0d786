"""
What the guard remembers between two looks.

For every error-rate rule two pieces of evidence run side by side, one per system, updated per
outcome in order (`gateway.core.evidence`). Beside the canary's stands what the baseline answered
over the same seconds, so that the two can be told apart the moment the evidence is complete. Once
complete, evidence counts as standing until half of it has gone: an error rate that hovers at the
threshold is one event, not fifty.

Outcomes come in batches; the order within a batch is the order in which requests finished.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from gateway.core import evidence
from gateway.core.model import SECOND_US, Outcome, Variant

STANDS_UNTIL: Final = 0.5
"""Complete evidence stands until this share of it is left."""

SAME_SECONDS_US: Final = 2 * SECOND_US
"""So long after the canary's last answer the baseline still answers in the same seconds: good
answers are reported once a second."""
CLEAN_SECONDS_US: Final = 10 * SECOND_US
"""The same, while the baseline has not failed at all: a canary whose breaker opened answers nobody,
and its share goes to the baseline, which then soon shows that it is well."""

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True)
class Counts:
    """Answers of one system over some seconds; rejections are left out."""

    ok: int = 0
    errors: int = 0

    @property
    def sample(self) -> int:
        """How many the error ratio is of."""
        return self.ok + self.errors

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.ok + other.ok, self.errors + other.errors)


NOTHING = Counts()


@dataclass(frozen=True, slots=True)
class Track:
    """One rule's evidence on both systems."""

    rule: evidence.Rule
    canary: evidence.State = evidence.CLEAR
    baseline: evidence.State = evidence.CLEAR
    versus: Counts = NOTHING
    """What the baseline answered over the seconds of the canary's evidence: since it left zero, and
    never long after the canary's last answer. What the baseline answered well before a fault that
    both share, or after it while nobody asked the canary, must not speak for it."""
    answered_us: int | None = None
    """When the canary answered last, while its evidence is above zero."""
    fired_at_us: int | None = None
    """When the canary's evidence was complete; None: it does not stand."""
    baseline_fired: bool = False

    @property
    def level(self) -> float:
        """The evidence bar: 0 nothing, 1 complete."""
        return evidence.level(self.canary, self.rule)


@dataclass(frozen=True, slots=True)
class Second:
    """Both systems in one second."""

    second: int
    canary: Counts = NOTHING
    baseline: Counts = NOTHING


@dataclass(frozen=True, slots=True)
class Watch:
    """All evidence, the last seconds, and since when each windowed trigger holds."""

    tracks: tuple[Track, ...]
    recent: tuple[Second, ...] = ()
    since: tuple[tuple[str, int], ...] = ()
    lookback_s: int = 60
    judged: tuple[str, ...] = ()
    """Rules whose complete evidence was looked at already: it is news no more."""

    @property
    def fired(self) -> tuple[str, ...]:
        """Name the rules whose evidence against the canary is complete."""
        return tuple(track.rule.name for track in self.tracks if track.fired_at_us is not None)

    @property
    def alarmed(self) -> bool:
        """Evidence against the canary became complete: look now, not at the next tick."""
        return any(
            track.fired_at_us is not None and track.rule.name not in self.judged
            for track in self.tracks
        )

    def track(self, rule: str) -> Track:
        """Find the evidence of one rule by its name."""
        return next(track for track in self.tracks if track.rule.name == rule)

    def over_lookback(self, variant: Variant, now_us: int, *, share: int = 1) -> Counts:
        """One system's answers over the last seconds, or over a `share`-th of them."""
        oldest = now_us // SECOND_US - self.lookback_s // share
        seen = NOTHING
        for second in self.recent:
            if second.second > oldest:
                seen += second.canary if variant is Variant.CANARY else second.baseline
        return seen

    def answered_after(self, variant: Variant, at_us: int) -> bool:
        """Whether a system has answered well in any second after the one of `at_us`."""
        return any(
            (second.canary if variant is Variant.CANARY else second.baseline).ok
            for second in self.recent
            if second.second > at_us // SECOND_US
        )


def fresh(rules: Iterable[evidence.Rule], *, lookback_s: int = 60) -> Watch:
    """Give a watch that has seen nothing."""
    return Watch(tracks=tuple(Track(rule) for rule in rules), lookback_s=lookback_s)


def observe(watch: Watch, variant: Variant, outcome: Outcome, *, count: int, at_us: int) -> Watch:
    """`count` outcomes of one kind in a row. Rejected and ignored ones say nothing here."""
    if outcome not in {Outcome.OK, Outcome.ERROR} or count < 1:
        return watch
    error = outcome is Outcome.ERROR
    seen = Counts(errors=count) if error else Counts(ok=count)
    recent = _remember(watch, variant, seen, at_us)
    if variant is Variant.CANARY:
        tracks = tuple(
            _canary(track, error=error, count=count, at_us=at_us) for track in watch.tracks
        )
    else:
        tracks = tuple(_baseline(track, seen, error=error, at_us=at_us) for track in watch.tracks)
    return replace(watch, tracks=tracks, recent=recent)


def settled(watch: Watch, rules: frozenset[str]) -> Watch:
    """Forget the canary's evidence of these rules: what they noticed blames nobody."""
    tracks = tuple(
        replace(track, canary=evidence.CLEAR, versus=NOTHING, answered_us=None, fired_at_us=None)
        if track.rule.name in rules
        else track
        for track in watch.tracks
    )
    return replace(watch, tracks=tracks)


def _remember(watch: Watch, variant: Variant, seen: Counts, at_us: int) -> tuple[Second, ...]:
    """Add to the second it belongs to; one that runs backwards is counted to the newest."""
    recent, second = watch.recent, at_us // SECOND_US
    if recent and (second <= recent[-1].second):
        last, recent = recent[-1], recent[:-1]
    else:
        oldest = second - watch.lookback_s
        while recent and recent[0].second <= oldest:
            recent = recent[1:]
        last = Second(second)
    if variant is Variant.CANARY:
        return (*recent, replace(last, canary=last.canary + seen))
    return (*recent, replace(last, baseline=last.baseline + seen))


def _canary(track: Track, *, error: bool, count: int, at_us: int) -> Track:
    if not error and track.canary.score == 0:
        return track
    state = evidence.observe(track.canary, track.rule, error=error, count=count)
    if state.score == 0:
        return replace(track, canary=state, versus=NOTHING, answered_us=None, fired_at_us=None)
    fired_at_us = track.fired_at_us
    if fired_at_us is None and evidence.fired(state, track.rule):
        fired_at_us = at_us
    elif fired_at_us is not None and evidence.level(state, track.rule) < STANDS_UNTIL:
        fired_at_us = None
    return replace(track, canary=state, answered_us=at_us, fired_at_us=fired_at_us)


def _baseline(track: Track, seen: Counts, *, error: bool, at_us: int) -> Track:
    last_us, versus = track.answered_us, track.versus
    near_us = SAME_SECONDS_US if versus.errors or seen.errors else CLEAN_SECONDS_US
    if last_us is not None and at_us - last_us <= near_us:
        versus += seen
    if not error and track.baseline.score == 0:
        return track if versus is track.versus else replace(track, versus=versus)
    state = evidence.observe(track.baseline, track.rule, error=error, count=seen.sample)
    stands = evidence.fired(state, track.rule) or (
        track.baseline_fired and evidence.level(state, track.rule) >= STANDS_UNTIL
    )
    return replace(track, baseline=state, versus=versus, baseline_fired=stands)


def to_json(watch: Watch) -> dict[str, Any]:
    """Plain values, for a stored decision."""
    return {
        "tracks": [_track_to_json(track) for track in watch.tracks],
        "recent": [
            [s.second, s.canary.ok, s.canary.errors, s.baseline.ok, s.baseline.errors]
            for s in watch.recent
        ],
        "since": dict(watch.since),
    }


def _track_to_json(track: Track) -> dict[str, Any]:
    return {
        "rule": track.rule.name,
        "healthy_ratio": track.rule.healthy_ratio,
        "threshold_ratio": track.rule.threshold_ratio,
        "false_alarm_requests": track.rule.false_alarm_requests,
        "canary": [track.canary.score, track.canary.sample, track.canary.errors],
        "baseline": [track.baseline.score, track.baseline.sample, track.baseline.errors],
        "versus": [track.versus.ok, track.versus.errors],
        "answered_us": track.answered_us,
        "fired_at_us": track.fired_at_us,
        "baseline_fired": track.baseline_fired,
    }


def from_json(raw: dict[str, Any], rules: Iterable[evidence.Rule], *, lookback_s: int) -> Watch:
    """Read a stored watch for these rules; see `carried` for rules that changed meanwhile.

    KeyError, TypeError or ValueError: not a stored watch.
    """
    stored = [_track_from_json(each) for each in raw["tracks"]]
    recent = tuple(
        Second(second, Counts(*four[:2]), Counts(*four[2:])) for second, *four in raw["recent"]
    )
    since = tuple((str(name), int(at_us)) for name, at_us in raw["since"].items())
    watch = carried(stored, recent, rules, lookback_s=lookback_s)
    return replace(watch, since=since)


def _track_from_json(raw: dict[str, Any]) -> Track:
    rule = evidence.Rule(
        raw["rule"], raw["healthy_ratio"], raw["threshold_ratio"], raw["false_alarm_requests"]
    )
    return Track(
        rule,
        canary=evidence.State(*raw["canary"]),
        baseline=evidence.State(*raw["baseline"]),
        versus=Counts(*raw["versus"]),
        answered_us=raw.get("answered_us"),
        fired_at_us=raw["fired_at_us"],
        baseline_fired=bool(raw["baseline_fired"]),
    )


def carried(
    tracks: Iterable[Track],
    recent: tuple[Second, ...],
    rules: Iterable[evidence.Rule],
    *,
    lookback_s: int,
) -> Watch:
    """Carry evidence over to other rules.

    A rule that kept its numbers keeps its track; a new one is fed the remembered seconds (old
    first, each second's errors spread evenly).
    """
    kept = {_numbers(track.rule): track for track in tracks}
    rules = tuple(rules)
    replayed = fresh([rule for rule in rules if _numbers(rule) not in kept], lookback_s=lookback_s)
    for second in recent:
        for variant, counts in (
            (Variant.BASELINE, second.baseline),
            (Variant.CANARY, second.canary),
        ):
            for outcome, count in spread(counts):
                at_us = second.second * SECOND_US
                replayed = observe(replayed, variant, outcome, count=count, at_us=at_us)
    again = {track.rule.name: track for track in replayed.tracks}
    tracks = tuple(
        replace(kept[_numbers(rule)], rule=rule) if _numbers(rule) in kept else again[rule.name]
        for rule in rules
    )
    return Watch(tracks=tracks, recent=recent, lookback_s=lookback_s)


def _numbers(rule: evidence.Rule) -> tuple[float, float, float]:
    return rule.healthy_ratio, rule.threshold_ratio, rule.false_alarm_requests


def spread(counts: Counts) -> Iterator[tuple[Outcome, int]]:
    """Give counts as runs, the errors spread evenly among the rest."""
    given = 0
    for error in range(counts.errors):
        due = counts.ok * (error + 1) // (counts.errors + 1)
        if due > given:
            yield Outcome.OK, due - given
            given = due
        yield Outcome.ERROR, 1
    if counts.ok > given:
        yield Outcome.OK, counts.ok - given

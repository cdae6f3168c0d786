"""A small world for tests of alerts: a plan, a fake clock, and what is seen second by second."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gateway.core.alerts import (
    AlertPlan,
    Book,
    FollowUp,
    Level,
    News,
    Outcome,
    Rule,
    Rung,
    Said,
    Seen,
    Silent,
    Step,
    Tell,
    advance,
)
from gateway.core.analysis import (
    Inputs,
    Measurement,
    Metric,
    Probe,
    Reading,
    Relation,
    Sentence,
    Severity,
    UserReport,
)
from gateway.core.model import SECOND_US, Variant
from gateway.core.rollout import State, Status
from tests.support.plans import quick_plan

SHIPPED = Path(__file__).parents[2] / "config" / "alerts.toml"
BEGAN_US = 1_700_000_000 * SECOND_US
OLD, NEW = Variant.BASELINE, Variant.CANARY
LADDER = tuple(
    Rung(Sentence(title, title), within_s, (name,), channels)
    for title, within_s, name, channels in (
        ("Developer", 900, "Dev", ()),
        ("Senior", 3_600, "Sen", ("pager",)),
        ("Lead", 14_400, "Lee", ()),
        ("CTO", 0, "Cho", ()),
    )
)


def sentence(text: str) -> Sentence:
    """The same in both languages."""
    return Sentence(text, f"{text}。")


def rule(name: str = "errors", **more: object) -> Rule:
    """Errors of new above 5 % (critical) or 1 % (high), over when below 4 % and 0.8 %."""
    plain: dict[str, object] = {
        "name": name, "title": sentence(name), "metric": Metric.ERROR_RATIO,
        "comparison": Relation.ABOVE, "systems": (NEW,), "window_s": 300, "min_sample": 10,
        "steps": (Step(Severity.CRITICAL, 0.05, 0.04), Step(Severity.HIGH, 0.01, 0.008)),
        "clear_after_s": 60,
    }  # fmt: skip
    return Rule(**plain | more)  # type: ignore[arg-type]


def plan(*rules: Rule, follow_ups: tuple[FollowUp, ...] = ()) -> AlertPlan:
    """The four levels of the shipped file with channels of short names."""
    times = {
        Severity.CRITICAL: (900, 4), Severity.HIGH: (3_600, 4), Severity.MEDIUM: (14_400, 3),
        Severity.LOW: (86_400, 2),
    }  # fmt: skip
    return AlertPlan(
        rules=rules or (rule(),),
        levels=tuple(
            Level(level, within_s, (f"chat-{level.value}",), ("ja", "en"), up_to)
            for level, (within_s, up_to) in times.items()
        ),
        ladder=LADDER,
        silent=Silent(60, Severity.HIGH),
        news=News(("news",), ("ja",)),
        follow_ups=follow_ups,
    )


class World:
    """What is seen; change an attribute, then `look`."""

    def __init__(self, alerts: AlertPlan | None = None) -> None:
        self.alerts = alerts or plan()
        self.rollout = quick_plan()
        self.book = Book()
        self.now_s = 0.0
        self.state = State(
            version=5, status=Status.RUNNING, phase=1, write_bp=1000, read_bp=1000, salt="s",
            started_at_us=BEGAN_US, phase_since_us=BEGAN_US,
        )  # fmt: skip
        self.errors: dict[Variant, float | None] = {OLD: 0.0, NEW: 0.0}
        self.sync_s: float | None = None
        self.sample = 1000
        self.measurements: dict[tuple[Metric, Variant | None], Measurement] = {}
        self.probes: dict[Variant, Probe] = {}
        self.reports: list[UserReport] = []
        self.store_writable = True
        self.blind = False
        self.mute = False
        self.tells: list[Tell] = []
        self.ended: list[object] = []

    @property
    def now_us(self) -> int:
        """The fake clock."""
        return BEGAN_US + round(self.now_s * SECOND_US)

    def measure(
        self, metric: Metric, value: float, system: Variant | None = None, **more: object
    ) -> None:
        """Take in one figure, as of now."""
        found = Measurement(metric, value, self.now_us, system)
        self.measurements[metric, system] = replace(found, **more)  # type: ignore[arg-type]

    def probe(self, system: Variant, failures: int) -> None:
        """One health probe, as of now."""
        self.probes[system] = Probe(system, failures == 0, self.now_us, failures)

    def seen(self, *said: Said) -> Seen:
        """Everything as it stands now."""
        windows = self.alerts.windows_s()
        readings = tuple(
            self._reading(system, window_s) for system in (OLD, NEW) for window_s in windows
        )
        return Seen(
            now_us=self.now_us,
            state=self.state,
            plan=self.rollout,
            inputs=None
            if self.blind
            else Inputs(
                self.now_us, measurements=tuple(self.measurements.values()),
                probes=tuple(self.probes.values()), reports=tuple(self.reports),
            ),
            readings=() if self.mute else readings,
            store_writable=self.store_writable,
            said=said,
        )  # fmt: skip

    def _reading(self, system: Variant, window_s: int) -> Reading:
        ratio = self.errors[system]
        errors = 0 if ratio is None else round(self.sample * ratio)
        sync_s = self.sync_s if system is NEW else None
        return Reading(
            system, window_s, self.now_us, ok=0 if ratio is None else self.sample - errors,
            errors=errors, latency_p95_ms=12.0, sync_s_per_1000=sync_s,
            syncs=0 if sync_s is None else 3,
        )  # fmt: skip

    def look(self, at_s: float | None = None, *said: Said) -> Outcome:
        """Look once, keep the book; `tells` grows."""
        if at_s is not None:
            self.now_s = at_s
        outcome = advance(self.book, self.alerts, self.seen(*said))
        self.take(outcome)
        return outcome

    def take(self, outcome: Outcome) -> None:
        """Keep what came of a step."""
        self.book = outcome.book
        self.tells += outcome.tells
        self.ended += outcome.ended

    def look_every(self, step_s: float, until_s: float) -> None:
        """Look again and again; the first a step from now."""
        while self.now_s + step_s <= until_s:
            self.look(self.now_s + step_s)

    def told(self) -> list[str]:
        """What was told: stage and rule, or the news."""
        return [
            f"{tell.stage.value} {tell.incident.rule if tell.incident else tell.message}"
            for tell in self.tells
        ]

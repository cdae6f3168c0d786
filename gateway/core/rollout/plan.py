"""
What the policy file asks for, as frozen values: phases, gates, triggers, deadlines, freezes.

The plan is the only thing the rollout knows of the policy. It holds no defaults of its own: every
number comes from `config/`, where it stands with its unit and its reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.core import evidence
from gateway.core.model import EPOCH_WEEKDAY, SECOND_US, Weight

if TYPE_CHECKING:
    from gateway.core.analysis import Gate, Limit, Trigger

DAY_S: Final = 86_400
WEEK_S: Final = 7 * DAY_S


@dataclass(frozen=True, slots=True)
class Mirror:
    """What is copied to the other system while a phase lasts. `rate` is a share 0..1."""

    to: str
    rate: float
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Phase:
    """One step of the rollout: a weight, how long it must bake, what leads on and what leads back.

    `triggers` are the phase's own rollback conditions, each rolls back at once. The last phase of a
    plan has no bake time and no gates: entering it completes the rollout.
    """

    id: str
    title: str
    title_ja: str
    write_bp: Weight
    read_bp: Weight
    bake_s: int
    auto_promote: bool = False
    gates: tuple[Gate, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    mirror: Mirror | None = None


@dataclass(frozen=True, slots=True)
class Freeze:
    """A time in which nothing is promoted; `end` is exclusive.

    Weekly: seconds of the week (Monday 00:00 = 0) at a fixed offset from UTC, and it may wrap
    around the end of the week. Once: Unix seconds.
    """

    name: str
    weekly: bool
    start_s: int
    end_s: int
    offset_s: int = 0

    def covers(self, now_us: int) -> bool:
        """Whether `now_us` lies in it."""
        now_s = now_us // SECOND_US
        if not self.weekly:
            return self.start_s <= now_s < self.end_s
        of_week_s = (now_s + self.offset_s + EPOCH_WEEKDAY * DAY_S) % WEEK_S
        if self.start_s <= self.end_s:
            return self.start_s <= of_week_s < self.end_s
        return of_week_s >= self.start_s or of_week_s < self.end_s


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long people have, and how often they are reminded when nobody answers."""

    high_s: int
    medium_s: int
    escalate_every_s: int


@dataclass(frozen=True, slots=True)
class Fairness:
    """How evidence is weighed and how long something may stay unknown."""

    false_alarm_requests: int
    blame_alpha: float
    settle_s: float
    lookback_s: int
    probe_failures: int
    probe_max_age_s: int
    reading_max_age_s: int
    unknown_grace_s: int
    judgement_gap_s: int
    """Time between two looks longer than this is nobody's healthy time."""
    quiet_s: int
    """Trouble is over when it has not been seen for so long."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole policy: what the rollout and the analysis need to know."""

    name: str
    phases: tuple[Phase, ...]
    triggers: tuple[Trigger, ...]
    limits: tuple[Limit, ...]
    goals: tuple[Gate, ...]
    deadlines: Deadlines
    fairness: Fairness
    freezes: tuple[Freeze, ...] = ()
    stores_apart: bool = False
    """Old has a database of its own: what new writes is written back to it."""

    def rules(self) -> tuple[evidence.Rule, ...]:
        """Every error-rate rule of the plan, whatever the phase: evidence outlives a promotion."""
        own = [trigger for phase in self.phases for trigger in phase.triggers]
        return tuple(
            evidence.Rule(
                trigger.name,
                trigger.healthy_ratio,
                trigger.threshold,
                self.fairness.false_alarm_requests,
            )
            for trigger in (*self.triggers, *own)
            if trigger.healthy_ratio is not None
        )

    def windows_s(self) -> tuple[int, ...]:
        """List the lengths of all windows that a reading is needed for."""
        gates = [gate for phase in self.phases for gate in phase.gates] + list(self.goals)
        own = [trigger for phase in self.phases for trigger in phase.triggers]
        asked: tuple[Gate | Limit | Trigger, ...] = (*gates, *self.limits, *self.triggers, *own)
        return tuple(sorted({each.window_s for each in asked if each.metric.from_window}))

    def frozen(self, now_us: int) -> Freeze | None:
        """Find the freeze that is on, if any."""
        return next((freeze for freeze in self.freezes if freeze.covers(now_us)), None)

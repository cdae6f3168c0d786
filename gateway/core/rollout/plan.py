"""
What the policy file asks for, as frozen values: phases, gates, triggers, deadlines, freezes.

The plan is the only thing the rollout knows of the policy. It holds no defaults of its own: every
number comes from `config/`, where it stands with its unit and its reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.core.model import WEIGHT_ALL, Weight

if TYPE_CHECKING:
    from gateway.core.analysis import Gate, Limit, Trigger

MINUTES_PER_DAY: Final = 1440
DAYS_PER_WEEK: Final = 7


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

    @property
    def carries_all(self) -> bool:
        """Nothing is left on the old system: it only stands by."""
        return self.write_bp == WEIGHT_ALL and self.read_bp == WEIGHT_ALL


@dataclass(frozen=True, slots=True)
class Freeze:
    """A time in which nothing is promoted. Weekly: minutes of the week (Monday 00:00 = 0) in a fixed
    offset from UTC; once: instants. `to` is exclusive; a weekly window may wrap around."""

    name: str
    weekly: bool
    start: int
    end: int
    offset_minutes: int = 0

    def covers(self, now_us: int) -> bool:
        """Whether `now_us` lies in it."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long people have, and how often they are reminded when nobody answers."""

    high_s: int
    medium_s: int
    escalate_every_s: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole policy: what the rollout and the analysis need to know."""

    name: str
    phases: tuple[Phase, ...]
    triggers: tuple[Trigger, ...]
    limits: tuple[Limit, ...]
    goals: tuple[Gate, ...]
    deadlines: Deadlines
    freezes: tuple[Freeze, ...] = ()
    false_alarm_requests: int = 1_000_000
    blame_alpha: float = 0.001
    settle_s: float = 2.0
    lookback_s: int = 60
    probe_failures: int = 3
    probe_max_age_s: int = 15
    reading_max_age_s: int = 15
    judgement_gap_s: int = 90
    quiet_s: int = 300

"""A small rollout plan with short windows, for tests that drive the real control plane."""

from __future__ import annotations

from dataclasses import replace

from gateway.core.analysis import Gate, Metric, Relation, Severity, Trigger
from gateway.core.model import Weight
from gateway.core.rollout import Deadlines, Mirror, Phase, Plan
from gateway.core.rollout.plan import Fairness


def quick_plan(*, bake_s: int = 1, gates: tuple[Gate, ...] = (), **fairness: float) -> Plan:
    """Three phases (0, 10, 100 %); the error rules of the shipped policy; no waiting."""

    def phase(name: str, weight_bp: int, *, mirror: Mirror | None = None) -> Phase:
        weight = Weight(weight_bp)
        return Phase(
            id=name,
            title=name,
            title_ja=name,
            write_bp=weight,
            read_bp=weight,
            bake_s=bake_s,
            gates=gates,
            mirror=mirror,
        )

    return Plan(
        name="quick",
        phases=(
            phase("parallel", 0, mirror=Mirror("new", 1.0, dry_run=True)),
            phase("small", 1_000),
            Phase("done", "done", "done", Weight(10_000), Weight(10_000), 0),
        ),
        triggers=(
            Trigger(
                "error-critical", Severity.CRITICAL, Metric.ERROR_RATIO, Relation.ABOVE, 0.10,
                healthy_ratio=0.01,
            ),
            Trigger(
                "error-high", Severity.HIGH, Metric.ERROR_RATIO, Relation.ABOVE, 0.05,
                healthy_ratio=0.01,
            ),
            Trigger("system-down", Severity.CRITICAL, Metric.SYSTEM_DOWN, Relation.AT_LEAST, 1),
            Trigger("data-loss", Severity.CRITICAL, Metric.DATA_LOSS, Relation.AT_LEAST, 1),
        ),
        limits=(),
        goals=(),
        deadlines=Deadlines(high_s=3600, medium_s=86_400, escalate_every_s=3600),
        fairness=Fairness(
            false_alarm_requests=1_000_000, blame_alpha=0.001, settle_s=2.0, lookback_s=60,
            probe_failures=3, probe_max_age_s=15, reading_max_age_s=15, unknown_grace_s=30,
            judgement_gap_s=90, quiet_s=300,
        ),
    )  # fmt: skip


def eager_plan() -> Plan:
    """One phase of 50 %, promoted by itself as soon as the database is said to have little load."""
    plan = quick_plan()
    idle = Gate("idle", Metric.DATABASE_LOAD_RATIO, Relation.BELOW, 0.5, max_age_s=3600)
    half = Weight(5_000)
    eager = Phase("half", "half", "half", half, half, bake_s=0, auto_promote=True, gates=(idle,))
    return replace(plan, name="eager", phases=(eager, plan.phases[-1]))


PLANS = {"quick": quick_plan, "eager": eager_plan}
"""By the names under which a gateway in a process of its own is given one."""

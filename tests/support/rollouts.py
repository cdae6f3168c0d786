"""What a rollout test needs to know of the world: a policy, and inputs in which all is well."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.core.analysis import BreakerReading, Inputs, Measurement, Metric, Probe, Reading
from gateway.core.model import SECOND_US, Outcome, Variant
from gateway.core.rollout import Engine, Promote, Start, Status, begin
from gateway.policy import load_policy

if TYPE_CHECKING:
    from gateway.core.rollout import Plan, Turn

T0 = 1_760_000_000 * SECOND_US
OLD, NEW = Variant.BASELINE, Variant.CANARY
OK, ERROR = Outcome.OK, Outcome.ERROR
RESOURCES = (
    Metric.CPU_RATIO, Metric.MEMORY_RATIO, Metric.DISK_RATIO, Metric.NETWORK_RATIO,
    Metric.DATABASE_LOAD_RATIO, Metric.API_USAGE_RATIO,
)  # fmt: skip


@cache
def shipped_plan(name: str = "rollout") -> Plan:
    """One of the policies that ship."""
    return load_policy(Path(__file__).parents[2] / "config" / f"{name}.toml")


def reading(variant: Variant, window_s: int, now_us: int = T0, **figures) -> Reading:
    """A healthy window of one system, with what differs."""
    healthy = Reading(
        variant=variant, window_s=window_s, at_us=now_us, ok=100_000, errors=100, rejected=50,
        latency_p95_ms=20.0, sync_s_per_1000=100.0, syncs=200, listings=200_000,
    )  # fmt: skip
    return replace(healthy, **figures)


def measured(metric: Metric, value: float, now_us: int = T0, **more) -> Measurement:
    """One measurement of the machine as a whole."""
    return Measurement(**{"metric": metric, "value": value, "at_us": now_us} | more)


def all_well(now_us: int = T0, *, plan: Plan | None = None) -> Inputs:
    """Inputs in which every gate of the shipped policy passes."""
    plan = plan or shipped_plan()
    return Inputs(
        now_us=now_us,
        readings=tuple(
            reading(variant, window_s, now_us, errors=10)
            for variant in Variant
            for window_s in plan.windows_s()
        ),
        measurements=(
            *(measured(metric, 0.3, now_us) for metric in RESOURCES),
            measured(Metric.MATCH_RATIO, 0.999, now_us, sample=20_000),
            measured(Metric.COMPARED_RATIO, 1.0, now_us, sample=20_000),
            measured(Metric.SYNC_TIME_TO_OLD, 0.8, now_us, sample=20_000),
        ),
        probes=(Probe(OLD, ok=True, at_us=now_us), Probe(NEW, ok=True, at_us=now_us)),
        breakers=(BreakerReading(NEW, "a", open=False), BreakerReading(OLD, "a", open=False)),
    )


def with_readings(inputs: Inputs, variant: Variant, **figures) -> Inputs:
    """The same inputs with one system's windows changed."""
    changed = tuple(
        replace(each, **figures) if each.variant is variant else each for each in inputs.readings
    )
    return replace(inputs, readings=changed)


def with_measurement(inputs: Inputs, *new: Measurement) -> Inputs:
    """The same inputs with newer measurements instead of those of the same metric."""
    metrics = {each.metric for each in new}
    kept = tuple(each for each in inputs.measurements if each.metric not in metrics)
    return replace(inputs, measurements=(*kept, *new))


def with_probe(
    inputs: Inputs, variant: Variant, *, failures: int, since_us: int | None = None
) -> Inputs:
    """The same inputs with one system's probe failing."""
    probes = tuple(
        Probe(variant, ok=False, at_us=inputs.now_us, failures=failures, failing_since_us=since_us)
        if each.variant is variant
        else each
        for each in inputs.probes
    )
    return replace(inputs, probes=probes)


def engine_in(phase: int | None, *, plan: Plan | None = None, now_us: int = T0) -> Engine:
    """An engine that was promoted into a phase (0 is the first); None: a fresh gateway."""
    plan = plan or shipped_plan()
    engine = begin(plan)
    if phase is None:
        return engine
    inputs = all_well(now_us, plan=plan)
    engine = engine.order(Start("ann", "go", "salt"), inputs).engine
    for _ in range(phase):
        engine = engine.order(Promote("ann", "go", force=True), inputs).engine
    assert engine.state.status in {Status.RUNNING, Status.COMPLETED}
    return engine


def looks(engine: Engine, inputs: Inputs, *, every_s: int, times: int) -> Turn:
    """Look again and again with the same inputs, ever later."""
    turn = engine.look(inputs)
    for _ in range(times):
        inputs = later(inputs, every_s)
        turn = turn.engine.look(inputs)
    return turn


def later(inputs: Inputs, seconds: float) -> Inputs:
    """The same inputs, measured anew so much later."""
    delta = round(seconds * SECOND_US)
    return replace(
        inputs,
        now_us=inputs.now_us + delta,
        readings=tuple(replace(each, at_us=each.at_us + delta) for each in inputs.readings),
        measurements=tuple(replace(each, at_us=each.at_us + delta) for each in inputs.measurements),
        probes=tuple(replace(each, at_us=each.at_us + delta) for each in inputs.probes),
    )

"""
What speaks for trouble at one look: one sign per thing that is watched.

Signs come from the rules over the figures, from sources that fell silent, and from what the rollout
itself knows: a rollback, an emergency stop, a decision that waits, trouble it has found. They are
derived from what stands, never from what was said in passing, so a crash loses none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from gateway.core.alerts.seen import known
from gateway.core.alerts.sentences import STORE, TITLES, figure, missing, over_limit
from gateway.core.analysis import Metric, Sentence, Severity, note
from gateway.core.model import Variant
from gateway.core.rollout import Status
from gateway.core.rollout.readiness import both

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.core.alerts.rules import AlertPlan, Rule, Step
    from gateway.core.alerts.seen import Known, Seen
    from gateway.core.analysis.sentences import Figure

UNMEASURED: Final = "unmeasured:"
NOTICE: Final = "notice:"
"""Incidents of this prefix are said by somebody and have no sign that comes back every second."""

_NEW_IN_USE: Final = frozenset({Status.RUNNING, Status.PAUSED, Status.COMPLETED})
_OF_OLD: Final = {
    "old_down": Metric.SYSTEM_DOWN,
    "standby_down": Metric.SYSTEM_DOWN,
    "old_failing": Metric.ERROR_RATIO,
}
"""What the rollout finds of old -> the metric of the rule that says the same."""


class Condition(Enum):
    """How a thing stands. BETWEEN: not bad enough to begin, not well enough to end."""

    FIRING = "firing"
    BETWEEN = "between"
    CLEAR = "clear"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reached:
    """One level that is reached, and by what."""

    level: Severity
    why: Sentence
    threshold: float | None = None
    figures: tuple[tuple[str, Figure], ...] = ()


@dataclass(frozen=True, slots=True)
class Sign:
    """How one thing stands now. Together, `rule` and `system` name the incident it belongs to."""

    rule: str
    system: str | None
    condition: Condition
    title: Sentence
    reached: tuple[Reached, ...] = ()
    """Worst first; empty unless it fires."""
    value: float | None = None
    sample: int = 0
    for_s: int = 0
    clear_after_s: int = 0
    business: bool = False
    message: str = "alert"
    todo: str = "syncgate status"


def signs(plan: AlertPlan, seen: Seen) -> tuple[Sign, ...]:
    """Everything that is watched, as it stands."""
    found: list[Sign] = []
    silent: dict[tuple[Metric, str | None], Sign] = {}
    for rule in plan.rules:
        for system in rule.systems:
            figure = known(rule, system, seen)
            in_use = _in_use(system, seen)
            found.append(_of_rule(rule, _name(system), figure, in_use=in_use))
            sign = _of_source(plan, rule, _name(system), figure, in_use=in_use)
            key = (rule.metric, sign.system)
            # Two rules on one metric are one source: if either hears nothing, it is silent.
            if key not in silent or sign.condition is Condition.FIRING:
                silent[key] = sign
    return (*found, *silent.values(), *_of_rollout(plan, seen))


def _name(system: Variant | None) -> str | None:
    return None if system is None else system.value


def _in_use(system: Variant | None, seen: Seen) -> bool:
    """Whether it is to work at all now: new before its turn and old after it may be down."""
    if system is Variant.CANARY:
        return seen.state.carries or seen.state.status in _NEW_IN_USE
    if system is Variant.BASELINE:
        return seen.state.status is not Status.COMPLETED
    return True


def _of_rule(rule: Rule, system: str | None, found: Known, *, in_use: bool) -> Sign:
    reached: tuple[Reached, ...] = ()
    value = found.value
    if not in_use:
        condition = Condition.CLEAR
    elif value is None:
        condition = Condition.UNKNOWN
    else:
        steps = [s for s in rule.steps if rule.comparison.holds(value, s.threshold)]
        reached = tuple(_reached(rule, step, system, value, found.sample) for step in steps)
        well = not any(rule.comparison.holds(value, step.clear) for step in rule.steps)
        condition = Condition.CLEAR if well else Condition.BETWEEN
        condition = Condition.FIRING if reached else condition
    return Sign(
        rule=rule.name, system=system, condition=condition, title=rule.title, reached=reached,
        value=value, sample=found.sample, for_s=rule.for_s, clear_after_s=rule.clear_after_s,
        business=rule.business, todo=rule.todo,
    )  # fmt: skip


def _reached(rule: Rule, step: Step, system: str | None, value: float, sample: int) -> Reached:
    why = over_limit(rule, system, value=value, threshold=step.threshold, sample=sample)
    figures: tuple[tuple[str, Figure], ...] = (
        ("metric", rule.metric.value),
        ("value_text", figure(rule, value, 0)),
        ("value_text_ja", figure(rule, value, 1)),
        ("threshold_text", figure(rule, step.threshold, 0)),
        ("threshold_text_ja", figure(rule, step.threshold, 1)),
        ("window_s", rule.window_s if rule.metric.from_window else None),
    )
    return Reached(step.level, why, step.threshold, figures)


def _of_source(
    plan: AlertPlan, rule: Rule, system: str | None, found: Known, *, in_use: bool
) -> Sign:
    """Whether somebody still tells the figure."""
    silent = found.dead and in_use and (rule.expected or not found.never)
    condition = Condition.UNKNOWN if found.unheard and in_use else Condition.CLEAR
    level = Severity.LOW if found.never else plan.silent.level
    why = missing(rule.metric, system, never=found.never)
    reached = (Reached(level, why, figures=(("metric", rule.metric.value),)),) if silent else ()
    return Sign(
        rule=f"source:{rule.metric.value}", system=system,
        condition=Condition.FIRING if silent else condition,
        title=TITLES["source"], reached=reached, for_s=plan.silent.after_s,
        todo="syncgate doctor",
    )  # fmt: skip


def _of_rollout(plan: AlertPlan, seen: Seen) -> Iterator[Sign]:
    state = seen.state
    if not seen.store_writable:
        yield _standing("store", Severity.CRITICAL, STORE, todo="syncgate doctor")
    if state.status is Status.ROLLED_BACK:
        yield _standing(
            "rollback", Severity.CRITICAL, state.why.sentence, figures=state.why.figures,
            message="rollback",
        )  # fmt: skip
    if state.status is Status.EMERGENCY_STOPPED:
        yield _standing(
            "emergency_stop", Severity.CRITICAL, state.why.sentence, figures=state.why.figures,
            message="emergency_stop",
        )  # fmt: skip
    for decision in state.open_decisions:
        why = note("decision_open", decision=decision.id, **both(decision.note))
        yield _standing(
            f"decision:{decision.key}", decision.severity, why.sentence, message="decision",
            figures=(("decision", decision.id), ("deadline_us", decision.deadline_us)),
            todo=f"syncgate hold {decision.id} --reason ...",
        )  # fmt: skip
    for trouble in state.troubles:
        if trouble.paged and not _covered(plan, trouble.key):
            yield _standing(
                f"finding:{trouble.key}", trouble.severity, trouble.note.sentence,
                figures=trouble.note.figures,
            )  # fmt: skip


def _standing(
    rule: str,
    level: Severity,
    why: Sentence,
    *,
    figures: tuple[tuple[str, Figure], ...] = (),
    message: str = "alert",
    todo: str = "syncgate status",
) -> Sign:
    return Sign(
        rule=rule, system=None, condition=Condition.FIRING,
        title=TITLES[rule.partition(":")[0]], reached=(Reached(level, why, figures=figures),),
        message=message, todo=todo,
    )  # fmt: skip


def _covered(plan: AlertPlan, key: str) -> bool:
    """Whether a rule of ours says the same as what the rollout found."""
    if key.startswith(UNMEASURED):
        # The rule also says whether anybody has to measure it at all.
        return any(rule.metric.value == key.removeprefix(UNMEASURED) for rule in plan.rules)
    metric_of_old = _OF_OLD.get(key)
    return any(
        rule.metric is metric_of_old and Variant.BASELINE in rule.systems for rule in plan.rules
    )

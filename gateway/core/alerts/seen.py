"""
What is known at one look, and one figure out of it.

A figure is known, or it is not and then it says whether its source is dead or there was merely too
little to see. Silence is never zero, except of what is reported only when it happens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.core.alerts.rules import Of
from gateway.core.analysis import Inputs, Metric
from gateway.core.analysis.figures import FUTURE_US, taken
from gateway.core.model import SECOND_US, Variant

if TYPE_CHECKING:
    from gateway.core.alerts.rules import Rule
    from gateway.core.analysis import Reading, Sentence, Severity
    from gateway.core.rollout import Plan, State

_REPORTS: Final = frozenset({Metric.USER_REPORTS, Metric.SERIOUS_USER_REPORTS})


@dataclass(frozen=True, slots=True)
class Said:
    """Something another part of the gateway tells people, in its own words."""

    key: str
    level: Severity
    title: Sentence
    why: Sentence
    over: bool = False
    """The trouble of this key is over."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything one look rests on."""

    now_us: int
    state: State
    plan: Plan
    inputs: Inputs | None
    """None: nothing was measured yet since the start."""
    readings: tuple[Reading, ...] = ()
    """Of the windows that the alert rules ask for."""
    store_writable: bool = True
    said: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """One figure; without a value it is unknown."""

    value: float | None
    sample: int = 0
    dead: bool = False
    """Nobody tells it, though somebody should."""
    never: bool = False
    """And nobody ever did."""
    unheard: bool = False
    """It is too early to say anything, even of its source."""


_UNKNOWN: Final = Known(None, unheard=True)
_DEAD: Final = Known(None, dead=True)
_NEVER: Final = Known(None, dead=True, never=True)


def known(rule: Rule, system: Variant | None, seen: Seen) -> Known:
    """Find what a rule speaks of."""
    inputs = seen.inputs
    if inputs is None:
        return _UNKNOWN
    if rule.metric in _REPORTS:
        return _reports(rule, inputs, seen)
    if rule.metric.from_window and system is not None:
        return _reading(rule, system, seen)
    if rule.metric is Metric.SYSTEM_DOWN and system is not None:
        return _down(system, inputs, seen)
    return _measured(rule, system, inputs, seen)


def _reports(rule: Rule, inputs: Inputs, seen: Seen) -> Known:
    since_us = seen.now_us - rule.window_s * SECOND_US
    serious_only = rule.metric is Metric.SERIOUS_USER_REPORTS
    count = sum(
        since_us <= report.at_us and (report.serious or not serious_only)
        for report in inputs.reports
    )
    return Known(float(count), count)


def _reading(rule: Rule, system: Variant, seen: Seen) -> Known:
    found = next(
        (r for r in seen.readings if r.variant is system and r.window_s == rule.window_s), None
    )
    if found is None or not _fresh(found.at_us, seen.plan.fairness.reading_max_age_s, seen.now_us):
        return _DEAD
    value, sample = taken(rule.metric, found)
    if value is None or sample < rule.min_sample or not math.isfinite(value):
        return Known(None, sample)
    return Known(value, sample)


def _down(system: Variant, inputs: Inputs, seen: Seen) -> Known:
    """Whether a system is down, by its health probe or by somebody's word."""
    fairness = seen.plan.fairness
    word = next(
        (m for m in inputs.measurements if m.metric is Metric.SYSTEM_DOWN and m.system is system),
        None,
    )
    if word is not None and word.value > 0 and word.at_us >= seen.state.guard_since_us:
        return Known(1.0, 1)
    probe = next((p for p in inputs.probes if p.variant is system), None)
    if probe is None:
        return _UNKNOWN
    if not _fresh(probe.at_us, fairness.probe_max_age_s, seen.now_us):
        return _DEAD
    if probe.ok:
        return Known(0.0, 1)
    # A few failures in a row mean "down"; one alone means nothing yet, neither way.
    return Known(1.0, probe.failures) if probe.failures >= fairness.probe_failures else _UNKNOWN


def _measured(rule: Rule, system: Variant | None, inputs: Inputs, seen: Seen) -> Known:
    happens = rule.metric.only_when_it_happens
    found = [m for m in inputs.measurements if m.metric is rule.metric and m.system is system]
    if not found:
        return Known(0.0) if happens else _NEVER
    newest = max(found, key=lambda m: m.at_us)
    value, before = newest.value, newest.previous
    if happens:
        # What was known before a person led out of it is settled.
        return Known(value if newest.at_us >= seen.state.guard_since_us else 0.0, newest.sample)
    if not _fresh(newest.at_us, rule.max_age_s, seen.now_us) or not math.isfinite(value):
        return _DEAD
    if newest.sample < rule.min_sample:
        return Known(None, newest.sample)
    if rule.of is Of.CHANGE:
        changed = None if not before else abs(value - before) / abs(before)
        return Known(changed, newest.sample)
    return Known(value, newest.sample)


def _fresh(at_us: int, max_age_s: int, now_us: int) -> bool:
    return -FUTURE_US <= now_us - at_us <= max_age_s * SECOND_US

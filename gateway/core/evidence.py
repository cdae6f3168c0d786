"""
Evidence: how sure are we that an error rate is bad.

A threshold on a small window lies: at a true rate of 1 %, "more than 5 % of the last 20" is a false
alarm in 64 % of 60 checks. So each rule collects evidence instead, one outcome at a time, by a
Bernoulli CUSUM: every error adds ln(p1/p0), every success takes ln((1-p0)/(1-p1)) away, never below
nothing and never above h; the rule has fired while all of h is reached. p0 is the healthy rate.
This is the quickest detector there is of a change from p0 to p1 for its rate of false alarms
(Moustakides 1986), and with h = ln(N) it raises fewer than one false alarm in N requests (Lorden
1971).

**Where p1 comes from.** Nobody sets it. A rule has a threshold T, and T must be what divides bad
from good in the long run: the rate at which gain and loss balance,

    T * ln(p1/p0) = (1 - T) * ln((1-p0)/(1-p1)).

The left side minus the right is KL(T||p0) > 0 at p1 = T and falls for every p1 above, so exactly
one p1 in (T, 1) solves it; it is found by halving. (It is searched as -ln(1-p1): for large T, p1 is
nearer to 1 than a float can say.) For p0 = 1 %: T = 2 % gives 3.5 %, 5 % gives 14 %, 10 % gives 33
%.

**Why the score is an integer.** The same equation says that gain and loss stand in the ratio (1-T)
: T. With T = a/b that is b-a steps up for an error and a steps down for a success: the score moves
on whole steps, never rounds, is the same after a run as after single outcomes, and its Markov chain
is finite and exact (`tests/bench/evidence_table.py` computes from it what the rules promise). One
step is worth ln((1-p0)/(1-p1))/a; `limit` is the number of steps that reaches h.

**What "nothing below T" means, exactly.** Two things, and both are tested.

The drift changes sign at T: the score's mean step at a rate r is r(b-a) - (1-r)a = rb - a, so it is
below zero for every r < T, zero at T, above for every r > T. In the long run evidence of a rate
below T falls back to nothing, that of one above grows until it fires.

No alarm is raised by a run that is not above T. Take all outcomes since the score last left zero: k
errors of n. Each error added at most b-a steps (less where the cap at `limit` cut it), each success
took a, and what is left is above zero: k(b-a) - (n-k)a >= score > 0, so k/n > a/b = T. That holds
whenever there is any evidence at all, in whole steps, so without rounding.

**What it cannot do.** No detector that answers in finite time can stay silent for ever below T: a
rate close below T produces, some time, a run that is above it. A 10 % rule that must fire at four
failures in a row fires at a steady 9 % after 244 requests on average. Such a rate is no healthy one
either; the table shows for each rule how long it takes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, expm1, log, log1p
from typing import Final

from gateway.core.proportion import Interval, interval

FALSE_ALARM_REQUESTS: Final = 1_000_000.0
THRESHOLD_GRAIN: Final = 10_000
"""Thresholds are whole basis points, so the score's steps stay few."""
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Rule:
    """An error rate of `healthy_ratio` is normal; one above `threshold_ratio` must be noticed."""

    name: str
    healthy_ratio: float
    threshold_ratio: float
    false_alarm_requests: float = FALSE_ALARM_REQUESTS
    suspect_ratio: float = field(init=False)
    """p1, the bad rate that is noticed quickest."""
    rise: int = field(init=False)
    """Steps an error adds."""
    fall: int = field(init=False)
    """Steps a success takes away."""
    limit: int = field(init=False)
    """The score at which the rule has fired."""

    def __post_init__(self) -> None:
        threshold = self._threshold()
        numerator, denominator = threshold.numerator, threshold.denominator
        minus_ln_good = _suspicion(self.healthy_ratio, numerator / denominator)
        loss = minus_ln_good + log1p(-self.healthy_ratio)
        object.__setattr__(self, "suspect_ratio", -expm1(-minus_ln_good))
        object.__setattr__(self, "rise", denominator - numerator)
        object.__setattr__(self, "fall", numerator)
        object.__setattr__(self, "limit", ceil(log(self.false_alarm_requests) * numerator / loss))

    def _threshold(self) -> Fraction:
        if not 0.0 < self.healthy_ratio < self.threshold_ratio < 1.0:
            raise ValueError(
                f"rule {self.name}: needs 0 < healthy < threshold < 1, not healthy "
                f"{self.healthy_ratio} and threshold {self.threshold_ratio}"
            )
        if not 1.0 < self.false_alarm_requests < float("inf"):
            raise ValueError(
                f"rule {self.name}: needs more than one request between false alarms, not "
                f"{self.false_alarm_requests}"
            )
        threshold = Fraction(self.threshold_ratio).limit_denominator(THRESHOLD_GRAIN)
        if abs(float(threshold) - self.threshold_ratio) > _ROUNDING:
            raise ValueError(
                f"rule {self.name}: threshold {self.threshold_ratio} is finer than 0.01 %"
            )
        return threshold


@dataclass(frozen=True, slots=True)
class State:
    """A rule's evidence: `score` in the rule's steps, and what was seen since it last left zero."""

    score: int = 0
    sample: int = 0
    errors: int = 0


CLEAR: Final = State()


@dataclass(frozen=True, slots=True)
class Estimate:
    """
    The error rate since the evidence last left zero, with its interval and sample.

    It begins with the error that left zero, so a small sample looks worse than it is: the interval
    says so.
    """

    errors: int
    sample: int
    confidence: float = 0.95

    @property
    def ratio(self) -> float:
        """The share of errors."""
        return self.errors / self.sample

    @property
    def interval(self) -> Interval:
        """Where the true rate lies, with `confidence`."""
        return interval(self.errors, self.sample, confidence=self.confidence)


def observe(state: State, rule: Rule, *, error: bool, count: int = 1) -> State:
    """Take in `count` outcomes of one kind in a row: exactly the same as one at a time."""
    if count < 1:
        if count < 0:
            raise ValueError(f"a run has a length, not {count}")
        return state
    if error:
        return State(
            score=min(rule.limit, state.score + rule.rise * count),
            sample=state.sample + count,
            errors=state.errors + count,
        )
    score = state.score - rule.fall * count
    if score <= 0:
        return CLEAR
    return State(score=score, sample=state.sample + count, errors=state.errors)


def fired(state: State, rule: Rule) -> bool:
    """Tell whether the evidence is complete."""
    return state.score >= rule.limit


def level(state: State, rule: Rule) -> float:
    """Give the length of the bar that is shown: 0 nothing, 1 fired."""
    return min(1.0, state.score / rule.limit)


def estimate(state: State, *, confidence: float = 0.95) -> Estimate | None:
    """Estimate the rate since the evidence last left zero; None when there is none."""
    if state.sample == 0:
        return None
    return Estimate(state.errors, state.sample, confidence)


def _suspicion(healthy: float, threshold: float) -> float:
    """Find -ln(1 - p1) for the p1 at which the drift changes sign at `threshold`."""
    low = -log1p(-threshold)
    high = threshold / (1.0 - threshold) * -log(healthy) - log1p(-healthy)
    while True:
        middle = (low + high) / 2
        if not low < middle < high:
            return middle
        gain = threshold * log(-expm1(-middle) / healthy)
        loss = (1.0 - threshold) * (middle + log1p(-healthy))
        if gain > loss:
            low = middle
        else:
            high = middle

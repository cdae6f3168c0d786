"""
What the evidence rules promise, computed exactly from the Markov chain of each rule's score.

The score of a rule moves on whole steps (`gateway.core.evidence`), so it is a finite Markov chain
as it stands; Brook and Evans (1972) had to approximate by one, here nothing is rounded. Two figures
follow: how many requests pass on average until the rule fires (the absorption time, by state
reduction after Grassmann, Taksar and Heyman, which subtracts nothing and so loses no digits), and
after how many the chance of having fired reaches one half (by following the distribution step by
step).

Lorden (1971): no detector whose false alarms are rarer than one in e^h is quicker on average, in
the worst case, than h / KL(p1 || p0) requests. `ratio` says how far above that the median delay is.

    python -m tests.bench.evidence_table [policy.toml]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from fractions import Fraction
from math import log
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from gateway.core.evidence import CLEAR, Rule, fired, observe

if TYPE_CHECKING:
    from collections.abc import Iterable

POLICY = Path(__file__).parents[2] / "config" / "rollout.toml"

REQUIRED_RULES = (
    Rule("2 % from 1 %", 0.01, 0.02),
    Rule("3 % from 1 %", 0.01, 0.03),
    Rule("5 % from 1 %", 0.01, 0.05),
    Rule("10 % from 1 %", 0.01, 0.10),
    Rule("1 % from 0.5 %", 0.005, 0.01),
    Rule("2 % from 0.5 %", 0.005, 0.02),
    Rule("5 % from 0.5 %", 0.005, 0.05),
    Rule("10 % from 0.5 %", 0.005, 0.10),
)


@dataclass(frozen=True, slots=True)
class Promise:
    """One row of the table."""

    rule: Rule
    false_alarm_requests: float
    """Mean requests between false alarms at the healthy rate."""
    halfway_requests: float
    """The same at a rate half way between healthy and threshold."""
    below_requests: float
    """The same at nine tenths of the threshold: neither healthy nor bad."""
    median_delay: int
    """Requests until half of all runs have fired at p1."""
    bound: float
    """Lorden's bound on the mean delay at p1."""
    failures_in_a_row: int

    @property
    def ratio(self) -> float:
        """The median delay in units of the bound."""
        return self.median_delay / self.bound


def drift(rule: Rule, error_ratio: float) -> float:
    """Give the mean steps per request: below zero the rule does not fire in the long run."""
    return error_ratio * rule.rise - (1.0 - error_ratio) * rule.fall


EPSILON = Fraction(1, 10**9)


def drift_signs(rule: Rule) -> tuple[int, int, int]:
    """Give the sign of the mean step just below T, at T and just above, in exact fractions."""
    threshold = Fraction(rule.fall, rule.fall + rule.rise)
    signs = []
    for rate in (threshold - EPSILON, threshold, threshold + EPSILON):
        mean = rate * rule.rise - (1 - rate) * rule.fall
        signs.append((mean > 0) - (mean < 0))
    below, at, above = signs
    return below, at, above


def alarms(rule: Rule, error_ratio: float, *, requests: int, seed: int) -> tuple[int, int]:
    """Put random requests through the real evidence: (alarms, those whose run was not above T)."""
    random, state = Random(seed), CLEAR
    raised = unfounded = left = 0
    while left < requests:
        # The number of successes before the next error is geometric.
        good = min(requests - left, int(log(1.0 - random.random()) / log(1.0 - error_ratio)))
        left += good + 1
        state = observe(observe(state, rule, error=False, count=good), rule, error=True)
        if fired(state, rule):
            raised += 1
            unfounded += state.errors * (rule.fall + rule.rise) <= rule.fall * state.sample
            state = CLEAR
    return raised, unfounded


def mean_run_length(rule: Rule, error_ratio: float) -> float:
    """Give the mean number of requests until the rule fires, from no evidence."""
    steps_to: list[dict[int, float]] = [{} for _ in range(rule.limit)]
    fires = [0.0] * rule.limit
    reached_from: list[set[int]] = [set() for _ in range(rule.limit)]
    requests = [1.0] * rule.limit
    for score, row in enumerate(steps_to):
        lower, higher = max(0, score - rule.fall), score + rule.rise
        row[lower] = 1.0 - error_ratio
        if higher < rule.limit:
            row[higher] = error_ratio
        else:
            fires[score] = error_ratio
        for target in row:
            reached_from[target].add(score)
    for removed in range(rule.limit - 1, 0, -1):
        row = steps_to[removed]
        row.pop(removed, None)
        leaving = sum(row.values()) + fires[removed]
        for score in reached_from[removed]:
            if score >= removed:
                continue
            into = steps_to[score]
            share = into.pop(removed) / leaving
            for target, chance in row.items():
                into[target] = into.get(target, 0.0) + share * chance
                reached_from[target].add(score)
            fires[score] += share * fires[removed]
            requests[score] += share * requests[removed]
    return requests[0] / fires[0]


def median_run_length(rule: Rule, error_ratio: float) -> int:
    """Give the number of requests after which half of all runs have fired."""
    success = 1.0 - error_ratio
    limit, fall, rise = rule.limit, rule.fall, rule.rise
    chance = [1.0] + [0.0] * (limit - 1)
    fallen, risen = [0.0] * fall, [0.0] * rise
    fired, requests = 0.0, 0
    while fired < 0.5:
        fired += error_ratio * sum(chance[max(0, limit - rise) :])
        floor = success * sum(chance[:fall])
        chance = [
            success * above + error_ratio * below
            for above, below in zip(chance[fall:] + fallen, risen + chance, strict=False)
        ][:limit]
        chance[0] += floor
        requests += 1
    return requests


def lorden_bound(rule: Rule) -> float:
    """Give h / KL(p1 || p0): the mean delay that no detector beats."""
    p0, p1 = rule.healthy_ratio, rule.suspect_ratio
    information = p1 * log(p1 / p0) + (1.0 - p1) * log((1.0 - p1) / (1.0 - p0))
    return log(rule.false_alarm_requests) / information


def promise(rule: Rule) -> Promise:
    """Compute one row."""
    return Promise(
        rule=rule,
        false_alarm_requests=mean_run_length(rule, rule.healthy_ratio),
        halfway_requests=mean_run_length(rule, (rule.healthy_ratio + rule.threshold_ratio) / 2),
        below_requests=mean_run_length(rule, rule.threshold_ratio * 0.9),
        median_delay=median_run_length(rule, rule.suspect_ratio),
        bound=lorden_bound(rule),
        failures_in_a_row=-(-rule.limit // rule.rise),
    )


def policy_rules(path: Path = POLICY) -> tuple[Rule, ...]:
    """Read the error-rate rules of a policy."""
    from gateway.policy import load_policy

    return load_policy(path).rules()


COLUMNS = (
    ("rule", 24),
    ("p0", 7),
    ("T", 8),
    ("p1", 8),
    ("in a row", 10),
    ("alarms at p0", 14),
    ("(p0+T)/2", 11),
    ("0.9 T", 9),
    ("delay", 7),
    ("bound", 8),
    ("ratio", 7),
    ("drift -/=/+ at T", 18),
    ("alarms at 0.9 T", 17),
    ("of them run <= T", 18),
)
SEEDS = 5
REQUESTS = 100_000


def table(rules: tuple[Rule, ...]) -> str:
    """Write one row per rule."""
    lines = [
        "Evidence rules, exact from the Markov chain of the score: mean requests between alarms",
        "at p0, half way, just below T; median requests to notice p1, and Lorden's bound on them.",
        "Then the sign of the mean step 1e-9 below T, at T and above (fractions); by the real core",
        f"in {SEEDS} x {REQUESTS:,} requests at 0.9 T, alarms and those with no run above T.",
        line(name for name, _ in COLUMNS),
    ]
    for rule in rules:
        row = promise(rule)
        seen = [
            alarms(rule, rule.threshold_ratio * 0.9, requests=REQUESTS, seed=seed)
            for seed in range(SEEDS)
        ]
        cells = (
            rule.name,
            f"{rule.healthy_ratio:.2%}",
            f"{rule.threshold_ratio:.2%}",
            f"{rule.suspect_ratio:.2%}",
            f"{row.failures_in_a_row}",
            f"{row.false_alarm_requests:,.0f}",
            f"{row.halfway_requests:,.0f}",
            f"{row.below_requests:,.0f}",
            f"{row.median_delay:,}",
            f"{row.bound:,.1f}",
            f"{row.ratio:.2f}",
            "".join("-=+"[sign + 1] for sign in drift_signs(rule)),
            f"{sum(raised for raised, _ in seen)}",
            f"{sum(unfounded for _, unfounded in seen)}",
        )
        lines.append(line(cells))
    return "\n".join(lines)


def line(cells: Iterable[str]) -> str:
    """Set the first cell to the left, all others to the right."""
    first, *others = zip(cells, COLUMNS, strict=True)
    return first[0].ljust(first[1][1]) + "".join(cell.rjust(wide) for cell, (_, wide) in others)


def main() -> None:
    """Print the table of a policy's rules, or of the required ones while there is no policy."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else POLICY
    sys.stdout.write(table(policy_rules(path) if path.exists() else REQUIRED_RULES) + "\n")


if __name__ == "__main__":
    main()

"""Faults that both systems share blame nobody; faults of new alone take its traffic back."""

from __future__ import annotations

from itertools import product
from random import Random

import pytest

from gateway.core.rollout import Status
from tests.support.duel import Fault, duel
from tests.support.rollouts import shipped_plan
from tests.support.scale import scale

PLAN = shipped_plan()
WEIGHTS = (10, 50, 90)
RATIOS = (0.15, 0.3, 0.5, 1.0)
LASTS_S = (10, 60, 300)
SKEWS_S = (0, -1, -0.5, 0.5, 1)
BOTH = tuple(product(WEIGHTS, RATIOS))
NEW_ALONE = tuple(product((10, 50), RATIOS))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("weight", "ratio"), BOTH)
def test_a_shared_fault_moves_no_traffic_then_or_later(weight, ratio):
    """Whatever the weight, its length and which of the two it strikes first: held, one page.

    Where little goes to new and old was paged for first, a long trouble may take a second page to
    say that new shares it.
    """
    cases = list(product(LASTS_S, SKEWS_S, (False, ratio == 1.0), range(scale(full=10, quick=3))))
    for lasts_s, skew_s, down, seed in Random(weight).sample(
        cases, scale(full=len(cases), quick=2)
    ):
        fault = Fault(ratio, lasts_s, skew_s=skew_s, down=down)
        told = duel(PLAN, fault, weight_percent=weight, seed=seed)
        assert (told.after_s, told.asked) == (None, 0), f"{fault}, seed {seed}: {told}"
        assert len(told.pages) <= (1 if lasts_s <= 60 else 2), f"{fault}, seed {seed}: {told}"


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("weight", "ratio"), NEW_ALONE)
def test_a_fault_of_new_alone_always_takes_its_traffic_back(weight, ratio):
    """Old is healthy: traffic is back on old, and a hard outage at 10 % costs six failures."""
    for seed in range(scale(full=25, quick=2)):
        fault = Fault(ratio, 900, shared=False)
        told = duel(PLAN, fault, weight_percent=weight, seed=seed)
        assert told.status is Status.ROLLED_BACK, f"{fault}, seed {seed}: {told}"
        if (weight, ratio) == (10, 1.0):
            assert told.failures <= 6

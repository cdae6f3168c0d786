"""A fleet keeps to one budget: lost asks, lost answers, a ledger that goes away or forgets."""

from __future__ import annotations

import copy

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from gateway.core.limiter import Quota
from gateway.core.shares import LEASE_US, ShareTable, credit_of, refill_of
from gateway.ports.fleet import HolderAsk
from tests.support.scale import scale
from tests.support.share_ledger import MemoryLedger

KEY = b"client"
HOLDERS = st.integers(0, 5)


class Fleet(RuleBasedStateMachine):
    """Some holders, one ledger, one key; a bucket that watches what the fleet lets through."""

    @initialize(
        rate=st.sampled_from([1, 3, 10, 100, 2_000]),
        burst=st.integers(1, 300),
        holders=st.integers(1, 6),
    )
    def begin(self, rate: int, burst: int, holders: int) -> None:
        """Everybody starts with a ledger that answers."""
        self.now_us = 1_000_000_000
        self.quota = Quota.per_second(rate, burst)
        self.rate = rate
        self.tables = [ShareTable(self.quota, holders=holders) for _ in range(holders)]
        self.ledger = MemoryLedger(lambda: self.now_us)
        self.earlier: MemoryLedger | None = None
        self.away = False
        self.level = 0.0
        self.most = burst + refill_of(self.quota, holders)
        for table in self.tables:
            table.heard(self.now_us)

    def _exchange(self, holder: int, *, answered: bool) -> None:
        table = self.tables[holder]
        for ask in table.asks(self.now_us):
            asked = HolderAsk(f"w{holder}", "client", self.quota, ask)
            grant = self.ledger.answer(asked, len(self.tables))
            if answered:
                table.granted(grant, self.now_us)
        if answered:
            table.heard(self.now_us)

    @rule(holder=HOLDERS, count=st.integers(1, 400))
    def arrive(self, holder: int, count: int) -> None:
        """Some requests reach one worker."""
        table = self.tables[holder % len(self.tables)]
        for _ in range(count):
            if not table.admit(KEY, self.now_us).allowed:
                break  # so would be every other one of this instant
            self.level += 1

    @rule(
        milliseconds=st.integers(1, 3_000),
        arrivals=st.lists(st.sampled_from([0, 0, 1, 5, 400]), min_size=6, max_size=6),
    )
    def run(self, milliseconds: int, arrivals: list[int]) -> None:
        """Time goes by under load; the workers ask ten times a second, if the ledger is there."""
        until_us = self.now_us + milliseconds * 1_000
        while self.now_us < until_us:
            step_us = min(100_000, until_us - self.now_us)
            self.now_us += step_us
            self.level = max(0.0, self.level - self.rate * step_us / 1e6)
            for holder, count in zip(range(len(self.tables)), arrivals, strict=False):
                if not self.away:
                    self._exchange(holder, answered=True)
                if count:
                    self.arrive(holder, count)
            self.the_budget_holds()

    @rule(holder=HOLDERS)
    @precondition(lambda self: not self.away)
    def lose_an_answer(self, holder: int) -> None:
        """The ledger booked it, the worker never heard."""
        self._exchange(holder % len(self.tables), answered=False)

    @rule(holder=HOLDERS)
    def lose_an_ask(self, holder: int) -> None:
        """The ledger never saw it."""
        self.tables[holder % len(self.tables)].asks(self.now_us)

    @rule()
    def everybody_believes_it_gone(self) -> None:
        """An answer was late; the next one tells that the ledger is there."""
        for table in self.tables:
            table.lost(self.now_us)

    @rule()
    def ledger_goes(self) -> None:
        """Nobody answers from now on."""
        self.away = True

    @rule(forgot=st.booleans())
    @precondition(lambda self: self.away)
    def ledger_comes_back(self, forgot: bool) -> None:
        """As it was, or empty."""
        self.away = False
        if forgot:
            self.ledger.forget()

    @rule()
    def ledger_is_copied(self) -> None:
        """What its replica has by now."""
        self.earlier = copy.copy(self.ledger)
        self.earlier.accounts = copy.deepcopy(self.ledger.accounts)

    @rule()
    @precondition(lambda self: self.earlier is not None)
    def ledger_fails_over(self) -> None:
        """The replica takes over; what was written since is lost."""
        assert self.earlier is not None
        self.ledger, self.earlier = self.earlier, None
        # What was charged since the others asked last is known to one holder alone, who may be
        # silent from now on: at most what they had on credit.
        self.most += len(self.tables) * credit_of(self.quota, len(self.tables))

    @invariant()
    def the_budget_holds(self) -> None:
        """Burst and rate, exceeded by one refill at most."""
        if hasattr(self, "level"):
            assert self.level <= self.most + 1


TestFleet = Fleet.TestCase
TestFleet.settings = settings(
    max_examples=scale(full=2_000, quick=60), stateful_step_count=30, deadline=None
)


def test_a_busy_client_gets_its_whole_rate_on_one_worker() -> None:
    """One keep-alive connection on one of six workers: as fast as on a single node."""
    for rate, burst in ((100, 200), (10, 10), (1_000, 200)):
        quota = Quota.per_second(rate, burst)
        now = 0
        ledger = MemoryLedger(lambda: now)  # noqa: B023 - asked within this very turn
        table = ShareTable(quota, holders=6)
        table.heard(0)
        passed = 0
        for now in range(0, 20_000_000, 2_000):
            passed += table.admit(KEY, now).allowed
            if now % 100_000 == 0:
                for ask in table.asks(now):
                    table.granted(ledger.answer(HolderAsk("w", "client", quota, ask), 6), now)
                table.heard(now)
        offered = 20 * 500
        assert passed >= 0.9 * min(offered, 20 * rate), (rate, passed)


def test_a_contended_budget_is_parted_fairly() -> None:
    """Six workers want three times what there is: nobody gets less than half of an equal part."""
    quota = Quota.per_second(60, 60)
    now = 0
    ledger = MemoryLedger(lambda: now)
    tables = [ShareTable(quota, holders=6) for _ in range(6)]
    passed = [0] * 6
    for now in range(0, 30_000_000, 10_000):
        for number, table in enumerate(tables):
            if now % 100_000 == number * 10_000:
                for ask in table.asks(now):
                    grant = ledger.answer(HolderAsk(f"w{number}", "c", quota, ask), 6)
                    table.granted(grant, now)
                table.heard(now)
            if now % 30_000 == 0:
                passed[number] += table.admit(KEY, now).allowed
    assert sum(passed) <= 30 * 60 + 120
    assert sum(passed) >= 0.85 * 30 * 60
    assert min(passed) >= sum(passed) / 12, passed


def test_the_lease_outlives_a_second() -> None:
    """Permits asked for once a second must not run out in between."""
    assert LEASE_US > 1_000_000

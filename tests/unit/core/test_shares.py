"""A holder's share of a fleet's budget: what is used, asked for, kept when nobody answers."""

from __future__ import annotations

import pytest

from gateway.core.limiter import ALLOWED, Quota
from gateway.core.shares import (
    IDLE_US,
    LEASE_US,
    MOST_ASKS,
    SETTLING_US,
    SHORT_EVERY_US,
    UNANSWERED_US,
    Grant,
    ShareTable,
    credit_of,
    refill_of,
)
from gateway.ports.fleet import HolderAsk
from tests.support.share_ledger import MemoryLedger

S = 1_000_000
QUOTA = Quota.per_second(100, 200)
KEY = b"client"


def connected(*, holders: int = 5, now_us: int = S) -> ShareTable:
    """A table whose ledger answers."""
    table = ShareTable(QUOTA, holders=holders)
    table.heard(now_us)
    return table


def drained(table: ShareTable, now_us: int) -> int:
    """Let arrivals in until one is refused; say how many were let through."""
    count = 0
    while table.admit(KEY, now_us).allowed:
        count += 1
    return count


def test_a_refill_is_what_a_second_brings() -> None:
    """And at least one for everybody; half of it goes out on credit."""
    assert refill_of(QUOTA, 5) == 100
    assert credit_of(QUOTA, 5) == 10
    assert refill_of(Quota.per_second(0.5, 1), 4) == 4
    assert credit_of(Quota.per_second(0.5, 1), 4) == 1


def test_a_limit_that_is_off_lets_everybody_through() -> None:
    """Nothing is kept, nothing is asked."""
    table = ShareTable(Quota.per_second(0, 0), holders=3)
    assert table.admit(KEY, S) is ALLOWED
    assert table.asks(S) == []


def test_a_new_key_starts_on_credit_and_is_asked_for() -> None:
    """What was let through uncharged is told with the first ask."""
    table = connected()
    assert drained(table, S) == 10
    [ask] = table.asks(S + 100_000)
    assert (ask.key, ask.used, ask.hand, ask.ahead_us, ask.want) == (KEY, 10, 0, 0, 44)
    assert table.asks(S + 200_000) == []
    refused = table.admit(KEY, S + 200_000)
    assert (refused.allowed, refused.retry_after_us) == (False, SHORT_EVERY_US)


def test_permits_are_used_before_credit_and_run_out() -> None:
    """What is in hand is charged already; after the lease it is nobody's."""
    table = connected(now_us=4 * S)
    table.admit(KEY, 4 * S)
    [ask] = table.asks(4 * S)
    assert not ask.urgent
    table.granted(Grant(KEY, 5, 10, 60_000), 4 * S)
    assert drained(table, 4 * S) == 15
    [ask] = table.asks(4 * S)
    assert (ask.used, ask.hand, ask.urgent) == (10, 0, True)
    table.granted(Grant(KEY, 8, 10, 300_000), 4 * S)
    table.heard(4 * S + LEASE_US)
    assert drained(table, 4 * S + LEASE_US) == 10


def test_what_is_not_urgent_is_asked_in_the_same_moment() -> None:
    """Permits once a second, credit every four: one call carries the keys of all workers."""
    table = connected(now_us=4 * S)
    for key in (b"leased", b"credit"):
        table.admit(key, 4 * S)
    for ask in table.asks(4 * S):
        table.granted(Grant(ask.key, 40 if ask.key == b"leased" else 0, 10, 0), 4 * S)
    for at_us in (4_100_000, 4_900_000):
        for key in (b"leased", b"credit"):
            table.admit(key, at_us)
        assert table.asks(at_us) == []
    assert [ask.key for ask in table.asks(5_000_000)] == [b"leased"]
    table.heard(8 * S)
    assert {ask.key for ask in table.asks(8_050_000)} == {b"leased", b"credit"}


def test_an_empty_account_is_asked_again_after_a_moment() -> None:
    """Whoever is told that there is nothing does not ask at every tick."""
    table = connected()
    drained(table, S)
    table.asks(S)
    table.granted(Grant(KEY, 0, 0, 2_100_000), S)
    assert table.admit(KEY, S + 1).retry_after_us == 2_100_000 - 1 - 1_990_000 + 140_001
    assert table.asks(S + SHORT_EVERY_US - 1) == []
    assert len(table.asks(S + SHORT_EVERY_US)) == 1


def test_an_ask_without_answer_is_made_again_with_what_was_used() -> None:
    """It may have been charged already; charging twice is the safe side."""
    table = connected()
    drained(table, S)
    assert table.asks(S)[0].used == 10
    assert table.asks(S + UNANSWERED_US - 1) == []
    assert table.asks(S + UNANSWERED_US)[0].used == 10
    table.granted(Grant(b"other", 9, 9, 0), S + UNANSWERED_US)
    table.granted(Grant(KEY, 3, 10, 0), S + UNANSWERED_US)
    table.granted(Grant(KEY, 3, 10, 0), S + UNANSWERED_US)
    assert drained(table, S + UNANSWERED_US) == 13


def test_a_key_nobody_uses_is_asked_for_no_more() -> None:
    """Neither after an answer nor when there never was one."""
    table = connected(now_us=4 * S)
    table.admit(KEY, 4 * S)
    table.asks(4 * S)
    table.granted(Grant(KEY, 1, 10, 0), 4 * S)
    assert table.asks(12 * S) == []
    table.admit(KEY, 13 * S)
    assert len(table.asks(16 * S)) == 1
    assert table.asks(16 * S + IDLE_US) == []
    assert table.asks(32 * S) == []


def test_what_arrives_while_an_ask_is_out_is_asked_for_next() -> None:
    """It was not in the ask, so the answer does not settle it."""
    table = connected(now_us=4 * S)
    table.admit(KEY, 4 * S)
    table.asks(4 * S)
    table.admit(KEY, 4 * S)
    table.granted(Grant(KEY, 0, 10, 20_000), 4 * S + 1)
    assert drained(table, 4 * S + 1) == 9
    [ask] = table.asks(8 * S)
    assert ask.used == 1 + 9


def test_without_the_ledger_each_keeps_to_its_part() -> None:
    """What is in hand, then rate / holders without a burst; the ledger is told how far it went."""
    table = connected()
    drained(table, S)
    table.asks(S)
    table.granted(Grant(KEY, 0, 10, 100_000), S)
    gone = S + LEASE_US
    assert drained(table, gone) == 10
    allowed = sum(table.admit(KEY, gone + tick * 1_000).allowed for tick in range(10_000))
    assert 199 <= allowed <= 201
    [ask] = table.asks(gone + 10 * S)
    assert ask.used == 10
    assert ask.ahead_us <= 50_000
    burst = sum(table.admit(KEY, gone + 20 * S).allowed for _ in range(100))
    assert burst == 40, "rested for ten seconds, its part of the burst is back"
    assert table.asks(gone + 20 * S)[0].ahead_us == 2 * S


def test_who_hears_that_the_ledger_is_gone_need_not_wait() -> None:
    """The rest of the lease would be a time without anything."""
    table = connected()
    assert drained(table, S) == 10
    table.lost(S)
    allowed = sum(table.admit(KEY, S + tick * 1_000).allowed for tick in range(1_000))
    assert 18 <= allowed <= 20


def test_without_the_ledger_a_new_key_has_its_credit() -> None:
    """Nobody can say whether its burst was used elsewhere."""
    table = ShareTable(QUOTA, holders=5)
    assert drained(table, S) == 10
    assert drained(table, 2 * S) == 20
    table.share_with(5)
    table.share_with(400)
    assert not table.admit(KEY, 2 * S).allowed


def test_a_ledger_without_room_leaves_a_key_to_everybodys_part() -> None:
    """The key is asked for again, in case there is room by then."""
    table = connected()
    drained(table, S)
    table.asks(S)
    table.granted(Grant(KEY, 0, -1, 0), S)
    assert drained(table, S) == 0
    assert sum(drained(table, at_us) for at_us in range(S, 2 * S + 1, S // 10)) == 20
    assert len(table.asks(4 * S)) == 1
    table.granted(Grant(KEY, 0, -1, 0), 4 * S)
    assert drained(table, 4 * S) == 10, "nothing is saved up beyond a credit"


def test_a_table_is_bounded() -> None:
    """Idle keys are forgotten first; when all are busy, the oldest."""
    table = ShareTable(QUOTA, holders=2, capacity=3)
    table.heard(4 * S)
    for number in range(5):
        table.admit(b"%d" % number, 4 * S)
    assert len(table) == 3
    assert len(table.asks(4 * S)) == 3
    for number in range(2, 5):
        table.granted(Grant(b"%d" % number, 0, 5, 0), 4 * S)
    table.admit(b"new", 4 * S + IDLE_US)
    assert len(table) == 1


def test_one_round_of_asks_is_bounded() -> None:
    """The rest comes with the next look."""
    table = connected(now_us=4 * S)
    for number in range(MOST_ASKS + 1):
        table.admit(b"%d" % number, 4 * S)
    assert len(table.asks(4 * S)) == MOST_ASKS
    assert len(table.asks(4 * S + 100_000)) == 1


@pytest.mark.parametrize("forgot", [False, True])
def test_who_asks_for_little_does_not_notice_that_the_ledger_is_away(forgot: bool) -> None:
    """A part of the rate, evenly: no refusal when it goes, while it is away, when it is back."""
    now_us = 0
    ledger, table = MemoryLedger(lambda: now_us), connected()
    refused: list[int] = []
    for now_us in range(S, 12 * S, 10_000):
        if 3 * S <= now_us < 7 * S:
            table.lost(now_us)
        elif now_us % 100_000 == 0:
            if forgot and now_us == 7 * S:
                ledger.forget()
            for ask in table.asks(now_us):
                table.granted(ledger.answer(HolderAsk("w", "client", QUOTA, ask), 5), now_us)
            table.heard(now_us)
        if now_us % 60_000 == 0 and not table.admit(KEY, now_us).allowed:  # of 20 a second, 16
            refused.append(now_us)
    assert refused == []


def test_a_ledger_that_is_back_is_told_at_once_and_asked_after_a_moment() -> None:
    """What was asked into the void is not waited for; until all have told, it is the part."""
    table = connected()
    assert drained(table, S) == 10
    assert len(table.asks(S)) == 1
    table.lost(S + 100_000)
    table.heard(S + 500_000)
    assert drained(table, S + 500_000) == 8, "of four tenths of a second"
    [told] = table.asks(S + 500_000)
    assert (told.used, told.want) == (10, 0)
    table.granted(Grant(KEY, 0, 10, 0), S + 600_000)
    assert drained(table, S + 600_000) == 2
    [ask] = table.asks(S + 600_000 + SHORT_EVERY_US)
    assert (ask.used, ask.want > 0) == (2, True)
    table.granted(Grant(KEY, 3, 0, 0), S + 900_000)
    assert drained(table, S + 900_000) == 3


def test_a_ledger_that_is_back_and_gives_no_answer_is_not_waited_for_long() -> None:
    """Somebody else may be answered: two cannot use the same budget."""
    table = connected()
    drained(table, S)
    table.asks(S)
    table.lost(S + 100_000)
    table.heard(S + 200_000)
    assert drained(table, S + 200_000 + SETTLING_US - 1) == 11
    assert drained(table, S + 200_000 + SETTLING_US) == 0


def test_a_ledger_that_forgot_and_listens_first_leaves_it_at_the_part() -> None:
    """Nothing is handed out in that moment; who needs no more than the part does not notice."""
    table = connected()
    drained(table, S)
    table.asks(S)
    table.granted(Grant(KEY, 0, -1, 2 * S), S)
    assert drained(table, S) == 0
    assert drained(table, S + SHORT_EVERY_US) == 5
    assert len(table.asks(S + SHORT_EVERY_US)) == 1


def test_where_the_burst_is_less_than_one_for_each_nobody_saves_up() -> None:
    """A whole request of every holder at once would be more than the quota allows."""
    table = ShareTable(Quota.per_second(3, 1), holders=3)
    table.heard(S)
    table.lost(S)
    assert drained(table, 3 * S) == 1, "its credit"
    assert drained(table, 4 * S) == 1


def test_who_keeps_to_its_part_while_others_are_answered_saves_nothing_up() -> None:
    """What it left unused in three quiet seconds, the others had: it has its credit at most."""
    table = connected()
    drained(table, S)
    table.asks(S)
    table.granted(Grant(KEY, 0, -1, 2 * S), S)
    for at_us in range(S, 4 * S, S):
        table.heard(at_us)
    assert drained(table, 4 * S) == 10

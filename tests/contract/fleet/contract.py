"""
What a fleet's lease, board, ledger and probe permits must do, whatever they are made of.

A test module subclasses a contract and gives its fixture: `claimants` makes leases, `boards` makes
boards (by name, of one fleet), `ledger` is one; `passes(seconds)` lets the server's time pass.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.core.limiter import Quota
from gateway.core.shares import Ask, Grant, ShareTable, credit_of
from gateway.errors import StoreUnavailableError
from gateway.ports.fleet import MAX_POSTING_BYTES, HolderAsk

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.ports.fleet import Board, FleetLease, Ledger, ProbePermits

    Passes = Callable[[float], Awaitable[None]]

TERM_MS = 400
MARGIN_MS = 100
QUOTA = Quota.per_second(100, 200)
SLOW = Quota.per_second(0.1, 5)


class LeaseContract:
    """One holder, a term that ends, a token that only grows. Terms last `TERM_MS`."""

    async def test_the_first_who_asks_has_it(
        self, claimants: Callable[[str], FleetLease], passes: Passes
    ) -> None:
        """The other is told who; renewing keeps it and its token."""
        one, other = claimants("one"), claimants("other")
        assert (one.held, one.fencing_token, one.holder) == (False, 0, "")
        assert await one.renew()
        assert not await other.renew()
        assert (one.held, other.held, other.holder) == (True, False, "one")
        token = one.fencing_token
        assert token > 0
        for _ in range(3):
            await passes(0.2)
            assert await one.renew()
        assert not await other.renew()
        assert one.fencing_token == token

    async def test_a_term_that_ran_out_is_somebody_elses(
        self, claimants: Callable[[str], FleetLease], passes: Passes
    ) -> None:
        """The holder knows it by itself before anybody else may take it; the token grows."""
        one, other = claimants("one"), claimants("other")
        await one.renew()
        await passes(0.32)
        assert not one.held
        assert not await other.renew()
        await passes(0.2)
        assert await other.renew()
        assert other.fencing_token > one.fencing_token
        assert not await one.renew()
        assert one.holder == "other"

    async def test_who_slept_and_was_first_again_has_a_new_term(
        self, claimants: Callable[[str], FleetLease], passes: Passes
    ) -> None:
        """Somebody may have held it in between: the token is a new one."""
        one = claimants("one")
        await one.renew()
        before = one.fencing_token
        await passes(0.6)
        assert await one.renew()
        assert one.fencing_token > before

    async def test_it_can_be_given_back(self, claimants: Callable[[str], FleetLease]) -> None:
        """The next has it at once; who has it not gives nothing back."""
        one, other = claimants("one"), claimants("other")
        await one.renew()
        await other.release()
        assert not await other.renew()
        await one.release()
        assert not one.held
        assert await other.renew()
        await one.release()
        assert await other.renew()

    async def test_a_new_token_is_higher_than_any_known(
        self, claimants: Callable[[str], FleetLease]
    ) -> None:
        """A server that forgot its counter is told."""
        one, other = claimants("one"), claimants("other")
        assert await one.renew(floor=41)
        assert one.fencing_token == 42
        await one.release()
        assert await other.renew(floor=7)
        assert other.fencing_token == 43

    async def test_of_many_at_once_one_has_it(self, claimants: Callable[[str], FleetLease]) -> None:
        """Twenty ask in the same moment."""
        leases = [claimants(f"replica-{number}") for number in range(20)]
        assert sum(await asyncio.gather(*(lease.renew() for lease in leases))) == 1
        assert sum(lease.held for lease in leases) == 1


class BoardContract:
    """Everybody's newest posting, the version of the state, the news."""

    async def test_a_posting_is_read_by_everybody(
        self, boards: Callable[[str], Board], passes: Passes
    ) -> None:
        """With its age on the server's clock; only the newest of each replica."""
        one, other = boards("one"), boards("other")
        await one.post({"number": 1})
        await one.post({"number": 2, "text": "日本"})
        await passes(0.1)
        reading = await other.post({"number": 7})
        seen = {posting.replica: posting for posting in reading.postings}
        assert seen["one"].document == {"number": 2, "text": "日本"}
        assert 100_000 <= seen["one"].age_us < 10_000_000
        assert (seen["other"].document, seen["other"].age_us) == ({"number": 7}, 0)
        assert reading.version == 0
        again = await one.read()
        assert {posting.replica for posting in again.postings} == {"one", "other"}
        assert again.at_us >= reading.at_us

    async def test_an_oversized_posting_is_refused(self, boards: Callable[[str], Board]) -> None:
        """It does not take the place of the one before."""
        board = boards("one")
        await board.post({"number": 1})
        with pytest.raises(StoreUnavailableError, match="oversized"):
            await board.post({"text": "x" * MAX_POSTING_BYTES})
        [posting] = (await board.read()).postings
        assert posting.document == {"number": 1}


def ask(key: str, *, used: int = 0, hand: int = 0, ahead_us: int = 0, want: int = 0) -> Ask:
    """One ask, most of it zero."""
    return Ask(key, used, hand, ahead_us, want)


class LedgerContract:
    """Accounts that many holders share; every test has accounts of its own."""

    async def test_what_is_wanted_is_handed_out(self, ledger: Ledger) -> None:
        """With the credit that goes with it, and how far ahead the account is now."""
        [grant] = await ledger.exchange(
            [HolderAsk("w", "client", QUOTA, ask("a", want=20))], holders=5
        )
        assert grant == Grant("a", 20, credit_of(QUOTA, 5), 200_000)

    async def test_never_more_lies_out_than_a_refill(self, ledger: Ledger) -> None:
        """What the others have in hand, and may use on credit, is taken off."""
        asks = [HolderAsk(f"w{one}", "client", QUOTA, ask("b", want=40)) for one in range(4)]
        grants = await ledger.exchange(asks, holders=4)
        assert sum(grant.granted for grant in grants) == 100 - 4 * credit_of(QUOTA, 4)

    async def test_credit_is_charged_and_closed_when_overdrawn(
        self, ledger: Ledger, passes: Passes
    ) -> None:
        """Until the account has room again."""
        used = [HolderAsk("w", "client", QUOTA, ask("c", used=205, want=50))]
        [grant] = await ledger.exchange(used, holders=5)
        assert (grant.granted, grant.credit, grant.ahead_us) == (0, 0, 2_050_000)
        await passes(0.2)
        later = [HolderAsk("w", "client", QUOTA, ask("c"))]
        [grant] = await ledger.exchange(later, holders=5)
        assert grant.credit == credit_of(QUOTA, 5)
        assert grant.ahead_us <= 1_850_000

    async def test_who_wants_no_more_than_its_part_is_not_shut_out(self, ledger: Ledger) -> None:
        """Others overdrew the account: it keeps to its part of the rate, and they wait."""
        used = HolderAsk("greedy", "client", QUOTA, ask("m", used=205, want=100))
        modest = HolderAsk("modest", "client", QUOTA, ask("m", want=20))
        grants = await ledger.exchange([used, modest], holders=5)
        assert [(grant.granted, grant.credit) for grant in grants] == [(0, 0), (0, -1)]

    async def test_an_empty_account_fills_with_time(self, ledger: Ledger, passes: Passes) -> None:
        """At the quota's rate, no faster."""
        await ledger.exchange([HolderAsk("w", "client", QUOTA, ask("d", used=200))], holders=2)
        [none] = await ledger.exchange(
            [HolderAsk("w", "client", QUOTA, ask("d", want=50))], holders=2
        )
        assert none.granted <= 5
        await passes(0.3)
        [some] = await ledger.exchange(
            [HolderAsk("w", "client", QUOTA, ask("d", want=50))], holders=2
        )
        assert 25 <= some.granted <= 50

    async def test_a_ledger_that_forgot_is_told(self, ledger: Ledger) -> None:
        """The first round only listens; nobody is given a fresh burst."""
        known = ask("e", ahead_us=2_000_000, want=50)
        [first] = await ledger.exchange([HolderAsk("w", "client", QUOTA, known)], holders=5)
        assert (first.granted, first.credit) == (0, -1)
        [second] = await ledger.exchange(
            [HolderAsk("w", "client", QUOTA, ask("e", want=50))], holders=5
        )
        assert second.granted <= 5
        assert second.ahead_us > 1_000_000

    async def test_accounts_are_kept_apart(self, ledger: Ledger) -> None:
        """By key, by scope; several quotas travel in one call, answers come in order."""
        asks = [
            HolderAsk("w", "client", QUOTA, ask("f", want=10)),
            HolderAsk("w", "upstream", QUOTA, ask("f", want=11)),
            HolderAsk("w", "client", SLOW, ask("g", used=5, want=9)),
            HolderAsk("w", "client", QUOTA, ask("f", hand=10, want=12)),
        ]
        grants = await ledger.exchange(asks, holders=1)
        assert [(grant.key, grant.granted) for grant in grants] == [
            ("f", 10), ("f", 11), ("g", 0), ("f", 2),
        ]  # fmt: skip
        assert grants[2].ahead_us == 50_000_000

    async def test_many_keys_travel_together(self, ledger: Ledger) -> None:
        """More than one call's worth, with keys of any bytes."""
        asks = [
            HolderAsk("w", "client", QUOTA, Ask(b"\xff\x00 ,;%d" % one, 0, 0, 0, one % 9))
            for one in range(1_200)
        ]
        grants = await ledger.exchange(asks, holders=3)
        assert [grant.key for grant in grants] == [one.ask.key for one in asks]
        assert [grant.granted for grant in grants] == [one % 9 for one in range(1_200)]

    async def test_a_fleet_under_load_keeps_to_the_budget(
        self, ledger: Ledger, passes: Passes
    ) -> None:
        """Six workers, each offered more than the whole budget, for two seconds."""
        tables = [ShareTable(QUOTA, holders=6) for _ in range(6)]
        passed, rounds, now_us = 0, 40, 0
        loop = asyncio.get_running_loop()
        for table in tables:
            table.heard(0)
        begun_s = loop.time()
        for _ in range(rounds):
            for number, table in enumerate(tables):
                while table.admit("h", now_us).allowed:
                    passed += 1
                asks = [HolderAsk(f"w{number}", "client", QUOTA, one) for one in table.asks(now_us)]
                for grant in await ledger.exchange(asks, holders=6):
                    table.granted(grant, now_us)
            await passes(0.05)
            now_us += 50_000
        elapsed_s = max(loop.time() - begun_s, rounds * 0.05)
        assert passed <= 200 + 100 * elapsed_s + 100
        assert passed >= 200 + 100 * rounds * 0.05 * 0.7


class ProbesContract:
    """Half-open probes, counted over the fleet."""

    async def test_a_window_has_so_many_probes(self, probes: ProbePermits, passes: Passes) -> None:
        """Whoever asks; the next window has its own, another upstream too."""
        asked = [probes.probe("new", permits=2, window_ms=300) for _ in range(10)]
        assert sum(await asyncio.gather(*asked)) == 2
        assert await probes.probe("old", permits=1, window_ms=300)
        await passes(0.35)
        assert await probes.probe("new", permits=2, window_ms=300)

    async def test_after_a_success_the_next_need_not_wait(self, probes: ProbePermits) -> None:
        """So that all workers of a fleet recover one after another, without delay."""
        assert await probes.probe("new", permits=1, window_ms=60_000)
        assert not await probes.probe("new", permits=1, window_ms=60_000)
        await probes.succeeded("new")
        assert await probes.probe("new", permits=1, window_ms=60_000)

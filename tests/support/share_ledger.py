"""
The ledger of shares in memory: the same rule as the Lua script's, line by line, on a clock of ours.

The contract suite runs on both, so simulations may use this one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.core.shares import LEASE_US, Grant, credit_of, refill_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.ports.fleet import HolderAsk

MAX_HOLDERS = 256
KNOWN_US = 60_000_000


@dataclass
class _Holder:
    want: int
    hand: int
    at_us: int


@dataclass
class _Account:
    tat_us: int = 0
    holders: dict[str, _Holder] = field(default_factory=dict)


class MemoryLedger:
    """Accounts in a dict; `now_us` is the ledger's own clock."""

    def __init__(self, now_us: Callable[[], int], *, max_accounts: int = 100_000) -> None:
        self.now_us = now_us
        self.accounts: dict[tuple[str, str | bytes], _Account] = {}
        self.born_us = -(10**15)
        self.max_accounts = max_accounts

    async def exchange(self, asks: Sequence[HolderAsk], *, holders: int) -> list[Grant]:
        """Charge what was used, hand out what is there."""
        return [self.answer(one, holders) for one in asks]

    def forget(self) -> None:
        """Come back with nothing."""
        self.accounts.clear()
        self.born_us = self.now_us()

    def answer(self, one: HolderAsk, holders: int) -> Grant:
        """Answer one ask."""
        now_us, quota, ask = self.now_us(), one.quota, one.ask
        key = (one.scope, ask.key)
        if key not in self.accounts and len(self.accounts) >= self.max_accounts:
            return Grant(ask.key, 0, -1, ask.ahead_us)
        new = key not in self.accounts
        account = self.accounts.setdefault(key, _Account())
        interval_us = quota.period_us / quota.requests
        full_us = quota.burst * interval_us
        refill, credit = refill_of(quota, holders), credit_of(quota, holders)
        ahead_us = max(account.tat_us - now_us, ask.ahead_us, 0)
        ahead_us = min(ahead_us, full_us + refill * interval_us)
        if new:
            ahead_us = max(ahead_us, full_us - (now_us - self.born_us))
        ahead_us += ask.used * interval_us
        account.holders = {
            name: holder
            for name, holder in account.holders.items()
            if now_us - holder.at_us < KNOWN_US
        }
        for holder in account.holders.values():
            if now_us - holder.at_us >= LEASE_US:
                holder.want = holder.hand = 0  # it has run out by itself
        mine = account.holders.get(one.holder)
        others = [holder for name, holder in account.holders.items() if name != one.holder]
        wanted = ask.want + sum(holder.want for holder in others)
        out = sum(holder.hand for holder in others)
        room = math.floor((full_us - ahead_us) / interval_us + 0.000001)
        grant = min(ask.want - ask.hand, room, refill - holders * credit - out - ask.hand)
        if wanted > refill:
            since_us = min(now_us - mine.at_us if mine else 1_000_000, 1_000_000)
            grant = min(grant, math.ceil(since_us / interval_us * ask.want / wanted))
        if mine is None and len(account.holders) >= MAX_HOLDERS:
            grant = 0
        forgot = mine is None and ask.ahead_us > 0
        if forgot:
            grant = 0
        grant = max(grant, 0)
        ahead_us = math.ceil(ahead_us + grant * interval_us)
        account.tat_us = now_us + ahead_us
        if mine is not None or len(account.holders) < MAX_HOLDERS:
            account.holders[one.holder] = _Holder(ask.want, ask.hand + grant, now_us)
        overdrawn = ahead_us > full_us
        apart = forgot or (overdrawn and ask.want <= refill / holders)
        return Grant(ask.key, grant, -1 if apart else 0 if overdrawn else credit, ahead_us)

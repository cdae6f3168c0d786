"""
A share of a budget that a whole fleet keeps to, used without asking anybody per request.

Every key (a client, an upstream) has one account in a ledger that all holders share. A holder (one
worker) has *permits* in hand, charged when they were handed out, and a little *credit*, charged
afterwards; it asks for more in the background, and what it was not given it does not let through.
So over any span of t seconds the fleet lets through at most ``burst + rate * t + refill``, where
the refill is what one second brings (and at least one request per holder): half of it lies out as
credit, the rest as permits.

**The ledger is away.** What is in hand runs out; then each holder keeps to its part of the rate
(rate / holders) since the ledger went, without a burst: who asks for little notices nothing. **It
is back,** maybe having forgotten (restarted empty, failed over): every ask says how far ahead the
account was when last heard of, and for the time without answers it is taken that every holder let
through as much as this one did. After an outage a holder's first ask only reports what it used.
Until all have reported, each keeps to its part of the rate.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from gateway.core import limiter
from gateway.core.limiter import ALLOWED, Admission, Quota
from gateway.core.model import SECOND_US

LEASE_US: Final = 2 * SECOND_US
"""How long permits may be kept after they were asked for."""
ASK_EVERY_US: Final = SECOND_US
"""A key that lives on permits is asked for this often, whatever is left."""
SETTLE_EVERY_US: Final = 4 * SECOND_US
"""A key that lives on credit is settled this often: what is untold is bounded by the credit."""
SHORT_EVERY_US: Final = SECOND_US // 4
"""A key whose account is empty is asked for again after this long."""
LASTING_US: Final = SECOND_US * 6 // 10
"""What is in hand has to last so long, or is asked for: until it is known that nobody answers."""
UNANSWERED_US: Final = SECOND_US
SETTLING_US: Final = SECOND_US // 2
"""How long a holder keeps to its part when the ledger is back and has not answered it yet."""
IDLE_US: Final = 4 * SECOND_US
LOOKS_PER_ARRIVAL: Final = 3
MOST_ASKS: Final = 500


def refill_of(quota: Quota, holders: int) -> int:
    """Give what one second brings, at least one for everybody."""
    return max(holders, -(-quota.requests * SECOND_US // quota.period_us))


def credit_of(quota: Quota, holders: int) -> int:
    """Give what one holder may use before it is charged: together half of a refill."""
    return max(1, refill_of(quota, holders) // 2 // holders)


@dataclass(frozen=True, slots=True)
class Ask:
    """What one holder tells and wants for one key."""

    key: str | bytes
    used: int
    """Let through on credit since the last answered ask."""
    hand: int
    ahead_us: int
    """How far the account was ahead, as far as is known here; for a ledger that forgot."""
    want: int
    urgent: bool = False
    """It runs short: what is not urgent may travel with the next that is asked."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The ledger's answer to one `Ask`."""

    key: str | bytes
    granted: int
    credit: int
    """May be used uncharged; 0 while the account is overdrawn, -1: keep to your part (the ledger
    has no room, or forgot and has to hear everybody first, or others overdrew the account)."""
    ahead_us: int


class _Share:
    """What one holder has of one key."""

    __slots__ = (
        "ahead_us", "alone", "asked_us", "credit", "demand", "heard_us", "next_us",
        "pending", "permits", "put_off", "seen_us", "settling", "short", "since_us", "tat",
        "unsure", "until_us", "used", "want",
    )  # fmt: skip

    def __init__(self, credit: int, now_us: int) -> None:
        self.permits = 0
        self.until_us = 0
        self.credit = credit
        self.used = 0
        self.unsure = 0
        self.demand = 0
        self.want = 0
        self.ahead_us = 0
        self.alone = False
        self.short = False
        self.pending = False
        self.put_off = False
        self.settling = False
        self.tat = 0
        self.heard_us = self.asked_us = self.next_us = self.since_us = self.seen_us = now_us


class ShareTable:
    """One quota, many keys, as one holder of `holders` sees it; bounded memory."""

    def __init__(self, quota: Quota, *, holders: int = 1, capacity: int = 65_536) -> None:
        self._quota = quota
        self._capacity = capacity
        self._shares: OrderedDict[str | bytes, _Share] = OrderedDict()
        self._touched: dict[str | bytes, _Share] = {}
        self._connected_until_us = 0
        """Once that is past: since when the ledger is away."""
        self._went_us = self._back_us = 0
        self._answer_us = 0
        """How long the last answer took."""
        self._looked_us = 0
        self._holders = 0
        self.share_with(holders)

    def __len__(self) -> int:
        return len(self._shares)

    def share_with(self, holders: int) -> None:
        """Take note of how many share the budget (at least one)."""
        if holders == self._holders:
            return
        quota = self._quota
        self._holders = max(1, holders)
        self._refill = refill_of(quota, self._holders) if quota.on else 0
        self._credit = credit_of(quota, self._holders) if quota.on else 0
        self._part = Quota(
            quota.requests, quota.period_us * self._holders, max(1, quota.burst // self._holders)
        )

    def heard(self, now_us: int) -> None:
        """Take note that the ledger answers."""
        if now_us >= self._connected_until_us:
            self._went_us = self._connected_until_us or now_us
            self._back_us = now_us
            for share in self._touched.values():
                share.settling = True
        self._connected_until_us = now_us + LEASE_US

    def lost(self, now_us: int) -> None:
        """Take note that the ledger does not answer: we have what is in hand, then our part."""
        self._connected_until_us = min(self._connected_until_us, now_us)

    def admit(self, key: str | bytes, now_us: int) -> Admission:
        """Decide one arrival with what is here."""
        if not self._quota.on:
            return ALLOWED
        share = self._shares.get(key)
        if share is None:
            self._make_room(now_us)
            share = self._shares[key] = _Share(self._credit, now_us)
        if not share.demand:
            self._touched[key] = share
        share.demand += 1
        share.seen_us = now_us
        if share.permits and now_us < share.until_us:
            share.permits -= 1
            return ALLOWED
        if share.credit:
            share.credit -= 1
            share.used += 1
            return ALLOWED
        settling = share.settling and now_us - self._back_us < SETTLING_US
        if settling or share.alone or now_us >= self._connected_until_us:
            return self._by_oneself(share, now_us)
        share.short = True
        return Admission(allowed=False, retry_after_us=self._wait_us(share, now_us))

    def asks(self, now_us: int) -> list[Ask]:
        """Give what is to be asked now: of keys that run short at once, of others every second."""
        asks: list[Ask] = []
        # All keys are asked for in the same moment, so that one call carries them; so do all
        # workers of a machine, whose clocks are one.
        leased = now_us // ASK_EVERY_US != self._looked_us // ASK_EVERY_US
        settling = now_us // SETTLE_EVERY_US != self._looked_us // SETTLE_EVERY_US
        self._looked_us = now_us
        for key in list(self._touched):
            share = self._touched[key]
            if share.pending:
                into_the_void = share.settling and share.asked_us < self._back_us
                if now_us - share.asked_us < UNANSWERED_US and not into_the_void:
                    continue
                share.pending = False
                share.used += share.unsure
                share.unsure = 0
                if now_us - share.seen_us >= IDLE_US:
                    del self._touched[key]
                    continue
            urgent = self._short(share, now_us)
            if urgent or share.put_off or settling or (leased and share.permits):
                share.put_off = len(asks) >= MOST_ASKS
                if not share.put_off:
                    asks.append(self._ask(key, share, now_us, urgent=urgent))
        return asks

    def granted(self, grant: Grant, now_us: int) -> None:
        """Take in what the ledger gave."""
        self.heard(now_us)
        share = self._shares.get(grant.key)
        if share is None or not share.pending:
            return  # answered too late: it was given up, and expires there by itself
        if now_us >= share.until_us:
            share.permits = 0
        share.permits += grant.granted
        share.until_us = share.asked_us + LEASE_US
        share.alone = grant.credit < 0 or share.settling
        share.pending = share.short = share.settling = False
        share.unsure = 0
        if not share.alone:
            share.tat = 0
        elif not share.tat:
            # Of the credit that it has, one is left: it does not begin with a refusal.
            share.tat = self._used_up(now_us) - min(1, share.credit) * self._part.period_us
        self._answer_us = now_us - share.asked_us
        share.credit = 0 if share.alone else max(0, grant.credit - share.used)
        share.ahead_us, share.heard_us = grant.ahead_us, now_us
        empty = not grant.granted and not share.credit
        share.next_us = now_us + (SHORT_EVERY_US if empty else 0)
        if not share.demand:
            self._touched.pop(grant.key, None)

    def _by_oneself(self, share: _Share, now_us: int) -> Admission:
        """Keep to this holder's part of the rate."""
        part = self._part
        if not share.tat:
            if not self._connected_until_us:
                self._connected_until_us = now_us  # it was never there
            away = now_us >= self._connected_until_us
            since_us = self._connected_until_us if away else self._went_us
            if self._holders > self._quota.burst:
                since_us = now_us  # a whole request of each would be more than the burst
            share.tat = self._used_up(since_us)
        connected = now_us < self._connected_until_us
        if share.alone and connected:
            # What it left unused meanwhile, the others had.
            share.tat = max(share.tat, self._used_up(now_us) - self._credit * part.period_us)
        admission, share.tat = limiter.admit(share.tat, now_us, part)
        if admission.allowed and share.alone and connected:
            share.used += 1
        elif admission.allowed:
            # For a ledger that forgot: taken that every holder lets through as much.
            each_us = self._holders * self._quota.period_us // self._quota.requests
            share.ahead_us = self._ahead_us(share, now_us) + each_us
            share.heard_us = now_us
        return admission

    def _used_up(self, at_us: int) -> int:
        """Give the TAT of who has nothing left: the burst may have been used by anybody."""
        return at_us * self._part.requests + self._part.tolerance

    def _short(self, share: _Share, now_us: int) -> bool:
        """Whether what is left may not last until an answer comes."""
        if now_us < share.next_us:
            return False
        lately = self._recent(share, now_us) if share.demand else 0
        left = share.credit + (share.permits if now_us < share.until_us else 0)
        lasts_us = left * SECOND_US // max(1, min(max(lately, share.want), self._refill))
        return share.short or lasts_us <= max(LASTING_US, 2 * self._answer_us)

    def _recent(self, share: _Share, now_us: int) -> int:
        """Give the requests per second since the last ask."""
        return -(-share.demand * SECOND_US // max(now_us - share.since_us, SECOND_US // 4))

    def _ask(self, key: str | bytes, share: _Share, now_us: int, *, urgent: bool) -> Ask:
        share.want = min(max(self._recent(share, now_us), share.want // 2), self._refill)
        steady = share.demand * SECOND_US // max(now_us - share.since_us, SECOND_US)
        if not urgent and steady <= self._credit // 4:
            share.want = 0  # the credit lasts from one settling to the next
        hand = share.permits if now_us < share.until_us else 0
        want = 0 if share.settling else share.want
        ask = Ask(key, share.used, hand, self._ahead_us(share, now_us), want, urgent)
        share.pending, share.asked_us, share.since_us = True, now_us, now_us
        share.unsure, share.used = share.used, 0
        share.demand = 0
        # Until it is answered it stays among those that are looked at.
        return ask

    def _ahead_us(self, share: _Share, now_us: int) -> int:
        return max(share.ahead_us - (now_us - share.heard_us), 0)

    def _wait_us(self, share: _Share, now_us: int) -> int:
        """Say when it is worth trying again: when the account has room, or an answer is due."""
        quota = self._quota
        room_us = (
            self._ahead_us(share, now_us) - (quota.tolerance - quota.period_us) // quota.requests
        )
        return max(room_us, SHORT_EVERY_US)

    def _make_room(self, now_us: int) -> None:
        shares = self._shares
        for _ in range(min(LOOKS_PER_ARRIVAL, len(shares))):
            key, share = shares.popitem(last=False)
            if now_us - share.seen_us < IDLE_US or share.demand or share.pending:
                shares[key] = share
            else:
                self._touched.pop(key, None)
        if len(shares) >= self._capacity:
            key, _ = shares.popitem(last=False)
            self._touched.pop(key, None)

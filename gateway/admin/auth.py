"""
Who may do what on the admin port.

A token names a person or a program and one scope; scopes are a ladder: viewer reads, operator
moves the rollout, admin overrides gates. A token may carry its last day.

Every configured token is compared, each in constant time over its digest, so the time an answer
takes tells neither whether a name exists nor how much of a token was right. A missing, wrong or
expired token gets one and the same 401; a valid one of too low a scope gets 403.

Without any token the port serves reads to loopback peers and refuses changes. A browser on this
machine is a loopback peer too, so there the Host header must be a loopback name: a page of a
stranger whose DNS name was rebound to 127.0.0.1 still sends its own name.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

FREE_FAILURES: Final = 20
"""Wrong tokens an address may send in a minute before its next wrong ones are answered slowly."""
FAILURE_MEMORY_S: Final = 60
SLOWEST_ANSWER_S: Final = 1.0
ADDRESSES_REMEMBERED: Final = 1024
SLOW_ANSWERS_AT_ONCE: Final = 32


class Scope(IntEnum):
    """A ladder: each scope may do what the lower ones may."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


class Token(Protocol):
    """One accepted token; only its SHA-256 is known."""

    @property
    def name(self) -> str:
        """Whom the audit will name."""
        ...

    @property
    def scope(self) -> int:
        """A `Scope`."""
        ...

    @property
    def sha256(self) -> bytes:
        """What is compared."""
        ...

    @property
    def last_day(self) -> date | None:
        """The last day (UTC) on which it is accepted."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, as the audit will name them."""

    name: str
    scope: Scope
    ip: str
    user_agent: str = ""


def token_digest(secret: str) -> bytes:
    """Give what is kept and compared instead of a token."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def match_token(tokens: Sequence[Token], digest: bytes, today: date) -> Token | None:
    """Find the valid token of this digest, if any; always compares with all of them."""
    found: Token | None = None
    for token in tokens:
        right = hmac.compare_digest(token.sha256, digest)
        if right and (token.last_day is None or today <= token.last_day):
            found = token
    return found


def bearer(authorization: str | None) -> str | None:
    """Read the token of an `Authorization: Bearer` header."""
    if authorization is None:
        return None
    scheme, _, value = authorization.partition(" ")
    value = value.strip()
    return value if scheme.lower() == "bearer" and value else None


def is_loopback(address: str) -> bool:
    """Whether a peer address is this machine itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


def is_loopback_host(host_header: str | None) -> bool:
    """Whether a Host header names this machine: `localhost`, 127.0.0.0/8 or [::1], any port."""
    if not host_header:
        return False
    host = host_header.strip().lower()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    return host in {"localhost", "localhost."} or is_loopback(host)


class GuessBrake:
    """Slows wrong tokens per address without being a lever itself.

    Memory is bounded (the address unheard of for longest is forgotten), a delay is at most
    `SLOWEST_ANSWER_S`, and only so many answers wait at once: beyond that it is 429 immediately.
    A right token is never delayed, whatever its address did before.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._waiting = 0

    async def wrong(self, address: str) -> bool:
        """Note a wrong token and wait as long as it must; False when too many wait already."""
        delay_s = self.note(address)
        if delay_s <= 0:
            return True
        if self._waiting >= SLOW_ANSWERS_AT_ONCE:
            return False
        self._waiting += 1
        try:
            await asyncio.sleep(delay_s)
        finally:
            self._waiting -= 1
        return True

    def note(self, address: str) -> float:
        """Count one failure; the seconds its answer should wait."""
        now_s = self._now_s()
        count, since_s = self._failures.pop(address, (0, now_s))
        if now_s - since_s > FAILURE_MEMORY_S:
            count, since_s = 0, now_s
        count += 1
        self._failures[address] = (count, since_s)
        while len(self._failures) > ADDRESSES_REMEMBERED:
            self._failures.popitem(last=False)
        over = count - FREE_FAILURES
        return 0.0 if over <= 0 else min(SLOWEST_ANSWER_S, 0.05 * over)

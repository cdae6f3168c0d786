"""
Who may do what on the admin port.

A token names a person or a program and one scope; scopes are a ladder: viewer reads, operator
moves the rollout, admin overrides gates. Tokens come as `name:scope:token`, separated by commas,
where the token may be `sha256:<hex>` so that the secret itself never lies in a configuration file,
and may end with `;until=2026-12-31` (UTC; the day itself still counts).

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
import re
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SHA256_HEX: Final = re.compile(r"\A[0-9a-f]{64}\Z", re.IGNORECASE)
_NAME: Final = re.compile(r"\A[\w.@-]{1,64}\Z")

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


@dataclass(frozen=True, slots=True)
class Token:
    """One accepted token; only its SHA-256 is kept."""

    name: str
    scope: Scope
    digest: bytes
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, as the audit will name them."""

    name: str
    scope: Scope
    ip: str
    user_agent: str = ""


class TokenFault(ValueError):  # noqa: N818 - the project's word for a configuration mistake
    """GATEWAY_ADMIN_TOKENS cannot be understood; the message names every fault, never a secret."""


def parse_tokens(raw: str) -> tuple[Token, ...]:
    """Read `name:scope:token,...`; all faults at once, by position: a fault may hide a secret."""
    tokens: list[Token] = []
    faults: list[str] = []
    for position, entry in enumerate((part.strip() for part in raw.split(",")), start=1):
        if not entry:
            continue
        try:
            token = _parse_token(entry)
        except TokenFault as fault:
            faults.append(f"entry {position}: {fault}")
            continue
        if any(token.name == other.name for other in tokens):
            faults.append(f"entry {position}: the name {token.name!r} is taken already")
        if any(token.digest == other.digest for other in tokens):
            faults.append(f"entry {position}: same token as an earlier entry; each needs its own")
        tokens.append(token)
    if faults:
        raise TokenFault("; ".join(faults))
    return tuple(tokens)


def _parse_token(entry: str) -> Token:
    name, _, rest = entry.partition(":")
    scope_name, _, secret = rest.partition(":")
    secret, _, suffix = secret.partition(";")
    if not secret:
        raise TokenFault("expected name:scope:token")
    if not _NAME.match(name):
        raise TokenFault("the name must be 1 to 64 letters, digits or one of . _ @ -")
    try:
        scope = Scope[scope_name.strip().upper()]
    except KeyError:
        raise TokenFault("the scope must be viewer, operator or admin") from None
    if secret.startswith("sha256:"):
        hexadecimal = secret.removeprefix("sha256:")
        if not _SHA256_HEX.match(hexadecimal):
            raise TokenFault("sha256: must be followed by 64 hexadecimal digits")
        digest = bytes.fromhex(hexadecimal)
    else:
        digest = token_digest(secret)
    return Token(name=name, scope=scope, digest=digest, expires_at=_parse_until(suffix))


def _parse_until(suffix: str) -> datetime | None:
    if not suffix:
        return None
    key, _, value = suffix.partition("=")
    try:
        last_day = date.fromisoformat(value) if key == "until" else None
    except ValueError:
        last_day = None
    if last_day is None:
        raise TokenFault("after ';' only until=YYYY-MM-DD is understood")
    return datetime(last_day.year, last_day.month, last_day.day, tzinfo=UTC) + timedelta(days=1)


def token_digest(secret: str) -> bytes:
    """Give what is kept and compared instead of a token."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def match_token(tokens: Sequence[Token], presented: str, now: datetime) -> Token | None:
    """Find the valid token that was presented, if any; always compares with all of them."""
    digest = token_digest(presented)
    found: Token | None = None
    for token in tokens:
        if hmac.compare_digest(token.digest, digest) and (
            token.expires_at is None or now < token.expires_at
        ):
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

"""
Whom alerts may be sent to: named hosts at addresses that were looked at.

A host has to be on the list. Its name is resolved once per message and the connection goes to the
very address that was checked, so that a name that changes its answer between look and connection
gains nothing. Addresses of this machine and of private networks are refused unless allowed, however
they are written: IPv4 inside IPv6 (mapped, 6to4, Teredo, NAT64) counts as the IPv4 it leads to.
Link-local addresses, where clouds keep their credentials, are never called.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gateway.ports.alerts import ChannelRefusedError, ChannelUnreachableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = (
    ipaddress.IPv6Network("64:ff9b::/96"),
    ipaddress.IPv6Network("64:ff9b:1::/48"),
)
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")
_LOW_32_BITS: Final = 0xFFFFFFFF
_MOST_ADDRESSES: Final = 4


async def _resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver; addresses in its order of preference."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]).partition("%")[0] for entry in found]


@dataclass(frozen=True, slots=True)
class Targets:
    """The allow-list: exact host names, or `*.example.com` for the names below one."""

    hosts: frozenset[str]
    private: bool = False
    """Addresses of this machine and of private networks may be called, too."""
    resolve: Callable[[str, int], Awaitable[Sequence[str]]] = field(default=_resolve, repr=False)

    def lists(self, host: str) -> bool:
        """Whether the host is on the list."""
        name = host.rstrip(".").lower()
        if name in self.hosts:
            return True
        _, _, parent = name.partition(".")
        return bool(parent) and any(
            entry.startswith("*.") and name.endswith(entry[1:]) for entry in self.hosts
        )

    def allows(self, address: Address) -> bool:
        """Whether this address may be called."""
        return _allowed(plain_address(address), private=self.private)

    async def addresses(self, host: str, port: int) -> list[Address]:
        """Resolve and check; only what may be called, at most a few.

        ChannelRefusedError when the host or all its addresses are not allowed,
        ChannelUnreachableError when the name cannot be resolved now.
        """
        if not self.lists(host):
            raise ChannelRefusedError(
                "The host of this channel is not on the list of allowed hosts.",
                todo="Add it to ALERT_ALLOWED_HOSTS.",
            )
        try:
            literal = ipaddress.ip_address(host.strip("[]"))
            found = [literal]
        except ValueError:
            found = await self._look_up(host, port)
        allowed = [address for address in found if self.allows(address)]
        if not allowed:
            raise ChannelRefusedError(
                "The host of this channel leads to an address of a private network or of this "
                "machine.",
                todo="Correct the address, or set ALERT_ALLOW_PRIVATE=true if that is meant.",
            )
        return allowed[:_MOST_ADDRESSES]

    async def _look_up(self, host: str, port: int) -> list[Address]:
        try:
            texts = await self.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise ChannelUnreachableError(
                f"The host name of this channel cannot be resolved ({type(error).__name__})."
            ) from error
        found = [ipaddress.ip_address(text) for text in dict.fromkeys(texts)]
        # One private answer among public ones is no accident: nobody's name does that.
        if found and not all(self.allows(address) for address in found):
            return []
        return found


def plain_address(address: Address) -> Address:
    """Unwrap IPv4 that travels inside IPv6."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    low = int(address) & _LOW_32_BITS
    if any(address in network for network in _NAT64) or (address in _COMPATIBLE and low > 1):
        return ipaddress.IPv4Address(low)
    return address


def _allowed(address: Address, *, private: bool) -> bool:
    if address.is_multicast or address.is_unspecified or address.is_link_local:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.is_site_local:
        return private
    return private or address.is_global

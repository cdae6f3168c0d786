"""Whom alerts may be sent to: every way of writing an address that must not be called."""

from __future__ import annotations

import ipaddress

import pytest

from gateway.adapters.notify.targets import Targets
from gateway.ports.alerts import ChannelRefusedError, ChannelUnreachableError

LISTED = frozenset({"hooks.example.com", "*.internal.example.com"})


def targets(*answers: str, private: bool = False) -> Targets:
    """A list whose names all lead to these addresses."""

    async def resolve(_host: str, _port: int) -> list[str]:
        return list(answers)

    return Targets(LISTED, private, resolve)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.10", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "0.0.0.0",
        "169.254.169.254", "192.0.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "::1", "::",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "fe80::1",
        "fec0::1", "fc00::1", "fd12:3456::1", "ff02::1", "2002:7f00:1::", "2002:a00:1::1",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "2001:db8::1",
        "2001:0:5ef5:79fd:0:0:80ff:fffe",
    ],
)  # fmt: skip
async def test_no_private_address_however_written(address: str) -> None:
    """Loopback, private, link-local, reserved, multicast; plain or inside IPv6."""
    with pytest.raises(ChannelRefusedError):
        await targets(address).addresses("hooks.example.com", 443)
    with pytest.raises(ChannelRefusedError):
        await Targets(frozenset({address})).addresses(address, 443)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
async def test_public_addresses_are_called(address: str) -> None:
    """What is public is public in both families."""
    found = await targets(address).addresses("hooks.example.com", 443)
    assert found == [ipaddress.ip_address(address)]


async def test_one_private_answer_spoils_the_name() -> None:
    """A name that leads outside and home is refused as a whole."""
    with pytest.raises(ChannelRefusedError):
        await targets("8.8.8.8", "127.0.0.1").addresses("hooks.example.com", 443)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.5", "::1", "fd00::1"])
async def test_private_addresses_when_allowed(address: str) -> None:
    """Inside a company receivers are private; that has to be said."""
    assert await targets(address, private=True).addresses("hooks.example.com", 443)


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1"])
async def test_some_addresses_are_never_called(address: str) -> None:
    """Where clouds keep credentials, or nobody in particular listens."""
    with pytest.raises(ChannelRefusedError):
        await targets(address, private=True).addresses("hooks.example.com", 443)


@pytest.mark.parametrize(
    ("host", "listed"),
    [
        ("hooks.example.com", True), ("HOOKS.example.com.", True), ("a.internal.example.com", True),
        ("a.b.internal.example.com", True), ("internal.example.com", False),
        ("evilinternal.example.com", False), ("hooks.example.com.evil.net", False),
        ("example.com", False), ("", False), ("8.8.8.8", False),
    ],
)  # fmt: skip
def test_only_listed_hosts(host: str, *, listed: bool) -> None:
    """Exact names, and those below a star; nothing that only looks like them."""
    assert targets().lists(host) is listed


async def test_a_host_that_is_not_listed_is_not_even_resolved() -> None:
    """The name alone could tell somebody that we are here."""

    async def resolve(_host: str, _port: int) -> list[str]:
        raise AssertionError("asked")

    with pytest.raises(ChannelRefusedError, match="ALERT_ALLOWED_HOSTS"):
        await Targets(LISTED, resolve=resolve).addresses("other.example.com", 443)


async def test_a_name_that_cannot_be_resolved_is_tried_again() -> None:
    """Resolvers come back."""

    async def resolve(_host: str, _port: int) -> list[str]:
        raise OSError("no such host")

    with pytest.raises(ChannelUnreachableError):
        await Targets(LISTED, resolve=resolve).addresses("hooks.example.com", 443)

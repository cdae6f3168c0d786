"""Limits of open connections, of a worker and of an address, and what becomes of the rest."""

from __future__ import annotations

from gateway.proxy.connection_limits import Admittance, ConnectionLimits


def test_an_address_has_its_own_limit() -> None:
    """Its second connection is refused, somebody else is admitted."""
    limits = ConnectionLimits(connections=10, per_address=1, refused=5)
    assert limits.admit("a") is Admittance.ADMITTED
    assert limits.admit("a") is Admittance.REFUSED
    assert limits.admit("b") is Admittance.ADMITTED
    assert limits.admitted == 2


def test_a_refused_connection_takes_nobodys_place() -> None:
    """Once one has left there is room again, however many still read their answer."""
    limits = ConnectionLimits(connections=2, per_address=2, refused=5)
    assert [limits.admit("a"), limits.admit("a"), limits.admit("a")] == [
        Admittance.ADMITTED, Admittance.ADMITTED, Admittance.REFUSED,
    ]  # fmt: skip
    assert limits.admit("b") is Admittance.REFUSED
    limits.release("a", Admittance.ADMITTED)
    assert limits.admit("b") is Admittance.ADMITTED
    assert limits.admitted == 2


def test_so_many_are_refused_at_a_time() -> None:
    """The rest is reset; who has read the answer makes room for the next."""
    limits = ConnectionLimits(connections=1, per_address=0, refused=2)
    limits.admit("a")
    assert [limits.admit("b") for _ in range(3)] == [
        Admittance.REFUSED,
        Admittance.REFUSED,
        Admittance.RESET,
    ]
    limits.release("b", Admittance.RESET)
    assert limits.admit("b") is Admittance.RESET
    limits.release("b", Admittance.REFUSED)
    assert limits.admit("b") is Admittance.REFUSED


def test_a_limit_of_none_is_none() -> None:
    """And everybody who leaves is forgotten."""
    limits = ConnectionLimits(connections=0, per_address=0, refused=0)
    for _ in range(1_000):
        assert limits.admit("a") is Admittance.ADMITTED
    for _ in range(1_000):
        limits.release("a", Admittance.ADMITTED)
    assert limits.admitted == 0
    assert limits.admit("a") is Admittance.ADMITTED

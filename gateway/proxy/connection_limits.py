"""
Limits of open connections: so many of a worker, so many of one address.

A connection beyond them is refused with an answer, which holds it for a moment. Refused ones do not
count as admitted: they take nobody's place, neither others' nor, once there is room, their own. How
many are being refused at a time is bounded, so that no crowd uses up the worker's descriptors; the
rest is reset at once.
"""

from __future__ import annotations

from enum import Enum


class Admittance(Enum):
    """What becomes of a new connection."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    """It is one too many, and may be answered so."""
    RESET = "reset"
    """It is one too many, and there are too many of those to be answered."""


class ConnectionLimits:
    """The count of one worker's connections; a limit of 0 is off."""

    __slots__ = ("_addresses", "_most", "_most_refused", "_per_address", "_refused", "admitted")

    def __init__(self, *, connections: int, per_address: int, refused: int) -> None:
        self._most = connections
        self._per_address = per_address
        self._most_refused = refused
        self._addresses: dict[str, int] = {}
        self._refused = 0
        self.admitted = 0

    def admit(self, address: str) -> Admittance:
        """Count a connection, if there is room for it."""
        count = self._addresses.get(address, 0)
        if 0 < self._most <= self.admitted or 0 < self._per_address <= count:
            if self._refused >= self._most_refused:
                return Admittance.RESET
            self._refused += 1
            return Admittance.REFUSED
        self._addresses[address] = count + 1
        self.admitted += 1
        return Admittance.ADMITTED

    def release(self, address: str, admittance: Admittance) -> None:
        """Count a connection out; `admittance` is what `admit` gave it."""
        if admittance is Admittance.REFUSED:
            self._refused -= 1
        elif admittance is Admittance.ADMITTED:
            self.admitted -= 1
            left = self._addresses[address] - 1
            if left:
                self._addresses[address] = left
            else:
                del self._addresses[address]

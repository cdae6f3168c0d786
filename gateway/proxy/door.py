"""
Who may come in: so many connections of a worker, so many of one address.

Who comes too late is told so, which takes a connection for a moment. Those do not count as inside:
they take nobody's place, neither others' nor, once there is room, their own. How many are told at
a time is bounded, so that no crowd uses up the worker's descriptors; the rest is cut off at once.
"""

from __future__ import annotations

from enum import Enum


class Entry(Enum):
    """How a connection stands to the door."""

    INSIDE = "inside"
    TOLD = "told"
    """It is too many, and may be answered so."""
    CUT_OFF = "cut_off"
    """It is too many, and not even that."""


class Door:
    """The count of one worker's connections; a limit of 0 is off."""

    __slots__ = ("_addresses", "_limit", "_may_be_told", "_per_address", "_told", "inside")

    def __init__(self, *, limit: int, per_address: int, told: int) -> None:
        self._limit = limit
        self._per_address = per_address
        self._may_be_told = told
        self._addresses: dict[str, int] = {}
        self._told = 0
        self.inside = 0

    def enter(self, address: str) -> Entry:
        """Count a connection in, if there is room for it."""
        count = self._addresses.get(address, 0)
        if 0 < self._limit <= self.inside or 0 < self._per_address <= count:
            if self._told >= self._may_be_told:
                return Entry.CUT_OFF
            self._told += 1
            return Entry.TOLD
        self._addresses[address] = count + 1
        self.inside += 1
        return Entry.INSIDE

    def leave(self, address: str, entry: Entry) -> None:
        """Count a connection out that `enter` gave this for."""
        if entry is Entry.TOLD:
            self._told -= 1
        elif entry is Entry.INSIDE:
            self.inside -= 1
            left = self._addresses[address] - 1
            if left:
                self._addresses[address] = left
            else:
                del self._addresses[address]

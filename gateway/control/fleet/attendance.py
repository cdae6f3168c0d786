"""
Who is on record as silent: put there once, by whoever decides, also when the silent one decided.

Each replica sees by itself who is silent, and who of the others puts that on record. When nobody
did, because it was the deciding one that fell silent, the next one that decides finds it still to
be said. A replica that could not read the board cannot tell who was silent, so it records nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.control.fleet.members import SILENT_US, MemberChanged

if TYPE_CHECKING:
    from gateway.control.fleet.members import Members

OF_SILENCE: Final = frozenset({"silent", "back"})
"""Changes that are put on record from here."""


class Attendance:
    """What was said, or surely is by another, of who is silent."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def to_say(
        self, members: Members, *, listening_us: int, decides: bool
    ) -> tuple[MemberChanged, ...]:
        """Give what has to be put on record here and now.

        `listening_us` is for how long this replica has heard the board without a break.
        """
        silent = {member.name for member in members if member.silent}
        self._said &= {member.name for member in members}
        if not decides:
            if members.one_decides:
                self._said = silent  # by that one
            return ()
        if listening_us <= SILENT_US:
            return ()
        before, self._said = self._said, silent
        return tuple(
            MemberChanged(member.name, member.source, "silent" if member.silent else "back")
            for member in members
            if member.silent is not (member.name in before)
        )

    def begins_anew(self, name: str) -> None:
        """Forget what was said of an earlier run of it."""
        self._said.discard(name)

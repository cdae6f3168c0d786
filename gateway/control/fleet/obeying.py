"""
A person's order, carried out on the newest state, whichever replica took it.

Who was overtaken takes up the newest state and tries once more. What takes all traffic back
outranks that: it is tried more often, and if nobody can say what the newest state is, it is obeyed
here and now, and told to the others as soon as they can be reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.control.journal import OVERTAKEN
from gateway.errors import RefusedError, StateError
from gateway.ports import CommandKind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.control.fleet.together import Together
    from gateway.control.journal import Journal

OUTRANKING: Final = frozenset({CommandKind.EMERGENCY_STOP, CommandKind.ROLLBACK})
_TRIES: Final = 2
_STOP_TRIES: Final = 5


async def on_the_newest(
    obey: Callable[[], Awaitable[None]], kind: CommandKind, *, together: Together, journal: Journal
) -> None:
    """Obey; the order is held. RefusedError when others were quicker both times."""
    outranks = kind in OUTRANKING
    for tries_left in reversed(range(_STOP_TRIES if outranks else _TRIES)):
        try:
            await obey()
        except OVERTAKEN as error:
            if not tries_left and not outranks:
                raise RefusedError(
                    "Another replica changed the rollout at the same moment.",
                    todo="Look at it and give the order again.",
                    code="overtaken",
                ) from error
        else:
            return
        try:
            await together.agree_now()
        except StateError:
            if not outranks:
                raise
            break
    journal.detached = True
    try:
        await obey()
    finally:
        journal.detached = False

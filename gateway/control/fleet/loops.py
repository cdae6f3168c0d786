"""
The loops of a replica: post and read once a second, keep or seek the lease, take up new states.

None waits for another, and none is on a request's way. What fails is tried again at the next turn;
what the replica knows of the fleet grows old meanwhile, and that is what counts.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from gateway.errors import StateError

if TYPE_CHECKING:
    from gateway.control.fleet.together import Together

POST_EVERY_S: Final = 1.0
_AT_MOST_EVERY_S: Final = 0.05
_STATE: Final = "state"

_log = structlog.get_logger("fleet")


async def post(together: Together) -> None:
    """Tell the others what we saw, and hear what they saw."""
    loop, fleet = asyncio.get_running_loop(), together.fleet
    trouble = ""
    due = loop.time()
    while True:
        begun = loop.time()
        fleet.due.clear()
        try:
            await together.exchange()
            reason = ""
        except StateError as error:
            reason = error.message
        if reason != trouble:
            trouble = reason
            _log.warning("fleet_lost", reason=reason) if reason else _log.info("fleet_found")
        due = max(due + POST_EVERY_S, loop.time())
        try:
            async with asyncio.timeout_at(due):
                await fleet.due.wait()
                await asyncio.sleep(begun + _AT_MOST_EVERY_S - loop.time())
        except TimeoutError:
            continue
        due = loop.time()


async def lease(together: Together, *, every_s: float) -> None:
    """Keep the lease, or take it when nobody has it."""
    held, fleet = False, together.fleet
    while True:
        try:
            if fleet.shuns:
                await fleet.lease.release()
            elif fleet.seeks:
                await fleet.lease.renew(floor=fleet.copy.token)
        except StateError as error:
            fleet.trouble = error.message
        if fleet.lease.held is not held:
            held = fleet.lease.held
            _log.info("lease", held=held, term=fleet.lease.fencing_token)
            if held:
                await _begin_to_decide(together)
        await asyncio.sleep(every_s)


async def _begin_to_decide(together: Together) -> None:
    try:
        await together.took_the_lease()
    except StateError as error:
        _log.warning("lease_not_told", reason=error.message)


async def listen(together: Together) -> None:
    """Hear of new states at once; what is missed comes with the next posting."""

    def heard(message: str) -> None:
        word, _, number = message.partition(" ")
        if not message:
            together.fleet.due.set()
        elif word == _STATE and number.isdigit() and int(number) > together.stored_version:
            together.heard_of(int(number))

    await together.fleet.board.listen(heard)


async def agree(together: Together) -> None:
    """Take up what was stored by others, and store what we did without them."""
    fleet = together.fleet
    while True:
        await fleet.behind.wait()
        fleet.behind.clear()
        try:
            await together.agree()
        except StateError as error:
            fleet.trouble = error.message
            _log.warning("not_agreed", reason=error.message)
        await asyncio.sleep(_AT_MOST_EVERY_S / 5)

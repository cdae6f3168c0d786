"""
Which state is in force: the newest one that is stored, unless something safer was done without it.

Every replica takes up the newest stored state. A store that came back empty or older is given the
newest state that is known here. What this replica did while it could not reach the store (traffic
only ever goes back then) is set beside what was stored meanwhile: the safer of the two is put on
top, so replicas that acted each on their own end up in one and the same state, in any order. What
a replica did too long ago does not count: one that comes back after an hour undoes nothing that was
decided since.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from gateway.control import records
from gateway.core.model import SECOND_US
from gateway.core.rollout import Status
from gateway.ports import StoredState

if TYPE_CHECKING:
    from gateway.control.fleet.spare import LocalCopy
    from gateway.control.journal import Journal
    from gateway.control.turns import Turns
    from gateway.core import rollout
    from gateway.ports.fleet import FleetStore

LONG_PAST_US: Final = 600 * SECOND_US
"""What a replica did on its own so long before the stored state was changed is settled by that."""

_log = structlog.get_logger("fleet")


def safety(state: rollout.State) -> tuple[bool, bool, int, int]:
    """Rank a state: stopped before rolled back before less weight; higher is safer."""
    return (
        state.status is Status.EMERGENCY_STOPPED,
        state.status is Status.ROLLED_BACK,
        -state.write_bp,
        -state.read_bp,
    )


def joined(stored: rollout.State, local: rollout.State) -> rollout.State:
    """Give the state that both sides go on from; it is `stored` itself if that is good enough.

    Its version is above both, because workers never go back to a lower one.
    """
    safer = stored if safety(stored) >= safety(local) else local
    if safer is stored and stored.version >= local.version:
        return stored
    version = max(stored.version, local.version) + 1
    return replace(safer, version=version, rollbacks=max(stored.rollbacks, local.rollbacks))


class Agreement:
    """Brings this replica's engine and the stored state together. Callers hold the order."""

    def __init__(self, store: FleetStore, journal: Journal, turns: Turns, copy: LocalCopy) -> None:
        self._store = store
        self._journal = journal
        self._turns = turns
        self._copy = copy

    async def reach(self) -> bool:
        """Take up the newest stored state; say whether it was another one than ours.

        StoreUnavailableError: not now. StateUnreadableError: what is stored is nothing that this
        replica understands; it stays with what it has.
        """
        stored = await self._store.load()
        known = self._copy.stored
        if known is not None and (stored is None or stored.version < known.version):
            stood = stored.version if stored is not None else 0
            now = await self._store.seed(known, token=self._copy.token)
            _log.warning("store_was_older", stood=stood, known=known.version, now=now)
            stored = known if now == known.version else await self._store.load()
        if stored is None or stored.version == self._journal.version:
            return False
        self._take_up(stored)
        return True

    def _take_up(self, stored: StoredState) -> None:
        journal, turns = self._journal, self._turns
        state = records.stored_state(stored, turns.engine.plan)
        waiting = journal.waiting_state
        if waiting is None:
            ours = turns.engine.state
            together = state
            if state.version < ours.version and _course(state) != _course(ours):
                # A newer record of an older rollout (the store had lost writes, and others went on
                # from there): workers want a version above what they have.
                together = joined(state, replace(state, version=ours.version))
        else:
            local = records.stored_state(StoredState(stored.version, waiting), turns.engine.plan)
            past_us = (state.changed_at_us or 0) - (local.changed_at_us or 0)
            if past_us > LONG_PAST_US:
                together = joined(state, replace(state, version=local.version))
            else:
                together = joined(state, local)
            _log.warning(
                "reconciled",
                stored=state.status.value,
                local=local.status.value,
                now=together.status.value,
            )
        on_top = None if together is state else records.state_document(together)
        journal.moved_to(stored.version, put_on_top=on_top)
        self._copy.saw(stored, token=0)
        turns.adopt(together)


def _course(state: rollout.State) -> tuple[object, ...]:
    """Give what workers go by, but for the version."""
    return (state.status, state.write_bp, state.read_bp, state.salt, state.phase)

"""
The copy of the state on this replica's own disk: what it starts from without the fleet's store.

It is the record of a single gateway, of the same kind and in the same file, so that a gateway that
joins a fleet brings its state along, and one that leaves it goes on alone. Beside the state stands
which version of the shared record it is of, and whether this replica has acted on its own since.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog

from gateway.errors import StateError
from gateway.ports import StoredState, Transition

if TYPE_CHECKING:
    from gateway.ports import Document, StateStore

PATIENCE_S: Final = 0.5
_FLEET: Final = "fleet"

_log = structlog.get_logger("fleet")


@dataclass(frozen=True, slots=True)
class Copy:
    """What stood on the disk at the start."""

    stored: StoredState
    """Under the shared record's version; 0: of a gateway that stood alone."""
    token: int = 0
    acted: bool = False
    """This replica went back on its own, and the shared record does not know it yet."""


async def read_copy(store: StateStore) -> Copy | None:
    """Read the copy; None when there is none. StateUnreadableError as of any record."""
    found = await store.load()
    if found is None:
        return None
    fleet = found.document.get(_FLEET)
    document = {name: value for name, value in found.document.items() if name != _FLEET}
    if not isinstance(fleet, dict):
        return Copy(StoredState(0, document))
    return Copy(
        StoredState(int(fleet.get("version", 0)), document),
        token=int(fleet.get("token", 0)),
        acted=bool(fleet.get("acted")),
    )


class LocalCopy:
    """`Spare` on the single gateway's store."""

    def __init__(self, store: StateStore, *, version: int, begin: Copy | None = None) -> None:
        self._store = store
        self._version = version
        self.token = begin.token if begin else 0
        """The highest fencing token seen."""
        self.stored = begin.stored if begin and begin.stored.version and not begin.acted else None
        """The newest shared state seen, for a store that comes back older."""
        self._newest: Document | None = None
        self._writing: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()

    def saw(self, stored: StoredState, *, token: int) -> None:
        """Remember the newest shared state soon."""
        self.token = max(self.token, token)
        if self.stored is None or stored.version >= self.stored.version:
            self.stored = stored
        self._newest = {
            **stored.document,
            _FLEET: {"version": stored.version, "token": self.token, "acted": False},
        }
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while (document := self._newest) is not None:
            self._newest = None
            await self._commit(Transition(0, document=document))

    async def kept(self, transition: Transition, *, version: int) -> None:
        """Remember what the shared store did not take."""
        document = transition.document
        if document is not None:
            self._newest = None
            fleet = {"version": version, "token": self.token, "acted": True}
            transition = replace(transition, document={**document, _FLEET: fleet})
        task = asyncio.create_task(self._commit(transition))
        await asyncio.wait({task}, timeout=PATIENCE_S)

    async def _commit(self, transition: Transition) -> None:
        async with self._one_at_a_time:
            try:
                numbered = replace(transition, expected_version=self._version, token=0)
                committed = await self._store.commit(numbered)
            except StateError as error:
                _log.error("no_local_copy", reason=str(error))
            else:
                self._version = committed.version

    async def settle(self) -> None:
        """Finish what is being written."""
        if self._writing is not None:
            await asyncio.wait({self._writing})

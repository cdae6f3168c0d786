"""
The exception tree: what can go wrong, told once, with what to do about it.

Every error an operator can meet is a `SyncgateError`: its text is the sentence they read, `todo`
the next step, `exit_code` what the command ends with (1 refused, 2 wrong usage or configuration,
3 cannot reach). Adapters translate what they catch into this tree, so that no driver knows sqlite3
or sockets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from gateway.core.analysis import GateResult


class SyncgateError(Exception):
    """Anything the gateway says no to, or cannot do, in a sentence for people."""

    exit_code: ClassVar[int] = 1

    def __init__(
        self, message: str, *, todo: str = "", message_ja: str = "", todo_ja: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.todo = todo
        self.message_ja = message_ja
        self.todo_ja = todo_ja

    def __str__(self) -> str:
        """Give the sentence, then what to do."""
        return f"{self.message} {self.todo}".rstrip() if self.todo else self.message


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a configuration: where it stands and what was expected there."""

    where: str
    problem: str
    expected: str = ""

    def __str__(self) -> str:
        """One line, fit for a list."""
        tail = f" (expected {self.expected})" if self.expected else ""
        return f"{self.where}: {self.problem}{tail}"


class ConfigurationError(SyncgateError):
    """A configuration that cannot be used; all its faults at once."""

    exit_code = 2

    def __init__(self, subject: str, faults: tuple[Fault, ...], *, todo: str = "") -> None:
        lines = "".join(f"\n  {fault}" for fault in faults)
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__(f"{subject}: {count}{lines}", todo=f"\n{todo}" if todo else "")
        self.subject = subject
        self.faults = faults


class SettingsError(ConfigurationError):
    """Environment variables that are missing, malformed or contradict one another."""


class PolicyError(ConfigurationError):
    """A rollout policy that cannot be used."""


class PortUnavailableError(SyncgateError):
    """A port that cannot be listened on; said before anything is started."""

    exit_code = 2


class StateError(SyncgateError):
    """The durable state cannot be used."""


class StateLockedError(StateError):
    """Another running gateway owns the state directory."""

    exit_code = 2


class StateUnreadableError(StateError):
    """What is stored is blank, oversized or foreign; it is never replaced by a guess."""

    exit_code = 2


class VersionConflictError(StateError):
    """Somebody else changed the state first; nothing of this transition was stored."""


class StoreUnavailableError(StateError):
    """The store cannot be written or read at the moment (full disk, vanished file)."""


class StoreRefusedError(StoreUnavailableError):
    """The store answers but not to us: wrong password, missing right, wrong database, not ours."""

    exit_code = 2


class StoreReadOnlyError(StoreUnavailableError):
    """The store answers but takes no writes (a replica, or a server that cannot save)."""


class StoreFullError(StoreUnavailableError):
    """The store has no room left."""


class StoreStartingError(StoreUnavailableError):
    """The store is there and will answer by itself (it loads its data)."""


class FencedError(StateError):
    """Another holder has taken the lease since: a write with the older token stores nothing."""


class WorkerFailedError(SyncgateError):
    """A data-plane worker could not start."""


class RefusedError(SyncgateError):
    """The rollout's rules say no: `code` names the rule, `gates` stand in the way, if any."""

    def __init__(
        self,
        message: str,
        *,
        todo: str = "",
        code: str = "refused",
        message_ja: str = "",
        todo_ja: str = "",
        gates: tuple[GateResult, ...] = (),
    ) -> None:
        super().__init__(message, todo=todo, message_ja=message_ja, todo_ja=todo_ja)
        self.code = code
        self.gates = gates


class InvalidRequestError(SyncgateError):
    """A value from outside that cannot be meant (a weight of 101, an empty reason)."""

    exit_code = 2

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = faults


class ForbiddenError(SyncgateError):
    """The caller is known but may not do this."""


class UnreachableError(SyncgateError):
    """A system that did not answer."""

    exit_code = 3

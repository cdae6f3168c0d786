"""What a repair is asked for, and what it comes to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from datetime import datetime

PAGE: Final = 200
EXAMPLES: Final = 100


class Outcome(StrEnum):
    """What became of one listing."""

    AGREES = "agrees"
    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    UNKNOWN = "unknown"
    """Only the target ever had it; it is left alone."""
    FAILED = "failed"
    """The target does not take the row."""


class Conflict(StrEnum):
    """Who won where the target holds what the source never had."""

    OVERWRITTEN = "overwritten"
    """The source's entry is the later one, or it was told to win."""
    KEPT = "kept"
    """The target's entry is the later one."""
    UNDECIDED = "undecided"
    """The clocks cannot tell; the target keeps its row."""


@dataclass(frozen=True, slots=True)
class Found:
    """One listing that is in conflict, or that the target did not take."""

    workspace_id: str
    property_number: str
    what: str
    fields: tuple[str, ...] = ()
    detail: str = ""


@dataclass(slots=True)
class Repair:
    """The running totals, and at the end the result."""

    dry_run: bool
    workspaces: list[str] = field(default_factory=list)
    checked: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    conflicts: Counter[Conflict] = field(default_factory=Counter)
    found: list[Found] = field(default_factory=list)
    began_at: datetime | None = None
    """By the source's clock; whatever it held before was looked at."""

    @property
    def repaired(self) -> int:
        """Rows that were (or, in a dry run, would be) written."""
        written = (Outcome.CREATED, Outcome.UPDATED, Outcome.DELETED)
        return sum(self.outcomes[each] for each in written)

    @property
    def left(self) -> int:
        """Rows on which the stores still differ, other than by what the source never had."""
        kept = self.conflicts[Conflict.KEPT] + self.conflicts[Conflict.UNDECIDED]
        waiting = self.repaired if self.dry_run else 0
        return kept + self.outcomes[Outcome.FAILED] + waiting

    def as_json(self) -> dict[str, Any]:
        """Give the figures; `left` 0 says that the stores agree."""
        return {
            "needed": True,
            "dry_run": self.dry_run,
            "workspaces": len(self.workspaces),
            "checked": self.checked,
            "repaired": self.repaired,
            **{outcome.value: self.outcomes[outcome] for outcome in Outcome},
            "conflicts": {each.value: self.conflicts[each] for each in Conflict},
            "left": self.left,
            "examples": [
                {
                    "workspace": each.workspace_id,
                    "propertyNumber": each.property_number,
                    "what": each.what,
                    "fields": list(each.fields),
                    "detail": each.detail,
                }
                for each in self.found
            ],
        }


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for; without workspaces, all of them."""

    workspaces: tuple[str, ...] = ()
    dry_run: bool = False
    overwrite: bool = False
    """The source wins every conflict."""
    page: int = PAGE

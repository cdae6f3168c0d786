"""
The Prefer header (RFC 7240): what the client would like, and what it is told was done.

Of two values for one preference the first counts. What is not understood is ignored, unless the
client also says ``handling=strict``.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from ops.devstack.postgrest_standin.failures import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ops.devstack.postgrest_standin.settings import TxEnd

# In the order in which Preference-Applied names them.
_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "resolution": ("merge-duplicates", "ignore-duplicates"),
    "missing": ("default", "null"),
    "return": ("representation", "headers-only", "minimal"),
    "params": ("single-object", "multiple-objects"),
    "count": ("exact", "planned", "estimated"),
    "tx": ("commit", "rollback"),
    "handling": ("strict", "lenient"),
}


@dataclass(frozen=True, slots=True)
class Preferences:
    """What was asked for, by name; only what is understood."""

    chosen: Mapping[str, str]

    def get(self, name: str) -> str | None:
        """Return the value of one preference."""
        return self.chosen.get(name)

    @property
    def returns_rows(self) -> bool:
        """Whether a write answers with the rows it wrote."""
        return self.get("return") == "representation"

    def commits(self, tx_end: TxEnd) -> bool:
        """Whether the transaction is kept; without leave to override, the server decides."""
        if tx_end.allows_override and (wish := self.get("tx")):
            return wish == "commit"
        return tx_end.commits

    def applied(self, names: Iterable[str], tx_end: TxEnd) -> dict[str, str]:
        """Return the Preference-Applied header for those of `names` that were honoured."""
        honoured = set(names) - (set() if tx_end.allows_override else {"tx"})
        parts = [f"{name}={self.chosen[name]}" for name in _VALUES if name in self.chosen]
        kept = [part for part in parts if part.partition("=")[0] in honoured]
        return {"Preference-Applied": ", ".join(kept)} if kept else {}


def parse(headers: Iterable[str]) -> Preferences:
    """Read every Prefer header of a request."""
    chosen: dict[str, str] = {}
    refused: list[str] = []
    for wish in (part.strip() for header in headers for part in header.split(",")):
        name, _, value = wish.partition("=")
        if value in _VALUES.get(name, ()):
            chosen.setdefault(name, value)
        elif wish:
            refused.append(wish)
    if refused and chosen.get("handling") == "strict":
        raise Failure(
            HTTPStatus.BAD_REQUEST,
            "PGRST122",
            "Invalid preferences given with handling=strict",
            details=f"Invalid preferences: {', '.join(refused)}",
        )
    return Preferences(chosen)

"""What people see of the comparison, and what they decide about it: rules, and what is fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from gateway.control.comparing import Comparing
    from gateway.core.comparison import Rule
    from gateway.ports import Actor
    from gateway.ports.compared import ComparisonView, Example


class Desk:
    """`ComparisonDesk`: every decision is on record before it has an effect."""

    def __init__(
        self, comparing: Comparing, note_change: Callable[..., Coroutine[Any, Any, None]]
    ) -> None:
        self._comparing = comparing
        self._note_change = note_change

    def view(self) -> ComparisonView:
        """Show how far the two systems agree."""
        return self._comparing.view()

    def differences(self, *, before: int | None, limit: int) -> tuple[list[Example], int | None]:
        """Give kept differences, newest first, and where the next page begins."""
        return self._comparing.examples(before=before, limit=limit)

    async def decide(self, rule: Rule, *, by: Actor) -> ComparisonView:
        """Put a decision about differences in force; what is kept is scored again."""
        if self._comparing.full:
            raise RefusedError("There are too many rules; put them into config/comparison.toml.")
        await self._note_change(
            "comparison.rule", by=by, reason=rule.reason, text=f"Differences: {rule.wording}."
        )
        self._comparing.add_rule(rule, by=by.name)
        return self._comparing.view()

    async def put_right(self, path: str | None, *, by: Actor, reason: str) -> ComparisonView:
        """Close what was found at a path (None: anywhere), and begin a new count."""
        if path is not None and self._comparing.full_of_fixes:
            raise RefusedError("There are too many fixes; count everything anew with the path **.")
        what = "everything" if path is None else path
        await self._note_change(
            "comparison.fixed", by=by, reason=reason, text=f"Put right, counted anew: {what}."
        )
        self._comparing.put_right(path, by=by.name, reason=reason)
        return self._comparing.view()

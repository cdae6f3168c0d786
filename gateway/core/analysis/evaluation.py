"""One look: all gates, all findings, and what the watch must remember for the next look."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.analysis.terms import Inputs, Judgement, LevelResult, Limit, Questions
    from gateway.core.analysis.watch import Watch


def evaluate(questions: Questions, inputs: Inputs, watch: Watch) -> tuple[Judgement, Watch]:
    """Answer every question; the watch only learns since when each trigger has held."""
    raise NotImplementedError


def levels(limits: Sequence[Limit], inputs: Inputs) -> tuple[LevelResult, ...]:
    """Where each metric stands against target, warning and critical, per system where known."""
    raise NotImplementedError

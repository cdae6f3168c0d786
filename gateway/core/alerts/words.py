"""What can happen to an incident, in the order in which it does."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """Why people are told something of an incident, or without one."""

    RAISED = "raised"
    UPDATED = "updated"
    """It grew worse: its level rose."""
    ESCALATED = "escalated"
    """Nobody acknowledged in time: the next people are named."""
    FOLLOW_UP = "follow_up"
    """Time for something that belongs to it, such as a first report of the cause."""
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    TOLD = "told"
    """News that nobody has to answer: a rollout began, a phase moved, all is done."""

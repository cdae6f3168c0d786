"""Alerts: one incident per rule and system, from the first sign until it is over."""

from gateway.core.alerts.words import Stage

__all__ = ["Stage"]

"""
The name of every key and channel, in one place.

All that one script touches at once carries the same hash tag, so that a cluster keeps it on one
node. Idempotency keys, of which there are many, are spread over groups with a tag each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar, Final

from gateway.errors import Fault, SettingsError

DEFAULT_PREFIX: Final = "syncgate"
_PREFIX: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@dataclass(frozen=True, slots=True)
class Keys:
    """All names under one prefix; two fleets on one server have two prefixes."""

    prefix: str = DEFAULT_PREFIX
    state: str = field(init=False)
    heads: str = field(init=False)
    audit: str = field(init=False)
    decisions: str = field(init=False)
    events: str = field(init=False)
    measurements: str = field(init=False)
    reports: str = field(init=False)
    commits: str = field(init=False)
    lease: str = field(init=False)
    fence: str = field(init=False)
    board: str = field(init=False)
    shares: tuple[str, str] = field(init=False)
    probes: str = field(init=False)
    alerts: str = field(init=False)
    alert_rows: str = field(init=False)
    alert_notes: str = field(init=False)
    alert_order: str = field(init=False)
    alert_waiting: str = field(init=False)
    alert_delivered: str = field(init=False)
    alert_dead: str = field(init=False)
    alert_ended: str = field(init=False)
    alert_ends: str = field(init=False)
    channel: str = field(init=False)

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            raise SettingsError(
                "Settings",
                (
                    Fault(
                        "REDIS_URL",
                        "the prefix cannot be used",
                        "1 to 64 letters, digits and _ . : -",
                    ),
                ),
            )
        tag = f"{{{self.prefix}}}:"
        for name in self.__slots__:
            if name not in {"prefix", "shares"}:
                object.__setattr__(self, name, tag + name)
        object.__setattr__(self, "shares", (tag + "shares:even", tag + "shares:odd"))

    SHARDS: ClassVar[int] = 16
    """Idempotency keys lie in so many groups, which a cluster spreads."""

    def idempotency(self, scope: bytes) -> tuple[str, str, str]:
        """Name one keyed write, and the index and the sizes of its shard; `scope` is a digest."""
        group = f"{{{self.prefix}:{scope[0] % self.SHARDS}}}:idempotency"
        return f"{group}:{scope.hex()}", f"{group}:index", f"{group}:sizes"

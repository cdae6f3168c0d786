"""The error for a Redis key of ours that holds something this program did not write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import StateUnreadableError

if TYPE_CHECKING:
    from gateway.adapters.redis_store.address import Address


def foreign(key: bytes | str, address: Address) -> StateUnreadableError:
    """Refuse to take it for ours, or to write over it."""
    name = key.decode(errors="replace") if isinstance(key, bytes) else key
    return StateUnreadableError(
        f"What stands under {name} in Redis at {address} is not the gateway's.",
        todo="Choose another prefix (REDIS_URL ...?prefix=name) or another database.",
    )

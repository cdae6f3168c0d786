"""The right to decide. A lone gateway holds it; a fleet's is `adapters/redis_store/lease`."""

from __future__ import annotations


class SoleLease:
    """`Lease` of a gateway that stands alone: the lock on its state directory is the proof."""

    held = True
    fencing_token = 1

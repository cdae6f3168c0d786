"""The right to decide, for a gateway that stands alone; a fleet has its lease in Redis."""

from __future__ import annotations


class SoleLease:
    """`Lease` of a gateway that stands alone: the lock on its state directory is the proof."""

    held = True
    fencing_token = 1

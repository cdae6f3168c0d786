"""The right to decide. One node always has it; a fleet will keep it behind the same port."""

from __future__ import annotations


class SoleLease:
    """`Lease` of a gateway that stands alone: the lock on its state directory is the proof."""

    held = True
    fencing_token = 1

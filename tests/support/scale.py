"""One test, two sizes: quick in `make test`, full in `make soak`."""

from __future__ import annotations

import os

SOAK = os.environ.get("SYNCGATE_SOAK") == "1"


def scale(*, full: int, quick: int) -> int:
    """The count to use: `full` under `make soak`, else `quick`."""
    return full if SOAK else quick
